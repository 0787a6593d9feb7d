"""Reads a record's line of CSV (RFC 4180) into values of the table's columns (format CSV of the connector document).

Fields are separated by commas and may be enclosed in double quotes; a quote inside is doubled; a line feed inside
quotes belongs to the field, as do blanks. A quote within a field that doesn't begin with one is taken as it is. An
empty field is an empty string in a column of text, NULL in any other.

docs/CONFIGURATION.md lists the forms of each type. A reason repeats these forms, and never the field.
"""

from __future__ import annotations

import csv
import re
import sys
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Context, Decimal, InvalidOperation
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import tzinfo

    import pyarrow as pa

_BITS = {"TINYINT": 8, "SMALLINT": 16, "INT": 32, "BIGINT": 64}
_WHOLE_NUMBER = re.compile(r"[+-]?[0-9]+")
_MOST_DIGITS = 19  # of a number in 64 bits; Python refuses to read thousands of them
# The digits have one way to match, so a long field that is no number is refused after one pass.
_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?|NaN|[+-]?Infinity")
_NO_NUMBERS = frozenset({"NaN", "Infinity", "+Infinity", "-Infinity"})
_BOOLEANS = {"true": True, "false": False}
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_MOMENT = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[T ]([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:\.([0-9]+))?)?"
    r"(?:Z|([+-])([0-9]{2}):([0-9]{2})(?::([0-9]{2}))?)?"
)
_LARGEST = {"FLOAT": (2 - 2**-23) * 2.0**127, "DOUBLE": sys.float_info.max}
_EXACT = Context(prec=100)
_EPOCH_DAY, _DAY, _HOUR, _MINUTE = date(1970, 1, 1).toordinal(), 86_400, 3_600, 60
_NANOSECONDS, _NANOSECONDS_OF_MILLISECOND = 10**9, 10**6
_MOST_FRACTION = 9  # digits, which are nanoseconds
_LONGEST_OFFSET = 18 * _HOUR  # of ISO 8601's readers, such as Java's ZoneOffset

_OTHER_FORM = "text of another form"
_OUTSIDE = "a number outside of that range"
_NO_DAY = "a day that no calendar has"
_MARK = "\ufeff"
"""A byte order mark, with which some programs begin a file."""
_FIELD = re.compile(r'"[^"]*(?:""[^"]*)*"|[^",\r\n][^,\r\n]*|')
"""A field; matches the empty text if a quote at the field's beginning isn't closed."""
_BREAKS = ("\r", "\n")
_NUL, _STAND_IN = "\0", "\ud800"
"""Half a surrogate pair stands in for NUL: decoded text never has half a pair."""

# The reader's own limit of 128 KB would refuse what a table takes, and a limit in characters isn't one in bytes.
csv.field_size_limit(2**31 - 1)


class UnfitError(ValueError):
    """A field isn't a value of its column's type; the message describes the field without repeating it."""


_REFUSALS = (ValueError, ArithmeticError, TypeError, LookupError, RecursionError)
"""What a conversion of Python may raise for a text; each of these is a fault of the field."""


@dataclass(frozen=True, slots=True)
class Form:
    """The form of a column's fields: `expected` describes it, `read` converts a field with `convert`.

    Values are such as `pyarrow.array` takes for the column's Arrow type. If `convert` is None, any text is a value.
    """

    expected: str
    convert: Callable[[str], object] | None = None

    def read(self, text: str) -> object:
        """Return the value of a field; raises `UnfitError` for any error of the conversion."""
        try:
            return text if self.convert is None else self.convert(text)
        except UnfitError:
            if text.startswith(_MARK):
                raise UnfitError("a byte order mark (U+FEFF) at its start") from None
            raise
        except _REFUSALS as error:
            raise UnfitError(f"text that can't be converted ({type(error).__name__})") from None


def fields(line: str) -> list[str]:
    """Return the fields of one line; raises ValueError, whose message doesn't repeat the line."""
    try:
        return _row(line)
    except csv.Error:
        pass
    if _NUL in line:
        # The reader of Python 3.10 doesn't take NUL; later ones do.
        try:
            return [field.replace(_STAND_IN, _NUL) for field in _row(line.replace(_NUL, _STAND_IN))]
        except csv.Error:
            pass
    raise ValueError(f"expected one line of CSV, found {_fault(line)}{byte_order_mark(line)}")


def byte_order_mark(line: str) -> str:
    """Return a remark if a line begins with a byte order mark: a quote after the mark doesn't begin a quoted field."""
    return ", and a byte order mark (U+FEFF) before the first field" if line.startswith(_MARK) else ""


def _row(line: str) -> list[str]:
    return next(csv.reader((line,), strict=True)) or [""]


def _fault(line: str) -> str:
    """Describe why a line isn't one line of CSV, in words that don't depend on the version of Python."""
    place, number = 0, 1
    while True:
        end = _FIELD.match(line, place).end()  # type: ignore[union-attr] # it matches an empty text, too
        after = line[end : end + 1]
        if after == ",":
            place, number = end + 1, number + 1
        elif after == '"':
            return f"a quote that isn't closed, which begins field {number}"
        elif after in _BREAKS:
            return f"more after the line break that ends field {number}; a line break in a field has to be in quotes"
        else:
            return f"text after the closing quote of field {number}; a quote in a quoted field has to be doubled"


def form(type_name: str, arrow_type: pa.DataType, zone: tzinfo) -> Form:
    """Return the form of fields of a type among `kafka_maxcompute.maxcompute.table.FIELD_TYPES`.

    `zone` is the zone of times without an offset; TIMESTAMP_NTZ has no zone.
    """
    name, _, arguments = type_name.upper().partition("(")
    name = name.strip()
    if name in _BITS:
        return _whole(name)
    if name in {"VARCHAR", "CHAR"}:
        return _short(type_name, int(arguments.rstrip(")")))
    if name == "DECIMAL":
        return _decimal(type_name, arrow_type.precision, arrow_type.scale)
    if name in {"DATETIME", "TIMESTAMP", "TIMESTAMP_NTZ"}:
        return _TIMES[name](zone)
    if name in _LARGEST:
        return _float(name, _LARGEST[name])
    return _BY_NAME[name]


def _whole(name: str) -> Form:
    # MaxCompute's documents disagree whether BIGINT holds -2**63; in some of them -2**63 stands for NULL.
    most = 2 ** (_BITS[name] - 1) - 1
    least = -most if name == "BIGINT" else -most - 1

    def read(text: str) -> int:
        if not _WHOLE_NUMBER.fullmatch(text):
            raise UnfitError(_OTHER_FORM)
        digits = text.lstrip("+-0") or "0"
        if len(digits) > _MOST_DIGITS:
            raise UnfitError(_OUTSIDE)
        value = -int(digits) if text[0] == "-" else int(digits)
        if not least <= value <= most:
            raise UnfitError(_OUTSIDE)
        return value

    return Form(f"a {name}: a whole number from {least} to {most}", read)


def _short(type_name: str, most: int) -> Form:
    def read(text: str) -> str:
        if len(text) > most:
            raise UnfitError(f"{len(text)} characters")
        return text

    return Form(f"a {type_name}: at most {most} characters", read)


def _float(name: str, largest: float) -> Form:
    """Return the form of floats up to `largest`; without this bound, larger numbers would become infinite."""

    def read(text: str) -> float:
        if not _NUMBER.fullmatch(text):
            raise UnfitError(_OTHER_FORM)
        value = float(text)
        if abs(value) > largest and text not in _NO_NUMBERS:
            raise UnfitError(_OUTSIDE)
        return value

    return Form(f"a {name}: a number such as -1.5 or 1e3 up to {largest:.5g}, NaN, Infinity or -Infinity", read)


def _decimal(type_name: str, precision: int, scale: int) -> Form:
    step = Decimal(1).scaleb(-scale)

    def read(text: str) -> Decimal:
        if not _NUMBER.fullmatch(text):
            raise UnfitError(_OTHER_FORM)
        if text in _NO_NUMBERS:
            raise UnfitError(f"{text.lstrip('+-')}, which no DECIMAL is")
        try:
            value = Decimal(text)
        except InvalidOperation:
            # Exponents of Python's numbers have up to 18 digits; a field can have more.
            raise UnfitError("a number with an exponent of too many digits") from None
        try:
            exact = value.quantize(step, context=_EXACT)
        except InvalidOperation:
            raise UnfitError(_OUTSIDE) from None
        if exact.adjusted() >= precision - scale:
            raise UnfitError(_OUTSIDE)
        if exact != value:
            raise UnfitError("more digits after the point")
        return exact

    digits = f"at most {precision - scale} digits before the decimal point and {scale} after it"
    return Form(f"a {type_name}: a number such as -1.5 or 1e3 with {digits}", read)


def _boolean(text: str) -> bool:
    value = _BOOLEANS.get(text.lower())
    if value is None:
        raise UnfitError(_OTHER_FORM)
    return value


def _date(text: str) -> date:
    if not _DATE.fullmatch(text):
        raise UnfitError(_OTHER_FORM)
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise UnfitError(_NO_DAY) from None


def _moment(text: str, zone: tzinfo | None) -> tuple[int, int]:
    """Return a text's time as seconds since 1970 and nanoseconds; with `zone` None, an offset is refused.

    The text is read by parts, because versions of Python differ in what `fromisoformat` takes. The time is computed in
    whole numbers, because Python's times can't express some hours of the calendar's first and last day in UTC.
    """
    parts = _MOMENT.fullmatch(text)
    if parts is None:
        raise UnfitError(_OTHER_FORM)
    day, hour, minute, second, fraction, sign, *offset = parts.groups()
    seconds, local = _local(day, hour, minute, second or "00")
    if len(fraction or "") > _MOST_FRACTION:
        raise UnfitError(f"more than {_MOST_FRACTION} digits after the seconds")
    if sign or text[-1] == "Z":
        if zone is None:
            raise UnfitError("a time with a zone")
        seconds -= _offset(sign, offset)
    elif zone is not None:
        seconds -= _offset_in(zone, local)
    return seconds, int(f"{fraction or '':0<9}")


def _local(day: str, hour: str, minute: str, second: str) -> tuple[int, datetime]:
    """Return a local time as seconds since 1970 by its own clock, and as a time without a zone."""
    # Checked here, because some versions of Python take 24:00 for the next day's midnight.
    if hour > "23":
        raise UnfitError("an hour above 23; midnight is 00:00 of the next day")
    if minute > "59" or second > "59":
        raise UnfitError("a minute or a second above 59")
    try:
        local = datetime.fromisoformat(f"{day}T{hour}:{minute}:{second}")
    except ValueError:
        raise UnfitError(_NO_DAY) from None
    return (local.toordinal() - _EPOCH_DAY) * _DAY + local.hour * _HOUR + local.minute * _MINUTE + local.second, local


def _offset(sign: str | None, parts: list[str | None]) -> int:
    """Return the seconds of an offset such as +08:00, or of Z."""
    hours, minutes, seconds = (int(part or 0) for part in parts)
    offset = hours * _HOUR + minutes * _MINUTE + seconds
    if minutes >= _MINUTE or seconds >= _MINUTE or offset > _LONGEST_OFFSET:
        raise UnfitError("an offset that no zone has")
    return -offset if sign == "-" else offset


def _offset_in(zone: tzinfo, local: datetime) -> int:
    """Return the seconds by which a local time is ahead of UTC; for a time that occurs twice, the first occurrence."""
    first = zone.utcoffset(local)
    second = zone.utcoffset(local.replace(fold=1))
    if first is None or second is None or first < second:
        raise UnfitError("a time that clocks in that zone skipped")
    return first.days * _DAY + first.seconds


def _datetime(zone: tzinfo) -> Form:
    # The bounds are days in that zone.
    first = _moment("0001-01-01 00:00", zone)[0]
    end = _moment("9999-12-31 23:59:59", zone)[0] + 1

    def read(text: str) -> int:
        seconds, nanoseconds = _moment(text, zone)
        if nanoseconds % _NANOSECONDS_OF_MILLISECOND:
            raise UnfitError("digits below a millisecond")
        if not first <= seconds < end:
            raise UnfitError("a time outside of that range")
        return seconds * 1_000 + nanoseconds // _NANOSECONDS_OF_MILLISECOND

    return Form(
        f"a DATETIME: a time such as 2020-11-17 14:20:00.123 (in {zone}) or 2020-11-17T14:20Z or "
        f"2020-11-17T14:20:00+08:00, from 0001-01-01 to 9999-12-31 in {zone}, in whole milliseconds",
        read,
    )


_FIRST_NANOSECOND, _LAST_NANOSECOND = "1677-09-21 00:12:43.145224193", "2262-04-11 23:47:16.854775807"
_TAKEN = "which is what MaxCompute's upload service takes"


def _timestamp(zone: tzinfo) -> Form:
    return Form(
        f"a TIMESTAMP: a time such as 2020-11-17 14:20:00.123456789 (in {zone}) or 2020-11-17T14:20Z or "
        f"2020-11-17T14:20:00+08:00, from {_FIRST_NANOSECOND}Z to {_LAST_NANOSECOND}Z, {_TAKEN}",
        lambda text: _nanoseconds(*_moment(text, zone)),
    )


def _timestamp_ntz(_: tzinfo) -> Form:
    return Form(
        "a TIMESTAMP_NTZ: a time without a zone, such as 2020-11-17 14:20:00.123456789, "
        f"from {_FIRST_NANOSECOND} to {_LAST_NANOSECOND}, {_TAKEN}",
        lambda text: _nanoseconds(*_moment(text, None)),
    )


def _nanoseconds(seconds: int, nanoseconds: int) -> int:
    """Return nanoseconds since 1970, which are sent as 64 bits."""
    value = seconds * _NANOSECONDS + nanoseconds
    if not -(2**63) < value < 2**63:
        raise UnfitError("a time outside of that range")
    return value


_TIMES = {"DATETIME": _datetime, "TIMESTAMP": _timestamp, "TIMESTAMP_NTZ": _timestamp_ntz}
_BY_NAME = {
    "STRING": Form("a STRING: any text"),
    "BINARY": Form("a BINARY: any text, of which the bytes in UTF-8 are kept"),
    "BOOLEAN": Form("a BOOLEAN: true or false, in upper or lower case", _boolean),
    "DATE": Form("a DATE: a day such as 2020-11-17, from 0001-01-01 to 9999-12-31", _date),
}
