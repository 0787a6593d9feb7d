"""Users and roles of projects. A role belongs to a project; a RAM role counts as a user."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from local_emulator.maxcompute.access.names import Account, PrincipalName, parse_name
from local_emulator.maxcompute.access.relation import StoredRelation
from local_emulator.maxcompute.errors import ServiceError, missing

if TYPE_CHECKING:
    from collections.abc import Callable

    from local_emulator.maxcompute.database import Database

ADMIN, SUPER_ADMINISTRATOR = "admin", "super_administrator"
# The roles of every project, which may do everything with its objects, and manage its users and grants.
BUILT_IN_ROLES = (ADMIN, SUPER_ADMINISTRATOR)


@dataclass(frozen=True, slots=True)
class ProjectUser:
    """A user of a project; ``name`` as written in the statement that added the user."""

    id: str
    name: str
    key: str


class Members:
    """The users and roles of all projects; project names are in lower case, as in the catalog.

    `exists` returns whether a RAM user or RAM role exists; without a RAM service, the emulator accepts every name.
    """

    def __init__(self, database: Database, account: Account) -> None:
        self.account = account
        self.exists: Callable[[PrincipalName], bool] = lambda _: True
        self._users = StoredRelation(database, "users", ["project", "key", "name"])
        self._roles = StoredRelation(database, "roles", ["project", "role"])
        self._holders = StoredRelation(database, "role_holders", ["project", "role", "user_key"])

    def parse(self, name: str) -> PrincipalName:
        """Return the parts of a name; see `parse_name`."""
        return parse_name(name, self.account)

    # Users

    def users(self, project: str) -> list[ProjectUser]:
        """Return a project's users, sorted."""
        return [ProjectUser(self.parse(name).id, name, key) for owner, key, name in self._users if owner == project]

    def find(self, project: str, key: str) -> ProjectUser | None:
        """Return the user of a key, or None."""
        return next((user for user in self.users(project) if user.key == key), None)

    def user(self, project: str, name: str) -> ProjectUser:
        """Return a user by name; ServiceError NoSuchObject if the project has no such user."""
        user = self.find(project, self.parse(name).key)
        if user is None:
            raise missing("NoSuchObject", f"the user {name} does not exist in project {project}; add it by: add user")
        return user

    def add_user(self, project: str, name: str) -> None:
        """Add a user; ServiceError for a user that exists, or a RAM identity of another account."""
        parsed = self.parse(name)
        if parsed.member and parsed.account != self.account.id:
            raise ServiceError(
                400,
                "InvalidArgument",
                f"Invalid account Name {name}; only RAM users and roles of account {self.account.id} can be added",
            )
        if parsed.member and not self.exists(parsed):
            raise ServiceError(
                400, "InvalidArgument", f"Invalid account Name {name}; RAM has no such user or role in {parsed.account}"
            )
        if self.find(project, parsed.key) is not None:
            raise ServiceError(409, "ObjectAlreadyExists", f"the user {name} already exists in project {project}")
        self._users.change(add=[(project, parsed.key, name)])

    def remove_user(self, project: str, name: str) -> None:
        """Remove a user without roles. Grants stay, and count again if the user is added again.

        ServiceError InvalidStateSetting if the user has roles.
        """
        user = self.user(project, name)
        roles_held = self.user_roles(project, user.key)
        if roles_held:
            roles = ", ".join(roles_held)
            raise ServiceError(
                409, "InvalidStateSetting", f"the user {name} still has roles; first: revoke {roles} from {name}"
            )
        self._users.change(remove=[(project, user.key, user.name)])

    # Roles

    def roles(self, project: str) -> list[str]:
        """Return a project's roles, first the built-in ones."""
        return [*BUILT_IN_ROLES, *(role for owner, role in self._roles if owner == project)]

    def role(self, project: str, name: str) -> str:
        """Return a role's name in lower case; ServiceError NoSuchObject if the role doesn't exist."""
        if name.lower() not in self.roles(project):
            raise missing("NoSuchObject", f"the role {name} does not exist in project {project}")
        return name.lower()

    def add_role(self, project: str, name: str) -> None:
        """Add a role; ServiceError ObjectAlreadyExists if it exists."""
        if name.lower() in self.roles(project):
            raise ServiceError(409, "ObjectAlreadyExists", f"the role {name} already exists in project {project}")
        self._roles.change(add=[(project, name.lower())])

    def remove_role(self, project: str, name: str) -> None:
        """Remove a role without users; ServiceError for a role with users, or a built-in role."""
        role = self.role(project, name)
        if role in BUILT_IN_ROLES:
            raise ServiceError(400, "InvalidArgument", f"the role {name} is built in and can't be dropped")
        if self.holders(project, role):
            raise ServiceError(
                409, "InvalidStateSetting", f"the role {name} still has users; revoke it from them first"
            )
        self._roles.change(remove=[(project, role)])

    def user_roles(self, project: str, key: str) -> list[str]:
        """Return the roles of a user."""
        return [role for owner, role, holder in self._holders if (owner, holder) == (project, key)]

    def holders(self, project: str, role: str) -> list[ProjectUser]:
        """Return the users of a role."""
        return [user for user in self.users(project) if (project, role, user.key) in self._holders]

    def give_roles(self, project: str, names: list[str], user: ProjectUser) -> None:
        """Grant roles to a user."""
        self._holders.change(add=[(project, self.role(project, name), user.key) for name in names])

    def take_roles(self, project: str, names: list[str], user: ProjectUser) -> None:
        """Revoke roles from a user; ServiceError NoSuchObject for a role that the user doesn't have."""
        rows = [(project, self.role(project, name), user.key) for name in names]
        for row, name in zip(rows, names, strict=True):
            if row not in self._holders:
                raise missing("NoSuchObject", f"the user {user.name} does not have the role {name}")
        self._holders.change(remove=rows)
