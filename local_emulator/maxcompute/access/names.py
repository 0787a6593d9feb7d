"""Names of identities: ``ALIYUN$<account>``, ``RAM$<account>:<user>``, ``RAM$<account>:role/<role>``.

An account is written as its id or its name; names are the same in any case of letters.
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
    """The cloud account that owns the projects: its id, and the name that statements may use in its place."""

    id: str
    name: str = ""

    @property
    def principal(self) -> str:
        """The account's own identity."""
        return f"{OWNER_PROVIDER}${self.id}"

    def owns(self, text: str) -> bool:
        """Whether a text is its id or its name."""
        return text.lower() in {self.id.lower(), self.name.lower()} - {""}


@dataclass(frozen=True, slots=True)
class PrincipalName:
    """An identity's name taken apart; ``member`` is a RAM user's name or ``role/<role>``, empty for an account."""

    account: str
    member: str = ""

    @property
    def key(self) -> str:
        """The one spelling by which names are compared and kept."""
        provider = MEMBER_PROVIDER if self.member else OWNER_PROVIDER
        return f"{provider}${self.account}:{self.member}".rstrip(":").lower()

    @property
    def id(self) -> str:
        """The number that the service knows the identity by: an account's own, else one made of the name."""
        if not self.member and self.account.isdecimal():
            return self.account
        return str(2 * 10**17 + int.from_bytes(hashlib.sha256(self.key.encode()).digest()[:7], "big"))


def parse_name(text: str, account: Account) -> PrincipalName:
    """A name as a statement has it; ServiceError InvalidArgument if it isn't one of the three forms.

    ``RAM$<user>`` without an account means the owner's account, as does the account's name in the place of its id.
    """
    provider, found, rest = text.strip().partition("$")
    if not found:
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
