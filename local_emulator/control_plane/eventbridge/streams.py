"""EventBridge's actions on event streams."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from local_emulator.control_plane.dispatch import json_object
from local_emulator.control_plane.errors import ApiError, invalid_argument
from local_emulator.control_plane.eventbridge import definition, lifecycle
from local_emulator.control_plane.eventbridge.entities import EventStreams, Stream
from local_emulator.eventbridge.errors import StreamConfigError
from local_emulator.eventbridge.event_pattern import EVERYTHING

if TYPE_CHECKING:
    from local_emulator.control_plane.dispatch import Call

_NAME = re.compile(r"[A-Za-z0-9._-]{1,127}")  # the rule of event buses; none is published for streams
_LONGEST_PAGE = 100


def create(call: Call) -> dict[str, object]:
    """CreateEventStreaming: the stream is READY until it is started. Tags are ignored, as documented."""
    streams = call.state.part(EventStreams).streams
    stream = _read(call)
    if stream.name in streams:
        raise ApiError(409, call.rules.event_bridge.stream_exists, f"The event streaming [{stream.name}] existed.")
    streams[stream.name] = stream
    return {"Data": {"EventStreamingARN": lifecycle.arn(call, stream.name)}}


def update(call: Call) -> dict[str, object]:
    """UpdateEventStreaming: replace the whole definition; a running stream is started again."""
    before, stream = existing(call), _read(call)
    stream.created, stream.wanted = before.created, before.wanted
    call.state.part(EventStreams).streams[stream.name] = stream
    if stream.wanted == "RUNNING":
        lifecycle.start(call, stream)
    return {"Data": {"EventStreamingARN": lifecycle.arn(call, stream.name)}}


def start(call: Call) -> dict[str, object]:
    """StartEventStreaming; a running stream isn't changed."""
    stream = existing(call)
    running = call.surroundings.streams.state(stream.name)
    if stream.wanted != "RUNNING" or stream.obstacle or (running and running.value not in {"STARTING", "RUNNING"}):
        lifecycle.start(call, stream)
    return {}


def pause(call: Call) -> dict[str, object]:
    """PauseEventStreaming."""
    lifecycle.pause(call, existing(call))
    return {}


def delete(call: Call) -> dict[str, object]:
    """DeleteEventStreaming; a running stream is stopped."""
    lifecycle.remove(call, existing(call).name)
    return {}


def show(call: Call) -> dict[str, object]:
    """GetEventStreaming."""
    return {"Data": _shown(call, existing(call))}


def list_streams(call: Call) -> dict[str, object]:
    """ListEventStreamings, a page at a time; NextToken is the name of the last stream on the page before."""
    limit, prefix, after = (
        call.number("Limit", _LONGEST_PAGE, 1, _LONGEST_PAGE),
        call.text("NamePrefix"),
        call.text("NextToken"),
    )
    matching = [
        stream for name, stream in sorted(call.state.part(EventStreams).streams.items()) if name.startswith(prefix)
    ]
    rest = [stream for stream in matching if stream.name > after]
    page = rest[:limit]
    more = {"NextToken": page[-1].name} if len(rest) > limit else {}
    return {"Data": {"EventStreamings": [_shown(call, stream) for stream in page], "Total": len(matching), **more}}


def existing(call: Call) -> Stream:
    """Return the stream that a call names; ApiError EventStreamingNotExisted."""
    name = call.required("EventStreamingName")
    stream = call.state.part(EventStreams).streams.get(name)
    if stream is None:
        raise ApiError(404, "EventStreamingNotExisted", f"The event streaming [{name}] not existed!")
    return stream


def _read(call: Call) -> Stream:
    name = call.required("EventStreamingName")
    if not _NAME.fullmatch(name):
        raise invalid_argument(
            f"EventStreamingName: expected 1 to 127 letters, digits, '.', '_' and '-', found {name!r}"
        )
    stream = Stream(
        name,
        _json(call, "Source", required=True),
        _json(call, "Sink", required=True),
        _json(call, "RunOptions"),
        call.now,
        call.text("Description"),
        pattern=call.text("FilterPattern", EVERYTHING),
    )
    if call.text("Transforms", "[]").strip() != "[]":
        raise invalid_argument("Transforms: expected none of them: they aren't emulated")
    try:
        definition.read(stream)
    except StreamConfigError as error:
        raise invalid_argument("; ".join(error.faults)) from None
    return stream


def _json(call: Call, name: str, *, required: bool = False) -> dict[str, Any]:
    return json_object(name, call.required(name) if required else call.text(name, "{}"))


def _shown(call: Call, stream: Stream) -> dict[str, object]:
    return {
        "EventStreamingName": stream.name,
        "Description": stream.description,
        "FilterPattern": stream.pattern,
        "Source": stream.source,
        "Sink": stream.sink,
        "RunOptions": stream.run_options,
        "Transforms": [],
        "Status": lifecycle.status(call, stream),
    }
