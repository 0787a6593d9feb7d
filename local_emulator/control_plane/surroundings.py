"""The rest of the local cloud, as far as the control plane acts on it; what is absent isn't acted on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from local_emulator.control_plane.eventbridge.running import RunningStreams
from local_emulator.control_plane.function_compute.entities import Functions

if TYPE_CHECKING:
    from collections.abc import Callable

    from local_emulator.control_plane.identity import AccessKey
    from local_emulator.kafka.broker import Broker


def _tell_nobody(key_id: str, key: AccessKey) -> None:
    """A control plane alone: no other service takes its keys."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What else there is.

    Fields:
        broker: gets the topics.
        tell_key: is told each key of a user or role, for services that take it too.
        functions: those that are deployed; see function_compute.deployment.
        streams: the event streams that run; they end with the control plane, or before with their ``close``.
    """

    broker: Broker | None = None
    tell_key: Callable[[str, AccessKey], None] = _tell_nobody
    functions: Functions = field(default_factory=Functions)
    streams: RunningStreams = field(default_factory=RunningStreams)
