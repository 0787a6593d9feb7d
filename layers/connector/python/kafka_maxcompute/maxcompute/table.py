"""The columns that a connector's table must have, by mode and format (D21-D23).

The first three columns hold the record's place: topic, partition, offset. Further columns depend on the format:

    format   further columns
    TEXT     key and value as STRING
    BINARY   key and value as BINARY; as STRING only for bytes that are UTF-8
    CSV      one column of a scalar type for each field, by index and under any name

Mode KEY needs no value column, mode VALUE no key column. Other columns stay NULL, such as the value column of the
connector document's table in mode KEY. Names are compared like in MaxCompute, without regard to case.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kafka_maxcompute.errors import ConfigurationError
from kafka_maxcompute.maxcompute import column_type, sql
from kafka_maxcompute.maxcompute.column import Column
from kafka_maxcompute.settings.names import MAXCOMPUTE
from kafka_maxcompute.settings.setting import shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kafka_maxcompute.maxcompute.sql import Statement
    from kafka_maxcompute.settings.settings import Settings


@dataclass(frozen=True, slots=True)
class TableDefinition:
    """A table of MaxCompute.

    `created` is its creation time in epoch milliseconds, None if the service doesn't return it. `primary_key` has the
    names of its key columns, in the key's order.
    """

    columns: tuple[Column, ...]
    partition_columns: tuple[Column, ...]
    created: int | None = None
    primary_key: tuple[str, ...] = ()


POSITION = (Column("topic", "STRING"), Column("partition", "BIGINT"), Column("offset", "BIGINT"))
"""The first three columns of every table, in this order."""

CONTENT = {"DEFAULT": ("key", "value"), "KEY": ("key",), "VALUE": ("value",)}
"""The parts of a record that each mode keeps, besides its position."""

CONTENT_TYPES = {"TEXT": ("STRING",), "BINARY": ("BINARY", "STRING")}
"""The types that a key or value column may have, the best type first."""


FIELD_TYPES = tuple(column_type.PARAMETERS)
"""The types of a column for a field of a CSV line."""


def expected(settings: Settings) -> tuple[Column, ...]:
    """Return the columns that these settings need; with CSV without the fields' columns, which the user chooses."""
    if settings.format == "CSV":
        return POSITION
    best = CONTENT_TYPES[settings.format][0]
    return POSITION + tuple(Column(name, best) for name in CONTENT[settings.mode])


def create_statement(settings: Settings, fields: Sequence[Column] = ()) -> Statement:
    """Return the statement that creates the table, as in the connector document, with names in back quotes.

    `fields` are the columns of a CSV line. Raises `ConfigurationError` if they are missing or not allowed.
    """
    columns = (*expected(settings), *fields)
    partition = (Column(settings.partition_column, "STRING"),)
    faults = [
        f"column {column.name!r}: expected a name of {MAXCOMPUTE.expected}; choose another name"
        for column in fields
        if not MAXCOMPUTE.allows(column.name)
    ]
    faults += _faults(settings, columns, partition)
    if faults:
        raise ConfigurationError(faults)
    return sql.create_table(settings.table, columns, partition)


def check(settings: Settings, definition: TableDefinition) -> None:
    """Compare an existing table with what the settings need; raises `ConfigurationError` with every difference."""
    faults = [
        f"table {settings.project}.{settings.table}: {fault}"
        for fault in (*_key_faults(definition), *_faults(settings, definition.columns, definition.partition_columns))
    ]
    if faults:
        raise ConfigurationError(faults)


def _faults(settings: Settings, columns: Sequence[Column], partition_columns: Sequence[Column]) -> Iterator[str]:
    """Yield every difference, in the table's order."""
    yield from _position_faults(columns)
    further = columns[len(POSITION) :]
    yield from _field_faults(further) if settings.format == "CSV" else _content_faults(further, settings)
    yield from _partition_faults(partition_columns, settings.partition_column)


def _key_faults(definition: TableDefinition) -> Iterator[str]:
    """Yield a fault for a primary key: such a table takes upsert sessions, but the ledger needs upload sessions."""
    if definition.primary_key:
        key = ", ".join(definition.primary_key)
        yield f"expected an append table, found the primary key {key}; name a table without a primary key"


def _position_faults(columns: Sequence[Column]) -> Iterator[str]:
    """Yield the faults of the first three columns."""
    for index, required in enumerate(POSITION):
        column = columns[index] if index < len(columns) else None
        if column is None or (column.name.lower(), _plain(column.type)) != (required.name, required.type):
            shown = "none" if column is None else _text(column)
            yield f"column {index + 1}: expected {_text(required)}, found {shown}; create the table again"


def _content_faults(further: Sequence[Column], settings: Settings) -> Iterator[str]:
    """Yield the faults of the columns for key and value."""
    types, needed = CONTENT_TYPES[settings.format], CONTENT[settings.mode]
    by_name = {column.name.lower(): column for column in further}
    for name in needed:
        if name not in by_name:
            yield f"expected a column {name} {types[0]} for mode {settings.mode}, found none; add it or change the mode"
        elif _plain(by_name[name].type) not in types:
            required = f"{name} {' or '.join(types)} for format {settings.format}"
            yield f"expected {required}, found {_text(by_name[name])}; create the table again or change the format"
    for name, column in by_name.items():
        if name not in needed and not column.nullable:
            yield f"column {_text(column)} is NOT NULL, but nothing is written there; drop it or allow NULL"


def _field_faults(further: Sequence[Column]) -> Iterator[str]:
    """Yield the faults of the columns for the fields of a CSV line."""
    if not further:
        yield "expected a column for each field of a CSV line after offset, found none; add them"
    for column in further:
        fault = type_fault(column.type)
        if fault:
            yield f"{fault} in column {column.name}; recreate the table"


def type_fault(text: str) -> str:
    """Return why a column of this type can't hold a field of a CSV line; "" if it can."""
    try:
        column_type.parse(text)
    except ValueError as error:
        return f"{error} for a CSV field, found {shown(text)}"
    return ""


def _partition_faults(columns: Sequence[Column], name: str) -> Iterator[str]:
    """Yield a fault if the partition columns aren't the expected one."""
    if [(column.name.lower(), _plain(column.type)) for column in columns] != [(name.lower(), "STRING")]:
        shown = ", ".join(map(_text, columns)) or "none"
        remedy = "create the table again, or set partition_column if only the name differs"
        yield f"expected one partition column, {name} STRING, found {shown}; {remedy}"


def _plain(type_name: str) -> str:
    """Return a type's name in upper case and without blanks."""
    return "".join(type_name.split()).upper()


def _text(column: Column) -> str:
    """Return a column's text for a message."""
    return f"{column.name} {_plain(column.type)}"
