"""The members of a FROM: tables, WITH names, subqueries, VALUES and LATERAL VIEW."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from local_emulator.maxcompute.snapshot import physical_name
from local_emulator.maxcompute.sql.errors import Position, semantic_error, unsupported
from local_emulator.maxcompute.sql.scope import Output, Relation
from local_emulator.maxcompute.types import BIGINT, STRING, quoted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from local_emulator.maxcompute.entities import Table
    from local_emulator.maxcompute.sql.query import Translator
    from local_emulator.maxcompute.sql.scope import Scope

_TABLE_PARTS = frozenset({"this", "db", "catalog", "alias", "joins", "laterals"})
_JOINS = {
    ("", ""): "JOIN",
    ("", "INNER"): "JOIN",
    ("", "CROSS"): "CROSS JOIN",
    ("LEFT", ""): "LEFT JOIN",
    ("LEFT", "OUTER"): "LEFT JOIN",
    ("RIGHT", ""): "RIGHT JOIN",
    ("RIGHT", "OUTER"): "RIGHT JOIN",
    ("FULL", ""): "FULL JOIN",
    ("FULL", "OUTER"): "FULL JOIN",
    ("LEFT", "SEMI"): "SEMI JOIN",
    ("LEFT", "ANTI"): "ANTI JOIN",
}


def join_words(join: exp.Join, position: Position | None) -> str:
    """Return DuckDB's words for a kind of join."""
    words = _JOINS.get((join.side.upper(), join.kind.upper()))
    if words is None:
        raise unsupported(f"{join.side} {join.kind} JOIN".strip(), position)
    return words


def from_item(
    translator: Translator, node: exp.Expression, scope: Scope, names: Mapping[str, tuple[Output, ...]]
) -> tuple[str, Relation]:
    """Return a member of FROM as DuckDB's text with its alias, and as a relation."""
    alias_node = node.args.get("alias")
    alias = alias_node.name.lower() if alias_node is not None else ""
    column_names = [column.name.lower() for column in alias_node.args.get("columns") or []] if alias_node else []
    if isinstance(node, exp.Lateral):
        return _lateral(translator, node, (alias, column_names), scope, names)
    if isinstance(node, exp.Table):
        translator.only(node, _TABLE_PARTS)
        text, columns, own_name = _table(translator, node, names, in_order=bool(column_names))
        alias = alias or own_name
    elif isinstance(node, exp.Values):
        inner = translator.values(node, scope.outer, names)
        text, columns = f"({inner.sql})", inner.columns
    elif isinstance(node, exp.Subquery):
        inner = translator.query(_without_alias(node), scope.outer, names)
        text, columns = f"({inner.sql})", inner.columns
    else:
        raise unsupported(f"{type(node).__name__.upper()} in FROM", translator.expressions(scope, names).place(node))
    # In DuckDB a subquery needs an alias.
    alias = alias or f"_t{len(scope.relations)}"
    if isinstance(node, exp.Table) and not column_names:
        return f"{text} AS {quoted(alias)}", Relation(alias, columns)
    if column_names:
        if len(column_names) != len(columns):
            raise semantic_error(f"alias {alias} names {len(column_names)} of {len(columns)} columns")
        columns = tuple(Output(name, column.type) for name, column in zip(column_names, columns, strict=True))
    return f"{text} AS {_alias(alias, columns)}", Relation(alias, columns)


def _without_alias(node: exp.Subquery) -> exp.Expression:
    """Return a parenthesised query without its alias, but with its other parts, such as ORDER BY and LIMIT."""
    bare = node.copy()
    bare.set("alias", None)
    return bare


def _alias(alias: str, columns: Sequence[Output]) -> str:
    return f"{quoted(alias)}({', '.join(quoted(column.name) for column in columns)})"


def _table(
    translator: Translator, node: exp.Table, names: Mapping[str, tuple[Output, ...]], *, in_order: bool
) -> tuple[str, tuple[Output, ...], str]:
    parts = [part.name for part in node.parts]
    if len(parts) == 1 and parts[0].lower() in names:
        name = parts[0].lower()
        return quoted(name), names[name], name
    position = translator.place(node)
    table = translator.table(parts, position)
    if table.view:
        query = translator.view(table, position)
        return f"({query.sql})", query.columns, table.name
    return (
        _rows(table, in_order=in_order),
        tuple(Output(column.name, column.type) for column in table.all_columns),
        table.name,
    )


def _rows(table: Table, *, in_order: bool) -> str:
    """Return the table's name, or a subquery of it if the columns' order matters or a partition column isn't a text."""
    if not in_order and all(column.type == STRING for column in table.partition_columns):
        return physical_name(table)
    outputs = [quoted(column.name) for column in table.columns]
    for column in table.partition_columns:
        name = quoted(column.name)
        outputs.append(f"CAST({name} AS {column.type.duckdb_type()}) AS {name}")
    return f"(SELECT {', '.join(outputs)} FROM {physical_name(table)})"  # noqa: S608 - quoted names


def _lateral(
    translator: Translator,
    node: exp.Lateral,
    alias: tuple[str, list[str]],
    scope: Scope,
    names: Mapping[str, tuple[Output, ...]],
) -> tuple[str, Relation]:
    """LATERAL VIEW explode(...) and posexplode(...): one row for each element."""
    expressions = translator.expressions(scope, names)
    position = expressions.place(node)
    call = node.this
    name = call.name.lower() if isinstance(call, exp.Anonymous) else ""
    if not node.args.get("view") or name not in ("explode", "posexplode") or len(call.expressions) != 1:
        raise unsupported("LATERAL with anything but explode and posexplode", position)
    subject = expressions.value(call.expressions[0])
    if subject.type.name == "array":
        outputs, texts = [subject.type.elements[0]], [f"unnest({subject})"]
    elif subject.type.name == "map":
        outputs = list(subject.type.elements)
        texts = [f"unnest(map_keys({subject}))", f"unnest(map_values({subject}))"]
    else:
        raise semantic_error(f"{name} takes an array or a map, found {subject.type}", position)
    if name == "posexplode":
        if subject.type.name == "map":
            raise unsupported("posexplode of a map", position)
        outputs.insert(0, BIGINT)
        texts.insert(0, f"unnest(range(len({subject})))")
    alias_name, column_names = alias
    if len(column_names) != len(outputs):
        raise semantic_error(f"{name} gives {len(outputs)} columns, its alias names {len(column_names)}", position)
    columns = tuple(Output(column, type_) for column, type_ in zip(column_names, outputs, strict=True))
    return f"(SELECT {', '.join(texts)}) AS {_alias(alias_name, columns)}", Relation(alias_name, columns)
