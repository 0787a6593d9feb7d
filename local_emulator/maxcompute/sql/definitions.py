"""CREATE TABLE: columns, partitions, properties, LIKE and AS SELECT."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from local_emulator.maxcompute.alterations import check_columns
from local_emulator.maxcompute.entities import DEFAULT_SCHEMA, Column, Table
from local_emulator.maxcompute.errors import ServiceError
from local_emulator.maxcompute.sql.context import Context, Outcome
from local_emulator.maxcompute.sql.dialect import parse_query
from local_emulator.maxcompute.sql.errors import ddl_error, parse_error, semantic_error, unsupported
from local_emulator.maxcompute.sql.partition_times import generated_column

if TYPE_CHECKING:
    import pyarrow as pa

    from local_emulator.maxcompute.sql.script import Reader

_NAME = re.compile(r"\w+\Z", re.ASCII)
_LIFECYCLE = range(1, 37_232)


@dataclass(slots=True)
class Parts:
    """What a statement says of a new table or view."""

    columns: list[Column] = field(default_factory=list)
    partition_columns: list[Column] = field(default_factory=list)
    primary_key: tuple[str, ...] = ()
    comment: str = ""
    lifecycle: int | None = None
    properties: dict[str, str] = field(default_factory=dict)


def create_table(context: Context, reader: Reader) -> Outcome:
    """CREATE TABLE [IF NOT EXISTS] ...; the word TABLE has been read."""
    if_not_exists = reader.accept("IF", "NOT", "EXISTS")
    place = reader.place
    project, schema, name = context.resolve(table_name(reader))
    parts = Parts()
    query = None
    if reader.accept("LIKE"):
        place = reader.place
        like = context.table(table_name(reader), place, "Describe")
        parts.columns, parts.partition_columns = list(like.columns), list(like.partition_columns)
        parts.properties, parts.primary_key = dict(like.properties), like.primary_key
    elif reader.accept("("):
        _column_list(reader, parts)
    _clauses(reader, parts)
    if reader.accept("AS"):
        if parts.columns:
            raise unsupported("a column list before AS SELECT", reader.place)
        statement = reader.rest()
        query = context.translator(statement.script).query(parse_query(statement.script, statement.tokens))
        parts.columns = list(query.result_columns)
        if parts.partition_columns:
            raise unsupported("PARTITIONED BY before AS SELECT", place)
    else:
        reader.end()
    table = new_table(context, parts, (project, schema, name))
    if context.store.has_table(table.project, schema, name):
        if if_not_exists:
            return Outcome()
        raise ddl_error(f"AlreadyExistsException(message:Table {table.project}.{name} already exists)")
    rows = context.run(query) if query is not None else None
    return _create(context, table, rows, if_not_exists=if_not_exists)


def _create(context: Context, table: Table, rows: pa.Table | None, *, if_not_exists: bool) -> Outcome:
    try:
        created = context.store.create_table(table)
    except ServiceError as error:
        if if_not_exists and error.code == "ObjectAlreadyExists":
            return Outcome()
        raise ddl_error(error.message) from error
    if rows is None:
        return Outcome()
    count = context.store.append(created, (), rows.to_batches())
    return Outcome(written=((f"{created.project}.{created.name}", count),))


def table_name(reader: Reader) -> list[str]:
    """Read a name of one to three parts."""
    parts = [reader.name()]
    while reader.accept("."):
        parts.append(reader.name())
    return parts


def column_definition(reader: Reader) -> Column:
    """Read ``name TYPE [NOT NULL] [COMMENT '...']``."""
    name, type_ = reader.name(), reader.type()
    nullable, comment = True, ""
    while True:
        if reader.accept("NOT", "NULL"):
            nullable = False
        elif reader.accept("COMMENT"):
            comment = reader.string()
        elif not reader.accept("NULL"):
            return Column(name, type_, comment, nullable)


def properties(reader: Reader) -> dict[str, str]:
    """Read ``('key'='value', ...)``."""

    def pair() -> tuple[str, str]:
        key = reader.string()
        reader.expect("=")
        return key, reader.constant()

    return dict(reader.in_parentheses(pair))


def lifecycle(reader: Reader) -> int:
    """Read a number of days; the service accepts 1 to 37231."""
    place, days = reader.place, reader.number()
    if days not in _LIFECYCLE:
        raise semantic_error(f"expect a lifecycle of 1 to {_LIFECYCLE[-1]} days, found {days}", place)
    return days


def _column_list(reader: Reader, parts: Parts) -> None:
    while True:
        if reader.accept("PRIMARY", "KEY"):
            parts.primary_key = tuple(reader.in_parentheses(reader.name))
        else:
            parts.columns.append(column_definition(reader))
        if not reader.accept(","):
            break
    reader.expect(")")


def _clauses(reader: Reader, parts: Parts) -> None:
    while reader.more:
        if reader.accept("COMMENT"):
            parts.comment = reader.string()
        elif reader.accept("PARTITIONED", "BY"):
            parts.partition_columns = reader.in_parentheses(lambda: column_definition(reader))
        elif reader.accept("AUTO", "PARTITIONED", "BY"):
            parts.partition_columns = reader.in_parentheses(lambda: generated_column(reader, parts.columns))
        elif reader.accept("TBLPROPERTIES"):
            parts.properties.update(properties(reader))
        elif reader.accept("LIFECYCLE"):
            parts.lifecycle = lifecycle(reader)
        elif reader.accept("STORED", "AS"):
            _stored_as(reader)
        elif reader.accept("INTO"):
            parts.properties["shard_num"] = str(reader.number())
            reader.expect("SHARDS", "HUBLIFECYCLE")
            parts.properties["hub_lifecycle"] = str(reader.number())
        else:
            return


def _stored_as(reader: Reader) -> None:
    """Read a file format; the emulator ignores the format of inner tables."""
    place, layout = reader.place, reader.name()
    if layout != "aliorc":
        raise unsupported(f"STORED AS {layout}", place)


def new_table(context: Context, parts: Parts, name: tuple[str, str, str]) -> Table:
    """Return a table or view that isn't in the catalog yet; SqlError if it can't be or isn't allowed."""
    try:
        project = context.store.project(name[0])
    except ServiceError as error:
        raise semantic_error(error.message) from error
    context.require("CreateTable", project)
    if name[1] != DEFAULT_SCHEMA:
        raise semantic_error(f"schema {project.name}.{name[1]} cannot be resolved")
    check_name(name[2])
    for column in parts.partition_columns:
        if not column.type.can_partition:
            raise semantic_error(f"partition column {column.name} cannot be of type {column.type}")
    table = Table(
        id="",
        project=project.name,
        schema=name[1],
        name=name[2],
        columns=tuple(parts.columns),
        partition_columns=tuple(parts.partition_columns),
        owner=context.owner,
        created=context.now,
        modified=context.now,
        altered=context.now,
        comment=parts.comment,
        lifecycle=parts.lifecycle,
        properties=MappingProxyType(parts.properties),
        primary_key=parts.primary_key,
    )
    try:
        check_columns(table)
        context.store.limits.check_shape(table)
    except ServiceError as error:
        raise semantic_error(error.message) from error
    return _with_key(table)


def check_name(name: str) -> None:
    """Raise SqlError if a table can't have this name."""
    if not _NAME.match(name):
        raise semantic_error(f"expect a table name of letters, digits and underscores, found {name}")


def _with_key(table: Table) -> Table:
    """Check the primary key, which only a transactional table has, and make its columns NOT NULL."""
    if not table.primary_key:
        return table
    known = {column.name for column in table.columns}
    if not table.transactional or not set(table.primary_key) <= known:
        raise parse_error("PRIMARY KEY needs 'transactional'='true' in TBLPROPERTIES, and columns of the table", None)
    columns = (
        replace(column, nullable=column.nullable and column.name not in table.primary_key) for column in table.columns
    )
    return replace(table, columns=tuple(columns))
