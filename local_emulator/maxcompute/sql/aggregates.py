"""Aggregates and window functions, with MaxCompute's result types.

A call's text has `PLACE` behind the inner call. The caller replaces it by FILTER, OVER, or nothing.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from local_emulator.maxcompute.sql.errors import Position, semantic_error, unsupported
from local_emulator.maxcompute.sql.operators import quotient
from local_emulator.maxcompute.sql.special_functions import constant
from local_emulator.maxcompute.sql.values import INTEGERS, VOID, WHOLE, Value, cast, common_type, implicit
from local_emulator.maxcompute.types import BIGINT, BOOLEAN, DOUBLE, STRING, DataType

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Aggregate = Callable[[Sequence[Value], str, Position | None], Value]

PLACE = "\0"
# Statistics of DOUBLE values; MaxCompute's short names are the population's statistics.
_STATISTICS = MappingProxyType(
    {
        "stddev": "stddev_pop",
        "stddev_pop": "stddev_pop",
        "stddev_samp": "stddev_samp",
        "variance": "var_pop",
        "var_pop": "var_pop",
        "var_samp": "var_samp",
        "median": "median",
    }
)
# Functions that need OVER, with their result types.
_RANKS = MappingProxyType(
    {
        "row_number": BIGINT,
        "rank": BIGINT,
        "dense_rank": BIGINT,
        "percent_rank": DOUBLE,
        "cume_dist": DOUBLE,
        "ntile": BIGINT,
    }
)
_NEIGHBOURS = frozenset({"lag", "lead"})
_ENDS = frozenset({"first_value", "last_value", "nth_value"})


def is_aggregate(name: str) -> bool:
    """Return whether `aggregate` knows the name."""
    return name in _AGGREGATES or name in _STATISTICS


def aggregate(name: str, arguments: Sequence[Value], distinct: bool, position: Position | None) -> Value:
    """Translate the call of an aggregate (``count(*)`` has no arguments)."""
    if name in _STATISTICS:
        number = implicit(_single_argument(arguments, position), DOUBLE, position)
        return Value(f"{_STATISTICS[name]}({'DISTINCT ' if distinct else ''}{number}){PLACE}", DOUBLE)
    return _AGGREGATES[name](arguments, "DISTINCT " if distinct else "", position)


def window(name: str, arguments: Sequence[Value], position: Position | None) -> Value | None:
    """Translate the call of a function that needs OVER; None for any other name."""
    if name in _RANKS:
        if len(arguments) != (name == "ntile"):
            raise semantic_error(f"wrong number of arguments of {name}", position)
        number = "".join(str(implicit(argument, BIGINT, position)) for argument in arguments)
        return Value(f"{name}({number}){PLACE}", _RANKS[name])
    if name in _NEIGHBOURS:
        if not 1 <= len(arguments) <= 3:  # noqa: PLR2004
            raise semantic_error(f"{name} takes 1 to 3 arguments", position)
        subject, *rest = arguments
        target = common_type([subject.type, *(argument.type for argument in rest[1:])], position)
        texts = [str(cast(subject, target))]
        texts += [str(implicit(argument, BIGINT, position)) for argument in rest[:1]]
        texts += [str(cast(argument, target)) for argument in rest[1:]]
        return Value(f"{name}({', '.join(texts)}){PLACE}", target)
    if name in _ENDS:
        if not arguments:
            raise semantic_error(f"{name} takes an argument", position)
        ignores_nulls = len(arguments) > 1 and name != "nth_value" and arguments[1].sql == "TRUE"
        number = f", {arguments[1]}" if name == "nth_value" and len(arguments) > 1 else ""
        return Value(
            f"{name}({arguments[0]}{number}{' IGNORE NULLS' if ignores_nulls else ''}){PLACE}", arguments[0].type
        )
    return None


def _single_argument(arguments: Sequence[Value], position: Position | None) -> Value:
    if len(arguments) != 1:
        raise semantic_error(f"expect one argument, found {len(arguments)}", position)
    return arguments[0]


def _count(arguments: Sequence[Value], distinct: str, position: Position | None) -> Value:
    if not arguments:
        if distinct:
            raise semantic_error("count(distinct) takes an argument", position)
        return Value(f"count(*){PLACE}", BIGINT)
    if len(arguments) == 1:
        return Value(f"count({distinct}{arguments[0]}){PLACE}", BIGINT)
    nulls = " OR ".join(f"{argument} IS NULL" for argument in arguments)
    row = ", ".join(map(str, arguments))
    return Value(f"count({distinct}CASE WHEN {nulls} THEN NULL ELSE row({row}) END){PLACE}", BIGINT)


def _sum(arguments: Sequence[Value], distinct: str, position: Position | None) -> Value:
    number = _single_argument(arguments, position)
    if number.type.name in INTEGERS:
        return Value(f"CAST(sum({distinct}{number}){PLACE} AS BIGINT)", BIGINT)
    if number.type.name == "decimal":
        result = DataType("decimal", (38, number.type.arguments[1]))
        return Value(f"CAST(sum({distinct}{number}){PLACE} AS {result.duckdb_type()})", result)
    return Value(f"sum({distinct}{implicit(number, DOUBLE, position)}){PLACE}", DOUBLE)


def _avg(arguments: Sequence[Value], distinct: str, position: Position | None) -> Value:
    number = _single_argument(arguments, position)
    if number.type.name == "decimal":
        count = _count([number], distinct, position)
        return quotient(_sum([number], distinct, position), cast(count, WHOLE))
    return Value(f"avg({distinct}{implicit(number, DOUBLE, position)}){PLACE}", DOUBLE)


def _same_type(text: str) -> Aggregate:
    def function(arguments: Sequence[Value], distinct: str, position: Position | None) -> Value:
        argument = _single_argument(arguments, position)
        return Value(text.format(f"{distinct}{argument}") + PLACE, STRING if argument.type == VOID else argument.type)

    return function


def _count_if(arguments: Sequence[Value], distinct: str, position: Position | None) -> Value:
    condition = implicit(_single_argument(arguments, position), BOOLEAN, position)
    if distinct:
        raise unsupported("count_if(distinct ...)", position)
    return Value(f"CAST(count_if({condition}){PLACE} AS BIGINT)", BIGINT)


def _collect(text: str) -> Aggregate:
    def function(arguments: Sequence[Value], distinct: str, position: Position | None) -> Value:
        argument = _single_argument(arguments, position)
        item = STRING if argument.type == VOID else argument.type
        collected = text.format(f"{distinct}{argument}", argument) + PLACE
        return Value(f"COALESCE({collected}, [])", DataType("array", elements=(item,)))

    return function


def _wm_concat(arguments: Sequence[Value], distinct: str, position: Position | None) -> Value:
    if len(arguments) != 2:  # noqa: PLR2004
        raise semantic_error("wm_concat takes a separator and a value", position)
    constant(arguments[0], position)
    return Value(f"string_agg({distinct}{implicit(arguments[1], STRING, position)}, {arguments[0]}){PLACE}", STRING)


def _percentile(arguments: Sequence[Value], distinct: str, position: Position | None) -> Value:
    if len(arguments) != 2:  # noqa: PLR2004
        raise semantic_error("percentile takes a value and a fraction", position)
    number, fraction = (implicit(argument, DOUBLE, position) for argument in arguments)
    return Value(f"quantile_cont({distinct}{number}, {fraction}){PLACE}", DOUBLE)


def _extreme_by(name: str, wanted: int) -> Aggregate:
    def function(arguments: Sequence[Value], distinct: str, position: Position | None) -> Value:
        if len(arguments) != 2 or distinct:  # noqa: PLR2004
            raise semantic_error("expect two arguments", position)
        return Value(f"{name}({arguments[wanted]}, {arguments[1 - wanted]}){PLACE}", arguments[wanted].type)

    return function


_AGGREGATES: MappingProxyType[str, Aggregate] = MappingProxyType(
    {
        "count": _count,
        "sum": _sum,
        "avg": _avg,
        "min": _same_type("min({})"),
        "max": _same_type("max({})"),
        "any_value": _same_type("any_value({})"),
        "count_if": _count_if,
        "collect_list": _collect("list({0}) FILTER (WHERE {1} IS NOT NULL)"),
        "collect_set": _collect("list(DISTINCT {1}) FILTER (WHERE {1} IS NOT NULL)"),
        "wm_concat": _wm_concat,
        "percentile": _percentile,
        "approx_distinct": lambda arguments, _, position: Value(
            f"approx_count_distinct({_single_argument(arguments, position)}){PLACE}", BIGINT
        ),
        "max_by": _extreme_by("arg_max", 0),
        "min_by": _extreme_by("arg_min", 0),
        "arg_max": _extreme_by("arg_max", 1),
        "arg_min": _extreme_by("arg_min", 1),
    }
)
