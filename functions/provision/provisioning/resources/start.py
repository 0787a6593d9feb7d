"""Where the group begins to read, if that is given: the way from another connector, such as the managed one.

The first offsets are committed for the group before its stream runs; brokers refuse that while the group has members.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from provisioning import brokers
from provisioning.resource import Difference

if TYPE_CHECKING:
    from collections.abc import Mapping

    from provisioning.cloud import Cloud
    from provisioning.request import Request


@dataclass(frozen=True, slots=True)
class Start:
    """The first offsets that the request gives; its state is what the group has committed, by topic-partition."""

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

    def look(self, cloud: Cloud) -> Mapping[int, int]:
        """What the group has committed of the source topic."""
        return brokers.committed(cloud)

    def compare(self, found: Mapping[int, int]) -> tuple[Difference, ...]:
        """Each topic-partition that begins elsewhere."""
        topic = self.request.settings.source_topic
        return tuple(
            Difference(f"{topic}-{number}", found.get(number), offset)
            for number, offset in sorted(self.request.start.items())
            if found.get(number) != offset
        )

    def make(self, cloud: Cloud) -> None:
        """Not asked for; see `creates`."""

    def change(self, cloud: Cloud, found: Mapping[int, int]) -> None:  # noqa: ARG002 # the shape of all resources
        """Commit the offsets."""
        brokers.commit(cloud, self.request.start)

    def remove(self, cloud: Cloud) -> None:
        """It goes with the group."""


def told(starts: Mapping[int, int]) -> list[str]:
    """Offsets by topic-partition, for people."""
    return [f"{number}: {offset}" for number, offset in sorted(starts.items())]
