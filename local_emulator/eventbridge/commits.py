"""Finds the offsets to commit when batches finish in any order: no unfinished batch may have a lower offset."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from local_emulator.kafka.topics import TopicPartition


@dataclass(slots=True)
class _Range:
    """A batch's records of one topic-partition; `following` is the next offset after them."""

    batch: int
    following: int
    done: bool = False


class CommitTracker:
    """Tracks the batches of one consumer, which are numbered and dispatched in the order of their offsets."""

    def __init__(self) -> None:
        self._open: dict[TopicPartition, deque[_Range]] = {}

    def dispatched(self, batch: int, ranges: Mapping[TopicPartition, tuple[int, int]]) -> None:
        """Add a batch; `ranges` has the first and the next offset of its records, by topic-partition."""
        for topic_partition, (_, following) in ranges.items():
            self._open.setdefault(topic_partition, deque()).append(_Range(batch, following))

    def finished(self, batch: int) -> dict[TopicPartition, int]:
        """Mark a batch as finished; return the offsets that can be committed now, by topic-partition."""
        ready: dict[TopicPartition, int] = {}
        for topic_partition, ranges in self._open.items():
            for dispatched in ranges:
                if dispatched.batch == batch:
                    dispatched.done = True
            while ranges and ranges[0].done:
                ready[topic_partition] = ranges.popleft().following
        return ready
