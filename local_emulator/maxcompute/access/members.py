"""Users and roles of projects. A role is one of a project; a RAM role is a user here."""

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
# Every project has them; they may do everything with its objects, and manage its users and grants.
BUILT_IN_ROLES = (ADMIN, SUPER_ADMINISTRATOR)


@dataclass(frozen=True, slots=True)
class ProjectUser:
    """Someone who was added to a project; ``name`` as it was written then."""

    id: str
    name: str
    key: str


class Members:
    """All projects' users and roles; every project name is the catalog's own, in lower case.

    `exists` says of a RAM user's or RAM role's name whether there is one; alone, the emulator takes any.
    """

    def __init__(self, database: Database, account: Account) -> None:
        self.account = account
        self.exists: Callable[[PrincipalName], bool] = lambda _: True
        self._users = StoredRelation(database, "users", ["project", "key", "name"])
        self._roles = StoredRelation(database, "roles", ["project", "role"])
        self._holders = StoredRelation(database, "role_holders", ["project", "role", "user_key"])

    def parse(self, name: str) -> PrincipalName:
        """A name taken apart; see `parse_name`."""
        return parse_name(name, self.account)

    # Users

    def users(self, project: str) -> list[ProjectUser]:
        """A project's users by their names."""
        return [ProjectUser(self.parse(name).id, name, key) for owner, key, name in self._users if owner == project]

    def find(self, project: str, key: str) -> ProjectUser | None:
        """The user whose name has that key, or None."""
        return next((user for user in self.users(project) if user.key == key), None)

    def user(self, project: str, name: str) -> ProjectUser:
        """A user by name; ServiceError NoSuchObject if it wasn't added."""
        found = self.find(project, self.parse(name).key)
        if found is None:
            raise missing("NoSuchObject", f"the user {name} does not exist in project {project}; add it by: add user")
        return found

    def add_user(self, project: str, name: str) -> None:
        """Let someone in; ServiceError if it's there, or a RAM identity that isn't the project's account's."""
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
        """Let someone go; grants stay and count again when the user is added again, roles have to be revoked first."""
        user = self.user(project, name)
        held = self.roles_of(project, user.key)
        if held:
            roles = ", ".join(held)
            raise ServiceError(
                409, "InvalidStateSetting", f"the user {name} still has roles; first: revoke {roles} from {name}"
            )
        self._users.change(remove=[(project, user.key, user.name)])

    # Roles

    def roles(self, project: str) -> list[str]:
        """A project's roles, those that every project has first."""
        return [*BUILT_IN_ROLES, *(role for owner, role in self._roles if owner == project)]

    def role(self, project: str, name: str) -> str:
        """A role by its name in any case of letters; ServiceError NoSuchObject if there is none."""
        if name.lower() not in self.roles(project):
            raise missing("NoSuchObject", f"the role {name} does not exist in project {project}")
        return name.lower()

    def add_role(self, project: str, name: str) -> None:
        """Make a role; ServiceError ObjectAlreadyExists if it's there."""
        if name.lower() in self.roles(project):
            raise ServiceError(409, "ObjectAlreadyExists", f"the role {name} already exists in project {project}")
        self._roles.change(add=[(project, name.lower())])

    def remove_role(self, project: str, name: str) -> None:
        """Delete a role that nobody has."""
        role = self.role(project, name)
        if role in BUILT_IN_ROLES:
            raise ServiceError(400, "InvalidArgument", f"the role {name} is built in and can't be dropped")
        if self.holders(project, role):
            raise ServiceError(
                409, "InvalidStateSetting", f"the role {name} still has users; revoke it from them first"
            )
        self._roles.change(remove=[(project, role)])

    def roles_of(self, project: str, key: str) -> list[str]:
        """The roles that a user has."""
        return [role for owner, role, holder in self._holders if (owner, holder) == (project, key)]

    def holders(self, project: str, role: str) -> list[ProjectUser]:
        """The users that have a role."""
        return [user for user in self.users(project) if (project, role, user.key) in self._holders]

    def give_roles(self, project: str, names: list[str], user: ProjectUser) -> None:
        """Let a user have roles."""
        self._holders.change(add=[(project, self.role(project, name), user.key) for name in names])

    def take_roles(self, project: str, names: list[str], user: ProjectUser) -> None:
        """Take roles from a user; ServiceError NoSuchObject for one that the user hasn't got."""
        rows = [(project, self.role(project, name), user.key) for name in names]
        for row, name in zip(rows, names, strict=True):
            if row not in self._holders:
                raise missing("NoSuchObject", f"the user {user.name} does not have the role {name}")
        self._holders.change(remove=rows)
