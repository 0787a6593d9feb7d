"""What EventBridge keeps of an account's event streams."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 - msgspec reads the annotations when it decodes
from typing import Any, Literal

import msgspec


class Stream(msgspec.Struct):
    """An event stream.

    Fields:
        source, sink, run_options: as EventBridge's API has them.
        schema: CloudEvents, or RawData, which only a trigger can ask for.
        wanted: what it was last told to be; READY: it was never started.
        polls: how often it is yet to be found STARTING.
        obstacle: why the last start failed at once.
    """

    name: str
    source: dict[str, Any]
    sink: dict[str, Any]
    run_options: dict[str, Any]
    created: datetime
    description: str = ""
    schema: str = "CloudEvents"
    wanted: Literal["READY", "RUNNING", "PAUSED"] = "READY"
    polls: int = 0
    obstacle: str = ""


class EventStreams(msgspec.Struct):
    """All of them, by name."""

    streams: dict[str, Stream] = {}
