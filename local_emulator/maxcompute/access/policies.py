"""Policies of projects, roles and bearer tokens: JSON documents that allow or deny actions on objects by patterns.

The language is described on the service's page "Policy-based access control". Actions and resources may have ``*`` and
``?``. Deny is stronger than Allow. A project's policy names principals; a role's policy applies to the role's users,
and a bearer token's policy to requests with the token.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from local_emulator.maxcompute.access.names import Account, parse_name
from local_emulator.maxcompute.access.relation import StoredRelation
from local_emulator.maxcompute.errors import ServiceError, invalid

if TYPE_CHECKING:
    from collections.abc import Iterable

    from local_emulator.maxcompute.access.objects import Securable
    from local_emulator.maxcompute.database import Database

EVERYONE = "*"
# The holder of a project's policy; the holder of a role's policy is the role's name.
PROJECT_HOLDER = ""
_KNOWN = frozenset({"Effect", "Action", "Resource", "Principal"})


@dataclass(frozen=True, slots=True)
class Rule:
    """One statement of a policy; ``principals`` has keys of names, or `EVERYONE`."""

    allow: bool
    actions: tuple[re.Pattern[str], ...]
    resources: tuple[re.Pattern[str], ...]
    principals: frozenset[str]

    def matches(self, key: str, action: str, resource: str) -> bool:
        """Return whether the rule applies to a user's action on a resource."""
        return (
            not self.principals.isdisjoint({key, EVERYONE})
            and any(pattern.fullmatch(f"odps:{action}") for pattern in self.actions)
            and any(pattern.fullmatch(resource) for pattern in self.resources)
        )


class Policies:
    """All policies of all projects."""

    def __init__(self, database: Database, account: Account) -> None:
        self._account = account
        self._texts = StoredRelation(database, "policies", ["project", "holder", "text"])

    def text(self, project: str, holder: str = PROJECT_HOLDER) -> str:
        """Return a policy's text as it was written; empty without a policy."""
        return next((text for owner, who, text in self._texts if (owner, who) == (project, holder)), "")

    def write(self, project: str, text: str, holder: str = PROJECT_HOLDER) -> None:
        """Replace a policy, or delete it (empty text); ServiceError InvalidArgument for an invalid policy."""
        if text.strip():
            _rules(text, self._account, of_role=holder != PROJECT_HOLDER)
        before = [row for row in self._texts if row[:2] == (project, holder)]
        self._texts.change(add=[(project, holder, text)] if text.strip() else [], remove=before)

    def verdict(self, securable: Securable, action: str, key: str, roles: Iterable[str]) -> bool | None:
        """Return whether policies allow (True) or deny (False) a user with roles an action; None: no rule applies."""
        texts = [(self.text(securable.project, holder), holder) for holder in (PROJECT_HOLDER, *roles)]
        rules = [
            rule
            for text, holder in texts
            if text
            for rule in _rules(text, self._account, of_role=holder != PROJECT_HOLDER)
        ]
        return judge(rules, securable, action, key)


def judge(rules: Iterable[Rule], securable: Securable, action: str, key: str) -> bool | None:
    """Return whether rules allow (True) or deny (False) an action to a user; None: no rule applies."""
    effects = [rule.allow for rule in rules if rule.matches(key, action, securable.resource)]
    return all(effects) if effects else None


def token_rules(text: str, account: Account) -> tuple[Rule, ...]:
    """Return the rules of a bearer token's policy, which has no principals; ServiceError InvalidArgument if invalid."""
    return _rules(text, account, of_role=True)


@lru_cache(maxsize=256)
def _rules(text: str, account: Account, *, of_role: bool) -> tuple[Rule, ...]:
    try:
        document = json.loads(text)
    except ValueError as error:
        raise _malformed(f"not JSON: {error}") from None
    if not isinstance(document, dict) or not isinstance(document.get("Statement"), list):
        raise _malformed("expected an object with a list Statement")
    if document.get("Version") != "1":
        raise _malformed('expected Version "1"')
    return tuple(_rule(statement, account, of_role=of_role) for statement in document["Statement"])


def _rule(statement: Any, account: Account, *, of_role: bool) -> Rule:
    if not isinstance(statement, dict):
        raise _malformed("expected an object as a statement")
    unknown = sorted(set(statement) - _KNOWN)
    if unknown:
        raise _malformed(f"{', '.join(unknown)} in a statement is not emulated")
    if statement.get("Effect") not in {"Allow", "Deny"}:
        raise _malformed("expected Effect Allow or Deny")
    actions = _texts(statement, "Action")
    for action in actions:
        if not action.lower().startswith("odps:"):
            raise _malformed(f"invalid Action value - {action}")
    if of_role == ("Principal" in statement):
        raise _malformed(
            "only a project's policy has a Principal" if of_role else "a project's policy needs a Principal"
        )
    names = [EVERYONE] if of_role else _texts(statement, "Principal")
    keys = {name if name == EVERYONE else parse_name(name, account).key for name in names}
    return Rule(
        statement["Effect"] == "Allow",
        tuple(map(_pattern, actions)),
        tuple(map(_pattern, _texts(statement, "Resource"))),
        frozenset(keys),
    )


def _texts(statement: dict[str, Any], name: str) -> list[str]:
    value = statement.get(name)
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        raise _malformed(f"expected a text or a list of texts in {name}")
    return texts


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(re.escape(text).replace(r"\*", ".*").replace(r"\?", "."), re.IGNORECASE | re.DOTALL)


def _malformed(detail: str) -> ServiceError:
    # The service's words.
    return invalid(f"failed to check policy format: {detail}")
