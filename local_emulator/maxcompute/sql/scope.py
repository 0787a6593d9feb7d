"""What names mean at one place of a query: the columns of FROM, the select list's aliases, the queries around it."""

from __future__ import annotations

from dataclasses import dataclass, field

from local_emulator.maxcompute.sql.errors import Position, semantic_error
from local_emulator.maxcompute.sql.values import Value
from local_emulator.maxcompute.types import DataType, quoted


@dataclass(frozen=True, slots=True)
class Output:
    """A column that a query or a table offers."""

    name: str
    type: DataType


@dataclass(frozen=True, slots=True)
class Relation:
    """One member of a FROM; ``hidden`` columns are left out of ``*`` (the second one of a USING)."""

    alias: str
    columns: tuple[Output, ...]
    hidden: frozenset[str] = frozenset()

    def find(self, name: str) -> Value | None:
        """A column of it."""
        return next((self.value(column) for column in self.columns if column.name == name), None)

    def value(self, column: Output) -> Value:
        """A column as an expression."""
        return Value(f"{quoted(self.alias)}.{quoted(column.name)}", column.type)


@dataclass(slots=True)
class Scope:
    """Looks names up: columns first (where ``aliases_first``, aliases), then the query around."""

    relations: list[Relation] = field(default_factory=list)
    outer: Scope | None = None
    aliases: dict[str, Value] = field(default_factory=dict)
    aliases_first: bool = False

    def column(self, table: str | None, name: str, position: Position | None) -> Value:
        """What a name stands for; SqlError if for nothing or for several things."""
        found = self._find(table, name, position)
        if found is None:
            full = f"{table}.{name}" if table else name
            raise semantic_error(f"column {full} cannot be resolved", position)
        return found

    def has_table(self, alias: str) -> bool:
        """Whether something in FROM is called so, here or around."""
        here = any(relation.alias == alias for relation in self.relations)
        return here or (self.outer is not None and self.outer.has_table(alias))

    def _find(self, table: str | None, name: str, position: Position | None) -> Value | None:
        if table is None and self.aliases_first and name in self.aliases:
            return self.aliases[name]
        found = [
            value
            for relation in self.relations
            if (table is None and name not in relation.hidden) or relation.alias == table
            if (value := relation.find(name)) is not None
        ]
        if len(found) > 1:
            raise semantic_error(f"column reference {name} is ambiguous", position)
        if found:
            return found[0]
        if table is None and name in self.aliases:
            return self.aliases[name]
        return self.outer._find(table, name, position) if self.outer else None  # noqa: SLF001 - same class
