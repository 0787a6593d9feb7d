"""Where EventBridge's behaviour isn't known: what this one does."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EventBridgeAssumptions:
    """Answers that no source settles.

    Fields:
        failures_as_200: whether a call that fails is answered with HTTP status 200 and Success false, not with 4xx.
        stream_exists: the code of a second create.
        starting_polls: how often GetEventStreaming finds a started stream STARTING at least.
    """

    failures_as_200: bool = True
    stream_exists: str = "EventStreamingAlreadyExisted"
    starting_polls: int = 1
