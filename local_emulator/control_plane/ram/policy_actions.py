"""RAM's actions on custom policies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from local_emulator.control_plane.errors import ApiError, invalid
from local_emulator.control_plane.ram import names, policy_language, system_policies
from local_emulator.control_plane.ram.entities import Policy, Ram, Role, User, Version
from local_emulator.control_plane.ram.policy_language import PolicyError
from local_emulator.control_plane.ram.roles import policy_type

if TYPE_CHECKING:
    from local_emulator.control_plane.dispatch import Call

DOCUMENT_LENGTH = 6144
VERSIONS = 5  # of one policy, as the action's page says
_ROTATE = "DeleteOldestNonDefaultVersionWhenLimitExceeded"


def create_policy(call: Call) -> dict[str, object]:
    """CreatePolicy."""
    ram, name = call.state.part(Ram), names.policy_name(call)
    document, described = _document(call), names.description(call)
    if name.lower() in ram.policies or system_policies.document(name):
        raise ApiError(409, "EntityAlreadyExists.Policy", f"The policy already exists: {name}.")
    policy = Policy(name, call.now, call.now, described, versions=[Version("v1", document, call.now)])
    ram.policies[name.lower()] = policy
    return {"Policy": names.shown_policy(policy)}


def get_policy(call: Call) -> dict[str, object]:
    """GetPolicy, with the text in force."""
    ram, kind, name = call.state.part(Ram), policy_type(call), call.required("PolicyName")
    document = ram.document(kind, name)
    if document is None:
        raise _not_found(name)
    if kind == "System":
        shown: dict[str, object] = {"PolicyName": name, "PolicyType": kind, "Description": "", "DefaultVersion": "v1"}
    else:
        shown = names.shown_policy(ram.policies[name.lower()])
    version = {"PolicyDocument": document, "VersionId": shown["DefaultVersion"], "IsDefaultVersion": True}
    return {"Policy": {**shown, "PolicyDocument": document}, "DefaultPolicyVersion": version}


def create_policy_version(call: Call) -> dict[str, object]:
    """CreatePolicyVersion."""
    policy, document, default = _existing(call), _document(call), call.flag("SetAsDefault")
    strategy = call.text("RotateStrategy", "None")
    if strategy not in {"None", _ROTATE}:
        raise invalid("RotateStrategy", f"None or {_ROTATE}", strategy)
    if len(policy.versions) >= VERSIONS:
        if strategy == "None":
            raise ApiError(
                409,
                "LimitExceeded.Policy.Version",
                f"The count of policy versions beyond the current limits: {VERSIONS}.",
            )
        policy.versions.remove(next(version for version in policy.versions if version.id != policy.default))
    policy.numbered += 1
    version = Version(f"v{policy.numbered}", document, call.now)
    policy.versions.append(version)
    policy.updated = call.now
    if default:
        policy.default = version.id
    return {
        "PolicyVersion": {
            "VersionId": version.id,
            "PolicyDocument": document,
            "IsDefaultVersion": default,
            "CreateDate": names.stamp(version.created),
        }
    }


def delete_policy(call: Call) -> dict[str, object]:
    """DeletePolicy; an error if the policy is attached or has other versions, unless CascadingDelete is set."""
    ram, policy, cascading = call.state.part(Ram), _existing(call), call.flag("CascadingDelete")
    holders: list[Role | User] = [*ram.roles.values(), *ram.users.values()]
    attached = [holder for holder in holders if _has(holder, policy)]
    if not cascading:
        for kind in ("User", "Role"):
            named = [holder.name for holder in attached if type(holder).__name__ == kind]
            if named:
                raise ApiError(409, f"DeleteConflict.Policy.{kind}", f"The policy is attached to {', '.join(named)}.")
        if len(policy.versions) > 1:
            raise ApiError(409, "DeleteConflict.Policy.Version", "The policy has versions that are not its default.")
    for holder in attached:
        holder.policies = [
            attachment
            for attachment in holder.policies
            if attachment.type == "System" or attachment.name.lower() != policy.name.lower()
        ]
    del ram.policies[policy.name.lower()]
    return {}


def _has(holder: Role | User, policy: Policy) -> bool:
    name = policy.name.lower()
    return any(attachment.type == "Custom" and attachment.name.lower() == name for attachment in holder.policies)


def _existing(call: Call) -> Policy:
    name = call.required("PolicyName")
    policy = call.state.part(Ram).policies.get(name.lower())
    if policy is None:
        raise _not_found(name)
    return policy


def _document(call: Call) -> str:
    text = call.required("PolicyDocument")
    if len(text) > DOCUMENT_LENGTH:
        raise invalid("PolicyDocument", f"at most {DOCUMENT_LENGTH} characters", f"{len(text)} of them", "Length")
    try:
        policy_language.parse(text)
    except PolicyError as error:
        raise names.malformed(error) from None
    return text


def _not_found(name: str) -> ApiError:
    return ApiError(404, "EntityNotExist.Policy", f"The policy not exists: {name}.")
