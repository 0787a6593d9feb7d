"""Changes of a table's columns and properties: the new table, and what DuckDB has to do to the rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from local_emulator.maxcompute.entities import Column, Table
from local_emulator.maxcompute.errors import ServiceError, invalid
from local_emulator.maxcompute.snapshot import physical_name
from local_emulator.maxcompute.types import quoted

Altered = tuple[Table, Sequence[str]]


def add_columns(table: Table, columns: Sequence[Column], *, if_not_exists: bool = False) -> Altered:
    """New columns behind the others, NULL in the rows that are there."""
    new = [column for column in columns if not (if_not_exists and table.column(column.name))]
    changed = replace(table, columns=table.columns + tuple(new), schema_version=table.schema_version + 1)
    check_columns(changed)
    statements = [
        f"ALTER TABLE {physical_name(table)} ADD COLUMN {quoted(column.name)} {column.type.duckdb_type()}"
        for column in new
    ]
    return changed, statements


def drop_columns(table: Table, names: Sequence[str]) -> Altered:
    """Columns and their values go."""
    for name in names:
        _own_column(table, name)
    left = tuple(column for column in table.columns if column.name not in names)
    if not left or set(names) & set(table.primary_key):
        raise invalid("a table keeps at least one column, and its primary key")
    statements = [f"ALTER TABLE {physical_name(table)} DROP COLUMN {quoted(name)}" for name in names]
    return replace(table, columns=left, schema_version=table.schema_version + 1), statements


def change_column(table: Table, name: str, column: Column) -> Altered:
    """Another name, type (the rows' values are converted) or comment."""
    before = _own_column(table, name)
    columns = tuple(column if known.name == name else known for known in table.columns)
    key = tuple(column.name if known == name else known for known in table.primary_key)
    changed = replace(table, columns=columns, primary_key=key, schema_version=table.schema_version + 1)
    check_columns(changed)
    target, statements = physical_name(table), []
    if column.type != before.type:
        type_ = column.type.duckdb_type()
        statements.append(f"ALTER TABLE {target} ALTER COLUMN {quoted(name)} TYPE {type_}")
    if column.name != name:
        statements.append(f"ALTER TABLE {target} RENAME COLUMN {quoted(name)} TO {quoted(column.name)}")
    return changed, statements


def set_properties(table: Table, properties: Mapping[str, str]) -> Altered:
    """TBLPROPERTIES, added to those that are there."""
    return replace(table, properties=MappingProxyType({**table.properties, **properties})), ()


def check_columns(table: Table) -> None:
    """ServiceError if a name is there twice, or there is none."""
    names = [column.name for column in table.all_columns]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ServiceError(400, "ObjectAlreadyExists", f"column {', '.join(twice)} is defined more than once")
    if not table.columns:
        raise invalid("expected at least one column that isn't a partition column")


def _own_column(table: Table, name: str) -> Column:
    found = next((column for column in table.columns if column.name == name), None)
    if found is None:
        raise ServiceError(404, "NoSuchObject", f"column {name} cannot be resolved in {table.name}")
    return found
