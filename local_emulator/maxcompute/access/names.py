"""Names of identities: ``ALIYUN$<account>``, ``RAM$<account>:<user>``, ``RAM$<account>:role/<role>``.

An account is written as its id or its name. Names don't depend on upper and lower case.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from local_emulator.maxcompute.errors import invalid

OWNER_PROVIDER, MEMBER_PROVIDER = "ALIYUN", "RAM"
PROVIDERS = (OWNER_PROVIDER, MEMBER_PROVIDER)
ROLE_PREFIX = "role/"


@dataclass(frozen=True, slots=True)
class Account:
    """The cloud account that owns the projects: its id, and a name that statements may use for the id."""

    id: str
    name: str = ""

    @property
    def principal(self) -> str:
        """The name of the account's identity."""
        return f"{OWNER_PROVIDER}${self.id}"

    def owns(self, text: str) -> bool:
        """Return whether a text is the account's id or name."""
        return text.lower() in {self.id.lower(), self.name.lower()} - {""}


@dataclass(frozen=True, slots=True)
class PrincipalName:
    """The parts of an identity's name; ``member`` is a RAM user's name or ``role/<role>``, empty for an account."""

    account: str
    member: str = ""

    @property
    def key(self) -> str:
        """The normal form of the name, for comparison and storage."""
        provider = MEMBER_PROVIDER if self.member else OWNER_PROVIDER
        return f"{provider}${self.account}:{self.member}".rstrip(":").lower()

    @property
    def id(self) -> str:
        """The identity's number: an account's id, or a number computed from the name."""
        if not self.member and self.account.isdecimal():
            return self.account
        return str(2 * 10**17 + int.from_bytes(hashlib.sha256(self.key.encode()).digest()[:7], "big"))


def parse_name(text: str, account: Account) -> PrincipalName:
    """Parse a name in one of the three forms; ServiceError InvalidArgument for other text.

    ``RAM$<user>`` means a user of ``account``. The account's name may replace its id.
    """
    provider, separator, rest = text.strip().partition("$")
    if not separator:
        raise invalid(f"lack of account provider, principalName {text}; expected ALIYUN$... or RAM$...")
    if provider.upper() not in PROVIDERS or not rest:
        raise invalid(f"Invalid account Name {text}; expected ALIYUN$<account>, RAM$<account>:<user or role/role>")
    if provider.upper() == OWNER_PROVIDER:
        if ":" in rest:
            raise invalid(f"Invalid account Name {text}; an ALIYUN account has no ':', a RAM user begins with RAM$")
        return PrincipalName(_account_id(rest, account))
    owner, separated, member = rest.partition(":")
    if not separated:
        owner, member = account.id, owner
    role = member.lower().startswith(ROLE_PREFIX)
    if not owner or not member or (role and len(member) == len(ROLE_PREFIX)):
        raise invalid(f"Invalid account Name {text}; expected RAM$<account>:<user> or RAM$<account>:role/<role>")
    return PrincipalName(_account_id(owner, account), member)


def _account_id(text: str, account: Account) -> str:
    return account.id if account.owns(text) else text
