"""The check whether someone may do something, which REST, SQL and Tunnel ask."""

from __future__ import annotations

import uuid
from http import HTTPStatus
from typing import TYPE_CHECKING, TypeAlias

from local_emulator.maxcompute.access.configuration import (
    MAKERS_ACCESS,
    MAKERS_GRANT,
    USES_ACL,
    USES_POLICY,
    Configurations,
)
from local_emulator.maxcompute.access.grants import Grants, role_grantee, user_grantee
from local_emulator.maxcompute.access.members import BUILT_IN_ROLES, SUPER_ADMINISTRATOR, Members
from local_emulator.maxcompute.access.objects import PROJECT, Securable, of_project, of_table
from local_emulator.maxcompute.access.policies import Policies, judge
from local_emulator.maxcompute.entities import Project, Table
from local_emulator.maxcompute.errors import ServiceError

if TYPE_CHECKING:
    from local_emulator.maxcompute.access.names import Account
    from local_emulator.maxcompute.authentication import Principal
    from local_emulator.maxcompute.store import Store

Target: TypeAlias = Project | Table | Securable

# The service's numbers: not a user, not allowed, denied by a policy.
_NO_USER, _NOT_ALLOWED, _DENIED = 4002, 4019, 4011


class AccessDeniedError(ServiceError):
    """403 NoPermission; ``detail`` is what SQL says after its own code, ODPS-0130013."""

    def __init__(self, detail: str) -> None:
        super().__init__(HTTPStatus.FORBIDDEN, "NoPermission", f"ODPS-0420095:Access Denied - {detail}")
        self.detail = detail


class Access:
    """Who may do what in all projects: their owners everything, others what members, grants and policies say."""

    def __init__(self, store: Store, account: Account) -> None:
        self._store = store
        self.members = Members(store.database, account)
        self.grants = Grants(store)
        self.policies = Policies(store.database, account)
        self.configurations = Configurations(store.database)

    def require(self, principal: Principal, action: str, target: Target) -> None:
        """Let pass who may do this; AccessDeniedError (403 NoPermission) for anyone else.

        Args:
            principal: who asks.
            action: one of `objects.ACTIONS` for the kind of the target.
            target: the project, table or instance that it is done with.
        """
        securable = _securable(target)
        project = self._store.project(securable.project)
        self.require_member(principal, project)
        self.require_token(principal, action, securable)
        key = self._key(principal)
        if self._owns(key, project):
            return
        roles = self.members.roles_of(project.name, key)
        denial = _no_action(action, securable)
        verdict = None
        if self.configurations.is_on(project.name, USES_POLICY):
            verdict = self.policies.verdict(securable, action, key, roles)
        if verdict is False:
            raise _denied(principal, project, _DENIED, f"{denial}. Explicitly denied by policy")
        if verdict is None and not self._allows(key, roles, action, securable):
            raise _denied(principal, project, _NOT_ALLOWED, denial)

    def require_token(self, principal: Principal, action: str, target: Target) -> None:
        """Let pass who needs no bearer token for who it is, or has one for this; AccessDeniedError for anyone else."""
        securable = _securable(target)
        if not self._within(principal, action, securable):
            sentence = f"{_no_action(action, securable)} by the policy of the bearer token"
            raise _denied(principal, self._store.project(securable.project), _NOT_ALLOWED, sentence)

    def require_key(self, principal: Principal, project: Project, what: str) -> None:
        """Let pass who came without a bearer token: none is good for managing access, or for making another one."""
        if principal.limits is not None:
            raise _denied(principal, project, _NOT_ALLOWED, f"{_no_privilege(what, project)} with a bearer token")

    def require_member(self, principal: Principal, project: Project) -> None:
        """Let pass the owner and the users of a project; AccessDeniedError for anyone else."""
        if not self.admits(principal, project):
            raise _denied(principal, project, _NO_USER, f"You don't exist in project {project.name}")

    def require_administrator(self, principal: Principal, project: Project, what: str) -> None:
        """Let pass who may manage users and grants; ``what`` is for the message of AccessDeniedError."""
        self.require_member(principal, project)
        self.require_key(principal, project, what)
        key = self._key(principal)
        if not self._owns(key, project) and not self._has_role(key, project, BUILT_IN_ROLES):
            raise _denied(principal, project, _NOT_ALLOWED, _no_privilege(what, project))

    def require_appointer(self, principal: Principal, project: Project, what: str) -> None:
        """Let pass who may do what an admin may not: give the built-in roles, change the security settings."""
        self.require_member(principal, project)
        self.require_key(principal, project, what)
        key = self._key(principal)
        if not self._owns(key, project) and not self._has_role(key, project, (SUPER_ADMINISTRATOR,)):
            raise _denied(principal, project, _NOT_ALLOWED, _no_privilege(what, project))

    def admits(self, principal: Principal, project: Project) -> bool:
        """Whether someone is the owner or a user of a project."""
        key = self._key(principal)
        return self._owns(key, project) or self.members.find(project.name, key) is not None

    def shows(self, principal: Principal, project: Project) -> bool:
        """Whether someone may read a project."""
        return self.admits(principal, project) and self._within(principal, "Read", of_project(project))

    def may_grant(self, principal: Principal, securable: Securable) -> bool:
        """Whether someone may give others actions on an object for having made it."""
        makers_grant = self.configurations.is_on(securable.project, MAKERS_GRANT)
        return makers_grant and self._made(self._key(principal), securable)

    def made_by(self, project: Project, key: str) -> list[Securable]:
        """The tables that someone made."""
        return [table for table in map(of_table, self._store.tables(project.name)) if self._made(key, table)]

    def _allows(self, key: str, roles: list[str], action: str, securable: Securable) -> bool:
        """Whether a role, having made it, or a grant allows someone an action."""
        if not set(roles).isdisjoint(BUILT_IN_ROLES):
            return True
        project = securable.project
        if self.configurations.is_on(project, MAKERS_ACCESS) and self._made(key, securable):
            return True
        grantees = [user_grantee(key), *map(role_grantee, roles)]
        return self.configurations.is_on(project, USES_ACL) and any(
            self.grants.allow(grantee, action, securable) for grantee in grantees
        )

    def _within(self, principal: Principal, action: str, securable: Securable) -> bool:
        """Whether the bearer token with which someone came, if any, is good for that."""
        return principal.limits is None or bool(judge(principal.limits, securable, action, self._key(principal)))

    def _key(self, principal: Principal) -> str:
        return self.members.parse(principal.name).key

    def _made(self, key: str, securable: Securable) -> bool:
        return securable.kind != PROJECT and key == self.members.parse(securable.owner).key

    def _owns(self, key: str, project: Project) -> bool:
        return key == self.members.parse(project.owner).key

    def _has_role(self, key: str, project: Project, wanted: tuple[str, ...]) -> bool:
        return not set(self.members.roles_of(project.name, key)).isdisjoint(wanted)


def _securable(target: Target) -> Securable:
    if isinstance(target, Project):
        return of_project(target)
    return of_table(target) if isinstance(target, Table) else target


def _no_action(action: str, securable: Securable) -> str:
    return f"You have NO privilege 'odps:{action}' on {{{securable.resource}}}"


def _no_privilege(what: str, project: Project) -> str:
    return f"You have NO privilege to {what} on {{{of_project(project).resource}}}"


def _denied(principal: Principal, project: Project, number: int, sentence: str) -> AccessDeniedError:
    # The service's own layout, spelling included.
    tips = f"CurrentProject:{project.name}; Pricipal:{principal.name}"
    context = uuid.uuid4()
    return AccessDeniedError(f"Authorization Failed [{number}], {sentence}. Context ID:{context}.\t--->Tips: {tips}")
