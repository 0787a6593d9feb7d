"""The role as a user of the MaxCompute project, and what it may do there (D17).

Whoever runs this must be the project's owner or one of its administrators.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from kafka_maxcompute.errors import RefusedError
from kafka_maxcompute.maxcompute import sql
from kafka_maxcompute.maxcompute.statements import run_security
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
    """The user and its grants; the state is the set of what is granted.

    `counts`: it may read the table too, to count a claim's rows after its upload session has expired.
    """

    principal: str
    project: str
    table: str
    counts: bool = False

    @property
    def title(self) -> str:
        """What it is."""
        return f"MaxCompute user {self.principal}"

    @property
    def creates(self) -> bool:
        """It is made here."""
        return True

    @property
    def made_by_hand(self) -> str:
        """How to make it."""
        return f"run, as an administrator of the project: {' '.join(map(str, self.statements()))}"

    def statements(self) -> tuple[sql.Statement, ...]:
        """The connector document's own."""
        return (
            sql.add_user(self.principal),
            sql.grant(("CreateInstance",), "project", self.project, self.principal),
            sql.grant(self._on_table(), "table", self.table, self.principal),
        )

    def look(self, cloud: Cloud) -> frozenset[Grant] | None:
        """What the user may do; None where the project has no such user."""
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

    def compare(self, found: frozenset[Grant]) -> tuple[Difference, ...]:
        """What isn't granted yet; more than is needed is left alone, for others may need it."""
        missing = [
            f"{action} on {path}"
            for path, actions in self._needed().items()
            for action in actions
            if not {(path, action.lower()), (path, "all")} & found
        ]
        held = sorted(f"{action} on {path}" for path, action in found)
        return (Difference("grants", held, [*held, *missing]),) if missing else ()

    def make(self, cloud: Cloud) -> None:
        """Add the user, then grant."""
        for statement in self.statements():
            run_security(cloud.maxcompute, statement, cloud.deadline)

    def change(self, cloud: Cloud, found: frozenset[Grant]) -> None:  # noqa: ARG002 # the shape of all resources
        """Grant all of it; what is granted already stays so."""
        for statement in self.statements()[1:]:
            run_security(cloud.maxcompute, statement, cloud.deadline)

    def remove(self, cloud: Cloud) -> None:
        """Revoke the grants, which would come back with the user, and remove it."""
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
    """Run a statement; what it takes away may be gone already."""
    try:
        run_security(cloud.maxcompute, statement, cloud.deadline)
    except RefusedError as error:
        if error.code not in ABSENT | {"NoSuchTable"}:
            raise


def granted(shown: str) -> frozenset[Grant]:
    """The grants in an answer of `show grants`, in its form of JSON or of text."""
    try:
        found = _statements(json.loads(shown))
    except ValueError:
        lines = _LINE.finditer(shown)
        found = ((line["path"], action.strip()) for line in lines for action in line["actions"].split("|"))
    return frozenset((path.lower(), action.lower()) for path, action in found)


def _statements(value: Any) -> Iterator[Grant]:
    """What policy statements anywhere in the answer allow; how they are nested isn't documented."""
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
    return [str(one) for one in value] if isinstance(value, list) else [] if value is None else [str(value)]
