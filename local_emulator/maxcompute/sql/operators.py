"""Arithmetic and comparison: the types of both sides and of the result."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from sqlglot import exp

from local_emulator.maxcompute.sql.errors import Position, semantic_error, unsupported
from local_emulator.maxcompute.sql.values import (
    INTEGERS,
    MAX_DECIMAL_DIGITS,
    MAX_SCALE,
    NESTED,
    NUMBERS,
    TEXTS,
    VOID,
    WHOLE,
    Value,
    cast,
    common_decimal,
    comparable,
)
from local_emulator.maxcompute.types import BIGINT, BOOLEAN, DOUBLE, DataType

if TYPE_CHECKING:
    from collections.abc import Mapping

_COMPARISONS: Mapping[type, str] = MappingProxyType(
    {
        exp.EQ: "=",
        exp.NEQ: "<>",
        exp.GT: ">",
        exp.GTE: ">=",
        exp.LT: "<",
        exp.LTE: "<=",
        exp.NullSafeEQ: "IS NOT DISTINCT FROM",
    }
)
_ARITHMETIC: Mapping[type, str] = MappingProxyType(
    {exp.Add: "+", exp.Sub: "-", exp.Mul: "*", exp.Div: "/", exp.IntDiv: "//", exp.Mod: "%"}
)
_BITWISE: Mapping[type, str] = MappingProxyType({exp.BitwiseAnd: "&", exp.BitwiseOr: "|", exp.BitwiseXor: "xor"})
_CONNECTORS: Mapping[type, str] = MappingProxyType({exp.And: "AND", exp.Or: "OR"})

COMPARISONS = tuple(_COMPARISONS)
ARITHMETIC = (*_ARITHMETIC, *_BITWISE)
CONNECTORS = tuple(_CONNECTORS)


def compare(kind: type, left: Value, right: Value, position: Position | None) -> Value:
    """Translate =, <>, <, ..., <=>; except for <=>, the result is NULL if a side is NULL."""
    if left.type.name in (*NESTED, "json") or right.type.name in (*NESTED, "json"):
        raise semantic_error(f"{left.type} and {right.type} cannot be compared", position)
    left, right = comparable(left, right, position)
    return Value(f"({left} {_COMPARISONS[kind]} {right})", BOOLEAN)


def between(subject: Value, low: Value, high: Value, position: Position | None) -> Value:
    """Translate BETWEEN, which includes both ends."""
    return Value(
        f"({compare(exp.GTE, subject, low, position)} AND {compare(exp.LTE, subject, high, position)})", BOOLEAN
    )


def logical(kind: type, left: Value, right: Value) -> Value:
    """Translate AND and OR of three-valued conditions."""
    return Value(f"({left} {_CONNECTORS[kind]} {right})", BOOLEAN)


def arithmetic(kind: type, left: Value, right: Value, position: Position | None) -> Value:
    """Translate +, -, *, /, DIV, % and the bitwise operators; division by zero is NULL."""
    names = {left.type.name, right.type.name} - {"void"}
    if not names <= {*NUMBERS, *TEXTS}:
        raise unsupported(f"arithmetic with {left.type} and {right.type}", position)
    if kind in _BITWISE:
        if not names <= {*INTEGERS}:
            raise semantic_error(f"expect whole numbers, found {left.type} and {right.type}", position)
        name = _BITWISE[kind]
        return Value(f"xor({left}, {right})" if name == "xor" else f"({left} {name} {right})", BIGINT)
    if names and names <= {*INTEGERS}:
        return _integer_arithmetic(kind, left, right)
    if names and names <= {*INTEGERS, "decimal"}:
        return _decimal_arithmetic(kind, left, right, position)
    return _text(kind, cast(left, DOUBLE), cast(right, DOUBLE), DOUBLE)


def _integer_arithmetic(kind: type, left: Value, right: Value) -> Value:
    if kind is exp.Div:
        return _text(kind, cast(left, DOUBLE), cast(right, DOUBLE), DOUBLE)
    return _text(kind, cast(left, BIGINT), cast(right, BIGINT), BIGINT)


def _decimal_arithmetic(kind: type, left: Value, right: Value, position: Position | None) -> Value:
    if kind is exp.IntDiv:
        raise unsupported("DIV of decimals", position)
    types = [WHOLE if value.type.name in INTEGERS or value.type == VOID else value.type for value in (left, right)]
    if kind is exp.Div:
        return quotient(*(cast(value, type_) for value, type_ in zip((left, right), types, strict=True)))
    if kind is exp.Mul:
        scale = min(sum(type_.arguments[1] for type_ in types), MAX_SCALE)
        result = DataType("decimal", (MAX_DECIMAL_DIGITS, scale))
    else:
        wide = common_decimal(*types)
        result = DataType("decimal", (min(wide.arguments[0] + 1, MAX_DECIMAL_DIGITS), wide.arguments[1]))
    value = _text(kind, left, right, result)
    return Value(f"CAST({value} AS {result.duckdb_type()})", result)


def quotient(left: Value, right: Value) -> Value:
    """Return the exact quotient of two decimals, to 18 places; NULL if the divisor is zero."""
    digits = MAX_SCALE + right.type.arguments[1] - left.type.arguments[1]
    return Value(f"decimal_quotient({left}, {right}, {digits})", DataType("decimal", (MAX_DECIMAL_DIGITS, MAX_SCALE)))


def _text(kind: type, left: Value, right: Value, result: DataType) -> Value:
    divides = kind in (exp.Div, exp.IntDiv, exp.Mod)
    return Value(f"({left} {_ARITHMETIC[kind]} {f'nullif({right}, 0)' if divides else right})", result)
