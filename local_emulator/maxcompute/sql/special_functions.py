"""Functions whose type or text depends on their arguments, and functions that take the name of a part of a time."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from local_emulator.maxcompute.sql.errors import Position, semantic_error, unsupported
from local_emulator.maxcompute.sql.values import (
    DATE,
    DATETIME,
    INTEGERS,
    NULL,
    TEXTS,
    TIMES,
    Value,
    cast,
    common_type,
    comparable,
    implicit,
    literal,
)
from local_emulator.maxcompute.types import BIGINT, BOOLEAN, DOUBLE, STRING, DataType, quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Arguments = Sequence[Value]
    Function = Callable[[Arguments, Position | None], Value]

# MaxCompute's names of the parts of a time, with DuckDB's names.
_PARTS = MappingProxyType(
    {
        **dict.fromkeys(("yyyy", "year"), "year"),
        **dict.fromkeys(("mm", "month", "mon"), "month"),
        **dict.fromkeys(("dd", "day"), "day"),
        **dict.fromkeys(("hh", "hour"), "hour"),
        **dict.fromkeys(("mi", "minute"), "minute"),
        **dict.fromkeys(("ss", "second"), "second"),
        "week": "week",
        "q": "quarter",
    }
)
# Formats: to_char and to_date have MaxCompute's words, date_format has Java's letters. Longest first.
_OWN_FORMAT = (("yyyy", "%Y"), ("ff3", "%g"), ("hh", "%H"), ("mi", "%M"), ("mm", "%m"), ("dd", "%d"), ("ss", "%S"))
_JAVA_FORMAT = (
    ("yyyy", "%Y"),
    ("SSS", "%g"),
    ("MM", "%m"),
    ("dd", "%d"),
    ("HH", "%H"),
    ("hh", "%I"),
    ("mm", "%M"),
    ("ss", "%S"),
)


def constant(value: Value, position: Position | None) -> str:
    """Return the value of a literal text; the emulator requires literals for formats and names."""
    if value.type != STRING or not (value.sql.startswith("'") and value.sql.endswith("'")):
        raise unsupported("a format, part or field name that isn't a literal", position)
    return value.sql[1:-1].replace("''", "'")


def _count(arguments: Arguments, low: int, high: int, position: Position | None) -> None:
    if not low <= len(arguments) <= high:
        raise semantic_error(f"expect {low} to {high} arguments, found {len(arguments)}", position)


def _coalesce(arguments: Arguments, position: Position | None) -> Value:
    _count(arguments, 1, 1000, position)
    target = common_type([argument.type for argument in arguments], position)
    return Value(f"COALESCE({', '.join(str(cast(argument, target)) for argument in arguments)})", target)


def _two_arguments(function: Function) -> Function:
    def checked(arguments: Arguments, position: Position | None) -> Value:
        _count(arguments, 2, 2, position)
        return function(arguments, position)

    return checked


def _if(arguments: Arguments, position: Position | None) -> Value:
    _count(arguments, 3, 3, position)
    condition, yes, no = arguments
    target = common_type([yes.type, no.type], position)
    condition = implicit(condition, BOOLEAN, position)
    return Value(f"CASE WHEN {condition} THEN {cast(yes, target)} ELSE {cast(no, target)} END", target)


def _nullif(arguments: Arguments, position: Position | None) -> Value:
    _count(arguments, 2, 2, position)
    left, right = comparable(arguments[0], arguments[1], position)
    return Value(f"CASE WHEN {left} = {right} THEN NULL ELSE {arguments[0]} END", arguments[0].type)


def _decode(arguments: Arguments, position: Position | None) -> Value:
    _count(arguments, 3, 1000, position)
    subject, *rest = arguments
    pairs = list(zip(rest[::2], rest[1::2], strict=False))
    default = rest[-1] if len(rest) % 2 else NULL
    target = common_type([*(result.type for _, result in pairs), default.type], position)
    branches = []
    for key, result in pairs:
        left, right = comparable(subject, key, position)
        branches.append(f"WHEN {left} IS NOT DISTINCT FROM {right} THEN {cast(result, target)}")
    return Value(f"CASE {' '.join(branches)} ELSE {cast(default, target)} END", target)


def _extreme(name: str) -> Function:
    def function(arguments: Arguments, position: Position | None) -> Value:
        _count(arguments, 2, 1000, position)
        target = common_type([argument.type for argument in arguments], position)
        texts = [str(cast(argument, target)) for argument in arguments]
        nulls = " OR ".join(f"{argument} IS NULL" for argument in texts)
        return Value(f"CASE WHEN {nulls} THEN NULL ELSE {name}({', '.join(texts)}) END", target)

    return function


def _abs(arguments: Arguments, position: Position | None) -> Value:
    _count(arguments, 1, 1, position)
    number = arguments[0] if arguments[0].type.name not in TEXTS else cast(arguments[0], DOUBLE)
    return Value(f"abs({number})", number.type)


def _rounding(name: str) -> Function:
    def function(arguments: Arguments, position: Position | None) -> Value:
        _count(arguments, 1, 2, position)
        number = arguments[0]
        if number.type.name != "decimal":
            number = implicit(number, DOUBLE, position)
        digits = implicit(arguments[1], BIGINT, position) if len(arguments) > 1 else Value("0", BIGINT)
        return Value(f"CAST({name}({number}, CAST({digits} AS INTEGER)) AS {number.type.duckdb_type()})", number.type)

    return function


def _get_json_object(arguments: Arguments, position: Position | None) -> Value:
    _count(arguments, 2, 2, position)
    document = arguments[0] if arguments[0].type.name == "json" else implicit(arguments[0], STRING, position)
    path = constant(arguments[1], position)
    if not path.startswith("$") or "*" in path:
        raise unsupported(f"the JSON path {path}", position)
    return Value(f"json_extract_string(TRY_CAST({document} AS JSON), {literal(path)})", STRING)


def _to_char(arguments: Arguments, position: Position | None) -> Value:
    _count(arguments, 1, 2, position)
    if len(arguments) == 1:
        return cast(arguments[0], STRING, position)
    time = implicit(arguments[0], DATETIME, position)
    return Value(f"strftime({time}, {_format(arguments[1], _OWN_FORMAT, position)})", STRING)


def _date_format(arguments: Arguments, position: Position | None) -> Value:
    _count(arguments, 2, 2, position)
    time = implicit(arguments[0], DATETIME, position)
    return Value(f"strftime({time}, {_format(arguments[1], _JAVA_FORMAT, position)})", STRING)


def _to_date(arguments: Arguments, position: Position | None) -> Value:
    _count(arguments, 1, 2, position)
    if len(arguments) == 1:
        return cast(arguments[0], DATE, position)
    text = implicit(arguments[0], STRING, position)
    parsed = f"try_strptime({text}, {_format(arguments[1], _OWN_FORMAT, position)})"
    return Value(f"CAST({parsed} AS TIMESTAMPTZ)", DATETIME)


def _format(value: Value, words: tuple[tuple[str, str], ...], position: Position | None) -> str:
    text = constant(value, position)
    own = words is _OWN_FORMAT
    out, at = "", 0
    while at < len(text):
        rest = text[at:].lower() if own else text[at:]
        match = next(((word, code) for word, code in words if rest.startswith(word)), None)
        if match is None and text[at].isalpha():
            raise unsupported(f"the time format {text!r}", position)
        out += match[1] if match else text[at].replace("%", "%%")
        at += len(match[0]) if match else 1
    return literal(out)


def _part(value: Value, position: Position | None) -> str:
    name = constant(value, position).lower()
    if name not in _PARTS:
        raise semantic_error(f"expect a part of a time ({', '.join(_PARTS)}), found {name}", position)
    return _PARTS[name]


def _time(value: Value, position: Position | None) -> Value:
    return value if value.type.name in TIMES else implicit(value, DATETIME, position)


def _dateadd(arguments: Arguments, position: Position | None) -> Value:
    _count(arguments, 2, 3, position)
    time = _time(arguments[0], position)
    part = _part(arguments[2], position) if len(arguments) > 2 else "day"  # noqa: PLR2004
    amount = implicit(arguments[1], BIGINT, position)
    keeps = time.type == DATE and part in ("year", "quarter", "month", "week", "day")
    target = DATE if keeps else DATETIME if time.type == DATE else time.type
    return Value(
        f"CAST({cast(time, target)} + to_{part}s(CAST({amount} AS INTEGER)) AS {target.duckdb_type()})", target
    )


def _datediff(arguments: Arguments, position: Position | None) -> Value:
    _count(arguments, 2, 3, position)
    end, start = (implicit(argument, DATETIME, position) for argument in arguments[:2])
    part = _part(arguments[2], position) if len(arguments) > 2 else "day"  # noqa: PLR2004
    return Value(f"date_diff('{part}', {start}, {end})", BIGINT)


def _datetrunc(arguments: Arguments, position: Position | None) -> Value:
    _count(arguments, 2, 2, position)
    time = implicit(arguments[0], DATETIME, position)
    return Value(f"date_trunc('{_part(arguments[1], position)}', {time})", DATETIME)


def _datepart(arguments: Arguments, position: Position | None) -> Value:
    _count(arguments, 2, 2, position)
    time = implicit(arguments[0], DATETIME, position)
    return Value(f"CAST(date_part('{_part(arguments[1], position)}', {time}) AS BIGINT)", BIGINT)


def _regexp_extract(arguments: Arguments, position: Position | None) -> Value:
    _count(arguments, 2, 3, position)
    text, pattern = (implicit(argument, STRING, position) for argument in arguments[:2])
    group = str(arguments[2]) if len(arguments) > 2 else "1"  # noqa: PLR2004
    if not group.isdecimal():
        raise unsupported("a group number that isn't a literal", position)
    return Value(f"regexp_extract({text}, {pattern}, {group})", STRING)


def _array(arguments: Arguments, position: Position | None) -> Value:
    item = common_type([argument.type for argument in arguments], position)
    item = STRING if item.name == "void" else item
    return Value(
        f"[{', '.join(str(cast(argument, item)) for argument in arguments)}]", DataType("array", elements=(item,))
    )


def _map(arguments: Arguments, position: Position | None) -> Value:
    if not arguments or len(arguments) % 2:
        raise semantic_error("function map takes pairs of a key and a value", position)
    keys, values = _array(arguments[::2], position), _array(arguments[1::2], position)
    return Value(f"MAP({keys}, {values})", DataType("map", elements=(*keys.type.elements, *values.type.elements)))


def _named_struct(arguments: Arguments, position: Position | None) -> Value:
    if not arguments or len(arguments) % 2:
        raise semantic_error("function named_struct takes pairs of a name and a value", position)
    names = tuple(constant(name, position).lower() for name in arguments[::2])
    values = [cast(value, STRING) if value is NULL else value for value in arguments[1::2]]
    fields = ", ".join(f"{quoted(name)} := {value}" for name, value in zip(names, values, strict=True))
    return Value(f"struct_pack({fields})", DataType("struct", elements=tuple(v.type for v in values), fields=names))


def _size(arguments: Arguments, position: Position | None) -> Value:
    _count(arguments, 1, 1, position)
    if arguments[0].type.name not in ("array", "map"):
        raise semantic_error(f"function size takes an array or a map, found {arguments[0].type}", position)
    name = "len" if arguments[0].type.name == "array" else "cardinality"
    return Value(f"CAST(COALESCE({name}({arguments[0]}), -1) AS BIGINT)", BIGINT)


def _array_function(text: str, result: Callable[[DataType], DataType]) -> Function:
    def function(arguments: Arguments, position: Position | None) -> Value:
        if not arguments or arguments[0].type.name != "array":
            raise semantic_error("expect an array as the first argument", position)
        _count(arguments, 1 + text.count("{1}"), 1 + text.count("{1}"), position)
        item = arguments[0].type.elements[0]
        rest = [str(cast(argument, item, position)) for argument in arguments[1:]]
        return Value(text.format(arguments[0], *rest), result(arguments[0].type))

    return function


def _map_function(text: str, index: int) -> Function:
    def function(arguments: Arguments, position: Position | None) -> Value:
        _count(arguments, 1, 1, position)
        if arguments[0].type.name != "map":
            raise semantic_error(f"expect a map, found {arguments[0].type}", position)
        return Value(text.format(arguments[0]), DataType("array", elements=(arguments[0].type.elements[index],)))

    return function


def _hex(arguments: Arguments, position: Position | None) -> Value:
    _count(arguments, 1, 1, position)
    value = arguments[0]
    return Value(
        f"hex({value})" if value.type.name in (*INTEGERS, "binary", *TEXTS) else f"hex({cast(value, STRING)})", STRING
    )


SPECIAL: Mapping[str, Function] = MappingProxyType(
    {
        "coalesce": _coalesce,
        "nvl": _two_arguments(_coalesce),
        "ifnull": _two_arguments(_coalesce),
        "if": _if,
        "nullif": _nullif,
        "decode": _decode,
        "greatest": _extreme("greatest"),
        "least": _extreme("least"),
        "abs": _abs,
        "round": _rounding("round"),
        "trunc": _rounding("trunc"),
        "get_json_object": _get_json_object,
        "to_char": _to_char,
        "date_format": _date_format,
        "to_date": _to_date,
        "dateadd": _dateadd,
        "datediff": _datediff,
        "datetrunc": _datetrunc,
        "datepart": _datepart,
        "regexp_extract": _regexp_extract,
        "array": _array,
        "map": _map,
        "named_struct": _named_struct,
        "size": _size,
        "hex": _hex,
        "array_contains": _array_function("list_contains({0}, {1})", lambda _: BOOLEAN),
        "array_distinct": _array_function("list_distinct({0})", lambda array: array),
        "array_max": _array_function("list_max({0})", lambda array: array.elements[0]),
        "array_min": _array_function("list_min({0})", lambda array: array.elements[0]),
        "sort_array": _array_function("list_sort({0})", lambda array: array),
        "array_sort": _array_function("list_sort({0})", lambda array: array),
        "map_keys": _map_function("map_keys({0})", 0),
        "map_values": _map_function("map_values({0})", 1),
    }
)
