"""Connect the local MaxCompute to the control plane: its access keys, and its RAM users and roles."""

from __future__ import annotations

from typing import TYPE_CHECKING

from local_emulator.control_plane.ram.entities import Ram
from local_emulator.maxcompute.access.names import ROLE_PREFIX
from local_emulator.maxcompute.authentication import Accounts, Credential

if TYPE_CHECKING:
    from collections.abc import Callable

    from local_emulator.control_plane.identity import AccessKey, RamPrincipal
    from local_emulator.control_plane.state import AccountState
    from local_emulator.maxcompute.access.names import PrincipalName


def registrar(accounts: Accounts) -> Callable[[str, AccessKey], None]:
    """Return the `Surroundings.register_key` that adds each key to a MaxCompute of the same account."""

    def register(key_id: str, key: AccessKey) -> None:
        principal = accounts.principal(_name(key.principal))
        accounts.add(key_id, Credential(key.secret, principal, key.token, key.expires))

    return register


def directory(state: AccountState) -> Callable[[PrincipalName], bool]:
    """Return the `Members.exists` that reports whether RAM has a user or role of a name."""

    def exists(name: PrincipalName) -> bool:
        with state.lock:
            ram = state.part(Ram)
            if name.member.lower().startswith(ROLE_PREFIX):
                return ram.role(name.member[len(ROLE_PREFIX) :]) is not None
            return ram.user(name.member) is not None

    return exists


def _name(principal: RamPrincipal) -> str:
    """Return a user's or role's name as in MaxCompute's statements; a role's is in lower case, like its ARN."""
    if principal.kind == "RAMUser":
        return f"RAM${principal.account}:{principal.name}"
    return f"RAM${principal.account}:role/{principal.name.lower()}"
