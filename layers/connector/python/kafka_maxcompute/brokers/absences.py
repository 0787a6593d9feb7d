"""Remembers since when the brokers' answers lack a topic-partition.

A broker that has just started doesn't list all topics for a moment. So a topic-partition doesn't count as gone after
one answer, but only if all answers have lacked it for a while. Clients of one configuration share the answers.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from kafka_maxcompute.offsets import TopicPartition

GONE_SECONDS = 3.0
"""Time without being listed after which a topic-partition counts as gone."""
KEPT_SECONDS = 60.0
"""How long an answer counts if no client asks again."""


class Absences:
    """The missing topic-partitions, each with the times (monotonic seconds) of its first and last missing answer."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._noted: dict[TopicPartition, tuple[float, float]] = {}

    def note(self, asked: Collection[TopicPartition], missing: Collection[TopicPartition]) -> frozenset[TopicPartition]:
        """Take note of an answer, and return the missing topic-partitions that count as gone by now."""
        now = self._clock()
        with self._lock:
            kept = {
                place: times
                for place, times in self._noted.items()
                if now - times[1] < KEPT_SECONDS and place not in asked
            }
            kept |= {place: (self._since(place, now), now) for place in missing}
            self._noted = kept
            return frozenset(place for place in missing if now - kept[place][0] >= GONE_SECONDS)

    def _since(self, place: TopicPartition, now: float) -> float:
        first, last = self._noted.get(place, (now, now))
        return first if now - last < KEPT_SECONDS else now
