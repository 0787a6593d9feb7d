"""The emulator's choices for behaviour of EventBridge that isn't known."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EventBridgeAssumptions:
    """Behaviour that no source documents.

    Fields:
        failures_as_200: whether a failed call is answered with HTTP status 200 and Success false, instead of 4xx.
        stream_exists: the error code of a second create.
        starting_polls: the least number of GetEventStreaming calls that show a started stream as STARTING.
    """

    failures_as_200: bool = True
    stream_exists: str = "EventStreamingAlreadyExisted"
    starting_polls: int = 1
