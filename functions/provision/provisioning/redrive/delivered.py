"""Events as EventBridge delivered them, out of a dead letter or of its own dead-letter queue.

What the service puts into its queue isn't settled by its documents (one message a record or a batch, wrapped or not),
so all shapes are read: an array, an object, either as a string inside an array or another object's `data`, and base64
of any of them, as queues that hold only text have it.
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
"""The reason of what EventBridge gave up: it doesn't say why."""
DEEPEST = 6
"""Wrappings that are opened; the documents' shapes have three at most."""


class _Data(msgspec.Struct):
    """A Kafka record in an event; see `maxcompute_sink.records`."""

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
    """A record as an event has it: where it was, and its key and value without its headers."""

    topic: str
    partition: int
    offset: int
    record: Original


def read(element: bytes, value_type: str) -> EventRecord | None:
    """The record in an element of a batch, values being of the stream's value type; None where it isn't one."""
    try:
        return _record(_data(element), value_type)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def _data(element: bytes) -> _Data:
    """The part of an element that is the record; of the schema RawData it's the element itself."""
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
    """The elements in the body of one message of the queue; what can't be opened any further is one."""
    inside = _opened(body) if depth < DEEPEST else None
    if inside is None:
        yield body
    else:
        for part in inside:
            yield from elements(part, depth + 1)


def letter(element: bytes, connector: str, value_type: str) -> DeadLetter:
    """A dead letter for an element of the queue."""
    found = read(element, value_type)
    return DeadLetter(
        connector=connector,
        request_id="",
        reason=QUEUE,
        message="EventBridge gave its batch up",
        path="$",
        record=Original(key=None, value=element, timestamp=None if found is None else found.record.timestamp),
        form="event",
        topic=None if found is None else found.topic,
        partition=None if found is None else found.partition,
        offset=None if found is None else found.offset,
    )


def _opened(body: bytes) -> list[bytes] | None:
    """What is inside of a wrapping; None where there's none."""
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
    """The bytes of a value; of value type Json they are the text in the event, which may not be the producer's."""
    if bytes(raw) == b"null":
        return None
    if value_type == "Json":
        return bytes(raw)
    text = msgspec.json.decode(raw, type=str)
    return base64.b64decode(text, validate=True) if value_type == "Binary" else text.encode()
