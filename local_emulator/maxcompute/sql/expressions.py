"""Expressions, from sqlglot's tree to DuckDB's text. Other kinds of nodes than the listed ones are not supported."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar

from sqlglot import exp

from local_emulator.maxcompute.sql import functions
from local_emulator.maxcompute.sql.aggregates import PLACE, aggregate, is_aggregate, window
from local_emulator.maxcompute.sql.dialect import position_at
from local_emulator.maxcompute.sql.errors import Position, semantic_error, unsupported
from local_emulator.maxcompute.sql.operators import (
    ARITHMETIC,
    COMPARISONS,
    CONNECTORS,
    arithmetic,
    between,
    compare,
    logical,
)
from local_emulator.maxcompute.sql.values import DATE, DATETIME, INT, NULL, TEXTS, Value, cast, common_type, implicit
from local_emulator.maxcompute.sql.values import comparable as as_one_type
from local_emulator.maxcompute.sql.values import literal as text_literal
from local_emulator.maxcompute.types import BIGINT, BOOLEAN, DOUBLE, STRING, DataType, TypeSyntaxError, parse_type

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from local_emulator.maxcompute.sql.query import Query
    from local_emulator.maxcompute.sql.scope import Scope

_INT_RANGE, _BIGINT_RANGE = range(-(2**31), 2**31), range(-(2**63), 2**63)
_TYPE_NAMES = {"text": "string", "timestampntz": "timestamp_ntz"}
# The allowed parts of every node, and the additional parts of some kinds.
_PARTS = frozenset({"this", "expression", "expressions"})
_MORE_PARTS: Mapping[type, frozenset[str]] = MappingProxyType(
    {
        exp.Literal: frozenset({"is_string"}),
        exp.Column: frozenset({"table", "db", "catalog"}),
        exp.Cast: frozenset({"to"}),
        exp.TryCast: frozenset({"to"}),
        exp.ParseJSON: frozenset({"is_literal"}),
        exp.Between: frozenset({"low", "high", "negate"}),
        exp.In: frozenset({"query", "negate"}),
        exp.Is: frozenset({"negate"}),
        exp.Like: frozenset({"negate"}),
        exp.RegexpLike: frozenset({"negate"}),
        exp.Case: frozenset({"ifs", "default"}),
        exp.If: frozenset({"true", "false"}),
        exp.DPipe: frozenset({"safe"}),
        exp.Div: frozenset({"typed", "safe"}),
        exp.Window: frozenset({"partition_by", "order", "spec", "over"}),
        exp.WindowSpec: frozenset({"kind", "start", "start_side", "end", "end_side"}),
        exp.Ordered: frozenset({"desc", "nulls_first"}),
    }
)
# These functions may stand without parentheses.
_TIME_NAMES = frozenset({"current_timestamp", "current_date"})


class Expressions:
    """Translates the expressions of one SELECT; ``subquery`` translates a query inside an expression."""

    def __init__(self, script: str, scope: Scope, now: str, subquery: Callable[[exp.Expression, Scope], Query]) -> None:
        self._script = script
        self.scope = scope
        self._now = now
        self._subquery = subquery

    def place(self, node: exp.Expression) -> Position | None:
        """Return a node's position in the script: the first position of the node and its parts."""
        starts = [inner.meta["start"] for inner in node.walk() if "start" in inner.meta]
        return position_at(self._script, min(starts)) if starts else None

    def value(self, node: exp.Expression) -> Value:
        """Translate any expression."""
        method = self._methods.get(type(node))
        if method is None:
            raise unsupported(f"{type(node).__name__.upper()}", self.place(node))
        self._only(node, _PARTS | _MORE_PARTS.get(type(node), frozenset()))
        value = method(self, node)
        return Value(f"(NOT {value})", BOOLEAN) if node.args.get("negate") else value

    def _only(self, node: exp.Expression, known: frozenset[str]) -> None:
        """Raise SqlError if the node has a part that isn't translated."""
        for name, part in node.args.items():
            if part and name not in known:
                raise unsupported(f"{type(node).__name__.upper()} with {name.upper()}", self.place(node))

    def condition(self, node: exp.Expression) -> Value:
        """Translate an expression in WHERE, ON or HAVING."""
        return implicit(self.value(node), BOOLEAN, self.place(node))

    def type_of(self, node: exp.DataType) -> DataType:
        """Return the type in a CAST."""
        text = self._type_text(node)
        try:
            type_ = parse_type(text)
            type_.require()
        except TypeSyntaxError as error:
            raise semantic_error(f"invalid data type, {error}", self.place(node)) from error
        return type_

    def _type_text(self, node: exp.Expression) -> str:
        if isinstance(node, exp.ColumnDef):
            return f"`{node.name}`:{self._type_text(node.args['kind'])}"
        if not isinstance(node, exp.DataType):
            return str(node.sql())
        name = str(node.this.value).lower()
        inner = ",".join(self._type_text(item) for item in node.expressions)
        opening, closing = ("<", ">") if node.args.get("nested") else ("(", ")")
        return _TYPE_NAMES.get(name, name) + (f"{opening}{inner}{closing}" if inner else "")

    def _literal(self, node: exp.Expression) -> Value:
        if node.args.get("is_string"):
            return Value(text_literal(node.name), STRING)
        if node.name.isdecimal():
            number = int(node.name)
            if number in _INT_RANGE:
                return Value(node.name, INT)
            if number in _BIGINT_RANGE:
                return Value(f"{node.name}::BIGINT", BIGINT)
            return Value(f"{node.name}::DOUBLE", DOUBLE)
        return Value(f"{node.name}::DOUBLE", DOUBLE)

    def _boolean(self, node: exp.Expression) -> Value:
        return Value("TRUE" if node.this else "FALSE", BOOLEAN)

    def _null(self, _: exp.Expression) -> Value:
        return NULL

    def _column(self, node: exp.Expression) -> Value:
        parts = [part.name.lower() for part in node.parts]  # type: ignore[attr-defined] # it's a Column, by the table of kinds
        position = self.place(node)
        if isinstance(node.this, exp.Star):
            raise semantic_error("* only stands in a select list or in count(*)", position)
        if len(parts) == 1:
            if parts[0] in _TIME_NAMES and not node.this.quoted:
                return self._time_function(parts[0])
            return self.scope.column(None, parts[0], position)
        # a.b is a table's column, or a struct's field.
        if self.scope.has_table(parts[0]):
            value, fields = self.scope.column(parts[0], parts[1], position), parts[2:]
        elif len(parts) > 2 and self.scope.has_table(parts[1]):  # noqa: PLR2004 - project.table.column
            value, fields = self.scope.column(parts[1], parts[2], position), parts[3:]
        else:
            value, fields = self.scope.column(None, parts[0], position), parts[1:]
        for name in fields:
            value = _field(value, name, position)
        return value

    def _dot(self, node: exp.Expression) -> Value:
        return _field(self.value(node.this), node.expression.name.lower(), self.place(node))

    def _bracket(self, node: exp.Expression) -> Value:
        subject = self.value(node.this)
        position = self.place(node)
        if len(node.expressions) != 1:
            raise unsupported("a slice", position)
        index = self.value(node.expressions[0])
        if subject.type.name == "array":
            # MaxCompute counts from 0. DuckDB counts from 1, and negative indexes from the end.
            place = implicit(index, BIGINT, position)
            return Value(f"CASE WHEN {place} >= 0 THEN {subject}[{place} + 1] END", subject.type.elements[0])
        if subject.type.name == "map":
            return Value(f"{subject}[{implicit(index, subject.type.elements[0], position)}]", subject.type.elements[1])
        raise semantic_error(f"{subject.type} has no elements", position)

    def _paren(self, node: exp.Expression) -> Value:
        inner = self.value(node.this)
        return Value(f"({inner})", inner.type)

    def _cast(self, node: exp.Expression) -> Value:
        return cast(self.value(node.this), self.type_of(node.args["to"]), self.place(node))

    def _json_literal(self, node: exp.Expression) -> Value:
        return Value(f"CAST({text_literal(node.this.name)} AS JSON)", parse_type("json"))

    def _negative(self, node: exp.Expression) -> Value:
        inner = self.value(node.this)
        number = cast(inner, DOUBLE) if inner.type.name in TEXTS else inner
        return Value(f"(-{number})", number.type)

    def _not(self, node: exp.Expression) -> Value:
        return Value(f"(NOT {self.condition(node.this)})", BOOLEAN)

    def _connector(self, node: exp.Expression) -> Value:
        return logical(type(node), self.condition(node.this), self.condition(node.expression))

    def _comparison(self, node: exp.Expression) -> Value:
        left, right = self.value(node.this), self.value(node.expression)
        return compare(type(node), left, right, self.place(node))

    def _arithmetic(self, node: exp.Expression) -> Value:
        left, right = self.value(node.this), self.value(node.expression)
        return arithmetic(type(node), left, right, self.place(node))

    def _is(self, node: exp.Expression) -> Value:
        subject, wanted = self.value(node.this), self.value(node.expression)
        if wanted.sql not in ("NULL", "TRUE", "FALSE"):
            raise unsupported("IS with anything but NULL, TRUE, FALSE", self.place(node))
        return Value(f"({subject} IS {wanted})", BOOLEAN)

    def _between(self, node: exp.Expression) -> Value:
        subject, low, high = (self.value(node.args[name]) for name in ("this", "low", "high"))
        return between(subject, low, high, self.place(node))

    def _in(self, node: exp.Expression) -> Value:
        subject, position = self.value(node.this), self.place(node)
        query = node.args.get("query")
        if query is not None:
            inner = self._subquery(query, self.scope)
            if len(inner.columns) != 1:
                raise semantic_error("a subquery in IN has to have one column", position)
            left, right = as_one_type(subject, Value('"x"."v"', inner.columns[0].type), position)
            text = f'({left} IN (SELECT {right} FROM ({inner.sql}) AS "x"("v")))'  # noqa: S608 - translated
            return Value(text, BOOLEAN)
        items = [compare(exp.EQ, subject, self.value(item), position) for item in node.expressions]
        if not items:
            raise unsupported("this form of IN", position)
        return Value(f"({' OR '.join(map(str, items))})", BOOLEAN)

    def _like(self, node: exp.Expression) -> Value:
        text, pattern = (implicit(self.value(side), STRING, self.place(node)) for side in (node.this, node.expression))
        if isinstance(node, exp.RegexpLike):
            return Value(f"regexp_matches({text}, {pattern})", BOOLEAN)
        return Value(f"({text} LIKE {pattern} ESCAPE '\\')", BOOLEAN)

    def _case(self, node: exp.Expression) -> Value:
        subject = self.value(node.this) if node.this else None
        default = self.value(node.args["default"]) if node.args.get("default") else NULL
        branches = []
        for branch in node.args["ifs"]:
            if subject is None:
                condition = self.condition(branch.this)
            else:
                condition = compare(exp.EQ, subject, self.value(branch.this), self.place(branch))
            branches.append((condition, self.value(branch.args["true"])))
        target = common_type([result.type for _, result in branches] + [default.type], self.place(node))
        text = " ".join(f"WHEN {condition} THEN {cast(result, target)}" for condition, result in branches)
        return Value(f"CASE {text} ELSE {cast(default, target)} END", target)

    def _if(self, node: exp.Expression) -> Value:
        otherwise = self.value(node.args["false"]) if node.args.get("false") else NULL
        return functions.call("if", [self.value(node.this), self.value(node.args["true"]), otherwise], self.place(node))

    def _concatenation(self, node: exp.Expression) -> Value:
        left, right = (implicit(self.value(side), STRING, self.place(node)) for side in (node.this, node.expression))
        return Value(f"({left} || {right})", STRING)

    def _extract(self, node: exp.Expression) -> Value:
        return functions.call(node.this.name.lower(), [self.value(node.expression)], self.place(node))

    def _exists(self, node: exp.Expression) -> Value:
        return Value(f"EXISTS ({self._subquery(node.this, self.scope).sql})", BOOLEAN)

    def _scalar_subquery(self, node: exp.Expression) -> Value:
        inner = self._subquery(node, self.scope)
        if len(inner.columns) != 1:
            raise semantic_error("a subquery as a value has to have one column", self.place(node))
        return Value(f"({inner.sql})", inner.columns[0].type)

    def _function(self, node: exp.Expression) -> Value:
        aggregated = self._aggregate(node)
        if aggregated is not None:
            return Value(aggregated.sql.replace(PLACE, ""), aggregated.type)
        name = _name(node)
        if name in ("getdate", "now", *_TIME_NAMES, "unix_timestamp") and not node.expressions:
            return self._time_function(name)
        return functions.call(name, [self.value(argument) for argument in node.expressions], self.place(node))

    def _time_function(self, name: str) -> Value:
        now = Value(f"TIMESTAMPTZ '{self._now}'", DATETIME)
        if name == "unix_timestamp":
            return functions.call(name, [now], None)
        return cast(now, DATE) if name == "current_date" else now

    def _aggregate(self, node: exp.Expression) -> Value | None:
        """Translate a call of an aggregate, with `PLACE` in its text; None for any other function."""
        name = _name(node)
        if not is_aggregate(name):
            return None
        arguments = node.expressions
        distinct = len(arguments) == 1 and isinstance(arguments[0], exp.Distinct)
        if distinct:
            arguments = arguments[0].expressions
        if name == "count" and len(arguments) == 1 and isinstance(arguments[0], exp.Star):
            arguments = []
        return aggregate(name, [self.value(argument) for argument in arguments], distinct, self.place(node))

    def _filter(self, node: exp.Expression) -> Value:
        aggregated = self._aggregate(node.this) if isinstance(node.this, exp.Anonymous) else None
        if aggregated is None or "FILTER" in aggregated.sql:
            raise unsupported("FILTER here", self.place(node))
        condition = self.condition(node.expression.this)
        return Value(aggregated.sql.replace(PLACE, f" FILTER (WHERE {condition})"), aggregated.type)

    def _within_group(self, node: exp.Expression) -> Value:
        aggregated = self._aggregate(node.this) if isinstance(node.this, exp.Anonymous) else None
        if aggregated is None or _name(node.this) != "wm_concat":
            raise unsupported("WITHIN GROUP here", self.place(node))
        order = self.order(node.expression.expressions)
        return Value(aggregated.sql.replace(f"){PLACE}", f" ORDER BY {order})"), aggregated.type)

    def _window(self, node: exp.Expression) -> Value:
        call, position = node.this, self.place(node)
        if not isinstance(call, exp.Anonymous):
            raise unsupported("this form of OVER", position)
        translated = self._aggregate(call)
        if translated is None:
            translated = window(_name(call), [self.value(argument) for argument in call.expressions], position)
        if translated is None:
            raise unsupported(f"function {_name(call)} with OVER", position)
        parts = []
        if node.args.get("partition_by"):
            keys = ", ".join(str(self.value(key)) for key in node.args["partition_by"])
            parts.append(f"PARTITION BY {keys}")
        if node.args.get("order"):
            parts.append(f"ORDER BY {self.order(node.args['order'].expressions)}")
        if node.args.get("spec"):
            parts.append(self._frame(node.args["spec"]))
        return Value(translated.sql.replace(PLACE, f" OVER ({' '.join(parts)})"), translated.type)

    def _frame(self, spec: exp.Expression) -> str:
        self._only(spec, _MORE_PARTS[exp.WindowSpec])
        ends = []
        for end in ("start", "end"):
            bound = spec.args.get(end)
            text = bound if isinstance(bound, str) else str(self.value(bound)) if bound is not None else None
            if text is not None:
                ends.append(f"{text} {spec.args.get(f'{end}_side') or ''}".strip())
        return f"{spec.args['kind']} " + (f"BETWEEN {ends[0]} AND {ends[1]}" if len(ends) > 1 else ends[0])

    def order(self, items: list[exp.Expression]) -> str:
        """Translate an ORDER BY's items; NULL is the smallest value, unless the query has NULLS FIRST or LAST."""
        for item in items:
            self._only(item, _PARTS | _MORE_PARTS[exp.Ordered])
        return ", ".join(self.ordered(item, str(self.value(item.this))) for item in items)

    @staticmethod
    def ordered(item: exp.Expression, text: str) -> str:
        """Return an ORDER BY's item; ``text`` is its translated expression."""
        nulls = "FIRST" if item.args.get("nulls_first") else "LAST"
        return f"{text} {'DESC' if item.args.get('desc') else 'ASC'} NULLS {nulls}"

    # The translation of each kind of node.
    _methods: ClassVar[Mapping[type, Callable[[Expressions, exp.Expression], Value]]] = MappingProxyType(
        {
            exp.Literal: _literal,
            exp.Boolean: _boolean,
            exp.Null: _null,
            exp.Column: _column,
            exp.Dot: _dot,
            exp.Bracket: _bracket,
            exp.Paren: _paren,
            exp.Cast: _cast,
            exp.TryCast: _cast,
            exp.ParseJSON: _json_literal,
            exp.Neg: _negative,
            exp.Not: _not,
            exp.Is: _is,
            exp.Between: _between,
            exp.In: _in,
            exp.Like: _like,
            exp.RegexpLike: _like,
            exp.Case: _case,
            exp.If: _if,
            exp.DPipe: _concatenation,
            exp.Extract: _extract,
            exp.Exists: _exists,
            exp.Subquery: _scalar_subquery,
            exp.Anonymous: _function,
            exp.Filter: _filter,
            exp.WithinGroup: _within_group,
            exp.Window: _window,
            **dict.fromkeys(CONNECTORS, _connector),
            **dict.fromkeys(COMPARISONS, _comparison),
            **dict.fromkeys(ARITHMETIC, _arithmetic),
        }
    )


def _name(node: exp.Expression) -> str:
    return (node.this if isinstance(node.this, str) else str(node.this.name)).lower()


def _field(value: Value, name: str, position: Position | None) -> Value:
    if value.type.name != "struct" or name not in (field.lower() for field in value.type.fields):
        raise semantic_error(f"{value.type} has no field {name}", position)
    index = [field.lower() for field in value.type.fields].index(name)
    return Value(f"struct_extract({value}, {text_literal(value.type.fields[index])})", value.type.elements[index])
