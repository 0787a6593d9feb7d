"""The emulator's choices for behaviour of EventBridge that isn't known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec


@dataclass(frozen=True, slots=True)
class EventBridgeAssumptions:
    """Behaviour that no source documents, or about which the sources disagree; `up --eventbridge` sets each field.

    Fields:
        failures_as_200: whether a failed call is answered with HTTP status 200 and Success false, instead of 4xx.
        stream_exists: the error code of a second create.
        starting_polls: the least number of GetEventStreaming calls that show a started stream as STARTING.
        elements: a batch's elements: JSON objects, or JSON strings that hold the objects.
        dead_letters: whether each event, or each batch as a JSON array, becomes a message of the dead-letter queue.
        time_scale: multiplies the waits between retries and the age at which retries end; 0.01 makes a day 15 minutes.
    """

    failures_as_200: bool = True
    stream_exists: str = "EventStreamingAlreadyExisted"
    starting_polls: int = 1
    elements: Literal["objects", "strings"] = "objects"
    dead_letters: Literal["events", "batches"] = "events"
    time_scale: Annotated[float, msgspec.Meta(gt=0)] = 1.0
