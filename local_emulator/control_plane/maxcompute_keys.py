"""What the local MaxCompute learns from the control plane: the keys that it issues, and whom RAM knows."""

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
    """What `Surroundings.tell_key` needs to be, for a MaxCompute of the same account."""

    def tell(key_id: str, key: AccessKey) -> None:
        principal = accounts.principal(_name(key.principal))
        accounts.add(key_id, Credential(key.secret, principal, key.token, key.expires))

    return tell


def directory(state: AccountState) -> Callable[[PrincipalName], bool]:
    """What `Members.exists` needs to be: whether RAM has a user or role of that name."""

    def exists(name: PrincipalName) -> bool:
        with state.lock:
            ram = state.part(Ram)
            if name.member.lower().startswith(ROLE_PREFIX):
                return ram.role(name.member[len(ROLE_PREFIX) :]) is not None
            return ram.user(name.member) is not None

    return exists


def _name(principal: RamPrincipal) -> str:
    """A user or role as MaxCompute's statements write it; a role in lower case, as its ARN is."""
    if principal.kind == "RAMUser":
        return f"RAM${principal.account}:{principal.name}"
    return f"RAM${principal.account}:role/{principal.name.lower()}"
