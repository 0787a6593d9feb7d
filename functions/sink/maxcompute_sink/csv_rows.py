"""One CSV line a record, as RFC 4180 has it, becomes one value a column (format CSV of the connector document).

Fields are separated by commas and may be enclosed in double quotes; a quote inside is doubled; a line feed inside
quotes belongs to the field, as do blanks. A quote within a field that doesn't begin with one is taken as it is. An
empty field is an empty string in a column of text, NULL in any other.
"""

from __future__ import annotations

import csv
import re
import sys
from datetime import date, datetime, timezone
from decimal import Context, Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import tzinfo

    import pyarrow as pa

Convert: TypeAlias = "Callable[[str], Any]"
"""Reads a field; raises ValueError where it's no value of the column's type."""

_BITS = {"TINYINT": 8, "SMALLINT": 16, "INT": 32, "BIGINT": 64}
_WHOLE_NUMBER = re.compile(r"[+-]?[0-9]{1,20}")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?|NaN|[+-]?Infinity")
_BOOLEANS = {"true": True, "false": False}
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_MOMENT = re.compile(
    r"(?P<day>[0-9]{4}-[0-9]{2}-[0-9]{2})[T ](?P<minute>[0-9]{2}:[0-9]{2})(?P<second>:[0-9]{2})?"
    r"(?P<fraction>\.[0-9]{1,6})?(?P<offset>Z|[+-][0-9]{2}:[0-9]{2})?"
)
_LARGEST_FLOAT = (2 - 2**-23) * 2.0**127
_EXACT = Context(prec=100)
# TIMESTAMP travels as 64 bits of nanoseconds, DATETIME as milliseconds.
_NANOSECOND_YEARS = range(1678, 2262)
_YEARS = range(2, 9999)


# The reader's own limit of 128 KB would refuse what the table takes: 8 MB a field.
csv.field_size_limit(8 * 1024 * 1024)


def fields(line: str) -> list[str]:
    """The fields of one line; raises ValueError, without repeating what the line holds."""
    try:
        rows = list(csv.reader((line,), strict=True))
    except csv.Error as error:
        raise ValueError(f"expected one line of CSV, found a fault in it: {error}") from None
    return rows[0] or [""]


def converter(type_name: str, arrow_type: pa.DataType, zone: tzinfo) -> Convert:
    """What reads the fields of a column of one of `kafka_maxcompute.table.FIELD_TYPES`, for an array of its Arrow type.

    Times without an offset of their own are told in `zone`, except those of TIMESTAMP_NTZ, which has none.
    """
    name, _, arguments = type_name.upper().partition("(")
    name = name.strip()
    if name in _BITS:
        bound = 2 ** (_BITS[name] - 1)
        return lambda text: _whole(text, bound)
    if name in {"VARCHAR", "CHAR"}:
        return lambda text: _short(text, int(arguments.rstrip(")")))
    if name == "DECIMAL":
        return lambda text: _decimal(text, arrow_type.precision, arrow_type.scale)
    by_name: dict[str, Convert] = {
        "STRING": str,
        "BINARY": str,
        "FLOAT": lambda text: _float(text, _LARGEST_FLOAT),
        "DOUBLE": lambda text: _float(text, sys.float_info.max),
        "BOOLEAN": _boolean,
        "DATE": _date,
        "DATETIME": lambda text: _datetime(text, zone),
        "TIMESTAMP": lambda text: _instant(text, zone, _NANOSECOND_YEARS),
        "TIMESTAMP_NTZ": _wall_clock,
    }
    return by_name[name]


def _short(text: str, most: int) -> str:
    if len(text) > most:
        raise ValueError
    return text


def _whole(text: str, bound: int) -> int:
    if not _WHOLE_NUMBER.fullmatch(text) or not -bound <= int(text) < bound:
        raise ValueError
    return int(text)


def _float(text: str, largest: float) -> float:
    """A number of at most a size; without the bound a larger one would become infinite."""
    if not _NUMBER.fullmatch(text) or ("I" not in text and abs(float(text)) > largest):
        raise ValueError
    return float(text)


def _decimal(text: str, precision: int, scale: int) -> Decimal:
    if not _NUMBER.fullmatch(text):
        raise ValueError
    try:
        value = Decimal(text)
        exact = value.quantize(Decimal(1).scaleb(-scale), context=_EXACT) if value.is_finite() else None
    except InvalidOperation:
        raise ValueError from None
    if exact is None or exact != value or exact.adjusted() >= precision - scale:
        raise ValueError
    return exact


def _boolean(text: str) -> bool:
    value = _BOOLEANS.get(text.lower())
    if value is None:
        raise ValueError
    return value


def _date(text: str) -> date:
    if not _DATE.fullmatch(text):
        raise ValueError
    return date.fromisoformat(text)


def _moment(text: str, years: range) -> datetime:
    """What the text says, with its offset where it names one.

    Read by parts, because what `fromisoformat` takes differs between versions of Python.
    """
    parts = _MOMENT.fullmatch(text)
    if parts is None:
        raise ValueError
    fraction = f"{parts['fraction'] or '.':0<7}"
    offset = (parts["offset"] or "").replace("Z", "+00:00")
    moment = datetime.fromisoformat(f"{parts['day']}T{parts['minute']}{parts['second'] or ':00'}{fraction}{offset}")
    if moment.year not in years:
        raise ValueError
    return moment


def _instant(text: str, zone: tzinfo, years: range) -> datetime:
    """An instant in UTC, without a zone of its own, as Tunnel wants it."""
    moment = _moment(text, years)
    moment = moment.replace(tzinfo=zone) if moment.tzinfo is None else moment
    return moment.astimezone(timezone.utc).replace(tzinfo=None)


def _datetime(text: str, zone: tzinfo) -> datetime:
    instant = _instant(text, zone, _YEARS)
    if instant.microsecond % 1_000:
        raise ValueError
    return instant


def _wall_clock(text: str) -> datetime:
    moment = _moment(text, _NANOSECOND_YEARS)
    if moment.tzinfo is not None:
        raise ValueError
    return moment
