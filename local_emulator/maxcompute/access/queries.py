"""Runs statements of access control. The answer comes at once, or later for an id, as the service may do."""

from __future__ import annotations

import json
import uuid
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from local_emulator.maxcompute.access import answers, statements
from local_emulator.maxcompute.access.grants import role_grantee, user_grantee
from local_emulator.maxcompute.access.members import BUILT_IN_ROLES
from local_emulator.maxcompute.access.names import PROVIDERS
from local_emulator.maxcompute.access.objects import (
    PROJECT,
    TABLE,
    instance_securable,
    project_securable,
    table_securable,
)
from local_emulator.maxcompute.errors import ServiceError, invalid, missing

if TYPE_CHECKING:
    from local_emulator.maxcompute.access.answers import Answer
    from local_emulator.maxcompute.access.grants import Grant
    from local_emulator.maxcompute.access.objects import Securable
    from local_emulator.maxcompute.access.permissions import Access
    from local_emulator.maxcompute.access.statements import Place, Statement
    from local_emulator.maxcompute.authentication import Principal
    from local_emulator.maxcompute.entities import Project, Table
    from local_emulator.maxcompute.instances import Instances
    from local_emulator.maxcompute.store import Store

RUNNING, TERMINATED, FAILED = "RUNNING", "TERMINATED", "FAILED"
REMEMBERED = 1000  # later answers; the oldest are dropped first


@dataclass(slots=True)
class Pending:
    """A later answer: its final status and result, and how many polls get RUNNING before."""

    project: str
    status: str
    result: str
    polls: int


class Queries:
    """Runs statements of access control (see the module).

    ``later``: answer every statement later, as clients must expect of the service. ``running_polls``: how many polls
    get RUNNING first. ``done``: the answer to a statement without a result (None: JSON "OK"), to test that a client
    doesn't depend on this answer.
    """

    def __init__(self, store: Store, access: Access, instances: Instances) -> None:
        self.later = False
        self.running_polls = 1
        self.done: str | None = None
        self._store = store
        self._access = access
        self._instances = instances
        self._pending: OrderedDict[str, Pending] = OrderedDict()

    def submit(self, principal: Principal, project: Project, text: str, *, as_json: bool) -> tuple[str, bool]:
        """Run a statement; return its result and True, or an id for `poll` and False.

        ServiceError if the statement is refused at once.
        """
        statement = statements.parse(text)
        if not self.later and not isinstance(statement, statements.PackageChange):
            return self._result(principal, project, statement, as_json=as_json), True
        try:
            ended = (TERMINATED, self._result(principal, project, statement, as_json=as_json))
        except ServiceError as error:
            ended = (FAILED, error.message)
        query_id = uuid.uuid4().hex
        self._pending[query_id] = Pending(project.name, *ended, self.running_polls)
        while len(self._pending) > REMEMBERED:
            self._pending.popitem(last=False)
        return query_id, False

    def poll(self, project: Project, query_id: str) -> tuple[str, str]:
        """Return the status and result of a later answer; ServiceError NoSuchObject for an unknown id."""
        pending = self._pending.get(query_id)
        if pending is None or pending.project != project.name:
            raise missing(
                "NoSuchObject", f"the authorization query {query_id} does not exist in project {project.name}"
            )
        if pending.polls > 0:
            pending.polls -= 1
            return RUNNING, ""
        return pending.status, pending.result

    def _result(self, principal: Principal, project: Project, statement: Statement, *, as_json: bool) -> str:
        answer = self._run(principal, project, statement)
        if answer is answers.DONE and self.done is not None:
            return self.done
        return json.dumps(answer.value, ensure_ascii=False) if as_json else answer.text

    def _run(self, principal: Principal, project: Project, statement: Statement) -> Answer:
        if isinstance(statement, statements.WhoAmI):
            return answers.whoami(principal.id, principal.name)
        self._access.require_member(principal, project)
        self._access.require_key(principal, project, "see or change grants")
        if isinstance(statement, statements.ShowGrants):
            return self._show_grants(principal, project, statement)
        if isinstance(statement, statements.AclChange):
            return self._change_acl(principal, project, statement)
        self._access.require_administrator(principal, project, "manage users, roles and grants")
        if isinstance(statement, statements.Listing):
            return self._list(project, statement)
        if isinstance(statement, statements.ShowAcl):
            grants = self._access.grants.on(self._find(project, statement.place))
            return answers.acl([(self._holder(project, grant), grant) for grant in grants])
        if isinstance(statement, statements.PackageChange):
            raise missing("NoSuchObject", f"the package {statement.package} does not exist")
        return self._change_members(principal, project, statement)

    def _list(self, project: Project, statement: statements.Listing) -> Answer:
        members = self._access.members
        if statement.what == "users":
            return answers.users((user.id, user.name) for user in members.users(project.name))
        return answers.listed(members.roles(project.name) if statement.what == "roles" else PROVIDERS)

    def _change_members(
        self,
        principal: Principal,
        project: Project,
        statement: statements.UserChange | statements.RoleChange | statements.HolderChange,
    ) -> Answer:
        members = self._access.members
        if isinstance(statement, statements.UserChange):
            change = members.add_user if statement.add else members.remove_user
            change(project.name, statement.user)
        elif isinstance(statement, statements.RoleChange):
            if statement.add:
                members.add_role(project.name, statement.role)
            else:
                members.remove_role(project.name, statement.role)
                self._access.grants.take_all(project.name, role_grantee(statement.role.lower()))
                self._access.policies.write(project.name, "", statement.role.lower())
        else:
            built_in = {role.lower() for role in statement.roles} & set(BUILT_IN_ROLES)
            if built_in:
                what = f"grant or revoke {', '.join(sorted(built_in))}"
                self._access.require_appointer(principal, project, what)
            user = members.user(project.name, statement.user)
            hand = members.give_roles if statement.add else members.take_roles
            hand(project.name, list(statement.roles), user)
        return answers.DONE

    def _change_acl(self, principal: Principal, project: Project, statement: statements.AclChange) -> Answer:
        securable = self._find(project, statement.place)
        if not self._access.may_grant(principal, securable):
            self._access.require_administrator(principal, project, f"grant on {securable.path}")
        members = self._access.members
        grantee = (
            role_grantee(members.role(project.name, statement.grantee))
            if statement.to_role
            else user_grantee(members.user(project.name, statement.grantee).key)
        )
        change = self._access.grants.give if statement.add else self._access.grants.take
        change(grantee, statement.actions, securable)
        return answers.DONE

    def _show_grants(self, principal: Principal, project: Project, statement: statements.ShowGrants) -> Answer:
        members, access = self._access.members, self._access
        own = members.parse(principal.name).key
        name = statement.name or principal.name
        if statement.of_role or members.parse(name).key != own:
            access.require_administrator(principal, project, f"show the grants of {name}")
        if statement.of_role:
            role = members.role(project.name, name)
            holders = [user.name for user in members.holders(project.name, role)]
            grants = {f"role/{role}": access.grants.grants_to(project, role_grantee(role))}
            return answers.role_grants(holders, grants)
        key = own if not statement.name else self._user_key(project, name)
        roles = members.user_roles(project.name, key)
        grants = {f"role/{role}": access.grants.grants_to(project, role_grantee(role)) for role in roles}
        grants[f"user/{name}"] = access.grants.grants_to(project, user_grantee(key))
        return answers.grants(roles, grants, access.tables_created_by(project, key))

    def _user_key(self, project: Project, name: str) -> str:
        """Return the key of a user, or of the owner, who needs no entry as a user."""
        members = self._access.members
        key = members.parse(name).key
        return key if key == members.parse(project.owner).key else members.user(project.name, name).key

    def _holder(self, project: Project, grant: Grant) -> str:
        kind, _, key = grant.grantee.partition(":")
        user = self._access.members.find(project.name, key) if kind == "user" else None
        return f"{kind}/{user.name if user else key}"

    def _find(self, project: Project, place: Place) -> Securable:
        """Return an object of the statement's project; ServiceError NoSuchTable, NoSuchObject or InvalidArgument."""
        if place.kind == PROJECT:
            if place.name.lower() != project.name:
                raise invalid(f"expected the current project, {project.name}, found {place.name}")
            return project_securable(project)
        if place.kind == TABLE:
            return table_securable(self._table(project, place.name))
        instance = self._instances.get(project.name, place.name)
        return instance_securable(project.name, instance.id, instance.owner.name)

    def _table(self, project: Project, name: str) -> Table:
        """Return a table by its name: ``table``, ``project.table`` or ``project.schema.table``."""
        owner, schema = project.name, ""
        match name.split("."):
            case [table]:
                pass
            case [owner, table]:
                pass
            case [owner, schema, table]:
                pass
            case _:
                raise invalid(f"expected the name of a table, found {name}")
        if owner.lower() != project.name:
            raise invalid(f"expected a table of the current project, {project.name}, found {name}")
        return self._store.table(project.name, schema, table)
