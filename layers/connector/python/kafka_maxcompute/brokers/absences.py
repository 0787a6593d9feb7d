"""Since when the brokers haven't listed a topic-partition that was asked for.

A broker that has just started doesn't list all topics for a moment. So nothing is taken for gone by one answer, but
only if all answers have been the same for a while. Clients of one configuration share what they were told.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from kafka_maxcompute.offsets import TopicPartition

GONE_SECONDS = 3.0
"""After so long without being listed a topic-partition counts as gone."""
KEPT_SECONDS = 60.0
"""How long an answer counts after which nobody has asked again."""


class Absences:
    """What was missing in answers: since when, and in which answer last (monotonic seconds)."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._noted: dict[TopicPartition, tuple[float, float]] = {}

    def note(self, asked: Collection[TopicPartition], missing: Collection[TopicPartition]) -> frozenset[TopicPartition]:
        """Take note of an answer; which of the missing ones count as gone by now."""
        now = self._clock()
        with self._lock:
            kept = {at: times for at, times in self._noted.items() if now - times[1] < KEPT_SECONDS and at not in asked}
            kept |= {at: (self._since(at, now), now) for at in missing}
            self._noted = kept
            return frozenset(at for at in missing if now - kept[at][0] >= GONE_SECONDS)

    def _since(self, at: TopicPartition, now: float) -> float:
        first, last = self._noted.get(at, (now, now))
        return first if now - last < KEPT_SECONDS else now
