"""Maps records to rows of the table, by mode and format of the connector document (D22, D23) and the actual columns.

Topic, partition and offset always fill the first three columns. With TEXT and BINARY, the key and the value fill the
columns of these names, if the mode includes them; with CSV, the fields of the key or the value fill the columns after
the third in their order. All other columns are NULL. Null keys and values stay NULL.

Each column is built as a whole. Only if a column has a fault, its values are searched for the records to blame.
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
"""The reason of keys and values that aren't UTF-8 if the column is STRING."""
NOT_CSV = "not-csv"
"""The reason of lines that aren't CSV, or whose number of fields isn't that of the table's columns for fields."""
WRONG_TYPE = "csv-field-type"
"""The reason of CSV fields that aren't values of their column's type."""
REQUIRED = "null-in-required-column"
"""The reason of nulls in a column that is NOT NULL."""
TOO_LONG = "field-too-long"
"""The reason of keys and values that are longer than a MaxCompute field."""
OF_THE_TABLE = frozenset({NOT_TEXT, NOT_CSV, WRONG_TYPE, REQUIRED, TOO_LONG})
"""The reasons that depend on the table's definition: with another one, the same record may become a row."""

_Content: TypeAlias = "Sequence[str | bytes | None]"

FIELD_BYTES = 8 * 1024 * 1024
"""The largest field of a table (MaxCompute's limits, "SQL", and PyODPS's default of MaxFieldSize)."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of the good records in their order, and a rejection for each of the other records."""

    batch: pa.RecordBatch
    rejected: list[Rejected]


@dataclass(frozen=True, slots=True)
class _Target:
    """A column, the part of the record that fills it ("" for none), and the form of its CSV fields."""

    column: Column
    type: pa.DataType
    part: str
    form: csv_rows.Form | None = None


class _Faults:
    """The first fault of each bad record of one call, by the record's position."""

    def __init__(self, records: Sequence[AnyRecord]) -> None:
        self._records = records
        self.by_position: dict[int, Rejected] = {}

    def add(self, position: int, reason: str, message: str, part: str) -> None:
        """Add a record's fault, unless the record already has a fault."""
        if position not in self.by_position:
            record = self._records[position]
            self.by_position[position] = Rejected.of(record, reason, message, path=f"$.data.{part}")


class Mapper:
    """Maps records of one connector to rows; made once for a table's columns (without its partition column)."""

    def __init__(self, columns: Sequence[Column], *, settings: Settings, zone: tzinfo) -> None:
        """Take columns that `kafka_maxcompute.maxcompute.table.check` has passed.

        `zone` is the zone of CSV times without a zone. Raises `ConfigurationError` if a column has a type that Tunnel
        doesn't take as Arrow.
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
        """Return the rows of records of the mapper's value type."""
        faults = _Faults(records)
        fields = self._csv_fields(records, faults) if self._is_csv else iter(())
        arrays = []
        for target in self._targets:
            if target.form is not None:
                array = _field_column(target, target.form, next(fields), faults)
            elif target.part in _READERS:
                array = pa.array(_READERS[target.part](records), target.type)
            elif target.part:
                array = _content_column(target, _content(target.part, records), faults)
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
        """Yield the fields of all records, column by column; the fields of a bad record are None."""
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
    """Return the keys or values of all records."""
    if part == "key":
        return [record.key for record in records]
    return _json_texts(records) if are_json(records) else [record.value for record in records]


def _json_texts(records: Sequence[JsonRecord]) -> _Content:
    """Return the JSON texts of values; None if a value is absent or null."""
    texts = [bytes(record.value) for record in records]
    if b"" in texts or b"null" in texts:
        return [None if text in {b"", b"null"} else text for text in texts]
    return texts


def _content_column(target: _Target, values: _Content, faults: _Faults) -> pa.Array:
    """Return a column of unchanged keys or values; bytes that aren't UTF-8 are a fault in a column of text."""
    try:
        array = pa.array(values, target.type)
    except pa.ArrowInvalid:
        array = pa.array(values, pa.binary())
        _blame_bytes(target, values, faults)
    return _checked_length(target, array, values, faults)


def _checked_length(target: _Target, array: pa.Array, values: _Content, faults: _Faults) -> pa.Array:
    """Return the array, which is made of these values; values above a field's limit are faults."""
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
            fault = f"expected at most {FIELD_BYTES} bytes, which is what a field of a table holds, found {size}"
            message = f"column {target.column.name} ({target.column.type}): {fault}"
            faults.add(position, TOO_LONG, message, target.part)


def _blame_nulls(target: _Target, array: pa.Array, faults: _Faults) -> None:
    for position in range(len(array)):
        if not array[position].is_valid:
            column, null = target.column, "null" if target.form is None else "null: an empty field, or no line at all"
            message = f"column {column.name}: expected a {column.type}, since it is NOT NULL; found {null}"
            faults.add(position, REQUIRED, message, target.part)


def _csv_row(line: str | bytes, width: int) -> list[str]:
    text = line if isinstance(line, str) else line.decode()
    row = csv_rows.fields(text)
    if len(row) != width:
        number = f"{len(row)}{csv_rows.byte_order_mark(text)}"
        raise ValueError(f"expected {width} fields, one for each column after offset, found {number}")
    return row


def _field_column(target: _Target, form: csv_rows.Form, texts: Sequence[str | None], faults: _Faults) -> pa.Array:
    """Return a column of CSV fields."""
    if form.convert is None:
        return _checked_length(target, pa.array(texts, target.type), texts, faults)
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
