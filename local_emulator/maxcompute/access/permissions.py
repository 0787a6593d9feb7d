"""The check whether someone may do something, which REST, SQL and Tunnel ask, and the grants that it rests on."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, TypeAlias

from local_emulator.maxcompute.access.members import BUILT_IN_ROLES, SUPER_ADMINISTRATOR, Members
from local_emulator.maxcompute.access.objects import (
    ALL,
    INSTANCE,
    PROJECT,
    Securable,
    of_instance,
    of_project,
    of_table,
)
from local_emulator.maxcompute.access.relation import Relation
from local_emulator.maxcompute.catalog import Project, Table
from local_emulator.maxcompute.errors import ServiceError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from local_emulator.maxcompute.access.names import Account
    from local_emulator.maxcompute.security import Principal
    from local_emulator.maxcompute.store import Store

Target: TypeAlias = Project | Table | Securable


class AccessDeniedError(ServiceError):
    """403 NoPermission; ``detail`` is what SQL says after its own code, ODPS-0130013."""

    def __init__(self, detail: str) -> None:
        super().__init__(HTTPStatus.FORBIDDEN, "NoPermission", f"ODPS-0420095:Access Denied - {detail}")
        self.detail = detail


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


class Access:
    """Users, roles and grants of all projects."""

    def __init__(self, store: Store, account: Account) -> None:
        self._store = store
        self.members = Members(store.database, account)
        self._grants = Relation(store.database, "grants", ["project", "grantee", "kind", "object", "action"])

    # The check

    def require(self, principal: Principal, action: str, target: Target) -> None:
        """Let pass who may do this; AccessDeniedError (403 NoPermission) for anyone else.

        Args:
            principal: who asks.
            action: one of `objects.ACTIONS` for the kind of the target.
            target: the project, table or instance that it is done with.
        """
        securable = _securable(target)
        if not self._may(principal, action, securable):
            raise self._denied(
                principal,
                securable,
                f"Authorization Failed [4019], You have NO privilege 'odps:{action}' on {{{securable.resource}}}",
            )

    def require_member(self, principal: Principal, project: Project) -> None:
        """Let pass the owner and the users of a project; AccessDeniedError for anyone else."""
        if not self.admits(principal, project):
            detail = f"Authorization Failed [4002], You don't exist in project {project.name}"
            raise self._denied(principal, of_project(project), detail)

    def admits(self, principal: Principal, project: Project) -> bool:
        """Whether someone is the owner or a user of a project."""
        key = self._key(principal)
        return self._owns(key, project) or self.members.find(project.name, key) is not None

    def require_administrator(self, principal: Principal, project: Project, what: str) -> None:
        """Let pass who may manage the project's users and grants; ``what`` is for the message of AccessDeniedError."""
        self.require_member(principal, project)
        if not self.administers(principal, project):
            detail = (
                f"Authorization Failed [4019], You have NO privilege to {what} on {{{of_project(project).resource}}}"
            )
            raise self._denied(principal, of_project(project), detail)

    def administers(self, principal: Principal, project: Project) -> bool:
        """Whether someone is the owner, or has one of the roles that manage a project."""
        key = self._key(principal)
        roles = set(self.members.roles_of(project.name, key))
        return self._owns(key, project) or not roles.isdisjoint(BUILT_IN_ROLES)

    def appoints(self, principal: Principal, project: Project) -> bool:
        """Whether someone may give the built-in roles, which an admin may not."""
        key = self._key(principal)
        return self._owns(key, project) or SUPER_ADMINISTRATOR in self.members.roles_of(project.name, key)

    def made(self, principal: Principal, securable: Securable) -> bool:
        """Whether someone is an object's maker, who may grant it to others."""
        return self._key(principal) == self._owner_key(securable.owner)

    # Grants

    def grant(self, grantee: str, actions: Iterable[str], target: Target) -> None:
        """Allow actions on an object; those that are allowed already stay so."""
        self._grants.change(add=_rows(grantee, actions, _securable(target)))

    def revoke(self, grantee: str, actions: Iterable[str], target: Target) -> None:
        """Take actions back: with All every one, else exactly these."""
        securable = _securable(target)
        actions = tuple(actions)
        taken = self._rows_of(grantee, securable) if ALL in actions else _rows(grantee, actions, securable)
        self._grants.change(remove=taken)

    def revoke_all(self, project: Project, grantee: str) -> None:
        """Take back whatever a user or role was granted in a project."""
        self._grants.change(remove=[row for row in self._grants if row[:2] == (project.name, grantee)])

    def grants_of(self, project: Project, grantee: str) -> list[Grant]:
        """What a user or role was granted itself, on objects that are still there."""
        kinds = {(kind, key) for owner, who, kind, key, _ in self._grants if (owner, who) == (project.name, grantee)}
        found = (self._find(project, kind, key) for kind, key in sorted(kinds))
        return [self._grant(grantee, securable) for securable in found if securable is not None]

    def grants_on(self, target: Target) -> list[Grant]:
        """Who was granted what on an object."""
        securable = _securable(target)
        place = (securable.project, securable.kind, securable.id)
        grantees = {who for owner, who, kind, key, _ in self._grants if (owner, kind, key) == place}
        return [self._grant(grantee, securable) for grantee in sorted(grantees)]

    def made_by(self, project: Project, key: str) -> list[Securable]:
        """The tables that someone made, on which everything is allowed without a grant."""
        tables = map(of_table, self._store.tables(project.name))
        return [table for table in tables if self._owner_key(table.owner) == key]

    # Inside

    def _may(self, principal: Principal, action: str, securable: Securable) -> bool:
        project = self._store.project(securable.project)
        self.require_member(principal, project)
        if self.administers(principal, project) or (securable.kind != PROJECT and self.made(principal, securable)):
            return True
        key = self._key(principal)
        grantees = [user_grantee(key), *map(role_grantee, self.members.roles_of(project.name, key))]
        rows = (_rows(grantee, (action, ALL), securable) for grantee in grantees)
        return any(row in self._grants for pair in rows for row in pair)

    def _denied(self, principal: Principal, securable: Securable, detail: str) -> AccessDeniedError:
        # The service's own sentence, spelling included.
        tips = f"CurrentProject:{securable.project}; Pricipal:{principal.name}"
        return AccessDeniedError(f"{detail}. Context ID:{uuid.uuid4()}.\t--->Tips: {tips}")

    def _key(self, principal: Principal) -> str:
        return self.members.parse(principal.name).key

    def _owner_key(self, owner: str) -> str:
        return self.members.parse(owner).key

    def _owns(self, key: str, project: Project) -> bool:
        return key == self._owner_key(project.owner)

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
        return [row for row in self._grants if row[:-1] == place]


def _securable(target: Target) -> Securable:
    if isinstance(target, Project):
        return of_project(target)
    return of_table(target) if isinstance(target, Table) else target


def _rows(grantee: str, actions: Iterable[str], securable: Securable) -> list[tuple[str, ...]]:
    return [(securable.project, grantee, securable.kind, securable.id, action) for action in actions]
