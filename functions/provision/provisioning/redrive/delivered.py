"""Reads events in the form in which EventBridge delivered them: in dead letters, or in EventBridge's dead-letter queue.

The service's documents don't say whether a message of its queue has a record or a batch, nor how it is wrapped. So
this module reads all forms: an array or an object; either as a string in an array or in another object's `data`; and
base64 of any of these, because a queue may hold only text.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import msgspec

from kafka_maxcompute.brokers.originals import Original
from kafka_maxcompute.dead_letters.dead_letter import DeadLetter

if TYPE_CHECKING:
    from collections.abc import Iterator

QUEUE = "eventbridge-dead-letter"
"""The reason of dead letters from EventBridge's queue, which doesn't report the cause."""
DEEPEST = 6
"""The most levels of wrapping that are unwrapped; the documented forms have at most three."""


class _Data(msgspec.Struct):
    """The fields of a Kafka record in an event; see `maxcompute_sink.records`."""

    topic: str
    partition: Annotated[int, msgspec.Meta(ge=0)]
    offset: Annotated[int, msgspec.Meta(ge=0)]
    timestamp: int | str | None = None
    key: str | None = None
    value: msgspec.Raw = msgspec.Raw(b"null")


class _Event(msgspec.Struct):
    data: _Data


class _Wrapped(msgspec.Struct):
    data: msgspec.Raw


@dataclass(frozen=True, slots=True)
class EventRecord:
    """A record from an event: its place, and its key, value and time; an event's headers aren't read."""

    topic: str
    partition: int
    offset: int
    record: Original


def read(element: bytes, value_type: str) -> EventRecord | None:
    """Return the record in an element of a batch, None if there is none; `value_type` is the stream's."""
    try:
        return _record(_data(element), value_type)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def _data(element: bytes) -> _Data:
    """Return the object with the record's fields: the event's `data`, or with schema RawData the whole element."""
    try:
        return msgspec.json.decode(element, type=_Event).data
    except msgspec.ValidationError:
        return msgspec.json.decode(element, type=_Data)


def _record(data: _Data, value_type: str) -> EventRecord:
    key = None if data.key is None else data.key.encode()
    timestamp = None if data.timestamp is None else int(data.timestamp)
    record = Original(key=key, value=_value(data.value, value_type), timestamp=timestamp)
    return EventRecord(data.topic, data.partition, data.offset, record)


def elements(body: bytes, depth: int = 0) -> Iterator[bytes]:
    """Yield the elements in the body of a message of the queue; a body that can't be unwrapped is one element."""
    parts = _unwrapped(body) if depth < DEEPEST else None
    if parts is None:
        yield body
    else:
        for part in parts:
            yield from elements(part, depth + 1)


def letter(element: bytes, connector: str, value_type: str) -> DeadLetter:
    """Return a dead letter for an element of the queue."""
    event = read(element, value_type)
    return DeadLetter(
        connector=connector,
        request_id="",
        reason=QUEUE,
        message="EventBridge gave up its batch",
        path="$",
        record=Original(key=None, value=element, timestamp=None if event is None else event.record.timestamp),
        form="event",
        topic=None if event is None else event.topic,
        partition=None if event is None else event.partition,
        offset=None if event is None else event.offset,
    )


def _unwrapped(body: bytes) -> list[bytes] | None:
    """Return the parts that a body wraps; None if the body isn't a wrapping."""
    first = body.lstrip()[:1]
    try:
        if first == b"[":
            return [bytes(part) for part in msgspec.json.decode(body, type=list[msgspec.Raw])]
        if first == b'"':
            return [msgspec.json.decode(body, type=str).encode()]
        inside = (
            bytes(msgspec.json.decode(body, type=_Wrapped).data)
            if first == b"{"
            else base64.b64decode(body, validate=True)
        )
    except (msgspec.MsgspecError, binascii.Error, UnicodeError, RecursionError):
        return None
    return [inside] if inside.lstrip()[:1] in ({b"[", b'"'} if first == b"{" else {b"[", b'"', b"{"}) else None


def _value(raw: msgspec.Raw, value_type: str) -> bytes | None:
    """Return a value's bytes; with value type Json, the JSON in the event, which may differ from the producer's."""
    if bytes(raw) == b"null":
        return None
    if value_type == "Json":
        return bytes(raw)
    text = msgspec.json.decode(raw, type=str)
    return base64.b64decode(text, validate=True) if value_type == "Binary" else text.encode()
