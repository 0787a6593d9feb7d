"""A translated expression: its DuckDB text and its MaxCompute type; and the conversions between types."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from local_emulator.maxcompute.sql.errors import Position, semantic_error
from local_emulator.maxcompute.types import BIGINT_RANGE, DOUBLE, STRING, DataType, simple

if TYPE_CHECKING:
    from collections.abc import Sequence

VOID = DataType("void")
INT, DATE, DATETIME, TIMESTAMP, DECIMAL = map(simple, ("int", "date", "datetime", "timestamp", "decimal"))
INTEGERS = ("tinyint", "smallint", "int", "bigint")
NUMBERS = (*INTEGERS, "decimal", "float", "double")
TEXTS = ("string", "varchar", "char")
TIMES = ("date", "datetime", "timestamp", "timestamp_ntz")
NESTED = ("array", "map", "struct")
TIME_FORMAT = "'%Y-%m-%d %H:%M:%S'"
MAX_DECIMAL_DIGITS, MAX_SCALE = 38, 18
WHOLE = DataType("decimal", (19, 0))  # holds every bigint
# From narrow to wide. A float beside another number becomes a double.
_ORDERS = (INTEGERS, (*INTEGERS, "decimal", "float", "double"), ("date", "datetime", "timestamp"))
# The types that the service converts implicitly, by target.
_SOURCES = MappingProxyType(
    {
        **dict.fromkeys(NUMBERS, (*NUMBERS, *TEXTS)),
        **dict.fromkeys(TEXTS, (*NUMBERS, *TEXTS, *TIMES, "boolean")),
        **dict.fromkeys(TIMES, (*TIMES, *TEXTS)),
        "binary": TEXTS,
    }
)


@dataclass(frozen=True, slots=True)
class Value:
    """An expression in DuckDB's SQL, and its type in MaxCompute (``void`` for a bare NULL)."""

    sql: str
    type: DataType

    def __str__(self) -> str:
        return self.sql


NULL = Value("NULL", VOID)


def literal(text: str) -> str:
    """Return a string literal in DuckDB's SQL, which doesn't allow zero bytes in literals."""
    if "\0" in text:
        return "(" + " || chr(0) || ".join(map(literal, text.split("\0"))) + ")"
    return "'" + text.replace("'", "''") + "'"


def cast(value: Value, target: DataType, position: Position | None = None) -> Value:
    """Return an explicit CAST: an unreadable value becomes NULL, a fraction is cut off; SqlError for unfit types."""
    source = value.type
    if source == target:
        return value
    if source == VOID:
        return Value(f"CAST(NULL AS {target.duckdb_type()})", target)
    text = _cast(value, source, target)
    if text is None:
        raise semantic_error(f"cannot cast from {source} to {target}", position)
    return Value(text, target)


def implicit(value: Value, target: DataType, position: Position | None = None) -> Value:
    """Return an argument or a column value in the type that the service implicitly converts it to."""
    if not converts(value.type, target):
        raise semantic_error(f"type mismatch, expect {target}, found {value.type}", position)
    return cast(value, target, position)


def converts(source: DataType, target: DataType) -> bool:
    """Return whether the service implicitly converts the source type to the target type."""
    if VOID in (source, target) or source == target:
        return True
    if source.name == target.name and source.name in NESTED:
        return len(source.elements) == len(target.elements) and all(map(converts, source.elements, target.elements))
    return source.name in _SOURCES.get(target.name, ())


def common_type(types: Sequence[DataType], position: Position | None = None) -> DataType:
    """Return the type of CASE, COALESCE, UNION, ...: the narrowest type that all types convert to."""
    common = VOID
    for type_ in types:
        common = _wider(common, type_, position)
    return common


def comparable(left: Value, right: Value, position: Position | None = None) -> tuple[Value, Value]:
    """Return both sides of a comparison in the same type: a text in the other side's type, numbers as doubles."""
    if left.type == right.type or VOID in (left.type, right.type):
        return left, right
    target = _comparison_type(left.type, right.type, position)
    return (left, right) if target is None else (cast(left, target), cast(right, target))


def _comparison_type(left: DataType, right: DataType, position: Position | None) -> DataType | None:
    """Return the type of a comparison; None: no conversion (DuckDB compares decimals of different scales itself)."""
    texts = [type_ for type_ in (left, right) if type_.name in TEXTS]
    others = [type_ for type_ in (left, right) if type_.name not in TEXTS]
    if not others:
        return None
    if not texts:
        target = _wider(left, right, position)
        return None if target.name == "decimal" else target
    if others[0].name in NUMBERS:
        return DOUBLE
    if others[0].name in (*TIMES, "boolean", "binary"):
        return others[0]
    raise semantic_error(f"{left} and {right} cannot be compared", position)


def _wider(left: DataType, right: DataType, position: Position | None) -> DataType:
    if left == VOID:
        return right
    if right in (left, VOID):
        return left
    names = {left.name, right.name}
    if "decimal" in names and names <= {*INTEGERS, "decimal"}:
        return common_decimal(*(type_ if type_.name == "decimal" else WHOLE for type_ in (left, right)))
    if left.name == right.name and left.name in NESTED and len(left.elements) == len(right.elements):
        elements = tuple(_wider(a, b, position) for a, b in zip(left.elements, right.elements, strict=True))
        return DataType(left.name, elements=elements, fields=left.fields)
    order = next((order for order in _ORDERS if names <= {*order}), None)
    if order is not None:
        return simple(max(names, key=order.index))
    if names & {*TEXTS} and converts(left, STRING) and converts(right, STRING):
        return STRING
    raise semantic_error(f"types {left} and {right} do not fit together", position)


def common_decimal(left: DataType, right: DataType) -> DataType:
    """Return the decimal type that holds both types' values."""
    scale = max(left.arguments[1], right.arguments[1])
    whole = max(left.arguments[0] - left.arguments[1], right.arguments[0] - right.arguments[1])
    return DataType("decimal", (min(whole + scale, MAX_DECIMAL_DIGITS), scale))


def _cast(value: Value, source: DataType, target: DataType) -> str | None:
    if target.name in TEXTS:
        text = _to_text(value, source)
        return text if text is None or target.name == "string" else f"left({text}, {target.arguments[0]})"
    if target.name in INTEGERS:
        number = _to_integer(value, source, target.duckdb_type())
        narrow = target.name != "bigint" or source.name in (*INTEGERS, "boolean")
        return number if number is None or narrow else f"nullif({number}, {BIGINT_RANGE[0]}::BIGINT - 1)"
    if target.name in TIMES:
        return _to_time(value, source, target)
    return _to_other(value, source, target)


def _to_other(value: Value, source: DataType, target: DataType) -> str | None:
    type_ = target.duckdb_type()
    if source.name in TEXTS and target.name not in NESTED:
        return f"encode({value})" if target.name == "binary" else f"TRY_CAST({value} AS {type_})"
    if target.name == "boolean":
        return f"({value} <> 0)" if source.name in NUMBERS else None
    if target.name in NUMBERS:
        return f"CAST({value} AS {type_})" if source.name in (*NUMBERS, "boolean") else None
    return f"CAST({value} AS {type_})" if source.name == target.name and converts(source, target) else None


def _to_text(value: Value, source: DataType) -> str | None:
    if source.name in TEXTS:
        return value.sql
    if source.name == "datetime":
        return f"strftime({value}, {TIME_FORMAT})"
    if source.name == "timestamp":
        return f"CAST(CAST({value} AS TIMESTAMP_NS) AS VARCHAR)"
    if source.name == "decimal":  # the service cuts off zeros at the end
        return f"regexp_replace(CAST({value} AS VARCHAR), '(\\.\\d*?)0+$', '\\1').rtrim('.')"
    if source.name == "binary":
        return f"decode({value})"
    return None if source.name in NESTED else f"CAST({value} AS VARCHAR)"


def _to_integer(value: Value, source: DataType, type_: str) -> str | None:
    if source.name in (*INTEGERS, "boolean"):
        return f"CAST({value} AS {type_})"
    if source.name in NUMBERS:
        return f"TRY_CAST(trunc({value}) AS {type_})"
    if source.name not in TEXTS:
        return None
    whole = f"regexp_full_match(trim({value}), '[+-]?\\d+')"
    fraction = f"TRY_CAST(trunc(TRY_CAST({value} AS DOUBLE)) AS {type_})"
    return f"CASE WHEN {whole} THEN TRY_CAST({value} AS {type_}) ELSE {fraction} END"


def _to_time(value: Value, source: DataType, target: DataType) -> str | None:
    type_ = target.duckdb_type()
    if source.name in TEXTS:
        return f"TRY_CAST({value} AS {type_})"
    if source.name not in TIMES:
        return None
    if target.name == "datetime" and source.name in ("timestamp", "timestamp_ntz"):
        return f"date_trunc('millisecond', CAST({value} AS {type_}))"
    return f"CAST({value} AS {type_})"
