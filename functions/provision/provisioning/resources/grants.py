"""The role as a user of the MaxCompute project, and the user's grants (D17).

The caller has to be the project's owner or an administrator of the project.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from kafka_maxcompute.errors import RefusedError
from kafka_maxcompute.maxcompute import sql
from kafka_maxcompute.maxcompute.jobs import run_security
from kafka_maxcompute.retrying import until
from provisioning.resource import Difference, Resource

if TYPE_CHECKING:
    from collections.abc import Iterator

    from provisioning.cloud import Cloud

Grant = tuple[str, str]
"""An object, such as projects/p/tables/t, and an action on it; both in lower case."""

ABSENT = frozenset({"NoSuchObject", "NoSuchUser"})
# A line of the text form, such as "A  projects/p/tables/t: Describe | Alter".
_LINE = re.compile(r"^A\s+(?P<path>projects/\S+):\s*(?P<actions>.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Grants(Resource[frozenset[Grant]]):
    """The user and its grants; the state is the set of grants.

    `counts`: the user may read the table, too, to count a claim's rows after the claim's upload session has expired.
    """

    principal: str
    project: str
    table: str
    counts: bool = False

    @property
    def title(self) -> str:
        """Return the kind and the name."""
        return f"MaxCompute user {self.principal}"

    @property
    def creates(self) -> bool:
        """Return True: apply creates the resource."""
        return True

    @property
    def made_by_hand(self) -> str:
        """Return the instruction for a person who creates the resource."""
        return f"run, as an administrator of the project: {' '.join(map(str, self.statements()))}"

    def statements(self) -> tuple[sql.Statement, ...]:
        """Return the statements of the connector document."""
        return (
            sql.add_user(self.principal),
            sql.grant(("CreateInstance",), "project", self.project, self.principal),
            sql.grant(self._on_table(), "table", self.table, self.principal),
        )

    def look(self, cloud: Cloud) -> frozenset[Grant] | None:
        """Return the user's grants; None if the project has no such user."""
        doing = f"look for the user {self.principal}"
        path = f"/users/{quote(self.principal, safe='')}"
        try:
            for attempt in until(cloud.deadline):
                with attempt:
                    cloud.maxcompute.request(
                        "GET", path, params={"type": "displayname"}, doing=doing, deadline=cloud.deadline
                    )
            shown = run_security(cloud.maxcompute, sql.show_grants(self.principal), cloud.deadline)
        except RefusedError as error:
            if error.code in ABSENT:
                return None
            raise
        return granted(shown)

    def compare(self, state: frozenset[Grant]) -> tuple[Difference, ...]:
        """Return a difference for each object on which grants are missing; only the needed grants are compared."""
        granted_actions = {
            path: tuple(action for action in actions if {(path, action.lower()), (path, "all")} & state)
            for path, actions in self._needed().items()
        }
        return tuple(
            Difference(f"grants on {path}", granted_actions[path], actions)
            for path, actions in self._needed().items()
            if granted_actions[path] != actions
        )

    def make(self, cloud: Cloud) -> None:
        """Add the user, then grant."""
        for statement in self.statements():
            run_security(cloud.maxcompute, statement, cloud.deadline)

    def change(self, cloud: Cloud, state: frozenset[Grant]) -> None:  # noqa: ARG002 # required by `Resource`
        """Run every grant; a grant that exists already stays."""
        for statement in self.statements()[1:]:
            run_security(cloud.maxcompute, statement, cloud.deadline)

    def remove(self, cloud: Cloud) -> None:
        """Revoke the grants and remove the user; grants that aren't revoked would come back with the user."""
        for statement in (
            sql.revoke(self._on_table(), "table", self.table, self.principal),
            sql.revoke(("CreateInstance",), "project", self.project, self.principal),
            sql.remove_user(self.principal),
        ):
            _unless_absent(cloud, statement)

    def _needed(self) -> dict[str, tuple[str, ...]]:
        project = f"projects/{self.project.lower()}"
        return {
            project: ("CreateInstance",),
            f"{project}/tables/{self.table.lower()}": self._on_table(),
        }

    def _on_table(self) -> tuple[str, ...]:
        return ("Describe", "Alter", "Update", *(("Select",) if self.counts else ()))


def _unless_absent(cloud: Cloud, statement: sql.Statement) -> None:
    """Run a statement that removes something; no error if that is gone already."""
    try:
        run_security(cloud.maxcompute, statement, cloud.deadline)
    except RefusedError as error:
        if error.code not in ABSENT | {"NoSuchTable"}:
            raise


def granted(shown: str) -> frozenset[Grant]:
    """Return the grants in an answer to `show grants`, which is JSON or text."""
    try:
        grants = _statements(json.loads(shown))
    except ValueError:
        lines = _LINE.finditer(shown)
        grants = ((line["path"], action.strip()) for line in lines for action in line["actions"].split("|"))
    return frozenset((path.lower(), action.lower()) for path, action in grants)


def _statements(value: Any) -> Iterator[Grant]:
    """Yield the grants of the policy statements anywhere in the answer; their nesting isn't documented."""
    if isinstance(value, dict):
        if value.get("Effect") == "Allow":
            for resource in _listed(value.get("Resource")):
                for action in _listed(value.get("Action")):
                    yield resource.rpartition(":")[2], action.rpartition(":")[2]
        for inner in value.values():
            yield from _statements(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _statements(inner)


def _listed(value: Any) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list) else [] if value is None else [str(value)]
