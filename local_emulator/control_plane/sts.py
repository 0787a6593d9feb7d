"""STS 2015-04-01: the caller's identity, and temporary keys for roles."""

from __future__ import annotations

import re
from datetime import timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING

from local_emulator.control_plane.dispatch import Action, Product
from local_emulator.control_plane.errors import ApiError, invalid
from local_emulator.control_plane.identity import AccessKey, AccessKeys, RamPrincipal
from local_emulator.control_plane.ram import names, policy_language
from local_emulator.control_plane.ram.entities import Ram
from local_emulator.control_plane.ram.policy_language import PolicyError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from local_emulator.control_plane.dispatch import Call
    from local_emulator.control_plane.state import AccountState

_SHORTEST = 900  # seconds
_DEFAULT = 3600
_POLICY_LENGTH = 2048
_SESSION = re.compile(r"[A-Za-z0-9.@_-]{2,64}")
_EXTERNAL_ID = range(2, 1225)
_ARN = re.compile(r"acs:ram:\*?:(?P<account>\d+):role/(?P<name>[^/]+)", re.IGNORECASE)


def show_caller(call: Call) -> dict[str, object]:
    """GetCallerIdentity, which needs no permission."""
    caller = call.principal
    shown: dict[str, object] = {"AccountId": caller.account, "Arn": caller.arn, "IdentityType": caller.kind}
    if caller.kind == "AssumedRoleUser":
        return {**shown, "PrincipalId": f"{caller.id}:{caller.session}", "RoleId": caller.id}
    return {**shown, "PrincipalId": caller.id, "UserId": caller.id}


def assume_role(call: Call) -> dict[str, object]:
    """AssumeRole: the caller needs the permission, and the role must trust the caller."""
    arn, session = call.required("RoleArn"), call.required("RoleSessionName")
    match = _ARN.fullmatch(arn)
    if not match:
        raise invalid("RoleArn", "acs:ram::<account>:role/<name>", arn)
    if not _SESSION.fullmatch(session):
        raise invalid("RoleSessionName", "2 to 64 letters, digits, '.', '@', '-', '_'", session)
    policy = _session_policy(call)
    external = call.text("ExternalId")
    if external and len(external) not in _EXTERNAL_ID:
        raise invalid("ExternalId", "2 to 1224 characters", f"{len(external)} of them")
    if call.principal.kind == "Account":
        raise ApiError(403, "NoPermission", "Roles may not be assumed by root accounts.")
    call.require("sts:AssumeRole", f"acs:ram:*:{match['account']}:role/{match['name']}")
    ram = call.state.part(Ram)
    role = ram.role(match["name"]) if match["account"] == call.account else None
    if role is None:
        raise ApiError(404, "EntityNotExist.Role", f"The specified Role not exists: {arn}.")
    caller = call.principal
    own = f"acs:ram::{caller.account}:role/{caller.name}" if caller.kind == "AssumedRoleUser" else caller.arn
    if not policy_language.trusts(role.trust, identities=[f"acs:ram::{caller.account}:root", own]):
        raise ApiError(
            403,
            "NoPermission",
            f"You are not authorized to do this action: the trust policy of {arn} does not name {own}.",
        )
    seconds = call.number("DurationSeconds", min(_DEFAULT, role.session_seconds), _SHORTEST, role.session_seconds)
    principal = RamPrincipal("AssumedRoleUser", call.account, role.id, role.name, session)
    life = timedelta(seconds=seconds)
    key_id, key = call.state.part(AccessKeys).issue_temporary(principal, call.now, life, policy)
    call.surroundings.register_key(key_id, key)
    return {
        "Credentials": {
            "AccessKeyId": key_id,
            "AccessKeySecret": key.secret,
            "SecurityToken": key.token,
            "Expiration": names.stamp(call.now + life),
        },
        "AssumedRoleUser": {"Arn": principal.arn, "AssumedRoleId": f"{role.id}:{session}"},
    }


def issue_to_service(
    state: AccountState, account: str, role_name: str, service: str, *, now: datetime, life: timedelta
) -> tuple[str, AccessKey]:
    """Issue a temporary key to a service that acts as a role, such as fc.aliyuncs.com that runs a function.

    Return the key's id, and the key. ApiError EntityNotExist.Role, or NoPermission if the role doesn't trust the
    service.
    """
    with state.lock:
        role = state.part(Ram).existing_role(role_name)
        if not policy_language.trusts(role.trust, services=[service]):
            raise ApiError(403, "NoPermission", f"The trust policy of the role {role.name} does not name {service}.")
        principal = RamPrincipal("AssumedRoleUser", account, role.id, role.name, service.partition(".")[0])
        issued = state.part(AccessKeys).issue_temporary(principal, now, life)
        state.save()
        return issued


def _session_policy(call: Call) -> str:
    text = call.text("Policy")
    if len(text) > _POLICY_LENGTH:
        raise invalid("Policy", f"at most {_POLICY_LENGTH} characters", f"{len(text)} of them", "Length")
    try:
        if text:
            policy_language.parse(text)
    except PolicyError as error:
        raise ApiError(
            400, "InvalidParameter.PolicyGrammar", f"The parameter Policy has not passed grammar check: {error}."
        ) from None
    return text


_ACTIONS: Mapping[str, Action] = MappingProxyType(
    {
        "GetCallerIdentity": Action(show_caller),
        # The role's name is inside a parameter: the handler checks the permission.
        "AssumeRole": Action(assume_role),
    }
)
PRODUCT = Product("Sts", "2015-04-01", _ACTIONS)
