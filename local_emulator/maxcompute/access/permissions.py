"""The check of permissions, for REST, SQL and Tunnel."""

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
from local_emulator.maxcompute.access.objects import PROJECT, Securable, project_securable, table_securable
from local_emulator.maxcompute.access.policies import Policies, judge
from local_emulator.maxcompute.entities import Project, Table
from local_emulator.maxcompute.errors import ServiceError

if TYPE_CHECKING:
    from local_emulator.maxcompute.access.names import Account
    from local_emulator.maxcompute.authentication import Principal
    from local_emulator.maxcompute.store import Store

Target: TypeAlias = Project | Table | Securable

# The service's reason numbers: not a user, not allowed, denied by a policy.
_NO_USER, _NOT_ALLOWED, _DENIED = 4002, 4019, 4011


class AccessDeniedError(ServiceError):
    """403 NoPermission; ``detail`` is the text behind SQL's own code, ODPS-0130013."""

    def __init__(self, detail: str) -> None:
        super().__init__(HTTPStatus.FORBIDDEN, "NoPermission", f"ODPS-0420095:Access Denied - {detail}")
        self.detail = detail


class Access:
    """The permissions in all projects: of the owner all, of others by their roles, grants and policies."""

    def __init__(self, store: Store, account: Account) -> None:
        self._store = store
        self.members = Members(store.database, account)
        self.grants = Grants(store)
        self.policies = Policies(store.database, account)
        self.configurations = Configurations(store.database)

    def require(self, principal: Principal, action: str, target: Target) -> None:
        """Raise AccessDeniedError (403 NoPermission) unless an identity may do an action on a target.

        Args:
            principal: the identity.
            action: one of `objects.ACTIONS` for the kind of the target.
            target: a project, table or instance.
        """
        securable = _securable(target)
        project = self._store.project(securable.project)
        self.require_member(principal, project)
        self.require_token(principal, action, securable)
        key = self._key(principal)
        if self._owns(key, project):
            return
        roles = self.members.user_roles(project.name, key)
        denial = _no_action(action, securable)
        verdict = None
        if self.configurations.is_on(project.name, USES_POLICY):
            verdict = self.policies.verdict(securable, action, key, roles)
        if verdict is False:
            raise _denied(principal, project, _DENIED, f"{denial}. Explicitly denied by policy")
        if verdict is None and not self._allows(key, roles, action, securable):
            raise _denied(principal, project, _NOT_ALLOWED, denial)

    def require_token(self, principal: Principal, action: str, target: Target) -> None:
        """Raise AccessDeniedError if the request has a bearer token that doesn't allow the action on the target."""
        securable = _securable(target)
        if not self._within(principal, action, securable):
            sentence = f"{_no_action(action, securable)} by the policy of the bearer token"
            raise _denied(principal, self._store.project(securable.project), _NOT_ALLOWED, sentence)

    def require_key(self, principal: Principal, project: Project, what: str) -> None:
        """Raise AccessDeniedError if the request has a bearer token, which can't manage access or sign a new token."""
        if principal.limits is not None:
            raise _denied(principal, project, _NOT_ALLOWED, f"{_no_privilege(what, project)} with a bearer token")

    def require_member(self, principal: Principal, project: Project) -> None:
        """Raise AccessDeniedError unless the identity is the owner or a user of a project."""
        if not self.admits(principal, project):
            raise _denied(principal, project, _NO_USER, f"You don't exist in project {project.name}")

    def require_administrator(self, principal: Principal, project: Project, what: str) -> None:
        """Raise AccessDeniedError unless the identity may manage users and grants; ``what`` is for the message."""
        self.require_member(principal, project)
        self.require_key(principal, project, what)
        key = self._key(principal)
        if not self._owns(key, project) and not self._has_role(key, project, BUILT_IN_ROLES):
            raise _denied(principal, project, _NOT_ALLOWED, _no_privilege(what, project))

    def require_appointer(self, principal: Principal, project: Project, what: str) -> None:
        """Raise AccessDeniedError unless the identity may do more than an admin.

        Only the owner and super administrators may grant the built-in roles and change the security settings.
        """
        self.require_member(principal, project)
        self.require_key(principal, project, what)
        key = self._key(principal)
        if not self._owns(key, project) and not self._has_role(key, project, (SUPER_ADMINISTRATOR,)):
            raise _denied(principal, project, _NOT_ALLOWED, _no_privilege(what, project))

    def admits(self, principal: Principal, project: Project) -> bool:
        """Return whether an identity is the owner or a user of a project."""
        key = self._key(principal)
        return self._owns(key, project) or self.members.find(project.name, key) is not None

    def shows(self, principal: Principal, project: Project) -> bool:
        """Return whether an identity may read a project."""
        return self.admits(principal, project) and self._within(principal, "Read", project_securable(project))

    def may_grant(self, principal: Principal, securable: Securable) -> bool:
        """Return whether an identity may grant actions on an object because it created the object."""
        makers_grant = self.configurations.is_on(securable.project, MAKERS_GRANT)
        return makers_grant and self._created(self._key(principal), securable)

    def tables_created_by(self, project: Project, key: str) -> list[Securable]:
        """Return the tables that an identity created."""
        return [table for table in map(table_securable, self._store.tables(project.name)) if self._created(key, table)]

    def _allows(self, key: str, roles: list[str], action: str, securable: Securable) -> bool:
        """Return whether a role, a grant or the object's creation allows an action."""
        if not set(roles).isdisjoint(BUILT_IN_ROLES):
            return True
        project = securable.project
        if self.configurations.is_on(project, MAKERS_ACCESS) and self._created(key, securable):
            return True
        grantees = [user_grantee(key), *map(role_grantee, roles)]
        return self.configurations.is_on(project, USES_ACL) and any(
            self.grants.allow(grantee, action, securable) for grantee in grantees
        )

    def _within(self, principal: Principal, action: str, securable: Securable) -> bool:
        """Return whether the request's bearer token, if any, allows an action."""
        return principal.limits is None or bool(judge(principal.limits, securable, action, self._key(principal)))

    def _key(self, principal: Principal) -> str:
        return self.members.parse(principal.name).key

    def _created(self, key: str, securable: Securable) -> bool:
        return securable.kind != PROJECT and key == self.members.parse(securable.owner).key

    def _owns(self, key: str, project: Project) -> bool:
        return key == self.members.parse(project.owner).key

    def _has_role(self, key: str, project: Project, wanted: tuple[str, ...]) -> bool:
        return not set(self.members.user_roles(project.name, key)).isdisjoint(wanted)


def _securable(target: Target) -> Securable:
    if isinstance(target, Project):
        return project_securable(target)
    return table_securable(target) if isinstance(target, Table) else target


def _no_action(action: str, securable: Securable) -> str:
    return f"You have NO privilege 'odps:{action}' on {{{securable.resource}}}"


def _no_privilege(what: str, project: Project) -> str:
    return f"You have NO privilege to {what} on {{{project_securable(project).resource}}}"


def _denied(principal: Principal, project: Project, number: int, sentence: str) -> AccessDeniedError:
    # The service's layout, including its spelling.
    tips = f"CurrentProject:{project.name}; Pricipal:{principal.name}"
    context = uuid.uuid4()
    return AccessDeniedError(f"Authorization Failed [{number}], {sentence}. Context ID:{context}.\t--->Tips: {tips}")
