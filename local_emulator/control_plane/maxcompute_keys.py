"""Lets the local MaxCompute take the keys that the control plane issues."""

from __future__ import annotations

from typing import TYPE_CHECKING

from local_emulator.maxcompute.security import Accounts, Credential

if TYPE_CHECKING:
    from collections.abc import Callable

    from local_emulator.control_plane.identity import AccessKey, Principal


def registrar(accounts: Accounts) -> Callable[[str, AccessKey], None]:
    """What `Surroundings.tell_key` needs to be, for a MaxCompute of the same account."""

    def tell(key_id: str, key: AccessKey) -> None:
        principal = accounts.principal(_name(key.principal))
        accounts.add(key_id, Credential(key.secret, principal, key.token, key.expires))

    return tell


def _name(principal: Principal) -> str:
    """A user or role as MaxCompute's statements write it; a role in lower case, as its ARN is."""
    if principal.kind == "RAMUser":
        return f"RAM${principal.account}:{principal.name}"
    return f"RAM${principal.account}:role/{principal.name.lower()}"
