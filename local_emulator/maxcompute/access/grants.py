"""Grants of actions on objects to users and roles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from local_emulator.maxcompute.access.objects import (
    ALL,
    INSTANCE,
    PROJECT,
    instance_securable,
    project_securable,
    table_securable,
)
from local_emulator.maxcompute.access.relation import StoredRelation

if TYPE_CHECKING:
    from collections.abc import Iterable

    from local_emulator.maxcompute.access.objects import Securable
    from local_emulator.maxcompute.entities import Project
    from local_emulator.maxcompute.store import Store


@dataclass(frozen=True, slots=True)
class Grant:
    """Actions on an object, granted to a user (``user:<key>``) or role (``role:<name>``)."""

    grantee: str
    securable: Securable
    actions: tuple[str, ...]


def user_grantee(key: str) -> str:
    """Return a user's name in grants."""
    return f"user:{key}"


def role_grantee(role: str) -> str:
    """Return a role's name in grants."""
    return f"role:{role}"


class Grants:
    """The grants of all projects. Grants on a dropped object have no effect, since its id is never used again."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._rows = StoredRelation(store.database, "grants", ["project", "grantee", "kind", "object", "action"])

    def give(self, grantee: str, actions: Iterable[str], securable: Securable) -> None:
        """Grant actions on an object; actions granted before stay granted."""
        self._rows.change(add=_rows(grantee, actions, securable))

    def take(self, grantee: str, actions: Iterable[str], securable: Securable) -> None:
        """Revoke exactly these actions on an object, or with All every action."""
        actions = tuple(actions)
        taken = self._rows_of(grantee, securable) if ALL in actions else _rows(grantee, actions, securable)
        self._rows.change(remove=taken)

    def take_all(self, project: str, grantee: str) -> None:
        """Revoke all grants of a user or role in a project."""
        self._rows.change(remove=[row for row in self._rows if row[:2] == (project, grantee)])

    def allow(self, grantee: str, action: str, securable: Securable) -> bool:
        """Return whether a user or role has a grant of the action or of All, without regard to a user's roles."""
        return any(row in self._rows for row in _rows(grantee, (action, ALL), securable))

    def grants_to(self, project: Project, grantee: str) -> list[Grant]:
        """Return the grants of a user or role on existing objects, without those of a user's roles."""
        kinds = {(kind, key) for owner, who, kind, key, _ in self._rows if (owner, who) == (project.name, grantee)}
        securables = (self._find(project, kind, key) for kind, key in sorted(kinds))
        return [self._grant(grantee, securable) for securable in securables if securable is not None]

    def on(self, securable: Securable) -> list[Grant]:
        """Return the grants on an object."""
        place = (securable.project, securable.kind, securable.id)
        grantees = {who for owner, who, kind, key, _ in self._rows if (owner, kind, key) == place}
        return [self._grant(grantee, securable) for grantee in sorted(grantees)]

    def _find(self, project: Project, kind: str, key: str) -> Securable | None:
        if kind == PROJECT:
            return project_securable(project)
        if kind == INSTANCE:
            return instance_securable(project.name, key, project.owner)
        table = self._store.table_by_id(key)
        return None if table is None else table_securable(table)

    def _grant(self, grantee: str, securable: Securable) -> Grant:
        return Grant(grantee, securable, tuple(row[-1] for row in self._rows_of(grantee, securable)))

    def _rows_of(self, grantee: str, securable: Securable) -> list[tuple[str, ...]]:
        place = (securable.project, grantee, securable.kind, securable.id)
        return [row for row in self._rows if row[:-1] == place]


def _rows(grantee: str, actions: Iterable[str], securable: Securable) -> list[tuple[str, ...]]:
    return [(securable.project, grantee, securable.kind, securable.id, action) for action in actions]
