"""Gaps between settled offsets: markers of transactions, aborted and compacted records leave them for ever.

They are never bridged by assumption. Once there are many, the source topic is read there, and offsets at which it holds
no record are settled by an `Empty`. Only offsets that the stream has delivered and acknowledged are looked at, hence
those before what its group has committed: a record that is under way in a batch may be removed by compaction meanwhile,
and is to be written all the same.
"""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, TypeAlias

from kafka_maxcompute.errors import DeadlineError
from kafka_maxcompute.ledger.operations import Empty
from kafka_maxcompute.ledger.state import before, taken
from kafka_maxcompute.offsets import (
    Intervals,
    TopicPartition,
    contains,
    gaps,
    intersection,
    intervals,
    joined,
    within,
    without,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from fc_powertools import Deadline
    from kafka_maxcompute.brokers.originals import Originals
    from kafka_maxcompute.ledger.ledger import Ledger
    from kafka_maxcompute.ledger.operations import State
    from kafka_maxcompute.offsets import Offsets

MANY = 5_000
"""Gaps of all topic-partitions together that are let be: they take some 20 KB of a snapshot at most."""
AT_ONCE = 20_000
"""Gaps that are looked at together, any of those there are, so that instances that do it side by side find others."""
READ_BYTES, READ_RECORDS = 64_000_000, 200_000
"""What is read at a time: it keeps up with batches of 32 MB, of which each instance does this after each."""
APART = 2_000
"""Offsets between two gaps that are read rather than passed over."""
AGAIN_SECONDS = 3_600.0
"""After that, gaps that held records are read again: the records may have been removed since."""
ENDING_SECONDS = 1.5
"""Kept of the time for what comes after the reading: a question to the brokers, and the append."""

Limits: TypeAlias = "Mapping[TopicPartition, tuple[int, int]]"
"""Where the log of a topic-partition begins now, and the next offset that the stream's group has committed."""


@dataclass(slots=True)
class Gaps:
    """The search for gaps without records in one ledger, by one instance.

    `limits` asks the brokers, `pick` gives any number below another. `looked` are the offsets that were read: what is a
    gap there since holds a record.
    """

    ledger: Ledger
    originals: Originals
    limits: Callable[[Iterable[TopicPartition], Deadline], Limits]
    clock: Callable[[], float] = time.monotonic
    pick: Callable[[int], int] = secrets.randbelow
    looked: dict[TopicPartition, Intervals] = field(default_factory=dict)
    generation: int = 0
    since: float = 0.0

    def settle(self, state: State, deadline: Deadline) -> int:
        """Settle what is found empty by a reading of limited time and size; how many gaps are settled by it.

        Raises what the reading, the question for limits and the append raise.
        """
        if _count(self._doubtful(state)) <= MANY:
            return 0
        # Others may have settled them since the state was read, which was before this batch was committed.
        state = self.ledger.read(deadline)
        doubtful = self._doubtful(state)
        limits = self.limits(doubtful, deadline)
        # Nothing is known of what the log has lost, and nothing will be.
        self.looked = joined(self.looked, before({place: start for place, (start, _) in limits.items()}))
        doubtful = _limited(doubtful, limits)
        if not doubtful:
            return 0
        chosen = self._chosen(doubtful)
        read = _Reading(chosen)
        read.go(self.originals, _windows(chosen), deadline.earlier(ENDING_SECONDS))
        if not read.passed:
            return 0
        # Asked again: a record that retention took from the log meanwhile isn't one that never was.
        empty = _limited(read.empty(), self.limits(read.passed, deadline))
        if empty:
            self.ledger.append(Empty(offsets=empty, generation=state.generation), deadline)
        self.looked = joined(self.looked, read.passed)
        return _count(empty)

    def _doubtful(self, state: State) -> dict[TopicPartition, Intervals]:
        """All gaps between offsets of a topic-partition that are settled, besides those that were looked at."""
        if state.generation != self.generation or self.clock() - self.since >= AGAIN_SECONDS:
            self.looked, self.generation, self.since = {}, state.generation, self.clock()
        if sum(len(settled) - 1 for settled in state.settled.values()) <= MANY:
            return {}
        held = taken(state)
        found = {
            place: gaps(held[place], within=(settled[0][1], settled[-1][1])) for place, settled in state.settled.items()
        }
        return without(found, self.looked)

    def _chosen(self, doubtful: Mapping[TopicPartition, Intervals]) -> dict[TopicPartition, Intervals]:
        """Some neighbouring gaps, of any topic-partition and those that come after it."""
        chosen: dict[TopicPartition, Intervals] = {}
        places, left = list(doubtful), AT_ONCE
        begin = self.pick(len(places))
        for place in places[begin:] + places[:begin]:
            found = doubtful[place]
            first = min(self.pick(len(found)), max(0, len(found) - left))
            chosen[place] = found[first : first + left]
            left -= len(chosen[place])
            if not left:
                break
        return chosen


@dataclass(slots=True)
class _Reading:
    """What a reading finds of doubtful gaps: `passed` is what was read, `held` the gaps' offsets that hold a record."""

    doubtful: Mapping[TopicPartition, Intervals]
    passed: dict[TopicPartition, Intervals] = field(default_factory=dict)
    held: dict[TopicPartition, list[int]] = field(default_factory=dict)
    bytes: int = 0
    records: int = 0

    def go(self, originals: Originals, windows: Mapping[TopicPartition, Intervals], deadline: Deadline) -> None:
        """Read until the time, or what may be read at once, is over.

        What is shown of committed records alone decides, as far as transactions are decided: what was aborted and isn't
        settled by now was never delivered. Behind an open one every record counts.
        """
        for committed in (True, False):
            left = without(windows, self.passed)
            if left and self.bytes < READ_BYTES and self.records < READ_RECORDS:
                self._pass(originals, left, deadline, committed=committed)

    def empty(self) -> dict[TopicPartition, Intervals]:
        """The gaps, or parts of them, that were passed and hold no record."""
        passed = {place: intersection(self.doubtful[place], found) for place, found in self.passed.items()}
        return without(passed, {place: intervals(held) for place, held in self.held.items()})

    def _pass(
        self, originals: Originals, windows: Mapping[TopicPartition, Intervals], deadline: Deadline, *, committed: bool
    ) -> None:
        behind: dict[TopicPartition, int] = {}
        try:
            for place, offset, record in originals.passed(windows, deadline, committed=committed):
                behind[place] = offset
                if record is not None:
                    behind[place] = offset + 1
                    self.records += 1
                    self.bytes += len(record.key or b"") + len(record.value or b"")
                    if contains(self.doubtful[place], offset):
                        self.held.setdefault(place, []).append(offset)
                    if self.bytes >= READ_BYTES or self.records >= READ_RECORDS:
                        break
        except DeadlineError:
            self.records = READ_RECORDS  # what was passed counts, and no more is read
        passed = {place: within(windows[place], 0, following - 1) for place, following in behind.items()}
        self.passed = joined(self.passed, passed)


def _windows(chosen: Mapping[TopicPartition, Intervals]) -> dict[TopicPartition, Intervals]:
    """What is read for these gaps: what lies between them as well, where they are near."""
    windows: dict[TopicPartition, Intervals] = {}
    for place, found in chosen.items():
        begins = [0, *(i for i, (one, other) in enumerate(pairwise(found), 1) if other[0] - one[1] > APART), len(found)]
        windows[place] = tuple((found[begin][0], found[end - 1][1]) for begin, end in pairwise(begins))
    return windows


def _count(gaps_by_place: Offsets) -> int:
    return sum(map(len, gaps_by_place.values()))


def _limited(found: Mapping[TopicPartition, Intervals], limits: Limits) -> dict[TopicPartition, Intervals]:
    """What lies in the log and was acknowledged; nothing of a topic-partition that has no limits."""
    limited = {place: within(found[place], start, end - 1) for place, (start, end) in limits.items() if place in found}
    return {place: left for place, left in limited.items() if left}
