"""What RAM keeps of an account."""

from __future__ import annotations

import secrets
from datetime import datetime  # noqa: TC003 - msgspec reads the annotations when it decodes
from typing import Literal

import msgspec

from local_emulator.control_plane.errors import ApiError
from local_emulator.control_plane.ram import system_policies

PolicyType = Literal["System", "Custom"]


class Attachment(msgspec.Struct, frozen=True):
    """A policy that a user or a role has."""

    type: PolicyType
    name: str
    attached: datetime


class Role(msgspec.Struct):
    """A role; ``service`` is that of a service-linked one, which nobody but the service may change."""

    id: str
    name: str
    trust: str
    created: datetime
    updated: datetime
    description: str = ""
    session_seconds: int = 3600
    console: bool = False
    service: str = ""
    tags: dict[str, str] = {}
    policies: list[Attachment] = []


class User(msgspec.Struct):
    """A RAM user."""

    id: str
    name: str
    policies: list[Attachment] = []


class Version(msgspec.Struct):
    """One text of a policy."""

    id: str
    document: str
    created: datetime


class Policy(msgspec.Struct):
    """A policy of the account's own; ``default`` is the id of the version in force."""

    name: str
    created: datetime
    updated: datetime
    description: str = ""
    default: str = "v1"
    versions: list[Version] = []
    numbered: int = 1

    @property
    def document(self) -> str:
        """The text in force."""
        return next(version.document for version in self.versions if version.id == self.default)


class DeletionTask(msgspec.Struct):
    """The deletion of a service-linked role; ``polls`` are left until it's done."""

    role: str
    created: datetime
    polls: int


class Ram(msgspec.Struct):
    """Everything, by name in lower case: names are the same in any case of letters."""

    roles: dict[str, Role] = {}
    users: dict[str, User] = {}
    policies: dict[str, Policy] = {}
    deletions: dict[str, DeletionTask] = {}

    def role(self, name: str) -> Role | None:
        """The role of that name."""
        return self.roles.get(name.lower())

    def existing_role(self, name: str) -> Role:
        """The role of that name; ApiError EntityNotExist.Role."""
        found = self.role(name)
        if found is None:
            raise ApiError(404, "EntityNotExist.Role", f"The role not exists: {name}.")
        return found

    def user(self, name: str) -> User | None:
        """The user of that name."""
        return self.users.get(name.lower())

    def document(self, kind: PolicyType, name: str) -> str | None:
        """The text of a policy in force; None if there is no such policy."""
        if kind == "System":
            return system_policies.document(name)
        policy = self.policies.get(name.lower())
        return policy.document if policy else None

    def documents(self, attachments: list[Attachment]) -> list[str]:
        """The texts of what is attached."""
        return [text for one in attachments if (text := self.document(one.type, one.name)) is not None]


def new_id() -> str:
    """As the service numbers its entities: seventeen digits and more."""
    return f"3{secrets.randbelow(10**17):017d}"
