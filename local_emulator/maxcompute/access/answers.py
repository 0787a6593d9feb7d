"""The answers to statements of access control, as JSON values and as the text that the command line client prints.

The texts of ``show grants`` and ``show acl`` follow the service's documentation; their JSON uses the words of the
policy language. The service's answer to a statement without a result is not documented; the emulator answers "OK".
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
    """Return names, each on its own line."""
    return Answer(list(names), "\n".join(names))


def users(id_names: Iterable[tuple[str, str]]) -> Answer:
    """Return users, from pairs of id and name."""
    pairs = list(id_names)
    return Answer([{"ID": key, "DisplayName": name} for key, name in pairs], "\n".join(name for _, name in pairs))


def whoami(key: str, name: str) -> Answer:
    """Return the sender's identity."""
    return Answer({"ID": key, "DisplayName": name}, f"Name: {name}\nID: {key}")


def grants(roles: Sequence[str], by_holder: Mapping[str, Sequence[Grant]], own_objects: Sequence[Securable]) -> Answer:
    """Return a user's roles, the grants by holder (``user/<name>`` or ``role/<name>``), and the user's own objects."""
    lines = ["[roles]", ", ".join(roles), "", "Authorization Type: ACL"]
    for holder, held_grants in by_holder.items():
        lines.append(f"[{holder}]")
        lines += [f"A\t{grant.securable.path}: {' | '.join(grant.actions)}" for grant in held_grants]
    lines += ["", "Authorization Type: ObjectCreator", *(f"AG\t{securable.path}: All" for securable in own_objects)]
    value = {
        "Roles": list(roles),
        "ACL": {holder: [_statement(grant) for grant in held_grants] for holder, held_grants in by_holder.items()},
        "ObjectCreator": [securable.resource for securable in own_objects],
    }
    return Answer(value, "\n".join(lines))


def role_grants(holders: Sequence[str], by_holder: Mapping[str, Sequence[Grant]]) -> Answer:
    """Return a role's users, and its grants by ``role/<name>``."""
    lines = ["[users]", ", ".join(holders), "", "Authorization Type: ACL"]
    for held_grants in by_holder.values():
        lines += [f"A\t{grant.securable.path}: {' | '.join(grant.actions)}" for grant in held_grants]
    value = {
        "Users": list(holders),
        "ACL": {holder: [_statement(grant) for grant in held_grants] for holder, held_grants in by_holder.items()},
    }
    return Answer(value, "\n".join(lines))


def acl(holder_grants: Sequence[tuple[str, Grant]]) -> Answer:
    """Return an object's grants, from pairs of holder (``user/<name>`` or ``role/<name>``) and grant."""
    lines = ["Authorization Type: ACL"]
    for holder, grant in holder_grants:
        lines += [f"[{holder}]", f"A\t{grant.securable.path}: {' | '.join(grant.actions)}"]
    return Answer({"ACL": {holder: [_statement(grant)] for holder, grant in holder_grants}}, "\n".join(lines))


def _statement(grant: Grant) -> dict[str, Any]:
    return {
        "Effect": "Allow",
        "Action": [f"odps:{action}" for action in grant.actions],
        "Resource": [grant.securable.resource],
    }
