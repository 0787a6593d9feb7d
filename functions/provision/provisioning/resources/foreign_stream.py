"""The stream of a Kafka that isn't ApsaraMQ's: made by hand in EventBridge, since no API for it is documented."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kafka_maxcompute.errors import RefusedError
from provisioning.resource import Stream

if TYPE_CHECKING:
    from provisioning.cloud import Cloud
    from provisioning.request import Request
    from provisioning.resource import Difference

UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class ForeignStream(Stream[str]):
    """A stream that can't be looked at; it's believed to be as `made_by_hand` says."""

    request: Request

    @property
    def title(self) -> str:
        """What it is."""
        return f"event stream of {self.request.settings.name}, by hand"

    @property
    def creates(self) -> bool:
        """It isn't made here."""
        return False

    @property
    def made_by_hand(self) -> str:
        """How to make it."""
        settings = self.request.settings
        return (
            f"make an event stream in EventBridge from the self-managed Kafka {settings.bootstrap_servers}, topic "
            f"{settings.source_topic}, group {settings.group}, values as {settings.value_type}, to the function "
            f"{self.request.function}: synchronous, batches of {self.request.batch_records} within "
            f"{self.request.batch_seconds} s, exponential decay retry, no tolerance for errors, no filter"
        )

    def look(self, cloud: Cloud) -> str:  # noqa: ARG002 # the shape of all resources
        """Nothing is asked."""
        return UNKNOWN

    def compare(self, found: str) -> tuple[Difference, ...]:  # noqa: ARG002
        """Nothing is known to differ."""
        return ()

    def make(self, cloud: Cloud) -> None:
        """Not asked for; see `creates`."""

    def change(self, cloud: Cloud, found: str) -> None:
        """Not asked for; nothing is known to differ."""

    def pause(self, cloud: Cloud) -> None:  # noqa: ARG002
        """It can't be paused from here."""
        raise RefusedError(f"{self.title}: it's paused and started by hand in EventBridge", code="ByHand")

    def is_paused(self, found: str) -> bool:  # noqa: ARG002
        """It may be running."""
        return False

    def state(self, found: str) -> str:
        """Not known."""
        return found

    def window(self, found: str | None) -> int:  # noqa: ARG002
        """As `made_by_hand` says."""
        return self.request.batch_seconds

    def remove(self, cloud: Cloud) -> None:
        """It's removed by hand."""
