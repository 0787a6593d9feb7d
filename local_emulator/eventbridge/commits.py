"""The offsets to commit if batches finish out of order: only offsets with no unfinished batch before them."""

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
    """Tracks the batches of one consumer, which are numbered and dispatched in the order of their offsets."""

    def __init__(self) -> None:
        self._open: dict[TopicPartition, deque[_Range]] = {}

    def dispatched(self, batch: int, ranges: Mapping[TopicPartition, tuple[int, int]]) -> None:
        """Note a dispatched batch with these records (first offset, next offset)."""
        for topic_partition, (_, following) in ranges.items():
            self._open.setdefault(topic_partition, deque()).append(_Range(batch, following))

    def finished(self, batch: int) -> dict[TopicPartition, int]:
        """Note a settled batch; return the next offsets to commit, of topic-partitions whose next offset changed."""
        ready: dict[TopicPartition, int] = {}
        for topic_partition, ranges in self._open.items():
            for dispatched in ranges:
                if dispatched.batch == batch:
                    dispatched.done = True
            while ranges and ranges[0].done:
                ready[topic_partition] = ranges.popleft().following
        return ready
