"""What a replay sends, in which order and when: the deliveries of a recording, cut, repeated and reordered."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

import msgspec

from local_emulator.eventbridge import elements
from local_emulator.eventbridge.errors import RecordingError
from local_emulator.eventbridge.window import BODY_BYTES, describe

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from local_emulator.eventbridge.deliveries import RecordedDelivery
    from local_emulator.kafka.topics import TopicPartition

Order = Literal["recorded", "shuffled", "reversed"]
MOST_HELD_BYTES = 512 * 1024 * 1024
"""The size of the batches that another order than the recorded one holds in memory."""


@dataclass(frozen=True, slots=True)
class Manner:
    """How a replay differs from its recording.

    Fields:
        order: the order of the batches; `seed` chooses among shuffled ones.
        duplicate: how many more times each batch is sent.
        cut: the events of a batch: the recording's events are cut into new batches; None keeps the batches.
    """

    order: Order = "recorded"
    seed: int = 0
    duplicate: int = 0
    cut: int | None = None


@dataclass(frozen=True, slots=True)
class Sending:
    """A batch to send.

    Fields:
        body, events: the batch, and its number of events.
        seconds: when the batch was delivered, after the recording's first delivery.
        delivery: the recorded delivery; None for a batch that was cut anew.
        copy: 0 for the first time that the batch is sent.
    """

    body: bytes
    events: int
    seconds: float
    delivery: RecordedDelivery | None
    copy: int = 0


@dataclass(slots=True)
class Survey:
    """What a recording holds; `streams` also has the streams whose deliveries aren't chosen."""

    deliveries: int = 0
    events: int = 0
    has_outcomes: bool = True
    first: datetime | None = None
    last: datetime | None = None
    ranges: dict[TopicPartition, tuple[int, int]] = field(default_factory=dict)
    streams: set[str] = field(default_factory=set)

    def add(self, delivery: RecordedDelivery) -> None:
        """Add a delivery; RecordingError if its body is no batch."""
        events = _events(delivery)
        self.deliveries += 1
        self.events += len(events)
        self.has_outcomes = self.has_outcomes and delivery.number > 0
        self.first = min(self.first or delivery.time, delivery.time)
        self.last = max(self.last or delivery.time, delivery.time)
        for topic_partition, (first, following) in elements.ranges(events).items():
            known_first, known_following = self.ranges.get(topic_partition, (first, following))
            self.ranges[topic_partition] = min(first, known_first), max(following, known_following)

    def invocations(self, manner: Manner) -> int:
        """Return about how many invocations a replay makes; batches that are cut anew may also end by their size."""
        batches = self.deliveries if manner.cut is None else -(-self.events // manner.cut)
        return batches * (1 + manner.duplicate)

    def records(self) -> str:
        """Return the topic-partitions and offsets, for messages."""
        return describe(self.ranges) or "no element names its record"


def plan(deliveries: Iterable[RecordedDelivery], manner: Manner) -> Iterator[Sending]:
    """Yield what to send; RecordingError if a body is no batch, or another order needs too much memory."""
    sendings = _recorded(deliveries) if manner.cut is None else _cut(deliveries, manner.cut)
    sendings = _with_copies(sendings, manner.duplicate)
    if manner.order == "recorded":
        yield from sendings
        return
    held = list(_bounded(sendings))
    times = [sending.seconds for sending in held]
    if manner.order == "reversed":
        held.reverse()
    else:
        random.Random(manner.seed).shuffle(held)  # noqa: S311 - reproducible on purpose
    for sending, seconds in zip(held, times, strict=True):
        yield replace(sending, seconds=seconds)


def _recorded(deliveries: Iterable[RecordedDelivery]) -> Iterator[Sending]:
    begin: datetime | None = None
    for delivery in deliveries:
        begin = begin or delivery.time
        seconds = max(0.0, (delivery.time - begin).total_seconds())
        yield Sending(delivery.body.encode(), delivery.events, seconds, delivery)


def _cut(deliveries: Iterable[RecordedDelivery], count: int) -> Iterator[Sending]:
    """Yield the events of all deliveries in batches of `count`, or fewer if these exceed 32 MB."""
    collected: list[msgspec.Raw] = []
    size, opened = 0, 0.0
    for whole in _recorded(deliveries):
        for event in _events(whole.delivery) if whole.delivery else ():
            length = len(bytes(event)) + 1
            if collected and (len(collected) == count or size + length + 1 > BODY_BYTES):
                yield Sending(elements.join(collected), len(collected), opened, None)
                collected, size = [], 0
            opened = whole.seconds if not collected else opened
            collected.append(event)
            size += length
    if collected:
        yield Sending(elements.join(collected), len(collected), opened, None)


def _with_copies(sendings: Iterable[Sending], more: int) -> Iterator[Sending]:
    for sending in sendings:
        yield sending
        for copy in range(1, more + 1):
            yield replace(sending, copy=copy)


def _bounded(sendings: Iterable[Sending]) -> Iterator[Sending]:
    size = 0
    for sending in sendings:
        size += len(sending.body) if sending.copy == 0 else 0
        if size > MOST_HELD_BYTES:
            raise RecordingError(
                f"expected at most {MOST_HELD_BYTES:,} bytes of batches for another order than the recorded one, "
                "found more; use --order recorded, or record less with --count"
            )
        yield sending


def _events(delivery: RecordedDelivery) -> list[msgspec.Raw]:
    try:
        return elements.split(delivery.body.encode())
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as error:
        raise RecordingError(
            f"delivery {delivery.number}: expected a JSON array as its body, found: {type(error).__name__}"
        ) from error
