"""RAM's actions on roles and on the policies attached to them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from local_emulator.control_plane.documents import parse_json
from local_emulator.control_plane.errors import ApiError, invalid
from local_emulator.control_plane.ram import names, policy_language
from local_emulator.control_plane.ram.entities import Attachment, PolicyType, Ram, Role, new_id
from local_emulator.control_plane.ram.policy_language import PolicyError

if TYPE_CHECKING:
    from local_emulator.control_plane.dispatch import Call

SESSION_SECONDS = (3600, 43200)
PAGE = 1000
# A limit exists, but its number isn't published (control plane facts, section a): this is the emulator's choice.
TRUST_LENGTH = 2048
TAGS = 20


def create_role(call: Call) -> dict[str, object]:
    """CreateRole."""
    ram, name = call.state.part(Ram), names.role_name(call)
    trust = _trust("AssumeRolePolicyDocument", call.required("AssumeRolePolicyDocument"))
    role = Role(
        new_id(),
        name,
        trust,
        call.now,
        call.now,
        names.description(call),
        call.number("MaxSessionDuration", SESSION_SECONDS[0], *SESSION_SECONDS),
        call.flag("AllowConsoleLogin"),
        tags=_tags(call),
    )
    add_role(call, ram, role)
    return {"Role": names.shown_role(call, role)}


def add_role(call: Call, ram: Ram, role: Role) -> None:
    """Add a new role; ApiError EntityAlreadyExists.Role or LimitExceeded.Role."""
    if ram.role(role.name):
        raise ApiError(409, "EntityAlreadyExists.Role", f"The role already exists: {role.name}.")
    if len(ram.roles) >= call.rules.role_quota:
        raise ApiError(
            409, "LimitExceeded.Role", f"The count of roles beyond the current limits: {call.rules.role_quota}."
        )
    ram.roles[role.name.lower()] = role


def get_role(call: Call) -> dict[str, object]:
    """GetRole."""
    ram = call.state.part(Ram)
    role = ram.existing_role(call.required("RoleName"))
    shown = names.shown_role(call, role)
    tasks = [(task_id, task) for task_id, task in ram.deletions.items() if task.role.lower() == role.name.lower()]
    if tasks:
        task_id, task = tasks[-1]
        shown["LatestDeletionTask"] = {"DeletionTaskId": task_id, "CreateDate": names.stamp(task.created)}
    return {"Role": shown}


def update_role(call: Call) -> dict[str, object]:
    """UpdateRole: change the given parameters, keep the others."""
    role = call.state.part(Ram).existing_role(call.required("RoleName"))
    _check_changeable(role)
    trust = call.text("NewAssumeRolePolicyDocument")
    if trust:
        _trust("NewAssumeRolePolicyDocument", trust)
    described = names.description(call, "NewDescription")
    seconds = call.number("NewMaxSessionDuration", role.session_seconds, *SESSION_SECONDS)
    console = call.flag("NewAllowConsoleLogin", default=role.console)
    role.trust, role.description = trust or role.trust, described or role.description
    role.session_seconds, role.console, role.updated = seconds, console, call.now
    return {"Role": names.shown_role(call, role)}


def delete_role(call: Call) -> dict[str, object]:
    """DeleteRole; an error if the role has policies."""
    ram = call.state.part(Ram)
    role = ram.existing_role(call.required("RoleName"))
    _check_changeable(role)
    if role.policies:
        raise ApiError(
            409,
            "DeleteConflict.Role.Policy",
            f"The role has policies, detach them first: {', '.join(policy.name for policy in role.policies)}.",
        )
    del ram.roles[role.name.lower()]
    return {}


def list_roles(call: Call) -> dict[str, object]:
    """ListRoles, a page at a time; Marker is the name of the last role on the page before."""
    count, marker = call.number("MaxItems", 100, 1, PAGE), call.text("Marker").lower()
    required_tags = _tags(call).items()
    rest = [
        role
        for name, role in sorted(call.state.part(Ram).roles.items())
        if name > marker and required_tags <= role.tags.items()
    ]
    page = rest[:count]
    more = {"Marker": page[-1].name} if len(rest) > count else {}
    return {"Roles": {"Role": [names.shown_role(call, role) for role in page]}, "IsTruncated": bool(more), **more}


def attach_policy(call: Call) -> dict[str, object]:
    """AttachPolicyToRole."""
    ram, role, kind, name = _attachment(call)
    if ram.document(kind, name) is None:
        raise ApiError(404, "EntityNotExist.Policy", f"The policy does not exist: {name}.")
    if _attached(role, kind, name):
        raise ApiError(409, "EntityAlreadyExists.Role.Policy", f"The policy is already attached to the role: {name}.")
    role.policies.append(Attachment(kind, name, call.now))
    return {}


def detach_policy(call: Call) -> dict[str, object]:
    """DetachPolicyFromRole."""
    _, role, kind, name = _attachment(call)
    attachment = _attached(role, kind, name)
    if attachment is None:
        raise ApiError(404, "EntityNotExist.Role.Policy", f"The policy is not attached to the role: {name}.")
    role.policies.remove(attachment)
    return {}


def list_policies(call: Call) -> dict[str, object]:
    """ListPoliciesForRole."""
    ram = call.state.part(Ram)
    role = ram.existing_role(call.required("RoleName"))
    shown = [
        names.shown_attachment(
            attachment, ram.policies.get(attachment.name.lower()) if attachment.type == "Custom" else None
        )
        for attachment in role.policies
    ]
    return {"Policies": {"Policy": shown}}


def _attachment(call: Call) -> tuple[Ram, Role, PolicyType, str]:
    ram = call.state.part(Ram)
    kind, name = policy_type(call), call.required("PolicyName")
    role = ram.existing_role(call.required("RoleName"))
    _check_changeable(role)
    return ram, role, kind, name


def policy_type(call: Call) -> PolicyType:
    """Return System or Custom; ApiError InvalidParameter.PolicyType for anything else."""
    kind = call.required("PolicyType")
    if kind == "System":
        return "System"
    if kind == "Custom":
        return "Custom"
    raise invalid("PolicyType", "System or Custom", kind)


def _attached(role: Role, kind: PolicyType, name: str) -> Attachment | None:
    return next(
        (policy for policy in role.policies if policy.type == kind and policy.name.lower() == name.lower()), None
    )


def _check_changeable(role: Role) -> None:
    """ApiError if the role is service-linked: the refusal is documented, its code isn't."""
    if role.service:
        raise ApiError(
            403,
            "OperationDenied.ServiceLinkedRole",
            f"{role.name} is a service-linked role of {role.service}: only it may change it.",
        )


def _trust(parameter: str, text: str) -> str:
    if len(text) > TRUST_LENGTH:
        raise invalid(parameter, f"at most {TRUST_LENGTH} characters", f"{len(text)} of them", "Length")
    try:
        policy_language.parse_trust(text)
    except PolicyError as error:
        raise names.malformed(error) from None
    return text


def _tags(call: Call) -> dict[str, str]:
    """Return the tags from ``Tag``, a JSON list, or from Tag.1.Key, Tag.1.Value and so on."""
    text = call.text("Tag")
    numbered = [
        {"Key": call.required(f"Tag.{number}.Key"), "Value": call.text(f"Tag.{number}.Value")}
        for number in range(1, TAGS + 1)
        if call.text(f"Tag.{number}.Key")
    ]
    try:
        listed = parse_json(text) if text else numbered
        tags = {str(tag["Key"]): str(tag.get("Value", "")) for tag in listed}
    except (ValueError, TypeError, KeyError, AttributeError):
        raise invalid("Tag", "a JSON list of objects with Key and Value", text) from None
    if len(tags) > TAGS:
        raise invalid("Tag", f"at most {TAGS} of them", len(tags))
    return tags
