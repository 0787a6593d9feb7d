"""RAM's policy language: which documents allow or deny an action on a resource, and whom a role trusts.

From the page "Policy structure and syntax": a document is ``{"Version": "1", "Statement": [...]}``; actions and
resources may contain ``*`` and ``?``; one Deny is stronger than every Allow; an action without an Allow is denied.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from enum import Enum
from fnmatch import translate
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from local_emulator.control_plane.documents import parse_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

_ASSUME = "sts:AssumeRole"
_TRUSTED = frozenset({"Service", "RAM"})
# The emulated condition operators, from the call's value and the policy's value.
_OPERATORS: Mapping[str, Callable[[str, str], bool]] = MappingProxyType(
    {
        "StringEquals": lambda actual, expected: actual == expected,
        "StringNotEquals": lambda actual, expected: actual != expected,
        "StringEqualsIgnoreCase": lambda actual, expected: actual.lower() == expected.lower(),
        "StringNotEqualsIgnoreCase": lambda actual, expected: actual.lower() != expected.lower(),
        "StringLike": lambda actual, expected: bool(_pattern(expected).fullmatch(actual)),
        "StringNotLike": lambda actual, expected: not _pattern(expected).fullmatch(actual),
    }
)


class PolicyError(ValueError):
    """A text isn't a valid policy document; the message names the place and what is expected there."""


class Verdict(Enum):
    """The policies' verdict on a call; the values are those of AccessDeniedDetail in answers."""

    ALLOWED = "Allowed"
    EXPLICIT_DENY = "ExplicitDeny"
    IMPLICIT_DENY = "ImplicitDeny"


@dataclass(frozen=True, slots=True)
class Condition:
    """An operator, a condition key, and the values: one of them must match, for a negative operator all of them."""

    operator: str
    key: str
    values: tuple[str, ...]

    def holds(self, context: Mapping[str, str]) -> bool:
        """Return whether the condition holds; if the call lacks the key, only negative operators hold."""
        test, actual = _OPERATORS[self.operator], context.get(self.key.lower())
        if self.operator.startswith("StringNot"):
            return actual is None or all(test(actual, value) for value in self.values)
        return actual is not None and any(test(actual, value) for value in self.values)


@dataclass(frozen=True, slots=True)
class PolicyStatement:
    """One statement of a document; ``outside_`` means NotAction (NotResource): it applies to all others."""

    allow: bool
    actions: tuple[re.Pattern[str], ...]
    resources: tuple[re.Pattern[str], ...]
    conditions: tuple[Condition, ...]
    outside_actions: bool = False
    outside_resources: bool = False

    def matches(self, action: str, resource: str, context: Mapping[str, str]) -> bool:
        """Return whether the statement applies to the action on the resource."""
        return (
            any(pattern.fullmatch(action) for pattern in self.actions) != self.outside_actions
            and any(pattern.fullmatch(resource) for pattern in self.resources) != self.outside_resources
            and all(condition.holds(context) for condition in self.conditions)
        )


@dataclass(frozen=True, slots=True)
class Trust:
    """One statement of a trust document: ``services`` are host names, ``identities`` ARNs of accounts, users, roles."""

    allow: bool
    services: frozenset[str]
    identities: frozenset[str]


def judge(documents: Iterable[str], action: str, resource: str, context: Mapping[str, str]) -> Verdict:
    """Return the verdict of an identity's policies; ``context`` has the call's condition keys, in any case."""
    lowered = {name.lower(): value for name, value in context.items()}
    effects = {
        statement.allow
        for document in documents
        for statement in parse(document)
        if statement.matches(action, resource, lowered)
    }
    if False in effects:
        return Verdict.EXPLICIT_DENY
    return Verdict.ALLOWED if effects else Verdict.IMPLICIT_DENY


def trusts(document: str, *, services: Iterable[str] = (), identities: Iterable[str] = ()) -> bool:
    """Return whether a role's trust document lets any of these assume the role, and denies none of them."""
    lowered_services, lowered_identities = {name.lower() for name in services}, {name.lower() for name in identities}
    effects = {
        trust.allow
        for trust in parse_trust(document)
        if not lowered_services.isdisjoint(trust.services) or not lowered_identities.isdisjoint(trust.identities)
    }
    return effects == {True}


@lru_cache(maxsize=512)
def parse(document: str) -> tuple[PolicyStatement, ...]:
    """Return the statements of a policy; PolicyError if the document is invalid."""
    return tuple(_statement(statement, f"Statement[{index}]") for index, statement in enumerate(_statements(document)))


@lru_cache(maxsize=512)
def parse_trust(document: str) -> tuple[Trust, ...]:
    """Return the statements of a trust document; PolicyError if the document is invalid."""
    return tuple(_trust(statement, f"Statement[{index}]") for index, statement in enumerate(_statements(document)))


def _statements(document: str) -> list[dict[str, Any]]:
    try:
        policy = parse_json(document)
    except ValueError as error:
        raise PolicyError(f"expected JSON: {error}") from None
    if not isinstance(policy, dict) or set(policy) - {"Version", "Statement"}:
        raise PolicyError("expected an object with Version and Statement, nothing else")
    if policy.get("Version") != "1":
        raise PolicyError(f'expected Version "1", found {json.dumps(policy.get("Version"))}')
    statements = policy.get("Statement")
    if (
        not isinstance(statements, list)
        or not statements
        or not all(isinstance(statement, dict) for statement in statements)
    ):
        raise PolicyError("expected Statement to be a list of objects")
    return statements


def _statement(statement: dict[str, Any], where: str) -> PolicyStatement:
    _check_keys(statement, {"Effect", "Action", "NotAction", "Resource", "NotResource", "Condition"}, where)
    outside_actions, actions = _either(statement, "Action", "NotAction", where)
    outside_resources, resources = _either(statement, "Resource", "NotResource", where)
    for action in actions:
        if action != "*" and not re.fullmatch(r"[A-Za-z0-9*?-]+:[A-Za-z0-9*?/]+", action):
            raise PolicyError(f"{where}.Action: expected product:Action or *, found {action!r}")
    for resource in resources:
        if resource != "*" and not resource.startswith("acs:"):
            raise PolicyError(
                f"{where}.Resource: expected acs:product:region:account:relative-id or *, found {resource!r}"
            )
    return PolicyStatement(
        _effect(statement, where),
        tuple(map(_pattern, actions)),
        tuple(_pattern(_any_region(resource)) for resource in resources),
        _conditions(statement.get("Condition", {}), f"{where}.Condition"),
        outside_actions,
        outside_resources,
    )


def _trust(statement: dict[str, Any], where: str) -> Trust:
    _check_keys(statement, {"Effect", "Action", "Principal", "Condition"}, where)
    if statement.get("Condition"):
        raise PolicyError(f"{where}.Condition: not emulated in a trust document")
    if _texts(statement, "Action", where) != [_ASSUME]:
        raise PolicyError(f"{where}.Action: expected {_ASSUME}")
    principal = statement.get("Principal")
    if not isinstance(principal, dict) or not principal:
        raise PolicyError(f"{where}.Principal: expected an object with Service or RAM")
    _check_keys(principal, set(_TRUSTED), f"{where}.Principal")
    names = {kind: _texts(principal, kind, f"{where}.Principal") for kind in principal}
    for arn in names.get("RAM", []):
        if not re.fullmatch(r"acs:ram:\*?:\d+:(root|user/.+|role/.+)", arn):
            raise PolicyError(
                f"{where}.Principal.RAM: expected acs:ram::<account>:root, user/.. or role/.., found {arn!r}"
            )
    return Trust(
        _effect(statement, where),
        frozenset(name.lower() for name in names.get("Service", [])),
        frozenset(arn.lower().replace("acs:ram:*:", "acs:ram::") for arn in names.get("RAM", [])),
    )


def _conditions(operators: object, where: str) -> tuple[Condition, ...]:
    if not isinstance(operators, dict):
        raise PolicyError(f"{where}: expected an object")
    conditions = []
    for operator, keys in operators.items():
        if operator not in _OPERATORS:
            raise PolicyError(f"{where}.{operator}: not emulated; known are {', '.join(_OPERATORS)}")
        if not isinstance(keys, dict):
            raise PolicyError(f"{where}.{operator}: expected an object")
        conditions += [Condition(operator, key, tuple(_texts(keys, key, f"{where}.{operator}"))) for key in keys]
    return tuple(conditions)


def _effect(statement: dict[str, Any], where: str) -> bool:
    if statement.get("Effect") not in {"Allow", "Deny"}:
        raise PolicyError(f"{where}.Effect: expected Allow or Deny, found {statement.get('Effect')!r}")
    return bool(statement["Effect"] == "Allow")


def _either(statement: dict[str, Any], name: str, opposite: str, where: str) -> tuple[bool, list[str]]:
    """Return whether the statement has the opposite key, such as NotAction, and the texts of the key that it has."""
    if (name in statement) == (opposite in statement):
        raise PolicyError(f"{where}: expected one of {name} and {opposite}")
    return opposite in statement, _texts(statement, opposite if opposite in statement else name, where)


def _check_keys(section: dict[str, Any], known: set[str], where: str) -> None:
    unknown = sorted(set(section) - known)
    if unknown:
        raise PolicyError(f"{where}: found {', '.join(unknown)}, expected only {', '.join(sorted(known))}")


def _texts(section: dict[str, Any], name: str, where: str) -> list[str]:
    value = section.get(name)
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) and text for text in texts):
        raise PolicyError(f"{where}.{name}: expected a text or a list of texts")
    return texts


def _any_region(resource: str) -> str:
    """Return a resource pattern with ``*`` as its region if its region is empty."""
    return re.sub(r"\A(acs:[^:]*):(?=:)", r"\1:*", resource)


def _pattern(text: str) -> re.Pattern[str]:
    # Unlike in `fnmatch`, a bracket isn't a wildcard in a policy.
    return re.compile(translate(text.replace("[", "[[]")), re.IGNORECASE)
