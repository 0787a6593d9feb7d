"""The meaning of names in a query: the columns of FROM, the select list's aliases, the enclosing queries."""

from __future__ import annotations

from dataclasses import dataclass, field

from local_emulator.maxcompute.sql.errors import Position, semantic_error
from local_emulator.maxcompute.sql.values import Value
from local_emulator.maxcompute.types import DataType, quoted


@dataclass(frozen=True, slots=True)
class Output:
    """A column of a query's result or of a table."""

    name: str
    type: DataType


@dataclass(frozen=True, slots=True)
class Relation:
    """One member of a FROM; ``*`` skips the ``hidden`` columns (a USING hides the second of its two columns)."""

    alias: str
    columns: tuple[Output, ...]
    hidden: frozenset[str] = frozenset()

    def find(self, name: str) -> Value | None:
        """Return a column as an expression, or None."""
        return next((self.value(column) for column in self.columns if column.name == name), None)

    def value(self, column: Output) -> Value:
        """Return a column as an expression."""
        return Value(f"{quoted(self.alias)}.{quoted(column.name)}", column.type)


@dataclass(slots=True)
class Scope:
    """Resolves names: first columns (with ``aliases_first``, first aliases), then the enclosing query's names."""

    relations: list[Relation] = field(default_factory=list)
    outer: Scope | None = None
    aliases: dict[str, Value] = field(default_factory=dict)
    aliases_first: bool = False

    def column(self, table: str | None, name: str, position: Position | None) -> Value:
        """Return the expression that a name stands for; SqlError for an unknown or ambiguous name."""
        value = self._find(table, name, position)
        if value is None:
            full = f"{table}.{name}" if table else name
            raise semantic_error(f"column {full} cannot be resolved", position)
        return value

    def has_table(self, alias: str) -> bool:
        """Return whether a member of FROM, here or in an enclosing query, has this alias."""
        here = any(relation.alias == alias for relation in self.relations)
        return here or (self.outer is not None and self.outer.has_table(alias))

    def _find(self, table: str | None, name: str, position: Position | None) -> Value | None:
        if table is None and self.aliases_first and name in self.aliases:
            return self.aliases[name]
        candidates = [
            value
            for relation in self.relations
            if (table is None and name not in relation.hidden) or relation.alias == table
            if (value := relation.find(name)) is not None
        ]
        if len(candidates) > 1:
            raise semantic_error(f"column reference {name} is ambiguous", position)
        if candidates:
            return candidates[0]
        if table is None and name in self.aliases:
            return self.aliases[name]
        return self.outer._find(table, name, position) if self.outer else None  # noqa: SLF001 - same class
