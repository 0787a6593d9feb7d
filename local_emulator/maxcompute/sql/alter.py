"""ALTER TABLE, DROP TABLE and TRUNCATE TABLE."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from operator import eq, ge, gt, le, lt, ne
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from local_emulator.maxcompute import alterations
from local_emulator.maxcompute.errors import ServiceError
from local_emulator.maxcompute.sql.context import Context, Outcome
from local_emulator.maxcompute.sql.definitions import check_name, column_definition, lifecycle, properties, table_name
from local_emulator.maxcompute.sql.errors import TABLE_NOT_FOUND, SqlError, ddl_error, semantic_error, unsupported
from local_emulator.maxcompute.sql.values import INTEGERS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from local_emulator.maxcompute.entities import Column, Table
    from local_emulator.maxcompute.sql.script import Reader
    from local_emulator.maxcompute.store import Alteration

_SECOND = timedelta(seconds=1)
# The longer words first, since the reader accepts the first word that matches.
_COMPARISONS: Mapping[str, Callable[[Any, Any], Any]] = MappingProxyType(
    {"<>": ne, "!=": ne, "<=": le, ">=": ge, "<": lt, ">": gt, "=": eq}
)


def drop_table(context: Context, reader: Reader) -> Outcome:
    """DROP TABLE [IF EXISTS] name [PURGE]; the word TABLE has been read."""
    if_exists = reader.accept("IF", "EXISTS")
    place, name = reader.place, table_name(reader)
    reader.accept("PURGE")
    reader.end()
    try:
        context.store.drop_table(context.table(name, place, "Drop"))
    except (SqlError, ServiceError) as error:
        if not if_exists or error.code not in {TABLE_NOT_FOUND, "NoSuchTable"}:
            raise
    return Outcome()


def truncate_table(context: Context, reader: Reader) -> Outcome:
    """TRUNCATE TABLE name [PARTITION (...)[, PARTITION (...)]]."""
    reader.expect("TABLE")
    place = reader.place
    table = context.table(table_name(reader), place, "Update")
    specs = _specs(reader, table) if reader.accept("PARTITION") else None
    reader.end()
    context.store.truncate(table, specs)
    return Outcome()


def alter_table(context: Context, reader: Reader) -> Outcome:
    """ALTER TABLE name ..., with one change; the word TABLE has been read."""
    place = reader.place
    table = context.table(table_name(reader), place, "Alter")
    place = reader.place
    try:
        _change(context, reader, table)
    except ServiceError as error:
        raise ddl_error(error.message) from error
    return Outcome()


def _change(context: Context, reader: Reader, table: Table) -> None:
    if reader.accept("ADD"):
        _add(context, reader, table)
    elif reader.accept("DROP"):
        _drop(context, reader, table)
    elif reader.accept("MERGE"):
        _merge(context, reader, table)
    elif reader.accept("RENAME", "TO"):
        name = reader.name()
        reader.end()
        check_name(name)
        context.store.rename_table(table, name)
    elif reader.accept("PARTITION"):
        _partition(context, reader, table)
    else:
        alteration = _alteration(context, reader, table)
        reader.end()
        context.store.alter_table(table, alteration)


def _add(context: Context, reader: Reader, table: Table) -> None:
    if reader.accept("COLUMNS") or reader.accept("COLUMN"):
        if_not_exists = reader.accept("IF", "NOT", "EXISTS")
        if reader.accept("("):
            columns = reader.listed(lambda: column_definition(reader))
            reader.expect(")")
        else:
            columns = reader.listed(lambda: column_definition(reader))
        reader.end()
        if any(not column.nullable for column in columns):
            raise semantic_error("a column that is added cannot be NOT NULL")
        context.store.alter_table(
            table, lambda current: alterations.add_columns(current, columns, if_not_exists=if_not_exists)
        )
        return
    if_not_exists = reader.accept("IF", "NOT", "EXISTS")
    reader.expect("PARTITION")
    specs = _specs(reader, table)
    reader.end()
    context.store.add_partitions(table, specs, if_not_exists=if_not_exists)


def _drop(context: Context, reader: Reader, table: Table) -> None:
    if reader.accept("COLUMNS") or reader.accept("COLUMN"):
        names = reader.listed(reader.name)
        reader.end()
        context.store.alter_table(table, lambda current: alterations.drop_columns(current, names))
        return
    if_exists = reader.accept("IF", "EXISTS")
    reader.expect("PARTITION")
    specs = _matching_specs(context, reader, table)
    while reader.accept(",", "PARTITION") or reader.accept("PARTITION"):
        specs += _matching_specs(context, reader, table)
    reader.accept("PURGE")
    reader.end()
    for spec in dict.fromkeys(specs):
        if not if_exists or context.store.has_partition(table, spec):
            context.store.drop_partition(table, spec)


def _matching_specs(context: Context, reader: Reader, table: Table) -> list[tuple[str, ...]]:
    """Read ``(pt='v')``, a partition that may not exist, or ``(pt < 'v', region = 'w')``, all matching partitions."""
    place = reader.place

    def condition() -> tuple[Column, str, str]:
        name = reader.name()
        column = next((column for column in table.partition_columns if column.name == name), None)
        symbol = next((symbol for symbol in _COMPARISONS if reader.accept(symbol)), None)
        if column is None or symbol is None:
            raise semantic_error(f"expect a comparison of a partition column of {table.name}", place)
        return column, symbol, reader.constant()

    conditions = reader.in_parentheses(condition)
    if all(symbol == "=" for _, symbol, _ in conditions) and len(conditions) == len(table.partition_columns):
        values = {column.name: value for column, _, value in conditions}
        if len(values) == len(conditions):
            return [tuple(values[column.name] for column in table.partition_columns)]
    return [
        partition.spec
        for partition in context.store.partitions(table)
        if all(
            _holds(column, partition.spec[table.partition_columns.index(column)], symbol, value)
            for column, symbol, value in conditions
        )
    ]


def _holds(column: Column, left: str, word: str, right: str) -> bool:
    if column.type.name in INTEGERS:
        try:
            return bool(_COMPARISONS[word](int(left), int(right)))
        except ValueError as error:
            raise semantic_error(f"expect a whole number for {column.name}, found {right}") from error
    return bool(_COMPARISONS[word](left, right))


def _merge(context: Context, reader: Reader, table: Table) -> None:
    if_exists = reader.accept("IF", "EXISTS")
    reader.expect("PARTITION")
    sources = _specs(reader, table)
    reader.expect("OVERWRITE", "PARTITION")
    target = _spec(reader, table)
    reader.accept("PURGE")
    reader.end()
    if if_exists:
        sources = [spec for spec in sources if context.store.has_partition(table, spec)]
    context.store.move_partitions(table, sources, target)


def _partition(context: Context, reader: Reader, table: Table) -> None:
    source = _spec(reader, table)
    if reader.accept("TOUCH"):
        reader.end()
        context.store.move_partitions(table, [source], source)
        return
    reader.expect("RENAME", "TO", "PARTITION")
    target = _spec(reader, table)
    reader.end()
    if context.store.has_partition(table, target):
        raise ddl_error(f"AlreadyExistsException(message:Partition already exists, {table.describe(target)})")
    context.store.move_partitions(table, [source], target)


def _alteration(context: Context, reader: Reader, table: Table) -> Alteration:
    place = reader.place
    if reader.accept("SET", "COMMENT"):
        comment = reader.string()
        return lambda current: (replace(current, comment=comment), ())
    if reader.accept("SET", "LIFECYCLE"):
        days = lifecycle(reader)
        return lambda current: (replace(current, lifecycle=days), ())
    if reader.accept("SET", "TBLPROPERTIES"):
        new_properties = properties(reader)
        return lambda current: alterations.set_properties(current, new_properties)
    if reader.accept("TOUCH"):
        # Clients read whole seconds, and must see a change: on the service a statement takes longer than a second.
        return lambda current: (replace(current, modified=max(context.now, current.modified + _SECOND)), ())
    if reader.accept("RENAME", "COLUMN"):
        name = reader.name()
        reader.expect("TO")
        return _renaming(table, name, reader.name())
    if reader.accept("CHANGE"):
        reader.accept("COLUMN")
        return _changing(reader, table)
    raise unsupported("this ALTER TABLE", place)


def _renaming(table: Table, name: str, new: str) -> Alteration:
    column = table.column(name)
    if column is None:
        raise semantic_error(f"column {name} cannot be resolved")
    return lambda current: alterations.change_column(current, name, replace(column, name=new))


def _changing(reader: Reader, table: Table) -> Alteration:
    """CHANGE [COLUMN] name RENAME TO new | name COMMENT '...' | name new TYPE [COMMENT '...']."""
    place, name = reader.place, reader.name()
    column = table.column(name)
    if column is None:
        raise semantic_error(f"column {name} cannot be resolved", place)
    if reader.accept("RENAME", "TO"):
        return _renaming(table, name, reader.name())
    if reader.accept("COMMENT"):
        commented = replace(column, comment=reader.string())
        return lambda current: alterations.change_column(current, name, commented)
    if reader.accept("NULL"):
        return lambda current: alterations.change_column(current, name, replace(column, nullable=True))
    definition = column_definition(reader)
    changed = replace(definition, comment=definition.comment or column.comment, nullable=column.nullable)
    if changed.type != column.type and not _widens(column.type.name, changed.type.name):
        raise semantic_error(f"cannot change column {name} from {column.type} to {changed.type}", place)
    return lambda current: alterations.change_column(current, name, changed)


def _widens(before: str, after: str) -> bool:
    """Return whether the service allows the change of a column's type: only to a wider type."""
    order = ("tinyint", "smallint", "int", "bigint")
    texts = ("char", "varchar", "string")
    for names in (order, texts, ("float", "double")):
        if before in names and after in names:
            return names.index(before) <= names.index(after)
    return after == "string" and before in order


def _specs(reader: Reader, table: Table) -> list[tuple[str, ...]]:
    """Read one or more partitions behind the first PARTITION; the commas between partitions are optional."""
    specs = [_spec(reader, table)]
    while reader.accept(",", "PARTITION") or reader.accept("PARTITION"):
        specs.append(_spec(reader, table))
    return specs


def _spec(reader: Reader, table: Table) -> tuple[str, ...]:
    values = partition_spec(reader, table, whole=True)
    return tuple(values[column.name] for column in table.partition_columns)


def partition_spec(reader: Reader, table: Table, *, whole: bool) -> dict[str, str]:
    """Read ``(pt='v', region='w')`` in any order; with ``whole``, every partition column must have a value."""
    place = reader.place

    def pair() -> tuple[str, str]:
        name = reader.name()
        reader.expect("=")
        return name, reader.constant()

    values = dict(reader.in_parentheses(pair))
    names = [column.name for column in table.partition_columns]
    if not set(values) <= set(names) or (whole and len(values) < len(names)):
        raise semantic_error(f"expect a value of each of {', '.join(names) or '(no partition column)'}", place)
    return values
