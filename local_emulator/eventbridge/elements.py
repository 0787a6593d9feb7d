"""The elements of a batch that is already JSON: how to split and join them, and which records they are of."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import msgspec

from local_emulator.eventbridge.window import Batch

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from local_emulator.kafka.topics import TopicPartition

MOST_PIECES = 4


class _Record(msgspec.Struct):
    topic: str
    partition: int
    offset: int


class _Event(msgspec.Struct):
    data: _Record


def split(body: bytes) -> list[msgspec.Raw]:
    """Return the elements, each byte for byte; msgspec.DecodeError or RecursionError if the body is no JSON array."""
    return msgspec.json.decode(body, type=list[msgspec.Raw])


def join(elements: Iterable[msgspec.Raw]) -> bytes:
    """Return the body of a batch."""
    return b"[" + b",".join(map(bytes, elements)) + b"]"


def place(element: bytes | msgspec.Raw) -> tuple[TopicPartition, int] | None:
    """Return an element's topic-partition and offset; None if the element, object or string, doesn't have them."""
    try:
        text = bytes(element)
        record = _record(msgspec.json.decode(text, type=str).encode() if text.startswith(b'"') else text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    return (record.topic, record.partition), record.offset


def _record(element: bytes) -> _Record:
    try:
        return msgspec.json.decode(element, type=_Event).data
    except msgspec.ValidationError:
        return msgspec.json.decode(element, type=_Record)  # the schema RawData


def ranges(elements: Iterable[bytes | msgspec.Raw]) -> dict[TopicPartition, tuple[int, int]]:
    """Return first offset and offset after the last by topic-partition, without elements that have no place."""
    found: dict[TopicPartition, tuple[int, int]] = {}
    for where in filter(None, map(place, elements)):
        topic_partition, offset = where
        first, following = found.get(topic_partition, (offset, offset + 1))
        found[topic_partition] = min(first, offset), max(following, offset + 1)
    return found


def batch(elements: Sequence[msgspec.Raw]) -> Batch:
    """Return the elements as one batch."""
    return Batch(join(elements), len(elements), ranges(elements))


def recut(whole: Batch, attempt: int) -> list[Batch]:
    """Return a batch's events in two to four batches, in order, which are cut elsewhere at each attempt."""
    events = split(whole.body)
    if len(events) < 2:  # noqa: PLR2004 - one event can't be cut
        return [whole]
    chance = random.Random(f"{whole.records} {attempt}")  # noqa: S311 - reproducible on purpose
    count = chance.randint(2, min(MOST_PIECES, len(events)))
    ends = [*sorted(chance.sample(range(1, len(events)), count - 1)), len(events)]
    return [batch(events[begin:end]) for begin, end in zip([0, *ends], ends, strict=False)]
