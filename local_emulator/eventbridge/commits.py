"""Which offsets may be committed when batches finish out of order: only what has nothing unfinished before it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from local_emulator.kafka.topics import TopicPartition


@dataclass(slots=True)
class _Range:
    batch: int
    following: int
    done: bool = False


class CommitTracker:
    """Follows the batches of one consumer, which are numbered and handed over in the order of their offsets."""

    def __init__(self) -> None:
        self._open: dict[TopicPartition, deque[_Range]] = {}

    def dispatched(self, batch: int, ranges: Mapping[TopicPartition, tuple[int, int]]) -> None:
        """A batch with these records (first offset, next offset) is on its way."""
        for topic_partition, (_, following) in ranges.items():
            self._open.setdefault(topic_partition, deque()).append(_Range(batch, following))

    def finished(self, batch: int) -> dict[TopicPartition, int]:
        """A batch is settled: the next offsets that may be committed now, of the topic-partitions that got further."""
        ready: dict[TopicPartition, int] = {}
        for topic_partition, ranges in self._open.items():
            for one in ranges:
                if one.batch == batch:
                    one.done = True
            while ranges and ranges[0].done:
                ready[topic_partition] = ranges.popleft().following
        return ready
