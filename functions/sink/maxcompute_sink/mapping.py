"""Records become rows of the table: mode and format of the connector document (D22, D23) against the actual columns.

Topic, partition and offset always fill the first three columns. With TEXT and BINARY, the key and the value fill the
columns of these names, as far as the mode asks for them; with CSV, the fields of the key or the value fill the columns
after the third by their order. All other columns are NULL. Null keys and values stay NULL.

Columns are built whole, and only a column that turns out to be wrong is searched for the records to blame.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import pyarrow as pa

from kafka_maxcompute.errors import ConfigurationError
from kafka_maxcompute.maxcompute.table import CONTENT, POSITION
from maxcompute_sink import csv_rows
from maxcompute_sink.arrow_types import arrow_type
from maxcompute_sink.records import are_json
from maxcompute_sink.rejected import Rejected

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import tzinfo

    from kafka_maxcompute.maxcompute.column import Column
    from kafka_maxcompute.settings.settings import Settings
    from maxcompute_sink.records import AnyRecord, JsonRecord

NOT_TEXT = "not-utf-8"
"""The reason of keys and values that aren't UTF-8 where the column is STRING."""
NOT_CSV = "not-csv"
"""The reason of lines that aren't CSV, or have another number of fields than the table has columns for them."""
WRONG_TYPE = "csv-field-type"
"""The reason of CSV fields that are no value of their column's type."""
REQUIRED = "null-in-required-column"
"""The reason of nulls for which the table has no room."""
TOO_LONG = "field-too-long"
"""The reason of keys and values above what a MaxCompute field holds."""
OF_THE_TABLE = frozenset({NOT_TEXT, NOT_CSV, WRONG_TYPE, REQUIRED, TOO_LONG})
"""The reasons that depend on the table's definition: with another one, the same record may become a row."""

_Content: TypeAlias = "Sequence[str | bytes | None]"

FIELD_BYTES = 8 * 1024 * 1024
"""The largest field of a table (MaxCompute's limits, "SQL", and PyODPS's default of MaxFieldSize)."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of the good records in their order, and an error for each of the others."""

    batch: pa.RecordBatch
    rejected: list[Rejected]


@dataclass(frozen=True, slots=True)
class _Target:
    """A column, the part of the record that fills it ("" for none), and the form of a CSV field for it."""

    column: Column
    type: pa.DataType
    part: str
    form: csv_rows.Form | None = None


class _Faults:
    """What is wrong with the records of one call: the first fault of each, by its position."""

    def __init__(self, records: Sequence[AnyRecord]) -> None:
        self._records = records
        self.by_position: dict[int, Rejected] = {}

    def add(self, position: int, reason: str, message: str, part: str) -> None:
        """Note a record's fault, unless it has one already."""
        if position not in self.by_position:
            record = self._records[position]
            self.by_position[position] = Rejected.of(record, reason, message, path=f"$.data.{part}")


class Mapper:
    """Maps records of one connector to rows; made once for a table's columns (without its partition column)."""

    def __init__(self, columns: Sequence[Column], *, settings: Settings, zone: tzinfo) -> None:
        """Take columns that `kafka_maxcompute.maxcompute.table.check` has passed.

        Times of CSV that name no zone are told in `zone`. Raises `ConfigurationError` where a column has a type that
        Tunnel doesn't take as Arrow.
        """
        self._is_csv = settings.format == "CSV"
        kept = CONTENT[settings.mode]
        faults: list[str] = []
        self._targets: list[_Target] = []
        for index, column in enumerate(columns):
            part, name = "", column.name.lower()
            if index < len(POSITION):
                part = POSITION[index].name
            elif self._is_csv or name in kept:
                part = kept[0] if self._is_csv else name
            try:
                wire = arrow_type(column.type)
            except ValueError as error:
                faults.append(f"column {column.name}: {error}; drop the column, or write into another table")
                continue
            is_field = self._is_csv and index >= len(POSITION)
            form = csv_rows.form(column.type, wire, zone) if is_field else None
            self._targets.append(_Target(column, wire, part, form))
        if faults:
            raise ConfigurationError(faults)
        self.schema = pa.schema([pa.field(target.column.name, target.type) for target in self._targets])

    def rows(self, records: Sequence[AnyRecord]) -> Rows:
        """The rows of records of the mapper's value type."""
        faults = _Faults(records)
        fields = self._csv_fields(records, faults) if self._is_csv else iter(())
        arrays = []
        for target in self._targets:
            if target.form is not None:
                array = _read(target, target.form, next(fields), faults)
            elif target.part in _READERS:
                array = pa.array(_READERS[target.part](records), target.type)
            elif target.part:
                array = _taken(target, _content(target.part, records), faults)
            else:
                array = pa.nulls(len(records), target.type)
            if array.null_count and not target.column.nullable:
                _blame_nulls(target, array, faults)
            arrays.append(array)
        if not faults.by_position:
            return Rows(pa.RecordBatch.from_arrays(arrays, schema=self.schema), [])
        good = [record for position, record in enumerate(records) if position not in faults.by_position]
        return Rows(self.rows(good).batch, [error for _, error in sorted(faults.by_position.items())])

    def _csv_fields(self, records: Sequence[AnyRecord], faults: _Faults) -> Iterator[Sequence[str | None]]:
        """The fields of all records, a column after the other; a record at fault has empty ones."""
        part, width = self._targets[-1].part, len(self._targets) - len(POSITION)
        rows: list[list[str] | list[None]] = []
        for position, line in enumerate(_content(part, records)):
            row: list[str] | list[None] = [None] * width
            try:
                if line is not None:
                    row = _csv_row(line, width)
            except UnicodeDecodeError:
                faults.add(position, NOT_TEXT, "expected text in UTF-8, found bytes that aren't", part)
            except ValueError as error:
                faults.add(position, NOT_CSV, str(error), part)
            rows.append(row)
        return iter(list(zip(*rows, strict=True)) or [()] * width)


_READERS: dict[str, Callable[[Sequence[AnyRecord]], Sequence[str | int]]] = {
    "topic": lambda records: [record.topic for record in records],
    "partition": lambda records: [record.partition for record in records],
    "offset": lambda records: [record.offset for record in records],
}


def _content(part: str, records: Sequence[AnyRecord]) -> _Content:
    """The keys or values of all records."""
    if part == "key":
        return [record.key for record in records]
    return _json_texts(records) if are_json(records) else [record.value for record in records]


def _json_texts(records: Sequence[JsonRecord]) -> _Content:
    """The values' JSON texts; absent and null are one."""
    texts = [bytes(record.value) for record in records]
    if b"" in texts or b"null" in texts:
        return [None if text in {b"", b"null"} else text for text in texts]
    return texts


def _taken(target: _Target, values: _Content, faults: _Faults) -> pa.Array:
    """A column of keys or values as they are; bytes go into a column of text only where they are UTF-8."""
    try:
        array = pa.array(values, target.type)
    except pa.ArrowInvalid:
        array = pa.array(values, pa.binary())
        _blame_bytes(target, values, faults)
    return _fitting(target, array, values, faults)


def _fitting(target: _Target, array: pa.Array, values: _Content, faults: _Faults) -> pa.Array:
    """The array, made of these values; those above a field's limit are faults."""
    if array.nbytes > FIELD_BYTES:
        _blame_length(target, values, faults)
    return array


def _blame_bytes(target: _Target, values: _Content, faults: _Faults) -> None:
    message = (
        f"expected text in UTF-8, found bytes that aren't; to keep them, make column {target.part} and format BINARY"
    )
    for position, value in enumerate(values):
        try:
            if isinstance(value, bytes):
                value.decode()
        except UnicodeDecodeError:  # noqa: PERF203 # the loop is there to catch it
            faults.add(position, NOT_TEXT, message, target.part)


def _blame_length(target: _Target, values: _Content, faults: _Faults) -> None:
    for position, value in enumerate(values):
        size = len(value.encode() if isinstance(value, str) else value or b"")
        if size > FIELD_BYTES:
            found = f"expected at most {FIELD_BYTES} bytes, which is what a field of a table holds, found {size}"
            message = f"column {target.column.name} ({target.column.type}): {found}"
            faults.add(position, TOO_LONG, message, target.part)


def _blame_nulls(target: _Target, array: pa.Array, faults: _Faults) -> None:
    for position in range(len(array)):
        if not array[position].is_valid:
            column, found = target.column, "null" if target.form is None else "null: an empty field, or no line at all"
            message = f"column {column.name}: expected a {column.type}, since it is NOT NULL; found {found}"
            faults.add(position, REQUIRED, message, target.part)


def _csv_row(line: str | bytes, width: int) -> list[str]:
    text = line if isinstance(line, str) else line.decode()
    row = csv_rows.fields(text)
    if len(row) != width:
        found = f"{len(row)}{csv_rows.marked(text)}"
        raise ValueError(f"expected {width} fields, one for each column after offset, found {found}")
    return row


def _read(target: _Target, form: csv_rows.Form, texts: Sequence[str | None], faults: _Faults) -> pa.Array:
    """A column of CSV fields."""
    if form.convert is None:
        return _fitting(target, pa.array(texts, target.type), texts, faults)
    empty = "" if target.type == pa.utf8() else None
    values: list[object] = []
    for position, text in enumerate(texts):
        value: object = empty if text == "" else None
        if text:
            try:
                value = form.read(text)
            except csv_rows.UnfitError as error:
                message = f"column {target.column.name}: expected {form.expected}; found {error}"
                faults.add(position, WRONG_TYPE, message, target.part)
        values.append(value)
    return pa.array(values, target.type)
