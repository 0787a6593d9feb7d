"""Check an identity's permissions: its policies are evaluated at each call."""

from __future__ import annotations

from typing import TYPE_CHECKING

from local_emulator.control_plane.errors import Refusal, RefusedError
from local_emulator.control_plane.ram import policy_language
from local_emulator.control_plane.ram.entities import Ram
from local_emulator.control_plane.ram.policy_language import Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping

    from local_emulator.control_plane.identity import AccessKey
    from local_emulator.control_plane.state import AccountState


def check(state: AccountState, key: AccessKey, permission: str, resource: str, context: Mapping[str, str]) -> None:
    """Check that the key's identity has the permission on the resource.

    The account's owner has every permission. A temporary key has the permissions that both its role's policies and its
    session policy allow. RefusedError DENIED names the missing permission and the resource.
    """
    principal = key.principal
    if principal.kind == "Account":
        return
    ram = state.part(Ram)
    holder = ram.user(principal.name) if principal.kind == "RAMUser" else ram.role(principal.name)
    # A role that was created again has another id: keys of the deleted role have no permission.
    documents = ram.documents(holder.policies) if holder and holder.id == principal.id else []
    verdict = policy_language.judge(documents, permission, resource, context)
    source = "AccountLevelIdentityBasedPolicy"
    if verdict is Verdict.ALLOWED and key.policy:
        verdict, source = policy_language.judge([key.policy], permission, resource, context), "SessionPolicy"
    if verdict is Verdict.ALLOWED:
        return
    raise RefusedError(
        Refusal.DENIED,
        f"You are not authorized to do this action: {principal.arn} lacks {permission} on {resource}. "
        "You should be authorized by RAM.",
        {
            "AccessDeniedDetail": {
                "AuthAction": permission,
                "AuthPrincipalDisplayName": principal.id,
                "AuthPrincipalOwnerId": principal.account,
                "AuthPrincipalType": "SubUser" if principal.kind == "RAMUser" else "AssumedRoleUser",
                "NoPermissionType": verdict.value,
                "PolicyType": source,
            }
        },
    )
