"""Tables: their definitions, their list, and a preview of the first rows."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from aiohttp import web

from local_emulator.maxcompute.calendar_range import PROJECT_ZONE
from local_emulator.maxcompute.errors import ServiceError, invalid
from local_emulator.maxcompute.keys import ACCESS, PRINCIPAL, STORE, in_thread
from local_emulator.maxcompute.partition_spec import matches, parse_spec
from local_emulator.maxcompute.rest import partitions
from local_emulator.maxcompute.rest.listing import page
from local_emulator.maxcompute.rest.projects import requested_project
from local_emulator.maxcompute.rest.schemas import requested_schema
from local_emulator.maxcompute.rest.xml import element, epoch, http_time, reply
from local_emulator.maxcompute.result_text import csv_text

if TYPE_CHECKING:
    from collections.abc import Iterable
    from xml.etree.ElementTree import Element

    from local_emulator.maxcompute.entities import Column, Table, TruncatedTime
    from local_emulator.maxcompute.store import Store

PREVIEW_ROWS = 10_000  # the service's limit of ?data


def requested_table(request: web.Request) -> Table:
    """Return the table of a path; ServiceError NoSuchTable."""
    path = request.match_info
    return request.app[STORE].table(path["project"], requested_schema(request), path["table"])


async def table(request: web.Request) -> web.Response:
    """GET: a table's definition, partitions or first rows, by the query's keys."""
    table, query = requested_table(request), request.query
    request.app[ACCESS].require(request[PRINCIPAL], "Select" if "data" in query else "Describe", table)
    if "partitions" in query:
        return await partitions.partition_list(request, table)
    if "data" in query:
        return await _preview(request, table)
    if "partition" in query:
        return await partitions.partition(request, table)
    store = request.app[STORE]
    count = await in_thread(request, lambda: _count(store, table))
    return reply(_table(table, count, extended="extended" in query))


async def tables(request: web.Request) -> web.Response:
    """List a project's tables, filtered by the name's beginning, owner or type."""
    query, store = request.query, request.app[STORE]
    prefix, owner, kind = query.get("name", "").lower(), query.get("owner"), query.get("type")
    matching = [
        table
        for table in store.tables(requested_project(request, "List").name, requested_schema(request))
        if table.name.startswith(prefix) and owner in (None, table.owner) and kind in (None, _kind(table))
    ]
    chosen, marker, size = page(matching, query, lambda table: table.name)
    if "extended" in query:
        counts = await in_thread(request, lambda: [_count(store, table) for table in chosen])
        items = [_table(table, count, extended=True) for table, count in zip(chosen, counts, strict=True)]
    else:
        # The service's list has only names and owners; a client requests the rest when it needs it.
        items = [element("Table", None, element("Name", table.name), element("Owner", table.owner)) for table in chosen]
    return reply(element("Tables", None, element("Marker", marker), element("MaxItems", size), *items))


def _kind(table: Table) -> str:
    return "VIRTUAL_VIEW" if table.view else "MANAGED_TABLE"


def _count(store: Store, table: Table) -> int:
    if table.view:
        return 0
    with store.snapshot(table) as snapshot:
        return snapshot.count()


async def _preview(request: web.Request, table: Table) -> web.Response:
    _require_rows(table)
    query = request.query
    try:
        limit = min(int(query.get("linenum", PREVIEW_ROWS)), PREVIEW_ROWS)
    except ValueError:
        raise invalid(f"expected a number in linenum, found {query['linenum']!r}") from None
    names = query["cols"].split(",") if query.get("cols") else [column.name for column in table.all_columns]
    columns = [column for name in names if (column := table.column(name)) is not None]
    if len(columns) != len(names):
        raise invalid(f"expected names of columns of {table.name} in cols, found {query['cols']}")
    specs: Iterable[tuple[str, ...] | None] = [None]
    store = request.app[STORE]
    if query.get("partition"):
        wanted = parse_spec(query["partition"])
        specs = [partition.spec for partition in store.partitions(table) if matches(table, wanted, partition.spec)]

    def read() -> str:
        with store.snapshot(table) as snapshot:
            rows: list[pa.Table] = []
            for spec in specs:
                rows_left = limit - sum(part.num_rows for part in rows)
                if rows_left <= 0:
                    break
                rows.append(snapshot.read(spec, [column.name for column in columns], count=rows_left))
        schema = pa.schema([(column.name, column.type.arrow_type()) for column in columns])
        return csv_text(columns, pa.concat_tables(rows) if rows else schema.empty_table(), PROJECT_ZONE)

    return web.Response(text=await in_thread(request, read), content_type="text/csv")


def _table(table: Table, count: int, *, extended: bool) -> Element:
    schema = _schema(table, count) | (_extended(table, count) if extended else {})
    root = _summary(table)
    root.append(element("Schema", json.dumps(schema, ensure_ascii=False), format="Json"))
    return root


def _summary(table: Table) -> Element:
    return element(
        "Table",
        None,
        element("Name", table.name),
        element("TableId", table.id),
        element("Project", table.project),
        element("SchemaName", table.schema),
        element("Comment", table.comment),
        element("Owner", table.owner),
        element("TableLabel", ""),
        element("CreationTime", http_time(table.created)),
        element("LastModifiedTime", http_time(table.modified)),
        element("LastAccessTime", http_time(table.modified)),
        element("Type", _kind(table)),
        format="Json",
    )


def _schema(table: Table, count: int) -> dict[str, Any]:
    return {
        "tableName": table.name,
        "comment": table.comment,
        "owner": table.owner,
        "createTime": epoch(table.created),
        "lastModifiedTime": epoch(table.modified),
        "lastDDLTime": epoch(table.altered),
        "lastAccessTime": epoch(table.modified),
        "columns": [_column(column, table) for column in table.columns],
        "partitionKeys": [_column(column, table) for column in table.partition_columns],
        "isVirtualView": table.view is not None,
        "isMaterializedView": False,
        "viewText": table.view.text if table.view else "",
        "lifecycle": table.lifecycle or -1,
        "size": table.size,
        "tableLabel": "",
        "shardExist": "shard_num" in table.properties,
        "shardInfo": {
            "ShardNum": int(table.properties.get("shard_num", 0)),
            "HubLifecycle": int(table.properties.get("hub_lifecycle", 0)),
            "DistributeCols": [],
            "SortCols": [],
        },
        "tableProperties": json.dumps(dict(table.properties)),
        "recordNum": count,
    }


def _extended(table: Table, count: int) -> dict[str, Any]:
    return {
        "IsArchived": False,
        "PhysicalSize": table.size,
        "FileNum": int(count > 0),
        "serDeProperties": "{}",
        "Reserved": json.dumps({} if table.view else _reserved(table)),
    }


def _reserved(table: Table) -> dict[str, Any]:
    reserved: dict[str, Any] = {
        "schema_version": str(table.schema_version),
        "StoredAs": "AliOrc",
        "Transactional": str(table.transactional).lower(),
    }
    if table.primary_key:
        reserved["PrimaryKey"] = list(table.primary_key)
        reserved["acid.data.retain.hours"] = table.properties.get("acid.data.retain.hours", "24")
    return reserved


def _require_rows(table: Table) -> None:
    """Raise ServiceError MethodNotAllowed, as the service does for the rows of a view."""
    if table.view:
        view = f"{table.project}.{table.name}"
        raise ServiceError(405, "MethodNotAllowed", f"ODPS-0420081: Method not allowed - {view} is a view; use SELECT")


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
    """Return an expression in the SDKs' form: first the arguments, then the function."""
    source = table.column(generated.column)
    reference = {"reference": {"name": generated.column}, "type": str(source.type) if source else ""}
    return [
        {"leafExprDesc": reference},
        {"leafExprDesc": {"constant": generated.unit, "type": "string"}},
        {"functionCall": {"name": "trunc_time", "type": "string"}},
    ]
