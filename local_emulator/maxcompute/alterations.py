"""Changes of a table's columns and properties: the new definition, and DuckDB's statements for the rows."""

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
    """Add columns behind the others; the existing rows have NULL in them."""
    new = [column for column in columns if not (if_not_exists and table.column(column.name))]
    changed = replace(table, columns=table.columns + tuple(new), schema_version=table.schema_version + 1)
    check_columns(changed)
    statements = [
        f"ALTER TABLE {physical_name(table)} ADD COLUMN {quoted(column.name)} {column.type.duckdb_type()}"
        for column in new
    ]
    return changed, statements


def drop_columns(table: Table, names: Sequence[str]) -> Altered:
    """Remove columns and their values."""
    for name in names:
        _own_column(table, name)
    kept = tuple(column for column in table.columns if column.name not in names)
    if not kept or set(names) & set(table.primary_key):
        raise invalid("a table keeps at least one column, and its primary key")
    statements = [f"ALTER TABLE {physical_name(table)} DROP COLUMN {quoted(name)}" for name in names]
    return replace(table, columns=kept, schema_version=table.schema_version + 1), statements


def change_column(table: Table, name: str, column: Column) -> Altered:
    """Change a column's name, type or comment; a change of type converts the rows' values."""
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
    """Add TBLPROPERTIES to the existing ones."""
    return replace(table, properties=MappingProxyType({**table.properties, **properties})), ()


def check_columns(table: Table) -> None:
    """Raise ServiceError if two columns have the same name, or the table has no columns."""
    names = [column.name for column in table.all_columns]
    duplicates = sorted({name for name in names if names.count(name) > 1})
    if duplicates:
        raise ServiceError(400, "ObjectAlreadyExists", f"column {', '.join(duplicates)} is defined more than once")
    if not table.columns:
        raise invalid("expected at least one column that isn't a partition column")


def _own_column(table: Table, name: str) -> Column:
    column = next((column for column in table.columns if column.name == name), None)
    if column is None:
        raise ServiceError(404, "NoSuchObject", f"column {name} cannot be resolved in {table.name}")
    return column
