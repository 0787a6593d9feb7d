"""The emulator's choices for behaviour of EventBridge that isn't known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec

from local_emulator.eventbridge.invocation import LONGEST_SECONDS


@dataclass(frozen=True, slots=True)
class EventBridgeAssumptions:
    """Behaviour that no source documents, or about which the sources disagree; `up --eventbridge` sets each field.

    Fields:
        failures_as_200: whether a failed call is answered with HTTP status 200 and Success false, instead of 4xx.
        stream_exists: the error code of a second create.
        starting_polls: the least number of GetEventStreaming calls that show a started stream as STARTING.
        elements: a batch's elements: JSON objects, or JSON strings that hold the objects.
        dead_letters: whether each event, or each batch as a JSON array, becomes a message of the dead-letter queue.
        true_is_async: whether a trigger's asyncInvocationType true means asynchronous delivery, as older pages say, or
            false does, as pages of 2026 say.
        recut: whether records that are delivered again come in other batches: a retry cuts the batch into two to four,
            elsewhere at each try, and after a start of the stream, the first batch has any number of events.
        invocation_seconds: the longest run of an invocation by an event stream; the service has five minutes.
        time_scale: multiplies the waits between retries (the stream's, and Function Compute's of asynchronous
            invocations) and the age at which retries end; 0.01 makes a day 15 minutes.
    """

    failures_as_200: bool = True
    stream_exists: str = "EventStreamingAlreadyExisted"
    starting_polls: int = 1
    elements: Literal["objects", "strings"] = "objects"
    dead_letters: Literal["events", "batches"] = "events"
    true_is_async: bool = True
    recut: bool = False
    invocation_seconds: Annotated[float, msgspec.Meta(gt=0)] = LONGEST_SECONDS
    time_scale: Annotated[float, msgspec.Meta(gt=0)] = 1.0
