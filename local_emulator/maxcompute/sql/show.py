"""SHOW, DESC and EXPLAIN: texts about the catalog, in the layout of the service's client."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from local_emulator.maxcompute.errors import ServiceError
from local_emulator.maxcompute.sql.alter import partition_spec
from local_emulator.maxcompute.sql.context import Context, Outcome
from local_emulator.maxcompute.sql.definitions import table_name
from local_emulator.maxcompute.sql.dialect import parse_query
from local_emulator.maxcompute.sql.errors import ddl_error, unsupported

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from local_emulator.maxcompute.entities import Column, Table, View
    from local_emulator.maxcompute.sql.script import Reader

_WIDTH = 84
_RULE = f"+{'-' * _WIDTH}+"
_HEADINGS = ("Field", "Type", "Label", "ExtendedLabel", "Nullable", "DefaultValue", "Comment")
# A cell of width 0 isn't shown.
_WIDTHS = (15, 10, 5, 0, 0, 0, 43)
_EXTENDED_WIDTHS = (8, 6, 5, 13, 8, 12, 12)


def show(context: Context, reader: Reader) -> Outcome:
    """SHOW TABLES | VIEWS | PARTITIONS | CREATE TABLE."""
    place = reader.place
    if reader.accept("TABLES"):
        return Outcome(_tables(context, reader))
    if reader.accept("VIEWS"):
        return Outcome(_tables(context, reader, views_only=True))
    if reader.accept("PARTITIONS"):
        place = reader.place
        table = context.table(table_name(reader), place, "Describe")
        prefix = partition_spec(reader, table, whole=False) if reader.accept("PARTITION") else {}
        reader.end()
        if not table.partition_columns:
            raise ddl_error(f"table {table.project}.{table.name} is not a partitioned table")
        wanted = [prefix.get(column.name) for column in table.partition_columns]
        specs = (partition.spec for partition in context.store.partitions(table))
        chosen = (spec for spec in specs if all(w in (None, v) for w, v in zip(wanted, spec, strict=True)))
        return Outcome("".join(f"{table.describe(spec)}\n" for spec in chosen))
    if reader.accept("CREATE", "TABLE"):
        place = reader.place
        table = context.find(table_name(reader), place, "Describe")
        reader.end()
        return Outcome(_create_view_statement(table, table.view) if table.view else create_statement(table))
    raise unsupported("this SHOW", place)


def describe(context: Context, reader: Reader) -> Outcome:
    """DESC [EXTENDED] table or view [PARTITION (...)]."""
    extended = reader.accept("EXTENDED")
    place = reader.place
    table = context.find(table_name(reader), place, "Describe")
    if reader.accept("PARTITION"):
        values = partition_spec(reader, table, whole=True)
        reader.end()
        spec = tuple(values[column.name] for column in table.partition_columns)
        try:
            partition = context.store.partition(table, spec)
        except ServiceError as error:
            raise ddl_error(error.message) from error
        times = {
            "CreateTime": partition.created,
            "LastDDLTime": partition.altered,
            "LastModifiedTime": partition.modified,
        }
        blocks = [
            [f"PartitionSize: {partition.size}"],
            [f"{name + ':':<26}{_time(context, time)}" for name, time in times.items()],
        ]
        if extended:
            blocks.append(_details({"IsExstore": "false", **_storage(partition.size)}))
        return Outcome(_box(blocks))
    reader.end()
    return Outcome(_description(context, table, extended=extended))


def explain(context: Context, reader: Reader) -> Outcome:
    """EXPLAIN query: check the query and list its result's columns; the emulator has no plan like the service's."""
    statement = reader.rest()
    translator = context.translator(statement.script)
    query = translator.query(parse_query(statement.script, statement.tokens))
    lines = ["job0 is root job", "", "In Job job0:", "root Tasks: M1", "", "In Task M1:", "    FS: output: Screen"]
    lines += [f"        schema: {column.name} ({column.type})" for column in query.result_columns]
    return Outcome("\n".join(lines) + "\n")


def create_statement(table: Table) -> str:
    """Return the CREATE TABLE statement of a table."""
    parts = [_definition(column) for column in table.columns]
    if table.primary_key:
        parts.append(f"PRIMARY KEY ({', '.join(f'`{name}`' for name in table.primary_key)})")
    text = f"CREATE TABLE IF NOT EXISTS {table.project}.`{table.name}`\n(\n  " + ",\n  ".join(parts) + "\n)"
    if table.comment:
        text += f"\nCOMMENT {_quoted(table.comment)}"
    if table.partition_columns:
        kind = "AUTO PARTITIONED" if table.partition_columns[0].generated else "PARTITIONED"
        text += f"\n{kind} BY\n(\n  " + ",\n  ".join(map(_definition, table.partition_columns)) + "\n)"
    if table.properties:
        pairs = ", ".join(f"{_quoted(key)}={_quoted(value)}" for key, value in table.properties.items())
        text += f"\nTBLPROPERTIES ({pairs})"
    if table.lifecycle:
        text += f"\nLIFECYCLE {table.lifecycle}"
    return f"{text}\n;\n"


def _create_view_statement(table: Table, view: View) -> str:
    columns = (f"`{column.name}`{_comment(column)}" for column in table.columns)
    text = f"CREATE VIEW IF NOT EXISTS {table.project}.`{table.name}`\n(\n  " + ",\n  ".join(columns) + "\n)"
    if table.comment:
        text += f"\nCOMMENT {_quoted(table.comment)}"
    return f"{text}\nAS {view.text}\n;\n"


def _comment(column: Column) -> str:
    return f" COMMENT {_quoted(column.comment)}" if column.comment else ""


def _definition(column: Column) -> str:
    if column.generated:
        return f"{column.generated} AS `{column.name}`"
    # In capitals, except a struct, whose field names would change.
    type_ = str(column.type)
    text = f"`{column.name}` {type_ if 'struct' in type_ else type_.upper()}"
    return text + ("" if column.nullable else " NOT NULL") + _comment(column)


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n") + "'"


def _tables(context: Context, reader: Reader, *, views_only: bool = False) -> str:
    project, schema = context.project, context.schema
    if reader.accept("IN"):
        project = reader.name()
        if reader.accept("."):
            schema = reader.name()
    pattern = reader.string() if reader.accept("LIKE") else "*"
    reader.end()
    context.require("List", context.store.project(project))
    tables = [table for table in context.store.tables(project, schema) if table.view or not views_only]
    return "".join(f"{table.owner}:{table.name}\n" for table in tables if fnmatchcase(table.name, pattern.lower()))


def _description(context: Context, table: Table, *, extended: bool) -> str:
    blocks: list[list[str]] = [
        [
            f"{'Owner:':<26}{table.owner}",
            f"{'Project:':<26}{table.project}",
            f"TableComment: {table.comment}",
        ],
        [
            f"{'CreateTime:':<26}{_time(context, table.created)}",
            f"{'LastDDLTime:':<26}{_time(context, table.altered)}",
            f"{'LastModifiedTime:':<26}{_time(context, table.modified)}",
            *([f"{'Lifecycle:':<26}{table.lifecycle}"] if table.lifecycle else []),
        ],
        [
            f"VirtualView  : YES  | ViewText: {' '.join(table.view.text.split())}"
            if table.view
            else f"{'InternalTable: YES':<24}| Size: {table.size}"
        ],
        ["Native Columns:"],
        [_cells(_HEADINGS, extended=extended)],
        [_column_line(column, extended=extended) for column in table.columns],
    ]
    if table.partition_columns:
        blocks += [["Partition Columns:"], [_partition_line(column) for column in table.partition_columns]]
    if extended and not table.view:
        with context.store.snapshot(table) as snapshot:
            count = snapshot.count()
        details = {"TableID": table.id, **_storage(table.size), "StoredAs": "AliOrc", "RecordNum": str(count)}
        details.update(table.properties)
        if table.primary_key:
            details["Primarykey"] = f"[{', '.join(table.primary_key)}]"
        blocks += [["Extended Info:"], _details(details)]
    return _box(blocks)


def _storage(size: int) -> dict[str, str]:
    return {"IsArchived": "false", "PhysicalSize": str(size), "FileNum": str(int(size > 0))}


def _details(values: Mapping[str, str]) -> list[str]:
    return [f"{name + ':':<26}{value}" for name, value in values.items()]


def _column_line(column: Column, *, extended: bool) -> str:
    values = (column.name, str(column.type), "", "", str(column.nullable).lower(), "NULL", column.comment)
    return _cells(values, extended=extended)


def _cells(values: Sequence[str], *, extended: bool) -> str:
    """Return the cells of a column or of the heading, in the widths of the service's client."""
    widths = _EXTENDED_WIDTHS if extended else _WIDTHS
    return " | ".join(f"{value:<{width}}" for value, width in zip(values, widths, strict=True) if width)


def _partition_line(column: Column) -> str:
    return f"{column.name:<16}| {column.type!s:<11}| {column.comment}"


def _box(blocks: Iterable[Iterable[str]]) -> str:
    lines = [_RULE]
    for block in blocks:
        lines += [f"| {line:<{_WIDTH - 1}}|" for line in block]
        lines.append(_RULE)
    return "\n".join(lines) + "\n"


def _time(context: Context, time: datetime) -> str:
    return time.astimezone(context.time_zone).strftime("%Y-%m-%d %H:%M:%S")
