"""Tables: existence, shape, list, and the first rows."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from aiohttp import web

from local_emulator.maxcompute.calendar_range import PROJECT_ZONE
from local_emulator.maxcompute.errors import invalid
from local_emulator.maxcompute.keys import ACCESS, PRINCIPAL, STORE, in_thread
from local_emulator.maxcompute.partition_spec import matches, parse_spec
from local_emulator.maxcompute.rest import partitions
from local_emulator.maxcompute.rest.listing import page
from local_emulator.maxcompute.rest.projects import project_of
from local_emulator.maxcompute.rest.schemas import schema_of
from local_emulator.maxcompute.rest.xml import element, epoch, http_time, reply
from local_emulator.maxcompute.result_text import csv_text

if TYPE_CHECKING:
    from collections.abc import Iterable
    from xml.etree.ElementTree import Element

    from local_emulator.maxcompute.entities import Column, Table, TruncatedTime
    from local_emulator.maxcompute.store import Store

PREVIEW_ROWS = 10_000  # the service's own bound of ?data


def table_of(request: web.Request) -> Table:
    """The table of a path; ServiceError NoSuchTable."""
    path = request.match_info
    return request.app[STORE].table(path["project"], schema_of(request), path["table"])


async def table(request: web.Request) -> web.Response:
    """GET of a table, in all its variants."""
    found, query = table_of(request), request.query
    request.app[ACCESS].require(request[PRINCIPAL], "Select" if "data" in query else "Describe", found)
    if "partitions" in query:
        return await partitions.partition_list(request, found)
    if "data" in query:
        return await _preview(request, found)
    if "partition" in query:
        return await partitions.partition(request, found)
    store = request.app[STORE]
    count = await in_thread(request, lambda: _count(store, found))
    return reply(_table(found, count, extended="extended" in query))


async def tables(request: web.Request) -> web.Response:
    """A project's tables, by name's beginning, owner or type."""
    query, store = request.query, request.app[STORE]
    prefix, owner, kind = query.get("name", "").lower(), query.get("owner"), query.get("type")
    found = [
        known
        for known in store.tables(project_of(request, "List").name, schema_of(request))
        if known.name.startswith(prefix) and owner in (None, known.owner) and kind in (None, "MANAGED_TABLE")
    ]
    chosen, marker, size = page(found, query, lambda known: known.name)
    if "extended" in query:
        counts = await in_thread(request, lambda: [_count(store, known) for known in chosen])
        items = [_table(known, count, extended=True) for known, count in zip(chosen, counts, strict=True)]
    else:
        # What the service tells of a table in a list; a client asks for the rest when it needs it.
        items = [element("Table", None, element("Name", known.name), element("Owner", known.owner)) for known in chosen]
    return reply(element("Tables", None, element("Marker", marker), element("MaxItems", size), *items))


def _count(store: Store, found: Table) -> int:
    with store.snapshot(found) as snapshot:
        return snapshot.count()


async def _preview(request: web.Request, found: Table) -> web.Response:
    query = request.query
    try:
        limit = min(int(query.get("linenum", PREVIEW_ROWS)), PREVIEW_ROWS)
    except ValueError:
        raise invalid(f"expected a number in linenum, found {query['linenum']!r}") from None
    names = query["cols"].split(",") if query.get("cols") else [column.name for column in found.all_columns]
    columns = [column for name in names if (column := found.column(name)) is not None]
    if len(columns) != len(names):
        raise invalid(f"expected names of columns of {found.name} in cols, found {query['cols']}")
    specs: Iterable[tuple[str, ...] | None] = [None]
    store = request.app[STORE]
    if query.get("partition"):
        wanted = parse_spec(query["partition"])
        specs = [known.spec for known in store.partitions(found) if matches(found, wanted, known.spec)]

    def read() -> str:
        with store.snapshot(found) as snapshot:
            rows: list[pa.Table] = []
            for spec in specs:
                left = limit - sum(part.num_rows for part in rows)
                if left <= 0:
                    break
                rows.append(snapshot.read(spec, [column.name for column in columns], count=left))
        schema = pa.schema([(column.name, column.type.arrow_type()) for column in columns])
        return csv_text(columns, pa.concat_tables(rows) if rows else schema.empty_table(), PROJECT_ZONE)

    return web.Response(text=await in_thread(request, read), content_type="text/csv")


def _table(found: Table, count: int, *, extended: bool) -> Element:
    schema = _schema(found, count) | (_extended(found, count) if extended else {})
    root = _summary(found)
    root.append(element("Schema", json.dumps(schema, ensure_ascii=False), format="Json"))
    return root


def _summary(found: Table) -> Element:
    return element(
        "Table",
        None,
        element("Name", found.name),
        element("TableId", found.id),
        element("Project", found.project),
        element("SchemaName", found.schema),
        element("Comment", found.comment),
        element("Owner", found.owner),
        element("TableLabel", ""),
        element("CreationTime", http_time(found.created)),
        element("LastModifiedTime", http_time(found.modified)),
        element("LastAccessTime", http_time(found.modified)),
        element("Type", "MANAGED_TABLE"),
        format="Json",
    )


def _schema(found: Table, count: int) -> dict[str, Any]:
    return {
        "tableName": found.name,
        "comment": found.comment,
        "owner": found.owner,
        "createTime": epoch(found.created),
        "lastModifiedTime": epoch(found.modified),
        "lastDDLTime": epoch(found.altered),
        "lastAccessTime": epoch(found.modified),
        "columns": [_column(column, found) for column in found.columns],
        "partitionKeys": [_column(column, found) for column in found.partition_columns],
        "isVirtualView": False,
        "isMaterializedView": False,
        "lifecycle": found.lifecycle or -1,
        "size": found.size,
        "tableLabel": "",
        "shardExist": "shard_num" in found.properties,
        "shardInfo": {
            "ShardNum": int(found.properties.get("shard_num", 0)),
            "HubLifecycle": int(found.properties.get("hub_lifecycle", 0)),
            "DistributeCols": [],
            "SortCols": [],
        },
        "tableProperties": json.dumps(dict(found.properties)),
        "recordNum": count,
    }


def _extended(found: Table, count: int) -> dict[str, Any]:
    return {
        "IsArchived": False,
        "PhysicalSize": found.size,
        "FileNum": int(count > 0),
        "serDeProperties": "{}",
        "Reserved": json.dumps(_reserved(found)),
    }


def _reserved(found: Table) -> dict[str, Any]:
    reserved: dict[str, Any] = {
        "schema_version": str(found.schema_version),
        "StoredAs": "AliOrc",
        "Transactional": str(found.transactional).lower(),
    }
    if found.primary_key:
        reserved["PrimaryKey"] = list(found.primary_key)
        reserved["acid.data.retain.hours"] = found.properties.get("acid.data.retain.hours", "24")
    return reserved


def _column(column: Column, table: Table) -> dict[str, Any]:
    described = {
        "name": column.name,
        "type": str(column.type),
        "comment": column.comment,
        "label": "",
        "isNullable": column.nullable,
    }
    if column.generated:
        described["generateExpression"] = json.dumps(_expression(column.generated, table))
    return described


def _expression(generated: TruncatedTime, table: Table) -> list[dict[str, Any]]:
    """An expression as the SDKs read it: what it is about, then what is done with it."""
    source = table.column(generated.column)
    reference = {"reference": {"name": generated.column}, "type": str(source.type) if source else ""}
    return [
        {"leafExprDesc": reference},
        {"leafExprDesc": {"constant": generated.unit, "type": "string"}},
        {"functionCall": {"name": "trunc_time", "type": "string"}},
    ]
