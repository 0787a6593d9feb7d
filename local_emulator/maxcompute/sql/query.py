"""Queries: SELECT with all its clauses, WITH and set operations, from sqlglot's tree to DuckDB's text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlglot import exp

from local_emulator.maxcompute.entities import Column
from local_emulator.maxcompute.sql.errors import Position, semantic_error, unsupported
from local_emulator.maxcompute.sql.expressions import Expressions
from local_emulator.maxcompute.sql.scope import Output, Relation, Scope
from local_emulator.maxcompute.sql.sources import from_item, join_words
from local_emulator.maxcompute.sql.values import VOID, Value, cast, common_type, implicit
from local_emulator.maxcompute.types import BIGINT, STRING, quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from local_emulator.maxcompute.entities import Table

_SELECT_PARTS = frozenset(
    {"hint", "expressions", "from_", "joins", "laterals", "where", "group", "having", "order", "limit", "offset"}
    | {"distinct", "with_", "qualify"}
)
_SET_PARTS = frozenset({"this", "expression", "distinct", "order", "limit", "offset", "with_"})
_SUBQUERY_PARTS = frozenset({"this", "alias", "order", "limit", "offset", "with_"})
_GROUP_PARTS = frozenset({"expressions", "grouping_sets", "rollup", "cube"})
_GROUP_WORDS = {exp.GroupingSets: "GROUPING SETS ", exp.Rollup: "ROLLUP ", exp.Cube: "CUBE ", exp.Tuple: ""}
_SET_WORDS = {exp.Union: "UNION", exp.Intersect: "INTERSECT", exp.Except: "EXCEPT"}


@dataclass(frozen=True, slots=True)
class Query:
    """A translated query and its result's columns; a column of bare NULLs has the type ``void``."""

    sql: str
    columns: tuple[Output, ...]

    @property
    def result_columns(self) -> tuple[Column, ...]:
        """The columns of a result or of a new table; ``void`` becomes ``string``."""
        return tuple(Column(c.name, STRING if c.type == VOID else c.type) for c in self.columns)


@dataclass(frozen=True, slots=True)
class Translator:
    """Translates the queries of one statement.

    Attributes:
        script: the whole script, for the positions in errors.
        now: the statement's time, in DuckDB's format.
        table: returns a table or view of the catalog by the parts of its name; SqlError if it doesn't exist.
        view: returns the query of a view.
    """

    script: str
    now: str
    table: Callable[[list[str], Position | None], Table]
    view: Callable[[Table, Position | None], Query]

    def query(
        self, node: exp.Expression, outer: Scope | None = None, names: Mapping[str, tuple[Output, ...]] | None = None
    ) -> Query:
        """Translate any query; ``names`` are the visible WITH names."""
        names = dict(names or {})
        definitions = self._with(node, outer, names)
        if isinstance(node, exp.Select):
            translated = self._select(node, outer, names)
        elif isinstance(node, exp.SetOperation):
            translated = self._set_operation(node, outer, names)
        elif isinstance(node, exp.Subquery):
            self.only(node, _SUBQUERY_PARTS)
            translated = self.query(node.this, outer, names)
            text = f"SELECT * FROM ({translated.sql})"  # noqa: S608 - translated
            translated = self._tail(node, Query(text, translated.columns), outer, names)
        elif isinstance(node, exp.Values):
            translated = self.values(node, outer, names)
        else:
            raise unsupported(f"{type(node).__name__.upper()} as a query", self.place(node))
        return Query(f"WITH {definitions} {translated.sql}", translated.columns) if definitions else translated

    def expressions(self, scope: Scope, names: Mapping[str, tuple[Output, ...]]) -> Expressions:
        """Return a translator of expressions in a scope; their subqueries see the same WITH names."""
        return Expressions(self.script, scope, self.now, lambda node, outer: self.query(node, outer, names))

    def only(self, node: exp.Expression, known: frozenset[str]) -> None:
        """Raise SqlError if the node has a part that isn't translated."""
        for name, part in node.args.items():
            if part and name not in known and not (isinstance(part, list) and not any(part)):
                raise unsupported(name.strip("_").replace("_", " ").upper(), self.place(node))

    def values(self, node: exp.Values, outer: Scope | None, names: Mapping[str, tuple[Output, ...]]) -> Query:
        """Translate VALUES (...), (...); a column has the common type of its values."""
        expressions = self.expressions(Scope(outer=outer), names)
        rows = [
            [expressions.value(item) for item in (row.expressions if isinstance(row, exp.Tuple) else [row])]
            for row in node.expressions
        ]
        if len({len(row) for row in rows}) != 1:
            raise semantic_error("the rows of VALUES differ in length", self.place(node))
        types = [common_type([value.type for value in column], self.place(node)) for column in zip(*rows, strict=True)]
        texts = [f"({', '.join(str(cast(v, t)) for v, t in zip(row, types, strict=True))})" for row in rows]
        text = f"SELECT * FROM (VALUES {', '.join(texts)})"  # noqa: S608 - translated
        return Query(text, tuple(Output(f"_c{index}", type_) for index, type_ in enumerate(types)))

    def place(self, node: exp.Expression) -> Position | None:
        """Return a node's position in the script."""
        return Expressions(self.script, Scope(), self.now, self.query).place(node)

    def _with(self, node: exp.Expression, outer: Scope | None, names: dict[str, tuple[Output, ...]]) -> str:
        clause = node.args.get("with_")
        if clause is None:
            return ""
        if clause.args.get("recursive"):
            raise unsupported("WITH RECURSIVE", self.place(clause))
        texts = []
        for item in clause.expressions:
            inner = self.query(item.this, outer, names)
            name = item.alias.lower()
            columns = _renamed(inner.columns, [column.name for column in item.args["alias"].args.get("columns") or []])
            names[name] = columns
            listed = ", ".join(quoted(column.name) for column in columns)
            texts.append(f"{quoted(name)}({listed}) AS ({inner.sql})")
        return ", ".join(texts)

    def _select(self, node: exp.Select, outer: Scope | None, names: Mapping[str, tuple[Output, ...]]) -> Query:
        self.only(node, _SELECT_PARTS)
        scope = Scope(outer=outer)
        expressions = self.expressions(scope, names)
        source = self._from(node, scope, names)
        where = f" WHERE {expressions.condition(node.args['where'].this)}" if node.args.get("where") else ""
        items = self._items(node, expressions)
        scope.aliases = dict(items)
        group = self._group(node, expressions, items)
        having = f" HAVING {expressions.condition(node.args['having'].this)}" if node.args.get("having") else ""
        qualify = f" QUALIFY {expressions.condition(node.args['qualify'].this)}" if node.args.get("qualify") else ""
        listed = ", ".join(f"{_output(value)} AS {quoted(name)}" for name, value in items)
        distinct = self._distinct(node)
        order = self._order(node, expressions, items)
        return Query(
            f"SELECT {distinct}{listed}{source}{where}{group}{having}{qualify}{order}{self._limit(node, expressions)}",
            tuple(Output(name, value.type) for name, value in items),
        )

    def _distinct(self, node: exp.Expression) -> str:
        clause = node.args.get("distinct")
        if clause is not None and clause.args.get("on"):
            raise unsupported("DISTINCT ON", self.place(node))
        return "DISTINCT " if clause else ""

    def _from(self, node: exp.Select, scope: Scope, names: Mapping[str, tuple[Output, ...]]) -> str:
        clause = node.args.get("from_")
        if clause is None:
            return ""
        text, relation = from_item(self, clause.this, scope, names)
        scope.relations.append(relation)
        # In the tree, a table's joins (FROM a JOIN b) are beside the table or below it.
        for join in [*(clause.this.args.get("joins") or []), *(node.args.get("joins") or [])]:
            text += self._join(join, scope, names)
        for lateral in [*(clause.this.args.get("laterals") or []), *(node.args.get("laterals") or [])]:
            inner, relation = from_item(self, lateral, scope, names)
            word = "LEFT JOIN" if lateral.args.get("outer") else "JOIN"
            text += f" {word} LATERAL {inner} ON TRUE"
            scope.relations.append(relation)
        return f" FROM {text}"

    def _join(self, join: exp.Join, scope: Scope, names: Mapping[str, tuple[Output, ...]]) -> str:
        self.only(join, frozenset({"this", "side", "kind", "on", "using"}))
        words = join_words(join, self.place(join))
        text, relation = from_item(self, join.this, scope, names)
        left = Scope(list(scope.relations), scope.outer)
        if any(known.alias == relation.alias for known in scope.relations):
            raise semantic_error(f"table alias {relation.alias} is used twice", self.place(join))
        both = Scope([*scope.relations, relation], scope.outer)
        conditions = []
        using = [name.name.lower() for name in join.args.get("using") or []]
        for name in using:
            left_column, right_column = left.column(None, name, self.place(join)), relation.find(name)
            if right_column is None:
                raise semantic_error(f"column {name} cannot be resolved", self.place(join))
            conditions.append(f"{left_column} = {right_column}")
        if using and join.side:
            raise unsupported("USING with an outer join", self.place(join))
        if join.args.get("on"):
            conditions.append(str(self.expressions(both, names).condition(join.args["on"])))
        condition = " AND ".join(conditions)
        if words in ("SEMI JOIN", "ANTI JOIN"):
            if not condition:
                raise semantic_error(f"{words} needs ON", self.place(join))
        else:
            scope.relations.append(Relation(relation.alias, relation.columns, frozenset(using)))
        if words == "CROSS JOIN" or not condition:
            if condition or words not in ("CROSS JOIN", "JOIN"):
                raise semantic_error(f"{words} {'takes no' if condition else 'needs'} ON", self.place(join))
            return f" CROSS JOIN {text}"
        return f" {words} {text} ON {condition}"

    def _items(self, node: exp.Select, expressions: Expressions) -> list[tuple[str, Value]]:
        items: list[tuple[str, Value]] = []
        for item in node.expressions:
            star = item if isinstance(item, exp.Star) else item.this if isinstance(item, exp.Column) else None
            if isinstance(star, exp.Star):
                items += self._star(item, star, expressions)
            elif isinstance(item, exp.Alias):
                items.append((item.alias.lower(), expressions.value(item.this)))
            else:
                value = expressions.value(item)
                named = isinstance(item, (exp.Column, exp.Dot))
                items.append((item.name.lower() if named else f"_c{len(items)}", value))
        return items

    def _star(self, item: exp.Expression, star: exp.Star, expressions: Expressions) -> list[tuple[str, Value]]:
        self.only(star, frozenset({"except_"}))
        left_out = {column.name.lower() for column in star.args.get("except_") or []}
        table = item.args["table"].name.lower() if item.args.get("table") else None
        relations = [known for known in expressions.scope.relations if table in (None, known.alias)]
        if not relations:
            place = self.place(item)
            raise semantic_error(f"{table}.* cannot be resolved" if table else "* needs a FROM", place)
        return [
            (column.name, relation.value(column))
            for relation in relations
            for column in relation.columns
            if column.name not in left_out and (table or column.name not in relation.hidden)
        ]

    def _group(self, node: exp.Select, expressions: Expressions, items: list[tuple[str, Value]]) -> str:
        clause = node.args.get("group")
        if clause is None:
            return ""
        self.only(clause, _GROUP_PARTS)
        keys = [self._group_key(key, expressions, items) for key in clause.expressions]
        # Hive's syntax: the sets stand behind the keys, and are made of them.
        sets = clause.args.get("grouping_sets") or []
        if sets:
            keys = [self._group_key(key, expressions, items) for key in sets]
        for word in ("rollup", "cube"):
            whole = clause.args.get(word) or []
            if whole and (sets or any(part.expressions for part in whole)):
                raise unsupported(f"this form of {word.upper()}", self.place(clause))
            if whole:
                keys = [f"{word.upper()} ({', '.join(keys)})"]
        return f" GROUP BY {', '.join(keys)}"

    def _group_key(self, node: exp.Expression, expressions: Expressions, items: list[tuple[str, Value]]) -> str:
        """Translate a key of GROUP BY, or a set of keys."""
        word = _GROUP_WORDS.get(type(node))
        if word is not None:
            inner = ", ".join(self._group_key(key, expressions, items) for key in node.expressions)
            return f"{word}({inner})"
        if isinstance(node, exp.Paren):
            return f"({self._group_key(node.this, expressions, items)})"
        return self._key(node, expressions, items)

    def _order(self, node: exp.Expression, expressions: Expressions, items: list[tuple[str, Value]]) -> str:
        clause = node.args.get("order")
        if clause is None:
            return ""
        expressions.scope.aliases_first = True
        texts = [expressions.ordered(item, self._key(item.this, expressions, items)) for item in clause.expressions]
        return f" ORDER BY {', '.join(texts)}"

    def _key(self, node: exp.Expression, expressions: Expressions, items: list[tuple[str, Value]]) -> str:
        """Translate a key of GROUP BY or ORDER BY: the number of an output, or an expression, also a constant."""
        if isinstance(node, exp.Literal) and not node.args.get("is_string") and node.name.isdecimal():
            if not 1 <= int(node.name) <= len(items):
                raise semantic_error(f"there is no column number {node.name}", self.place(node))
            return node.name
        if isinstance(node, exp.Column) and not node.args.get("table") and expressions.scope.aliases_first:
            index = next((number for number, (name, _) in enumerate(items, 1) if name == node.name.lower()), None)
            if index is not None:
                return str(index)
        return str(expressions.value(node))

    def _limit(self, node: exp.Expression, expressions: Expressions) -> str:
        text = ""
        for name in ("limit", "offset"):
            clause = node.args.get(name)
            if clause is not None:
                self.only(clause, frozenset({"expression"}))
                text += f" {name.upper()} {implicit(expressions.value(clause.expression), BIGINT)}"
        return text

    def _set_operation(
        self, node: exp.SetOperation, outer: Scope | None, names: Mapping[str, tuple[Output, ...]]
    ) -> Query:
        self.only(node, _SET_PARTS)
        left, right = self.query(node.this, outer, names), self.query(node.expression, outer, names)
        if len(left.columns) != len(right.columns):
            raise semantic_error(
                f"the sides of {_SET_WORDS[type(node)]} have {len(left.columns)} and {len(right.columns)} columns",
                self.place(node),
            )
        types = [
            common_type([a.type, b.type], self.place(node)) for a, b in zip(left.columns, right.columns, strict=True)
        ]
        columns = tuple(Output(column.name, type_) for column, type_ in zip(left.columns, types, strict=True))
        word = f"{_SET_WORDS[type(node)]}{'' if node.args.get('distinct') else ' ALL'}"
        text = f"{_cast_columns(left, columns)} {word} {_cast_columns(right, columns)}"
        return self._tail(node, Query(text, columns), outer, names)

    def _tail(
        self, node: exp.Expression, query: Query, outer: Scope | None, names: Mapping[str, tuple[Output, ...]]
    ) -> Query:
        """Add ORDER BY and LIMIT to a query that isn't a SELECT."""
        if not any(node.args.get(name) for name in ("order", "limit", "offset")):
            return query
        relation = Relation("_u", query.columns)
        expressions = self.expressions(Scope([relation], outer), names)
        items = [(column.name, relation.value(column)) for column in query.columns]
        order = self._order(node, expressions, items)
        names_listed = ", ".join(quoted(column.name) for column in query.columns)
        limit = self._limit(node, expressions)
        text = f'SELECT * FROM ({query.sql}) AS "_u"({names_listed}){order}{limit}'  # noqa: S608 - translated
        return Query(text, query.columns)


def _cast_columns(query: Query, columns: tuple[Output, ...]) -> str:
    """Return a query's text with its columns cast to the types of other columns."""
    names = [f"c{index}" for index in range(len(columns))]
    casts = ", ".join(
        f"{cast(Value(f'x.{name}', own.type), column.type)} AS {quoted(column.name)}"
        for name, own, column in zip(names, query.columns, columns, strict=True)
    )
    return f"SELECT {casts} FROM ({query.sql}) AS x({', '.join(names)})"  # noqa: S608 - translated


def renamed(query: Query, chosen: Sequence[int], names: Sequence[str]) -> Query:
    """Return a query of some columns of another query, under new names; ``void`` becomes ``string``."""
    types = [query.columns[index].type for index in chosen]
    columns = tuple(Output(name, STRING if type_ == VOID else type_) for name, type_ in zip(names, types, strict=True))
    listed = ", ".join(f"x.c{index} AS {quoted(name)}" for index, name in zip(chosen, names, strict=True))
    inputs = ", ".join(f"c{index}" for index in range(len(query.columns)))
    return Query(f"SELECT {listed} FROM ({query.sql}) AS x({inputs})", columns)  # noqa: S608 - translated


def _output(value: Value) -> str:
    return "CAST(NULL AS VARCHAR)" if value.type == VOID else value.sql


def _renamed(columns: tuple[Output, ...], names: list[str]) -> tuple[Output, ...]:
    if not names:
        return columns
    if len(names) != len(columns):
        raise semantic_error(f"expect {len(columns)} column names, found {len(names)}")
    return tuple(Output(name.lower(), column.type) for name, column in zip(names, columns, strict=True))
