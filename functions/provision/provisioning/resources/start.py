"""The first offsets of the group, if the request has some: for a migration from another connector.

The first offsets are committed for the group before its stream runs; brokers refuse a commit while the group has
members. A first offset has to lie in its log: from any other offset a consumer jumps to the log's start or end, by its
OffsetReset, and records are skipped or delivered twice without an error.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from provisioning import brokers
from provisioning.resource import Difference, Resource

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from kafka_maxcompute.offsets import Interval
    from provisioning.cloud import Cloud
    from provisioning.request import Request


@dataclass(frozen=True, slots=True)
class StartState:
    """The group's committed offsets, and each log's start and end (the next offset), by topic-partition."""

    committed: Mapping[int, int]
    logs: Mapping[int, Interval]


@dataclass(frozen=True, slots=True)
class Start(Resource[StartState]):
    """The first offsets that the request gives."""

    request: Request

    @property
    def title(self) -> str:
        """Return the kind and the name."""
        return f"start of group {self.request.settings.group}"

    @property
    def creates(self) -> bool:
        """Return False: committed offsets always have a state, even if it is empty."""
        return False

    @property
    def made_by_hand(self) -> str:
        """Return the instruction for a person who sets the offsets."""
        return f"set the consumer offsets of {self.request.settings.group}: {described(self.request.start)}"

    def look(self, cloud: Cloud) -> StartState:
        """Return the group's committed offsets of the source topic, and the bounds of the topic's logs."""
        return StartState(brokers.committed(cloud), brokers.logs(cloud))

    def compare(self, state: StartState) -> tuple[Difference, ...]:
        """Return each topic-partition that begins elsewhere; a person has to correct an offset outside of its log."""
        topic = self.request.settings.source_topic
        wanted = {n: offset for n, offset in sorted(self.request.start.items()) if state.committed.get(n) != offset}
        faults = outside(topic, wanted, state.logs)
        return tuple(
            Difference(f"{topic}-{number}", state.committed.get(number), offset, "by hand", faults[number])
            if number in faults
            else Difference(f"{topic}-{number}", state.committed.get(number), offset)
            for number, offset in wanted.items()
        )

    def make(self, cloud: Cloud) -> None:
        """Do nothing; see `creates`."""

    def change(self, cloud: Cloud, state: StartState) -> None:  # noqa: ARG002 # required by `Resource`
        """Commit the offsets."""
        brokers.commit(cloud, self.request.start)

    def remove(self, cloud: Cloud) -> None:
        """Do nothing: the offsets are removed with the group."""


def outside(topic: str, starts: Mapping[int, int], logs: Mapping[int, Interval]) -> dict[int, str]:
    """Return why first offsets are refused, by topic-partition; `logs` has the start and next offset of each log."""
    return dict(_outside(topic, starts, logs))


def _outside(topic: str, starts: Mapping[int, int], logs: Mapping[int, Interval]) -> Iterator[tuple[int, str]]:
    for number, start in sorted(starts.items()):
        if number not in logs:
            yield number, f"start: {topic} has no topic-partition {number}; it has {len(logs)}, numbered from 0"
            continue
        first, end = logs[number]
        if start > end:
            yield number, f"start: {topic}-{number} ends at {end}, before {start}; new records would be skipped"
        elif start < first:
            yield number, f"start: {topic}-{number} begins at {first}, after {start}; set it to {first} or later"


def described(starts: Mapping[int, int]) -> list[str]:
    """Return offsets by topic-partition as text for people."""
    return [f"{number}: {offset}" for number, offset in sorted(starts.items())]
