"""Grants: which actions users and roles were given on which objects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from local_emulator.maxcompute.access.objects import ALL, INSTANCE, PROJECT, of_instance, of_project, of_table
from local_emulator.maxcompute.access.relation import StoredRelation

if TYPE_CHECKING:
    from collections.abc import Iterable

    from local_emulator.maxcompute.access.objects import Securable
    from local_emulator.maxcompute.entities import Project
    from local_emulator.maxcompute.store import Store


@dataclass(frozen=True, slots=True)
class Grant:
    """Actions that a user (``user:<key>``) or role (``role:<name>``) may do with one object."""

    grantee: str
    securable: Securable
    actions: tuple[str, ...]


def user_grantee(key: str) -> str:
    """How grants name a user."""
    return f"user:{key}"


def role_grantee(role: str) -> str:
    """How grants name a role."""
    return f"role:{role}"


class Grants:
    """All grants of all projects; those on an object that is gone count for nothing, for its id never comes back."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._rows = StoredRelation(store.database, "grants", ["project", "grantee", "kind", "object", "action"])

    def give(self, grantee: str, actions: Iterable[str], securable: Securable) -> None:
        """Allow actions on an object; those that are allowed already stay so."""
        self._rows.change(add=_rows(grantee, actions, securable))

    def take(self, grantee: str, actions: Iterable[str], securable: Securable) -> None:
        """Take actions back: with All every one, else exactly these."""
        actions = tuple(actions)
        taken = self._rows_of(grantee, securable) if ALL in actions else _rows(grantee, actions, securable)
        self._rows.change(remove=taken)

    def take_all(self, project: str, grantee: str) -> None:
        """Take back whatever a user or role was granted in a project."""
        self._rows.change(remove=[row for row in self._rows if row[:2] == (project, grantee)])

    def allow(self, grantee: str, action: str, securable: Securable) -> bool:
        """Whether a user or role was granted that, or All, itself."""
        return any(row in self._rows for row in _rows(grantee, (action, ALL), securable))

    def held_by(self, project: Project, grantee: str) -> list[Grant]:
        """What a user or role was granted itself, on objects that are still there."""
        kinds = {(kind, key) for owner, who, kind, key, _ in self._rows if (owner, who) == (project.name, grantee)}
        found = (self._find(project, kind, key) for kind, key in sorted(kinds))
        return [self._grant(grantee, securable) for securable in found if securable is not None]

    def on(self, securable: Securable) -> list[Grant]:
        """Who was granted what on an object."""
        place = (securable.project, securable.kind, securable.id)
        grantees = {who for owner, who, kind, key, _ in self._rows if (owner, kind, key) == place}
        return [self._grant(grantee, securable) for grantee in sorted(grantees)]

    def _find(self, project: Project, kind: str, key: str) -> Securable | None:
        if kind == PROJECT:
            return of_project(project)
        if kind == INSTANCE:
            return of_instance(project.name, key, project.owner)
        table = self._store.table_by_id(key)
        return None if table is None else of_table(table)

    def _grant(self, grantee: str, securable: Securable) -> Grant:
        return Grant(grantee, securable, tuple(row[-1] for row in self._rows_of(grantee, securable)))

    def _rows_of(self, grantee: str, securable: Securable) -> list[tuple[str, ...]]:
        place = (securable.project, grantee, securable.kind, securable.id)
        return [row for row in self._rows if row[:-1] == place]


def _rows(grantee: str, actions: Iterable[str], securable: Securable) -> list[tuple[str, ...]]:
    return [(securable.project, grantee, securable.kind, securable.id, action) for action in actions]
