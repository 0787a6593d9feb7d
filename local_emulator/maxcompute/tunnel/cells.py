"""The checks of cells beyond their Arrow types: sizes of texts, the calendar's range, BIGINT's range, NOT NULL.

Also the padding of CHAR values, which a download returns in their full length.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from local_emulator.maxcompute.calendar_range import DATE_RANGE, DATETIME_RANGE
from local_emulator.maxcompute.tunnel.errors import malformed
from local_emulator.maxcompute.types import BIGINT_RANGE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from local_emulator.maxcompute.entities import Column

MAX_FIELD_SIZE = 8 << 20  # bytes of a cell; the service's limit
_SIZED = frozenset({"string", "binary", "json", "varchar", "char"})
_YEARS = "the years 1 to 9999"
_RANGES = MappingProxyType(
    {
        "date": (DATE_RANGE, pa.int32(), _YEARS),
        "datetime": (DATETIME_RANGE, pa.int64(), _YEARS),
        "bigint": (BIGINT_RANGE, pa.int64(), "{} to {}".format(*BIGINT_RANGE)),
    }
)
"""The first and last value of a type, the Arrow type that represents them, and a name of the range."""


def checked(batches: Iterable[pa.RecordBatch], columns: Sequence[Column]) -> Iterator[pa.RecordBatch]:
    """Yield the same batches; ServiceError MalformedDataStream at the first cell that its column can't hold."""
    for batch in batches:
        for values, column in zip(batch.columns, columns, strict=True):
            _check(values, column)
        yield batch


def padded(batches: Iterable[pa.RecordBatch], columns: Sequence[Column]) -> Iterator[pa.RecordBatch]:
    """Yield the same batches, with the values of CHAR columns padded with blanks to the column's length."""
    for batch in batches:
        arrays = [
            pc.utf8_rpad(values, column.type.arguments[0]) if column.type.name == "char" else values
            for values, column in zip(batch.columns, columns, strict=True)
        ]
        yield pa.RecordBatch.from_arrays(arrays, schema=batch.schema)


def _check(values: pa.Array, column: Column) -> None:
    if values.null_count and not column.nullable:
        raise malformed(f"Column '{column.name}' is NOT NULL; {values.null_count} nulls were found.")
    if column.type.name in _RANGES:
        _check_range(values, column)
    if column.type.name not in _SIZED or not values.nbytes:
        return
    # If all data of a column is smaller than the limit of a cell, each cell is.
    if values.nbytes > MAX_FIELD_SIZE:
        longest = pc.max(pc.binary_length(values)).as_py() or 0
        if longest > MAX_FIELD_SIZE:
            raise malformed(
                f"Column '{column.name}': a cell has {longest} bytes; at most {MAX_FIELD_SIZE} are allowed."
            )
    if column.type.arguments:
        most = column.type.arguments[0]
        longest = pc.max(pc.utf8_length(values)).as_py() or 0
        if longest > most:
            raise malformed(f"Column '{column.name}': a cell has {longest} characters; {column.type} holds {most}.")


def _check_range(values: pa.Array, column: Column) -> None:
    (first, last), holder, range_name = _RANGES[column.type.name]
    extremes = pc.min_max(values.view(holder)).as_py()
    for value in (extremes["min"], extremes["max"]):
        if value is not None and not first <= value <= last:
            raise malformed(f"Column '{column.name}': a {column.type} is outside of {range_name}.")
