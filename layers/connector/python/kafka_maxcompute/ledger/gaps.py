"""Gaps between settled offsets: markers of transactions, aborted and compacted records leave them for ever.

A gap is never assumed to be empty. If there are many gaps, the source topic is read at their offsets, and an `Empty`
settles the offsets without a record. Only offsets before the group's committed offset are read, since the stream has
delivered and acknowledged them. Compaction may remove a later record while a batch with the record is under way, and
this record still has to be written.
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
"""Up to this many gaps of all topic-partitions together stay: they take some 20 KB of a snapshot at most."""
AT_ONCE = 20_000
"""Gaps that one search reads. It picks them at random, so that instances that search at the same time read others."""
READ_BYTES, READ_RECORDS = 64_000_000, 200_000
"""Most bytes and records of one search. They keep up with batches of 32 MB: an instance searches after each batch."""
APART = 2_000
"""Most offsets between two gaps that are read along with them; a longer distance is skipped."""
AGAIN_SECONDS = 3_600.0
"""Time after which gaps that held records are read again: the records may have been removed since."""
ENDING_SECONDS = 1.5
"""Part of the time that is reserved for the question to the brokers and the append after the reading."""

Limits: TypeAlias = "Mapping[TopicPartition, tuple[int, int]]"
"""The present start of a topic-partition's log, and the next offset that the stream's group has committed."""


@dataclass(slots=True)
class Gaps:
    """The search for gaps without records in one ledger, by one instance.

    `limits` asks the brokers, `pick` returns a random number below its argument. `examined` has the offsets that were
    read: a gap that is still there holds a record.
    """

    ledger: Ledger
    originals: Originals
    limits: Callable[[Iterable[TopicPartition], Deadline], Limits]
    clock: Callable[[], float] = time.monotonic
    pick: Callable[[int], int] = secrets.randbelow
    examined: dict[TopicPartition, Intervals] = field(default_factory=dict)
    generation: int = 0
    since: float = 0.0

    def settle(self, state: State, deadline: Deadline) -> int:
        """Settle gaps that a reading of limited time and size shows to be empty; return the number of settled gaps.

        Raises what the reading, the question for limits and the append raise.
        """
        if _count(self._doubtful(state)) <= MANY:
            return 0
        # The state was read before this batch was committed. Other instances may have settled these gaps since then.
        state = self.ledger.read(deadline)
        doubtful = self._doubtful(state)
        limits = self.limits(doubtful, deadline)
        # Nothing can be known about offsets before the log's start.
        self.examined = joined(self.examined, before({place: start for place, (start, _) in limits.items()}))
        doubtful = _limited(doubtful, limits)
        if not doubtful:
            return 0
        chosen = self._chosen(doubtful)
        reading = _Reading(chosen)
        reading.run(self.originals, _windows(chosen), deadline.earlier(ENDING_SECONDS))
        if not reading.passed:
            return 0
        # The limits are requested again: retention may have removed a record while the gaps were read.
        empty = _limited(reading.empty(), self.limits(reading.passed, deadline))
        if empty:
            self.ledger.append(Empty(offsets=empty, generation=state.generation), deadline)
        self.examined = joined(self.examined, reading.passed)
        return _count(empty)

    def _doubtful(self, state: State) -> dict[TopicPartition, Intervals]:
        """Return all gaps between settled offsets of a topic-partition, except offsets that were examined."""
        if state.generation != self.generation or self.clock() - self.since >= AGAIN_SECONDS:
            self.examined, self.generation, self.since = {}, state.generation, self.clock()
        if sum(len(settled) - 1 for settled in state.settled.values()) <= MANY:
            return {}
        taken_offsets = taken(state)
        unsettled = {
            place: gaps(taken_offsets[place], within=(settled[0][1], settled[-1][1]))
            for place, settled in state.settled.items()
        }
        return without(unsettled, self.examined)

    def _chosen(self, doubtful: Mapping[TopicPartition, Intervals]) -> dict[TopicPartition, Intervals]:
        """Return some neighbouring gaps of a random topic-partition and of the topic-partitions that follow it."""
        chosen: dict[TopicPartition, Intervals] = {}
        places, room = list(doubtful), AT_ONCE
        begin = self.pick(len(places))
        for place in places[begin:] + places[:begin]:
            candidates = doubtful[place]
            first = min(self.pick(len(candidates)), max(0, len(candidates) - room))
            chosen[place] = candidates[first : first + room]
            room -= len(chosen[place])
            if not room:
                break
        return chosen


@dataclass(slots=True)
class _Reading:
    """A reading of doubtful gaps; `passed` has the offsets that were read."""

    doubtful: Mapping[TopicPartition, Intervals]
    passed: dict[TopicPartition, Intervals] = field(default_factory=dict)
    offsets_with_record: dict[TopicPartition, list[int]] = field(default_factory=dict)
    bytes: int = 0
    records: int = 0

    def run(self, originals: Originals, windows: Mapping[TopicPartition, Intervals], deadline: Deadline) -> None:
        """Read until the time is over, or the most bytes or records are read.

        Up to the first open transaction only committed records are read: an aborted record that isn't settled by now
        was never delivered. Behind it, every record counts.
        """
        for committed in (True, False):
            unread = without(windows, self.passed)
            if unread and self.bytes < READ_BYTES and self.records < READ_RECORDS:
                self._pass(originals, unread, deadline, committed=committed)

    def empty(self) -> dict[TopicPartition, Intervals]:
        """Return the gaps, or parts of gaps, that were read and hold no record."""
        passed = {
            place: intersection(self.doubtful[place], read_offsets) for place, read_offsets in self.passed.items()
        }
        return without(passed, {place: intervals(offsets) for place, offsets in self.offsets_with_record.items()})

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
                        self.offsets_with_record.setdefault(place, []).append(offset)
                    if self.bytes >= READ_BYTES or self.records >= READ_RECORDS:
                        break
        except DeadlineError:
            self.records = READ_RECORDS  # the offsets passed so far count, and nothing more is read
        passed = {place: within(windows[place], 0, following - 1) for place, following in behind.items()}
        self.passed = joined(self.passed, passed)


def _windows(chosen: Mapping[TopicPartition, Intervals]) -> dict[TopicPartition, Intervals]:
    """Return the intervals to read for these gaps: near gaps are read in one interval."""
    windows: dict[TopicPartition, Intervals] = {}
    for place, chosen_gaps in chosen.items():
        begins = [
            0,
            *(index for index, (before, after) in enumerate(pairwise(chosen_gaps), 1) if after[0] - before[1] > APART),
            len(chosen_gaps),
        ]
        windows[place] = tuple((chosen_gaps[begin][0], chosen_gaps[end - 1][1]) for begin, end in pairwise(begins))
    return windows


def _count(gaps_by_place: Offsets) -> int:
    return sum(map(len, gaps_by_place.values()))


def _limited(gaps_by_place: Mapping[TopicPartition, Intervals], limits: Limits) -> dict[TopicPartition, Intervals]:
    """Return the parts of gaps that lie in the log and were acknowledged; a topic-partition needs limits."""
    limited = {
        place: within(gaps_by_place[place], start, end - 1)
        for place, (start, end) in limits.items()
        if place in gaps_by_place
    }
    return {place: remaining for place, remaining in limited.items() if remaining}
