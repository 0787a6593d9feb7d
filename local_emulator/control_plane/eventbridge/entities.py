"""EventBridge's part of an account's state: the event streams."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 - msgspec reads the annotations when it decodes
from typing import Any, Literal

import msgspec

from local_emulator.eventbridge.event_pattern import EVERYTHING


class Stream(msgspec.Struct):
    """An event stream.

    Fields:
        source, sink, run_options: Source, Sink and RunOptions of EventBridge's API.
        schema: CloudEvents, or RawData, which only a trigger can set.
        pattern: the event pattern that selects the events, as JSON.
        wanted: the last requested state; READY: the stream was never started.
        polls: how many more polls show the stream as STARTING.
        obstacle: why the last start failed at once; empty if it didn't.
    """

    name: str
    source: dict[str, Any]
    sink: dict[str, Any]
    run_options: dict[str, Any]
    created: datetime
    description: str = ""
    schema: str = "CloudEvents"
    pattern: str = EVERYTHING
    wanted: Literal["READY", "RUNNING", "PAUSED"] = "READY"
    polls: int = 0
    obstacle: str = ""


class EventStreams(msgspec.Struct):
    """The event streams, by name."""

    streams: dict[str, Stream] = {}
