"""AUTO PARTITIONED BY: a partition column whose value is a row's time, cut to a unit."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from local_emulator.maxcompute.entities import Column, TruncatedTime
from local_emulator.maxcompute.sql.errors import semantic_error
from local_emulator.maxcompute.sql.values import Value, cast
from local_emulator.maxcompute.types import STRING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from local_emulator.maxcompute.sql.script import Reader

_TIMES = frozenset({"date", "datetime", "timestamp", "timestamp_ntz"})
# How many characters of YYYY-MM-DD HH:MM:SS a value keeps, and the text behind them.
_UNITS: Mapping[str, tuple[int, str]] = MappingProxyType(
    {"year": (4, ""), "month": (7, ""), "day": (10, ""), "hour": (13, ":00:00")}
)

_NO_TIME = "__NULL__"  # the partition into which the Java SDK puts rows without a time


def generated_column(reader: Reader, columns: Sequence[Column]) -> Column:
    """Read ``trunc_time(column, 'unit') AS name``."""
    reader.expect("TRUNC_TIME", "(")
    place, source = reader.place, reader.name()
    column = next((column for column in columns if column.name == source), None)
    if column is None or column.type.name not in _TIMES:
        raise semantic_error(f"expect a column of {', '.join(sorted(_TIMES))} in trunc_time, found {source}", place)
    reader.expect(",")
    place, unit = reader.place, reader.string().lower()
    if unit not in _UNITS or (unit == "hour" and column.type.name == "date"):
        raise semantic_error(f"expect a unit of {', '.join(_UNITS)} that {source} has, found {unit}", place)
    reader.expect(")", "AS")
    return Column(reader.name(), STRING, generated=TruncatedTime(source, unit))


def partition_value(generated: TruncatedTime, values: Mapping[str, Value]) -> Value:
    """Return a generated partition column's value, from the columns' values by name; SqlError for a missing column."""
    if generated.column not in values:
        raise semantic_error(f"cannot compute {generated}: there is no such column")
    length, rest = _UNITS[generated.unit]
    text = f"left({cast(values[generated.column], STRING)}, {length}) || '{rest}'"
    return Value(f"coalesce({text}, '{_NO_TIME}')", STRING)
