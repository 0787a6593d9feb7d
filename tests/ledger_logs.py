"""Logs of source topics in memory, for tests of marks: each reading has to want something, and to say when it ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kafka_maxcompute.brokers.originals import MemoryOriginals

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fc_powertools import Deadline
    from kafka_maxcompute.brokers.originals import Found, Original, Wanted
    from kafka_maxcompute.offsets import TopicPartition


class Timely(MemoryOriginals):
    """The logs; `reads` counts what was read at once, `streamed` has what was wanted one by one."""

    def __init__(self, log: Found | None = None) -> None:
        super().__init__(log)
        self.reads = 0
        self.streamed: list[Wanted] = []

    def read(self, wanted: Wanted, deadline: Deadline) -> Found:
        """What is there of it."""
        assert deadline.remaining() > 0
        assert all(wanted.values())
        self.reads += 1
        return super().read(wanted, deadline)

    def stream(self, wanted: Wanted, deadline: Deadline) -> Iterator[tuple[TopicPartition, int, Original]]:
        """The same, one by one."""
        assert deadline.remaining() > 0
        self.streamed.append(wanted)
        for place, offset in sorted(self.log):
            if any(first <= offset <= last for first, last in wanted.get(place, ())):
                yield place, offset, self.log[place, offset]
