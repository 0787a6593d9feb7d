"""RAM's part of an account's state: roles, users, policies and deletion tasks."""

from __future__ import annotations

import secrets
from datetime import datetime  # noqa: TC003 - msgspec reads the annotations when it decodes
from typing import Literal

import msgspec

from local_emulator.control_plane.errors import ApiError
from local_emulator.control_plane.ram import system_policies

PolicyType = Literal["System", "Custom"]


class Attachment(msgspec.Struct, frozen=True):
    """A policy that is attached to a user or a role."""

    type: PolicyType
    name: str
    attached: datetime


class Role(msgspec.Struct):
    """A role; ``service`` is set for a service-linked role, which only its service may change."""

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
    """One version of a policy's text."""

    id: str
    document: str
    created: datetime


class Policy(msgspec.Struct):
    """A custom policy; ``default`` is the id of the version in force, ``numbered`` the last number of a version."""

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
    """The deletion of a service-linked role; ``polls`` more polls report IN_PROGRESS, -1 after SUCCEEDED."""

    role: str
    created: datetime
    polls: int


class Ram(msgspec.Struct):
    """The entities by their names in lower case, because names are case-insensitive; deletion tasks by their ids."""

    roles: dict[str, Role] = {}
    users: dict[str, User] = {}
    policies: dict[str, Policy] = {}
    deletions: dict[str, DeletionTask] = {}

    def role(self, name: str) -> Role | None:
        """Return the role of that name."""
        return self.roles.get(name.lower())

    def existing_role(self, name: str) -> Role:
        """Return the role of that name; ApiError EntityNotExist.Role if there is none."""
        role = self.role(name)
        if role is None:
            raise ApiError(404, "EntityNotExist.Role", f"The role not exists: {name}.")
        return role

    def user(self, name: str) -> User | None:
        """Return the user of that name."""
        return self.users.get(name.lower())

    def document(self, kind: PolicyType, name: str) -> str | None:
        """Return the text in force of a policy; None if there is no such policy."""
        if kind == "System":
            return system_policies.document(name)
        policy = self.policies.get(name.lower())
        return policy.document if policy else None

    def documents(self, attachments: list[Attachment]) -> list[str]:
        """Return the texts of the attached policies that exist."""
        return [
            text for attachment in attachments if (text := self.document(attachment.type, attachment.name)) is not None
        ]


def new_id() -> str:
    """Return a new entity's id: eighteen digits, like the service's ids."""
    return f"3{secrets.randbelow(10**17):017d}"
