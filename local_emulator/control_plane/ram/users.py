"""RAM users, added in this process, so that tests and demos can call with few permissions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from local_emulator.control_plane.identity import AccessKey, AccessKeys, RamPrincipal
from local_emulator.control_plane.ram import policy_language
from local_emulator.control_plane.ram.entities import Attachment, Policy, Ram, User, Version, new_id

if TYPE_CHECKING:
    from datetime import datetime

    from local_emulator.control_plane.state import AccountState


def add_user(state: AccountState, account: str, name: str, now: datetime, *documents: str) -> tuple[str, AccessKey]:
    """Add a user with these policies and an access key; return the key's id, and the key.

    If the user exists, the policies replace its earlier ones, and its older keys stay valid. PolicyError if a document
    is invalid.
    """
    for document in documents:
        policy_language.parse(document)
    with state.lock:
        ram = state.part(Ram)
        user = ram.users.setdefault(name.lower(), User(new_id().replace("3", "2", 1), name))
        user.policies = []
        for number, document in enumerate(documents, start=1):
            policy = Policy(f"{name}-{number}", now, now, versions=[Version("v1", document, now)])
            ram.policies[policy.name.lower()] = policy
            user.policies.append(Attachment("Custom", policy.name, now))
        issued = state.part(AccessKeys).issue(RamPrincipal("RAMUser", account, user.id, user.name))
        state.save()
        return issued
