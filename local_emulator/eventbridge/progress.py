"""The progress of a stream, and its states."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from local_emulator.eventbridge.window import Batch
    from local_emulator.kafka.topics import TopicPartition


class StreamStatus(str, Enum):
    """EventBridge's names. READY: not running, can be started; PAUSED: the same, on request."""

    READY = "READY"
    STARTING = "STARTING"
    RUNNING = "RUNNING"
    PAUSED = "PAUSED"
    STARTING_FAILED = "STARTING_FAILED"
    RUNNING_FAILED = "RUNNING_FAILED"


@dataclass(frozen=True, slots=True)
class Progress:
    """The state of a stream at one moment."""

    state: StreamStatus
    reason: str
    """Why the stream stopped, if nobody requested it; else empty."""
    delivered: Mapping[TopicPartition, int]
    """The next offset of each topic-partition: the records before it are delivered (or given up) and committed."""
    batches: int
    events: int
    failed_invocations: int
    """All failed invocations, including those whose retry succeeded."""
    dead_letters: int
    """Batches that were given up with tolerance ALL."""


@dataclass(slots=True)
class Meter:
    """Collects the `Progress` of a stream; threads can write into it, and wait for changes."""

    state: StreamStatus = StreamStatus.READY
    reason: str = ""
    delivered: dict[TopicPartition, int] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def enter(self, state: StreamStatus, reason: str = "") -> None:
        """Enter a state."""
        with self.changed:
            self.state, self.reason = state, reason
            self.changed.notify_all()

    def count(self, name: str, by: int = 1) -> None:
        """Add to a count."""
        with self.changed:
            self.counts[name] += by
            self.changed.notify_all()

    def settled(self, batch: Batch, *, as_dead_letter: bool) -> None:
        """Count a batch that is delivered or given up."""
        with self.changed:
            self.counts["dead_letters" if as_dead_letter else "batches"] += 1
            self.counts["events"] += 0 if as_dead_letter else batch.count
            self.changed.notify_all()

    def advanced(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Set the next offsets of topic-partitions."""
        with self.changed:
            self.delivered.update(offsets)
            self.changed.notify_all()

    def read(self) -> Progress:
        """Return the progress at this moment."""
        with self.changed:
            return Progress(
                state=self.state,
                reason=self.reason,
                delivered=dict(self.delivered),
                batches=self.counts["batches"],
                events=self.counts["events"],
                failed_invocations=self.counts["failed_invocations"],
                dead_letters=self.counts["dead_letters"],
            )
