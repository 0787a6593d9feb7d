"""The stream of a Kafka outside of ApsaraMQ: a person creates it in EventBridge, since no API for it is documented."""

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
    """A stream whose state can't be read; it's assumed to be as `made_by_hand` says."""

    request: Request

    @property
    def title(self) -> str:
        """Return the kind and the name."""
        return f"event stream of {self.request.settings.name}, by hand"

    @property
    def creates(self) -> bool:
        """Return False: a person creates the stream."""
        return False

    @property
    def made_by_hand(self) -> str:
        """Return the instruction for a person who creates the resource."""
        settings = self.request.settings
        return (
            f"create an event stream in EventBridge from the self-managed Kafka {settings.bootstrap_servers}, topic "
            f"{settings.source_topic}, group {settings.group}, values as {settings.value_type}, to the function "
            f"{self.request.function}: synchronous, batches of {self.request.batch_records} within "
            f"{self.request.batch_seconds} s, exponential decay retry, no tolerance for errors, no filter"
        )

    def look(self, cloud: Cloud) -> str:  # noqa: ARG002 # required by `Resource`
        """Return `UNKNOWN` without a request."""
        return UNKNOWN

    def compare(self, state: str) -> tuple[Difference, ...]:  # noqa: ARG002
        """Return no difference: none can be known."""
        return ()

    def make(self, cloud: Cloud) -> None:
        """Do nothing; see `creates`."""

    def change(self, cloud: Cloud, state: str) -> None:
        """Do nothing; see `compare`."""

    def pause(self, cloud: Cloud) -> None:  # noqa: ARG002
        """Raise `RefusedError`: only a person can pause the stream."""
        raise RefusedError(f"{self.title}: pause and start it by hand in EventBridge", code="ByHand")

    def is_paused(self, state: str) -> bool:  # noqa: ARG002
        """Return False: the stream may be running."""
        return False

    def status(self, state: str) -> str:
        """Return `UNKNOWN`."""
        return state

    def window(self, state: str | None) -> int:  # noqa: ARG002
        """Return the window that `made_by_hand` names."""
        return self.request.batch_seconds

    def remove(self, cloud: Cloud) -> None:
        """Do nothing: a person removes the stream."""
