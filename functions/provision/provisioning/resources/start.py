"""Where the group begins to read, if the request says so: the way from another connector, such as the managed one.

The first offsets are committed for the group before its stream runs; brokers refuse a commit while the group has
members. A first offset has to lie in its log: from any other offset a consumer goes to one of the log's ends, by its
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
    """What the group has committed, and each log's start and end (the next offset), by topic-partition."""

    committed: Mapping[int, int]
    logs: Mapping[int, Interval]


@dataclass(frozen=True, slots=True)
class Start(Resource[StartState]):
    """The first offsets that the request gives."""

    request: Request

    @property
    def title(self) -> str:
        """What it is."""
        return f"start of group {self.request.settings.group}"

    @property
    def creates(self) -> bool:
        """It's always there: a group that has committed nothing."""
        return False

    @property
    def made_by_hand(self) -> str:
        """How to set it."""
        return f"set the consumer offsets of {self.request.settings.group}: {told(self.request.start)}"

    def look(self, cloud: Cloud) -> StartState:
        """What the group has committed of the source topic, and where its logs begin and end."""
        return StartState(brokers.committed(cloud), brokers.logs(cloud))

    def compare(self, found: StartState) -> tuple[Difference, ...]:
        """Each topic-partition that begins elsewhere; the user has to correct an offset that its log doesn't hold."""
        topic = self.request.settings.source_topic
        wanted = {n: offset for n, offset in sorted(self.request.start.items()) if found.committed.get(n) != offset}
        faults = outside(topic, wanted, found.logs)
        return tuple(
            Difference(f"{topic}-{number}", found.committed.get(number), offset, "by hand", faults[number])
            if number in faults
            else Difference(f"{topic}-{number}", found.committed.get(number), offset)
            for number, offset in wanted.items()
        )

    def make(self, cloud: Cloud) -> None:
        """Not asked for; see `creates`."""

    def change(self, cloud: Cloud, found: StartState) -> None:  # noqa: ARG002 # the shape of all resources
        """Commit the offsets."""
        brokers.commit(cloud, self.request.start)

    def remove(self, cloud: Cloud) -> None:
        """It goes with the group."""


def outside(topic: str, starts: Mapping[int, int], logs: Mapping[int, Interval]) -> dict[int, str]:
    """Why first offsets can't be taken, by topic-partition; `logs` has each log's start and end (the next offset)."""
    return dict(_outside(topic, starts, logs))


def _outside(topic: str, starts: Mapping[int, int], logs: Mapping[int, Interval]) -> Iterator[tuple[int, str]]:
    for number, start in sorted(starts.items()):
        if number not in logs:
            yield number, f"start: {topic} has no topic-partition {number}; it has {len(logs)}, numbered from 0"
            continue
        first, end = logs[number]
        if start > end:
            yield number, f"start: {topic}-{number} ends at {end}, before {start}; records to come would be skipped"
        elif start < first:
            yield number, f"start: {topic}-{number} begins at {first}, after {start}; set it to {first} or later"


def told(starts: Mapping[int, int]) -> list[str]:
    """Offsets by topic-partition, for people."""
    return [f"{number}: {offset}" for number, offset in sorted(starts.items())]
