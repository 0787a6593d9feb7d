"""RAM's rules for names, and roles and policies as RAM's answers show them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from local_emulator.control_plane.errors import ApiError, invalid

if TYPE_CHECKING:
    from datetime import datetime

    from local_emulator.control_plane.dispatch import Call
    from local_emulator.control_plane.ram.entities import Attachment, Policy, Role

# Lengths and letters as in the SDK's comments (control plane facts, section a).
ROLE_NAME = re.compile(r"[A-Za-z0-9.-]+")
POLICY_NAME = re.compile(r"[A-Za-z0-9-]+")
ROLE_NAME_LENGTH = 64
POLICY_NAME_LENGTH = 128
DESCRIPTION_LENGTH = 1024


def role_name(call: Call, parameter: str = "RoleName") -> str:
    """Return the name of a role to create; ApiError InvalidParameter.RoleName.Length or .InvalidChars."""
    return _name(call, parameter, ROLE_NAME, ROLE_NAME_LENGTH, "letters, digits, '.' and '-'")


def policy_name(call: Call) -> str:
    """Return the name of a policy to create."""
    return _name(call, "PolicyName", POLICY_NAME, POLICY_NAME_LENGTH, "letters, digits and '-'")


def description(call: Call, parameter: str = "Description") -> str:
    """Return a description, perhaps empty; ApiError InvalidParameter.<parameter>.Length."""
    text = call.text(parameter)
    if len(text) > DESCRIPTION_LENGTH:
        raise invalid(parameter, f"1 to {DESCRIPTION_LENGTH} characters", f"{len(text)} of them", "Length")
    return text


def role_arn(call: Call, name: str) -> str:
    """Return a role's ARN as RAM shows it: with the name in lower case, if `Rules.lower_case_arns` is set."""
    return f"acs:ram::{call.account}:role/{name.lower() if call.rules.lower_case_arns else name}"


def stamp(time: datetime) -> str:
    """Return a time as answers show it."""
    return f"{time:%Y-%m-%dT%H:%M:%SZ}"


def shown_role(call: Call, role: Role) -> dict[str, object]:
    """Return a role as answers show it."""
    return {
        "RoleId": role.id,
        "RoleName": role.name,
        "Arn": role_arn(call, role.name),
        "Description": role.description,
        "AssumeRolePolicyDocument": role.trust,
        "CreateDate": stamp(role.created),
        "UpdateDate": stamp(role.updated),
        "MaxSessionDuration": role.session_seconds,
        "AllowConsoleLogin": role.console,
        "IsServiceLinkedRole": bool(role.service),
        "RolePrincipalName": f"{role.name}@role.{call.account}.onaliyunservice.com",
    }


def shown_policy(policy: Policy) -> dict[str, object]:
    """Return a custom policy as answers show it."""
    return {
        "PolicyName": policy.name,
        "PolicyType": "Custom",
        "Description": policy.description,
        "DefaultVersion": policy.default,
        "CreateDate": stamp(policy.created),
        "UpdateDate": stamp(policy.updated),
    }


def shown_attachment(attachment: Attachment, policy: Policy | None) -> dict[str, object]:
    """Return an attached policy as answers show it."""
    return {
        "PolicyName": attachment.name,
        "PolicyType": attachment.type,
        "Description": policy.description if policy else "",
        "DefaultVersion": policy.default if policy else "v1",
        "AttachDate": stamp(attachment.attached),
    }


def _name(call: Call, parameter: str, letters: re.Pattern[str], length: int, words: str) -> str:
    name = call.required(parameter)
    if len(name) > length:
        raise invalid(parameter, f"1 to {length} characters", name, "Length")
    if not letters.fullmatch(name):
        raise invalid(parameter, words, name, "InvalidChars")
    return name


def malformed(detail: object) -> ApiError:
    """Return the error for an invalid policy document."""
    return ApiError(400, "MalformedPolicyDocument", f"Syntax error in the policy document: {detail}.")
