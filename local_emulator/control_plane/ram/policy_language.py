"""RAM's policy language: which documents allow or deny an action on a resource, and whom a role trusts.

As the page "Policy structure and syntax" has it: a document is ``{"Version": "1", "Statement": [...]}``; ``*`` and
``?`` in actions and resources; one Deny is stronger than every Allow; what nobody allows is denied.
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

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

_ASSUME = "sts:AssumeRole"
_TRUSTED = frozenset({"Service", "RAM"})
# The condition operators that are emulated: what is found in the call, and what the policy names.
_OPERATORS: Mapping[str, Callable[[str, str], bool]] = MappingProxyType(
    {
        "StringEquals": lambda found, named: found == named,
        "StringNotEquals": lambda found, named: found != named,
        "StringEqualsIgnoreCase": lambda found, named: found.lower() == named.lower(),
        "StringNotEqualsIgnoreCase": lambda found, named: found.lower() != named.lower(),
        "StringLike": lambda found, named: bool(_pattern(named).fullmatch(found)),
        "StringNotLike": lambda found, named: not _pattern(named).fullmatch(found),
    }
)


class PolicyError(ValueError):
    """A text that isn't a policy document; says where and what was expected."""


class Verdict(Enum):
    """What policies say of a call; the values are as in an answer's AccessDeniedDetail."""

    ALLOWED = "Allowed"
    EXPLICIT_DENY = "ExplicitDeny"
    IMPLICIT_DENY = "ImplicitDeny"


@dataclass(frozen=True, slots=True)
class Condition:
    """An operator, the key that it looks at, and the values of which one (of a negative operator: all) must fit."""

    operator: str
    key: str
    values: tuple[str, ...]

    def holds(self, context: Mapping[str, str]) -> bool:
        """Whether it does for a call; a key that the call doesn't have holds for negative operators only."""
        test, found = _OPERATORS[self.operator], context.get(self.key.lower())
        if self.operator.startswith("StringNot"):
            return found is None or all(test(found, value) for value in self.values)
        return found is not None and any(test(found, value) for value in self.values)


@dataclass(frozen=True, slots=True)
class PolicyStatement:
    """One rule of a document; ``outside`` means that actions (or resources) are those that it's not about."""

    allow: bool
    actions: tuple[re.Pattern[str], ...]
    resources: tuple[re.Pattern[str], ...]
    conditions: tuple[Condition, ...]
    outside_actions: bool = False
    outside_resources: bool = False

    def matches(self, action: str, resource: str, context: Mapping[str, str]) -> bool:
        """Whether it is about this."""
        return (
            any(pattern.fullmatch(action) for pattern in self.actions) != self.outside_actions
            and any(pattern.fullmatch(resource) for pattern in self.resources) != self.outside_resources
            and all(condition.holds(context) for condition in self.conditions)
        )


@dataclass(frozen=True, slots=True)
class Trust:
    """One rule of who may assume a role: ``services`` are host names, ``identities`` ARNs of accounts, users, roles."""

    allow: bool
    services: frozenset[str]
    identities: frozenset[str]


def judge(documents: Iterable[str], action: str, resource: str, context: Mapping[str, str]) -> Verdict:
    """What an identity's policies say together; ``context`` has the condition keys of the call, in any case."""
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
    """Whether a role's trust document lets any of these assume it, and denies none of them."""
    wanted = {name.lower() for name in services}, {name.lower() for name in identities}
    effects = {
        trust.allow
        for trust in parse_trust(document)
        if not wanted[0].isdisjoint(trust.services) or not wanted[1].isdisjoint(trust.identities)
    }
    return effects == {True}


@lru_cache(maxsize=512)
def parse(document: str) -> tuple[PolicyStatement, ...]:
    """The statements of a policy; PolicyError if it isn't one."""
    return tuple(_statement(found, f"Statement[{at}]") for at, found in enumerate(_statements(document)))


@lru_cache(maxsize=512)
def parse_trust(document: str) -> tuple[Trust, ...]:
    """The statements of a trust document; PolicyError if it isn't one."""
    return tuple(_trust(found, f"Statement[{at}]") for at, found in enumerate(_statements(document)))


def _statements(document: str) -> list[dict[str, Any]]:
    try:
        read = json.loads(document)
    except ValueError as error:
        raise PolicyError(f"expected JSON: {error}") from None
    if not isinstance(read, dict) or set(read) - {"Version", "Statement"}:
        raise PolicyError("expected an object with Version and Statement, nothing else")
    if read.get("Version") != "1":
        raise PolicyError(f'expected Version "1", found {json.dumps(read.get("Version"))}')
    statements = read.get("Statement")
    if not isinstance(statements, list) or not statements or not all(isinstance(one, dict) for one in statements):
        raise PolicyError("expected Statement to be a list of objects")
    return statements


def _statement(found: dict[str, Any], where: str) -> PolicyStatement:
    _only(found, {"Effect", "Action", "NotAction", "Resource", "NotResource", "Condition"}, where)
    outside_actions, actions = _either(found, "Action", "NotAction", where)
    outside_resources, resources = _either(found, "Resource", "NotResource", where)
    for action in actions:
        if action != "*" and not re.fullmatch(r"[A-Za-z0-9*?-]+:[A-Za-z0-9*?/]+", action):
            raise PolicyError(f"{where}.Action: expected product:Action or *, found {action!r}")
    for resource in resources:
        if resource != "*" and not resource.startswith("acs:"):
            raise PolicyError(
                f"{where}.Resource: expected acs:product:region:account:relative-id or *, found {resource!r}"
            )
    return PolicyStatement(
        _effect(found, where),
        tuple(map(_pattern, actions)),
        tuple(_pattern(_any_region(resource)) for resource in resources),
        _conditions(found.get("Condition", {}), f"{where}.Condition"),
        outside_actions,
        outside_resources,
    )


def _trust(found: dict[str, Any], where: str) -> Trust:
    _only(found, {"Effect", "Action", "Principal", "Condition"}, where)
    if found.get("Condition"):
        raise PolicyError(f"{where}.Condition: not emulated in a trust document")
    if _texts(found, "Action", where) != [_ASSUME]:
        raise PolicyError(f"{where}.Action: expected {_ASSUME}")
    principal = found.get("Principal")
    if not isinstance(principal, dict) or not principal:
        raise PolicyError(f"{where}.Principal: expected an object with Service or RAM")
    _only(principal, set(_TRUSTED), f"{where}.Principal")
    named = {kind: _texts(principal, kind, f"{where}.Principal") for kind in principal}
    for arn in named.get("RAM", []):
        if not re.fullmatch(r"acs:ram:\*?:\d+:(root|user/.+|role/.+)", arn):
            raise PolicyError(
                f"{where}.Principal.RAM: expected acs:ram::<account>:root, user/.. or role/.., found {arn!r}"
            )
    return Trust(
        _effect(found, where),
        frozenset(name.lower() for name in named.get("Service", [])),
        frozenset(arn.lower().replace("acs:ram:*:", "acs:ram::") for arn in named.get("RAM", [])),
    )


def _conditions(found: object, where: str) -> tuple[Condition, ...]:
    if not isinstance(found, dict):
        raise PolicyError(f"{where}: expected an object")
    conditions = []
    for operator, keys in found.items():
        if operator not in _OPERATORS:
            raise PolicyError(f"{where}.{operator}: not emulated; known are {', '.join(_OPERATORS)}")
        if not isinstance(keys, dict):
            raise PolicyError(f"{where}.{operator}: expected an object")
        conditions += [Condition(operator, key, tuple(_texts(keys, key, f"{where}.{operator}"))) for key in keys]
    return tuple(conditions)


def _effect(found: dict[str, Any], where: str) -> bool:
    if found.get("Effect") not in {"Allow", "Deny"}:
        raise PolicyError(f"{where}.Effect: expected Allow or Deny, found {found.get('Effect')!r}")
    return bool(found["Effect"] == "Allow")


def _either(found: dict[str, Any], name: str, opposite: str, where: str) -> tuple[bool, list[str]]:
    if (name in found) == (opposite in found):
        raise PolicyError(f"{where}: expected one of {name} and {opposite}")
    return opposite in found, _texts(found, opposite if opposite in found else name, where)


def _only(found: dict[str, Any], known: set[str], where: str) -> None:
    unknown = sorted(set(found) - known)
    if unknown:
        raise PolicyError(f"{where}: found {', '.join(unknown)}, expected only {', '.join(sorted(known))}")


def _texts(found: dict[str, Any], name: str, where: str) -> list[str]:
    value = found.get(name)
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) and text for text in texts):
        raise PolicyError(f"{where}.{name}: expected a text or a list of texts")
    return texts


def _any_region(resource: str) -> str:
    """Without a region, a pattern is about all."""
    return re.sub(r"\A(acs:[^:]*):(?=:)", r"\1:*", resource)


def _pattern(text: str) -> re.Pattern[str]:
    # A bracket is no wildcard here.
    return re.compile(translate(text.replace("[", "[[]")), re.IGNORECASE)
