"""What statements of access control answer, as JSON values and as the text that the command line client prints.

The text forms of ``show grants`` and ``show acl`` are the service's documented ones; the JSON forms use the words of
its policy language. What the service answers to a statement that only changes something is not documented: here it's
"OK".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from local_emulator.maxcompute.access.grants import Grant
    from local_emulator.maxcompute.access.objects import Securable

DONE_TEXT = "OK"


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer in both forms; ``value`` is plain JSON."""

    value: Any
    text: str


DONE = Answer(DONE_TEXT, DONE_TEXT)


def listed(names: Sequence[str]) -> Answer:
    """Names, one a line."""
    return Answer(list(names), "\n".join(names))


def users(found: Iterable[tuple[str, str]]) -> Answer:
    """Pairs of id and name."""
    pairs = list(found)
    return Answer([{"ID": key, "DisplayName": name} for key, name in pairs], "\n".join(name for _, name in pairs))


def whoami(key: str, name: str) -> Answer:
    """Who asks."""
    return Answer({"ID": key, "DisplayName": name}, f"Name: {name}\nID: {key}")


def grants(roles: Sequence[str], found: Mapping[str, Sequence[Grant]], made: Sequence[Securable]) -> Answer:
    """A user's roles, the grants by who holds them (``user/<name>`` or ``role/<name>``), and what the user made."""
    lines = ["[roles]", ", ".join(roles), "", "Authorization Type: ACL"]
    for holder, held in found.items():
        lines.append(f"[{holder}]")
        lines += [f"A\t{grant.securable.path}: {' | '.join(grant.actions)}" for grant in held]
    lines += ["", "Authorization Type: ObjectCreator", *(f"AG\t{securable.path}: All" for securable in made)]
    value = {
        "Roles": list(roles),
        "ACL": {holder: [_statement(grant) for grant in held] for holder, held in found.items()},
        "ObjectCreator": [securable.resource for securable in made],
    }
    return Answer(value, "\n".join(lines))


def role_grants(holders: Sequence[str], found: Mapping[str, Sequence[Grant]]) -> Answer:
    """A role's users and grants, by ``role/<name>``."""
    lines = ["[users]", ", ".join(holders), "", "Authorization Type: ACL"]
    for held in found.values():
        lines += [f"A\t{grant.securable.path}: {' | '.join(grant.actions)}" for grant in held]
    value = {
        "Users": list(holders),
        "ACL": {holder: [_statement(grant) for grant in held] for holder, held in found.items()},
    }
    return Answer(value, "\n".join(lines))


def acl(found: Sequence[tuple[str, Grant]]) -> Answer:
    """Who (``user/<name>`` or ``role/<name>``) may do what with one object."""
    lines = ["Authorization Type: ACL"]
    for holder, grant in found:
        lines += [f"[{holder}]", f"A\t{grant.securable.path}: {' | '.join(grant.actions)}"]
    return Answer({"ACL": {holder: [_statement(grant)] for holder, grant in found}}, "\n".join(lines))


def _statement(grant: Grant) -> dict[str, Any]:
    return {
        "Effect": "Allow",
        "Action": [f"odps:{action}" for action in grant.actions],
        "Resource": [grant.securable.resource],
    }
