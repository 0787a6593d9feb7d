"""Partitions: their times and sizes, and their list."""

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
    """``?partition=pt='v'``: get times and size, or with ``&extended`` other details; ServiceError NoSuchPartition."""
    store = request.app[STORE]
    partition = store.partition(table, whole_spec(table, request.query["partition"]))

    def count() -> int:
        with store.snapshot(table) as snapshot:
            return snapshot.count(partition.spec)

    rows = await in_thread(request, count)
    # Never both: PyODPS doesn't load the details of a partition whose times it knows.
    if "extended" in request.query:
        schema: dict[str, object] = {
            "IsArchived": False,
            "IsExstore": False,
            "LifeCycle": table.lifecycle or -1,
            "PhysicalSize": partition.size,
            "FileNum": int(rows > 0),
            "Reserved": "{}",
        }
    else:
        schema = {
            "createTime": epoch(partition.created),
            "lastDDLTime": epoch(partition.altered),
            "lastModifiedTime": epoch(partition.modified),
            "lastAccessTime": epoch(partition.modified),
            "partitionSize": partition.size,
            "partitionRecordNum": rows,
        }
    return reply(element("Partition", None, element("Schema", json.dumps(schema))))


async def partition_list(request: web.Request, table: Table) -> web.Response:
    """``?partitions``: list all partitions, or those with the given values; ``&name``: only names (Java SDK)."""
    query, store = request.query, request.app[STORE]
    wanted = parse_spec(query["partition"]) if query.get("partition") else {}
    matching = [partition for partition in store.partitions(table) if matches(table, wanted, partition.spec)]
    if "reverse" in query:
        matching.reverse()
    # JSON, because a value may contain any separator.
    chosen, marker, size = page(matching, query, lambda partition: json.dumps(partition.spec, ensure_ascii=False))
    if "name" in query:
        items = [element("Partition", None, element("Name", table.describe(partition.spec))) for partition in chosen]
    else:
        counts = await in_thread(request, lambda: store.counts(table))
        items = [_item(table, partition, counts.get(partition.spec, 0)) for partition in chosen]
    return reply(element("Partitions", None, element("Marker", marker), element("MaxItems", size), *items))


def _item(table: Table, partition: Partition, rows: int) -> Element:
    pairs = zip(table.partition_columns, partition.spec, strict=True)
    return element(
        "Partition",
        None,
        *(element("Column", Name=column.name, Value=value) for column, value in pairs),
        element("CreationTime", epoch(partition.created)),
        element("LastDDLTime", epoch(partition.altered)),
        element("LastModifiedTime", epoch(partition.modified)),
        element("PartitionSize", partition.size),
        element("PartitionRecordCount", rows),
    )
