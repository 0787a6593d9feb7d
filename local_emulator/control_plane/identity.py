"""Callers (the account's owner, a RAM user or an assumed role) and their access keys."""

from __future__ import annotations

import secrets
from datetime import datetime  # noqa: TC003 - msgspec reads the annotations when it decodes
from typing import TYPE_CHECKING, Literal

import msgspec

if TYPE_CHECKING:
    from datetime import timedelta


class RamPrincipal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An identity.

    Fields:
        kind: IdentityType in the answer of STS's GetCallerIdentity.
        account: the account's number.
        id: the number of the user or the role; for the owner, the account's number.
        name: the name of the user or the role, as it was created; empty for the owner.
        session: the session's name if the identity is an assumed role.
    """

    kind: Literal["Account", "RAMUser", "AssumedRoleUser"]
    account: str
    id: str
    name: str = ""
    session: str = ""

    @property
    def arn(self) -> str:
        """The ARN, as GetCallerIdentity shows it."""
        if self.kind == "Account":
            return f"acs:ram::{self.account}:root"
        if self.kind == "RAMUser":
            return f"acs:ram::{self.account}:user/{self.name}"
        return f"acs:ram::{self.account}:assumed-role/{self.name.lower()}/{self.session}"


class AccessKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An access key; a temporary key has a token, an expiry, and perhaps a policy that narrows its permissions."""

    secret: str
    principal: RamPrincipal
    token: str = ""
    expires: datetime | None = None
    policy: str = ""

    def __repr__(self) -> str:
        return f"AccessKey({self.principal.arn}, expires={self.expires})"


class AccessKeys(msgspec.Struct):
    """The account's access keys, by their ids."""

    keys: dict[str, AccessKey] = {}

    def issue(self, principal: RamPrincipal) -> tuple[str, AccessKey]:
        """Issue a key without an expiry to a user; return the key's id, and the key."""
        key_id, key = f"LTAI{secrets.token_hex(10)}", AccessKey(secrets.token_hex(15), principal)
        self.keys[key_id] = key
        return key_id, key

    def issue_temporary(
        self, principal: RamPrincipal, now: datetime, life: timedelta, policy: str = ""
    ) -> tuple[str, AccessKey]:
        """Issue a key with a token to an assumed role; return the key's id, and the key.

        Keys that expired a day ago or earlier are removed.
        """
        self.keys = {
            key_id: key for key_id, key in self.keys.items() if key.expires is None or (now - key.expires).days < 1
        }
        key_id = f"STS.{secrets.token_hex(12)}"
        key = AccessKey(secrets.token_hex(22), principal, secrets.token_urlsafe(96), now + life, policy)
        self.keys[key_id] = key
        return key_id, key
