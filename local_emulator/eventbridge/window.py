"""The batch window: collects events until their count, their age or the body's size closes the batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from local_emulator.kafka.topics import TopicPartition

BODY_BYTES = 32 * 1024 * 1024
"""A synchronous invocation takes 32 MB (Function Compute's limits)."""

ASYNC_BODY_BYTES = 128 * 1024
"""An asynchronous invocation takes 128 KB."""


@dataclass(frozen=True, slots=True)
class Batch:
    """The events of one invocation: the JSON array, and the offsets of its records."""

    body: bytes
    count: int
    ranges: Mapping[TopicPartition, tuple[int, int]]
    """(topic, partition) -> (first offset, next offset): the records from first to before next."""

    @property
    def records(self) -> str:
        """The topic-partitions and offsets, for messages."""
        return describe(self.ranges)

    def __str__(self) -> str:
        return f"{self.count} event{'s' * (self.count > 1)} ({self.records})"


def describe(ranges: Mapping[TopicPartition, tuple[int, int]]) -> str:
    """Return the topic-partitions with their offsets, for messages."""
    return ", ".join(
        f"{topic}-{partition} offsets {first} to {following - 1}"
        for (topic, partition), (first, following) in sorted(ranges.items())
    )


class Window:
    """Collects events into one batch at a time; the caller gives the time (seconds of a monotonic clock).

    The first batch can have a smaller limit: then all batches end elsewhere than those of an earlier window.
    """

    def __init__(
        self, count: int, seconds: float, body_bytes: int = BODY_BYTES, *, first_count: int | None = None
    ) -> None:
        self._count = count
        self._limit_count = first_count or count
        self._limit_seconds = seconds
        self._limit_bytes = body_bytes
        self._begin()

    def _begin(self) -> None:
        self._events: list[bytes] = []
        self._bytes = 2  # the array's brackets
        self._ranges: dict[TopicPartition, tuple[int, int]] = {}
        self._opened = 0.0

    def __len__(self) -> int:
        return len(self._events)

    def fits(self, event: bytes) -> bool:
        """Return whether the body stays within its limit with this event; a first event always fits.

        An event beyond the limit becomes a batch by itself, which Function Compute then refuses.
        """
        return not self._events or self._bytes + len(event) + 1 <= self._limit_bytes

    def add(self, event: bytes, topic_partition: TopicPartition, offset: int, now: float) -> None:
        """Add the event of the record at an offset."""
        if not self._events:
            self._opened = now
        self._events.append(event)
        self._bytes += len(event) + 1
        self.skip(topic_partition, offset)

    def skip(self, topic_partition: TopicPartition, offset: int) -> None:
        """Let the batch cover a record that isn't delivered: the record counts as delivered with the batch."""
        first, _ = self._ranges.get(topic_partition, (offset, offset))
        self._ranges[topic_partition] = first, offset + 1

    def is_due(self, now: float) -> bool:
        """Return whether the batch is complete by count or age; one that covers only skipped records is at once."""
        if not self._events:
            return bool(self._ranges)
        return self.has_count() or now - self._opened >= self._limit_seconds

    def has_count(self) -> bool:
        """Return whether the batch has its largest number of events."""
        return len(self._events) >= self._limit_count

    def take(self) -> Batch:
        """Close the batch and begin the next."""
        batch = Batch(b"[" + b",".join(self._events) + b"]", len(self._events), self._ranges)
        self._limit_count = self._count
        self._begin()
        return batch
