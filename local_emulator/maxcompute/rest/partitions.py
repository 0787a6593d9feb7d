"""Partitions: existence, times and sizes, and the list."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from local_emulator.maxcompute.keys import STORE, in_thread
from local_emulator.maxcompute.partition_spec import matches, parse_spec, whole_spec
from local_emulator.maxcompute.rest.listing import page
from local_emulator.maxcompute.rest.xml import element, epoch, reply

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    from aiohttp import web

    from local_emulator.maxcompute.entities import Partition, Table


async def partition(request: web.Request, table: Table) -> web.Response:
    """``?partition=pt='v'``: times and sizes, or with ``&extended`` the rest; ServiceError NoSuchPartition."""
    store = request.app[STORE]
    found = store.partition(table, whole_spec(table, request.query["partition"]))

    def count() -> int:
        with store.snapshot(table) as snapshot:
            return snapshot.count(found.spec)

    rows = await in_thread(request, count)
    # Never both: PyODPS takes a partition whose times it has for one that it has loaded.
    if "extended" in request.query:
        schema: dict[str, object] = {
            "IsArchived": False,
            "IsExstore": False,
            "LifeCycle": table.lifecycle or -1,
            "PhysicalSize": found.size,
            "FileNum": int(rows > 0),
            "Reserved": "{}",
        }
    else:
        schema = {
            "createTime": epoch(found.created),
            "lastDDLTime": epoch(found.altered),
            "lastModifiedTime": epoch(found.modified),
            "lastAccessTime": epoch(found.modified),
            "partitionSize": found.size,
            "partitionRecordNum": rows,
        }
    return reply(element("Partition", None, element("Schema", json.dumps(schema))))


async def partition_list(request: web.Request, table: Table) -> web.Response:
    """``?partitions``: all, or those that have the values of some columns; ``&name``: names alone (Java)."""
    query, store = request.query, request.app[STORE]
    wanted = parse_spec(query["partition"]) if query.get("partition") else {}
    found = [known for known in store.partitions(table) if matches(table, wanted, known.spec)]
    if "reverse" in query:
        found.reverse()
    # Neither a comma nor a slash says where a value ends, but a list of JSON does.
    chosen, marker, size = page(found, query, lambda known: json.dumps(known.spec, ensure_ascii=False))
    if "name" in query:
        items = [element("Partition", None, element("Name", table.describe(known.spec))) for known in chosen]
    else:
        counts = await in_thread(request, lambda: store.counts(table))
        items = [_item(table, known, counts.get(known.spec, 0)) for known in chosen]
    return reply(element("Partitions", None, element("Marker", marker), element("MaxItems", size), *items))


def _item(table: Table, known: Partition, rows: int) -> Element:
    pairs = zip(table.partition_columns, known.spec, strict=True)
    return element(
        "Partition",
        None,
        *(element("Column", Name=column.name, Value=value) for column, value in pairs),
        element("CreationTime", epoch(known.created)),
        element("LastDDLTime", epoch(known.altered)),
        element("LastModifiedTime", epoch(known.modified)),
        element("PartitionSize", known.size),
        element("PartitionRecordCount", rows),
    )
