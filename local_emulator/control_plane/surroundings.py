"""The other parts of the local cloud that the control plane acts on; each may be absent."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from local_emulator.control_plane.eventbridge.running import RunningStreams
from local_emulator.control_plane.function_compute.entities import Functions
from local_emulator.eventbridge.dead_letters import DeadLetterQueues
from local_emulator.eventbridge.deliveries import RecentDeliveries

if TYPE_CHECKING:
    from collections.abc import Callable

    from local_emulator.control_plane.identity import AccessKey
    from local_emulator.kafka.broker import Broker


def _register_nowhere(key_id: str, key: AccessKey) -> None:
    """Do nothing: a control plane without other services."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The parts of the local cloud that the control plane uses.

    Fields:
        broker: the Kafka broker, which has the topics.
        register_key: called with each key of a user or role, so that other services accept the key.
        functions: the deployed functions; see function_compute.deployment.
        streams: the running event streams; they end with the control plane, or earlier by their ``close``.
        dead_letters: the queues that the streams' dead letters go to.
        deliveries: the newest deliveries of all streams.
    """

    broker: Broker | None = None
    register_key: Callable[[str, AccessKey], None] = _register_nowhere
    functions: Functions = field(default_factory=Functions)
    streams: RunningStreams = field(default_factory=RunningStreams)
    dead_letters: DeadLetterQueues = field(default_factory=DeadLetterQueues)
    deliveries: RecentDeliveries = field(default_factory=RecentDeliveries)
