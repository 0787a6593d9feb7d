"""What a cell may hold beyond its Arrow type: sizes of texts, the calendar's days, BIGINT's range, no null in NOT NULL.

And what is given out of a CHAR, which always has its whole length.
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

MAX_FIELD_SIZE = 8 << 20  # bytes; the service's limit of a cell
_SIZED = frozenset({"string", "binary", "json", "varchar", "char"})
_YEARS = "the years 1 to 9999"
_RANGES = MappingProxyType(
    {
        "date": (DATE_RANGE, pa.int32(), _YEARS),
        "datetime": (DATETIME_RANGE, pa.int64(), _YEARS),
        "bigint": (BIGINT_RANGE, pa.int64(), "{} to {}".format(*BIGINT_RANGE)),
    }
)
"""The first and the last value of a type, what holds them, and how they are called."""


def checked(batches: Iterable[pa.RecordBatch], columns: Sequence[Column]) -> Iterator[pa.RecordBatch]:
    """The same batches; ServiceError MalformedDataStream at the first cell that its column can't hold."""
    for batch in batches:
        for values, column in zip(batch.columns, columns, strict=True):
            _check(values, column)
        yield batch


def filled(batches: Iterable[pa.RecordBatch], columns: Sequence[Column]) -> Iterator[pa.RecordBatch]:
    """The same batches, with blanks behind each text of a CHAR column up to its length in characters."""
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
    # A column whose whole data is smaller than one cell may be needs no look at its cells.
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
    (first, last), holder, called = _RANGES[column.type.name]
    found = pc.min_max(values.view(holder)).as_py()
    for value in (found["min"], found["max"]):
        if value is not None and not first <= value <= last:
            raise malformed(f"Column '{column.name}': a {column.type} is outside of {called}.")
