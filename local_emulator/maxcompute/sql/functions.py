"""MaxCompute's functions that are emulated, each with its arguments, its type, and its text in DuckDB's SQL.

A row is (name, kinds of the arguments, result, DuckDB text). Rows of the same name differ in the number of arguments.
Kinds: s string, i bigint, d double, t datetime, b boolean, a anything; `*` repeats the last kind. In the text `{0}` is
the first argument, `{*}` all arguments with commas, `{||}` all concatenated. `special_functions` has the functions for
which a row isn't enough.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from local_emulator.maxcompute.sql.errors import Position, semantic_error, unsupported
from local_emulator.maxcompute.sql.special_functions import SPECIAL
from local_emulator.maxcompute.sql.values import DATE, DATETIME, INT, Value, implicit
from local_emulator.maxcompute.types import BIGINT, BOOLEAN, DOUBLE, STRING, DataType, simple

if TYPE_CHECKING:
    from collections.abc import Sequence

_KINDS = MappingProxyType({"s": STRING, "i": BIGINT, "d": DOUBLE, "t": DATETIME, "b": BOOLEAN})
_BINARY = simple("binary")

_ROWS: tuple[tuple[str, str, DataType, str], ...] = (
    # Texts
    ("length", "s", BIGINT, "length({0})"),
    ("char_length", "s", BIGINT, "length({0})"),
    ("lengthb", "s", BIGINT, "strlen({0})"),
    ("lower", "s", STRING, "lower({0})"),
    ("tolower", "s", STRING, "lower({0})"),
    ("upper", "s", STRING, "upper({0})"),
    ("toupper", "s", STRING, "upper({0})"),
    ("concat", "s*", STRING, "({||})"),
    ("concat_ws", "ss*", STRING, "concat_ws({*})"),
    ("substr", "si", STRING, "substr({0}, CASE {1} WHEN 0 THEN 1 ELSE {1} END)"),
    ("substr", "sii", STRING, "substr({0}, CASE {1} WHEN 0 THEN 1 ELSE {1} END, greatest({2}, 0))"),
    ("substring", "si", STRING, "substr({0}, CASE {1} WHEN 0 THEN 1 ELSE {1} END)"),
    ("substring", "sii", STRING, "substr({0}, CASE {1} WHEN 0 THEN 1 ELSE {1} END, greatest({2}, 0))"),
    ("trim", "s", STRING, "trim({0})"),
    ("ltrim", "s", STRING, "ltrim({0})"),
    ("rtrim", "s", STRING, "rtrim({0})"),
    ("instr", "ss", BIGINT, "strpos({0}, {1})"),
    ("locate", "ss", BIGINT, "strpos({1}, {0})"),
    ("replace", "sss", STRING, "replace({0}, {1}, {2})"),
    ("translate", "sss", STRING, "translate({0}, {1}, {2})"),
    ("reverse", "s", STRING, "reverse({0})"),
    ("repeat", "si", STRING, "repeat({0}, {1})"),
    ("space", "i", STRING, "repeat(' ', {0})"),
    ("lpad", "sis", STRING, "lpad({0}, CAST({1} AS INTEGER), {2})"),
    ("rpad", "sis", STRING, "rpad({0}, CAST({1} AS INTEGER), {2})"),
    ("ascii", "s", BIGINT, "ascii({0})"),
    ("chr", "i", STRING, "chr(CAST({0} AS INTEGER))"),
    ("split", "ss", DataType("array", elements=(STRING,)), "string_split_regex({0}, {1})"),
    ("split_part", "ssi", STRING, "split_part({0}, {1}, {2})"),
    ("regexp_replace", "sss", STRING, "regexp_replace({0}, {1}, {2}, 'g')"),
    ("regexp_count", "ss", BIGINT, "len(regexp_extract_all({0}, {1}))"),
    ("regexp_like", "ss", BOOLEAN, "regexp_matches({0}, {1})"),
    ("md5", "s", STRING, "md5({0})"),
    ("sha1", "s", STRING, "sha1({0})"),
    ("sha", "s", STRING, "sha1({0})"),
    ("base64", "a", STRING, "base64(CAST({0} AS BLOB))"),
    ("unbase64", "s", _BINARY, "from_base64({0})"),
    ("uuid", "", STRING, "CAST(uuid() AS VARCHAR)"),
    ("url_encode", "s", STRING, "url_encode({0})"),
    ("url_decode", "s", STRING, "url_decode({0})"),
    # Numbers
    ("ceil", "d", BIGINT, "CAST(ceil({0}) AS BIGINT)"),
    ("floor", "d", BIGINT, "CAST(floor({0}) AS BIGINT)"),
    ("sqrt", "d", DOUBLE, "CASE WHEN {0} >= 0 THEN sqrt({0}) END"),
    ("pow", "dd", DOUBLE, "pow({0}, {1})"),
    ("power", "dd", DOUBLE, "pow({0}, {1})"),
    ("exp", "d", DOUBLE, "exp({0})"),
    ("ln", "d", DOUBLE, "CASE WHEN {0} > 0 THEN ln({0}) END"),
    ("log2", "d", DOUBLE, "CASE WHEN {0} > 0 THEN log2({0}) END"),
    ("log10", "d", DOUBLE, "CASE WHEN {0} > 0 THEN log10({0}) END"),
    ("log", "dd", DOUBLE, "CASE WHEN {0} > 0 AND {1} > 0 THEN ln({1}) / nullif(ln({0}), 0) END"),
    ("sin", "d", DOUBLE, "sin({0})"),
    ("cos", "d", DOUBLE, "cos({0})"),
    ("tan", "d", DOUBLE, "tan({0})"),
    ("sign", "d", DOUBLE, "CAST(sign({0}) AS DOUBLE)"),
    ("rand", "", DOUBLE, "random()"),
    ("pmod", "ii", BIGINT, "((({0} % nullif({1}, 0)) + {1}) % nullif({1}, 0))"),
    ("isnan", "d", BOOLEAN, "isnan({0})"),
    ("grouping", "a", BIGINT, "grouping({0})"),
    # Times; `special_functions` has the functions that take a part's name
    ("year", "t", INT, "CAST(year({0}) AS INTEGER)"),
    ("quarter", "t", INT, "CAST(quarter({0}) AS INTEGER)"),
    ("month", "t", INT, "CAST(month({0}) AS INTEGER)"),
    ("day", "t", INT, "CAST(day({0}) AS INTEGER)"),
    ("dayofmonth", "t", INT, "CAST(day({0}) AS INTEGER)"),
    ("dayofyear", "t", INT, "CAST(dayofyear({0}) AS INTEGER)"),
    ("dayofweek", "t", INT, "CAST(dayofweek({0}) + 1 AS INTEGER)"),
    ("hour", "t", INT, "CAST(hour({0}) AS INTEGER)"),
    ("minute", "t", INT, "CAST(minute({0}) AS INTEGER)"),
    ("second", "t", INT, "CAST(second({0}) AS INTEGER)"),
    ("weekday", "t", BIGINT, "CAST(isodow({0}) - 1 AS BIGINT)"),
    ("weekofyear", "t", BIGINT, "CAST(week({0}) AS BIGINT)"),
    ("lastday", "t", DATETIME, "CAST(last_day({0}) AS TIMESTAMPTZ)"),
    ("last_day", "t", DATE, "last_day({0})"),
    ("unix_timestamp", "t", BIGINT, "CAST(floor(epoch({0})) AS BIGINT)"),
    ("from_unixtime", "i", DATETIME, "to_timestamp({0})"),
    ("date_add", "ti", DATE, "CAST(CAST({0} AS DATE) + CAST({1} AS INTEGER) AS DATE)"),
    ("date_sub", "ti", DATE, "CAST(CAST({0} AS DATE) - CAST({1} AS INTEGER) AS DATE)"),
    ("add_months", "ti", DATE, "CAST(CAST({0} AS DATE) + to_months(CAST({1} AS INTEGER)) AS DATE)"),
)
_BY_NAME: dict[str, list[tuple[str, DataType, str]]] = {}
for _name, _kinds, _result, _text in _ROWS:
    _BY_NAME.setdefault(_name, []).append((_kinds, _result, _text))


def call(name: str, arguments: Sequence[Value], position: Position | None) -> Value:
    """Translate a function's call; SqlError if the function isn't emulated or the arguments don't fit."""
    lowered = name.lower()
    special = SPECIAL.get(lowered)
    if special is not None:
        return special(arguments, position)
    rows = _BY_NAME.get(lowered)
    if rows is None:
        raise unsupported(f"function {name}", position)
    for kinds, result, text in rows:
        expanded = _expanded(kinds, len(arguments))
        if expanded is not None:
            converted = [
                argument if kind == "a" else implicit(argument, _KINDS[kind], position)
                for kind, argument in zip(expanded, arguments, strict=True)
            ]
            return Value(_fill(text, converted), result)
    raise semantic_error(f"function {name} does not take {len(arguments)} arguments", position)


def _expanded(kinds: str, count: int) -> str | None:
    if not kinds.endswith("*"):
        return kinds if len(kinds) == count else None
    fixed, repeated = kinds[:-2], kinds[-2]
    return fixed + repeated * (count - len(fixed)) if count > len(fixed) else None


def _fill(text: str, arguments: Sequence[Value]) -> str:
    for place, separator in (("{*}", ", "), ("{||}", " || ")):
        if place in text:
            return text.replace(place, separator.join(map(str, arguments)))
    head, *parts = text.split("{")
    return head + "".join(f"{arguments[int(part[0])]}{part[2:]}" for part in parts)
