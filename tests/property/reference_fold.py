"""What a ledger's log means, told again in the plainest way: sets of offsets, one operation after the other.

It knows nothing of snapshots, tombstones, compaction or intervals: it's given every operation when it comes into the
log, and has the state as of each log offset. What any reader of the log makes of it has to be that.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from msgspec import structs

from kafka_maxcompute.ledger.operations import Claim, Divert, Empty, Genesis, Release, Reset, Settle

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kafka_maxcompute.ledger.operations import Mark, Operation
    from kafka_maxcompute.ledger.state import State
    from kafka_maxcompute.offsets import Offsets, TopicPartition

At = tuple["TopicPartition", int]


@dataclass(frozen=True, slots=True)
class Truth:
    """The state as of a log offset."""

    generation: int = 0
    settled: frozenset[At] = frozenset()
    pending: Mapping[str, Claim | Divert] = field(default_factory=dict)
    timestamps: Mapping[TopicPartition, int] = field(default_factory=dict)
    starts: Mapping[TopicPartition, int] = field(default_factory=dict)
    reset: str = ""
    marks: Mapping[TopicPartition, Mark] = field(default_factory=dict)
    behind: Mapping[TopicPartition, int] = field(default_factory=dict)

    @property
    def taken(self) -> frozenset[At]:
        """Settled or pending."""
        return self.settled.union(*(every(one.offsets) for one in self.pending.values()))

    def differs(self, state: State) -> str:
        """How a reader's state differs, "" where it doesn't."""
        wrong = []
        if state.generation != self.generation:
            wrong.append(f"generation {state.generation} for {self.generation}")
        if (found := every(state.settled)) != self.settled:
            wrong.append(f"settled too much {sorted(found - self.settled)}, too little {sorted(self.settled - found)}")
        if state.pending.keys() != self.pending.keys():
            wrong.append(f"pending {sorted(state.pending)} for {sorted(self.pending)}")
        if dict(state.timestamps) != dict(self.timestamps):
            wrong.append(f"timestamps {state.timestamps} for {self.timestamps}")
        if dict(state.starts) != dict(self.starts) or state.reset != self.reset:
            wrong.append(f"starts {state.starts} of {state.reset!r} for {self.starts} of {self.reset!r}")
        if dict(state.marks) != dict(self.marks):
            wrong.append(f"marks {state.marks} for {self.marks}")
        if dict(state.behind) != dict(self.behind):
            wrong.append(f"marks vouch behind {state.behind} for {self.behind}")
        return "; ".join(wrong)


class Reference:
    """The truth as of each log offset; one at which a tombstone lies has that of the offset before it."""

    def __init__(self) -> None:
        self.truths: list[Truth] = []

    @property
    def now(self) -> Truth:
        """The truth at the log's end."""
        return self.truths[-1] if self.truths else Truth()

    def add(self, operation: Operation | None) -> None:
        """The next record of the log; None for a tombstone."""
        self.truths.append(_after(self.now, operation))

    def check(self, state: State) -> None:
        """A reader's state has to be the truth as of where it says that it folded the log to."""
        wrong = self.truths[state.folded].differs(state)
        assert not wrong, f"a reader's state isn't what the log says as of {state.folded}: {wrong}"


def every(offsets: Offsets) -> frozenset[At]:
    """All offsets of intervals."""
    return frozenset(
        (place, offset)
        for place, found in offsets.items()
        for first, last in found
        for offset in range(first, last + 1)
    )


def _after(truth: Truth, operation: Operation | None) -> Truth:
    match operation:
        case Genesis() if not truth.generation:
            return replace(truth, generation=1)
        case Claim() | Divert() if operation.generation == truth.generation and operation.id not in truth.pending:
            if not every(operation.offsets) & truth.taken:
                return replace(truth, pending={**truth.pending, operation.id: operation})
        case Settle() | Release():
            return _ended(truth, operation)
        case Empty() if operation.generation == truth.generation:
            return replace(truth, settled=truth.settled | (every(operation.offsets) - truth.taken))
        case Reset() if not truth.pending and operation.generation == truth.generation + 1:
            return _begun(truth, operation)
    return truth


def _ended(truth: Truth, ended: Settle | Release) -> Truth:
    pending = dict(truth.pending)
    claim = pending.pop(ended.id, None)
    if claim is None or isinstance(ended, Release):
        return replace(truth, pending=pending)
    highest = {place: max(time, truth.timestamps.get(place, time)) for place, time in claim.timestamps.items()}
    begun = _begun_by(truth, claim)
    moved = _later(truth, claim)
    marks = {**truth.marks, **moved, **begun}
    kept = {place: first for place, first in truth.behind.items() if place not in begun}
    for place, mark in marks.items():
        # What is known to be of one log, by the claim itself, its settle, or since a mark has moved.
        own, told = claim.begins.get(place), ended.same_log.get(place, ())
        known = {mark} | ({truth.marks[place]} if place in moved and place not in begun else set())
        known |= {own, *told} if own is not None and (own == mark or mark in told) else set()
        for id_, one in pending.items():
            if one.begins.get(place) in known:
                pending[id_] = structs.replace(one, begins={**one.begins, place: mark})
        if own is not None and own not in known and place in claim.offsets:
            claim = structs.replace(claim, differing={**claim.differing, place: claim.offsets[place]})
    return replace(
        truth,
        pending=pending,
        marks=marks,
        behind={**kept, **_untold(kept, marks, claim)},
        settled=truth.settled | every(claim.offsets),
        timestamps={**truth.timestamps, **highest},
    )


def _later(truth: Truth, claim: Claim | Divert) -> dict[TopicPartition, Mark]:
    """The marks that a claim moves: to a record of the same log, which the same `since` says.

    None moves while a claim with another one is pending.
    """
    known = ((place, mark, truth.marks[place]) for place, mark in claim.marks.items() if place in truth.marks)
    return {
        place: mark
        for place, mark, old in known
        if mark.since == old.since
        and mark.offset > old.offset
        and {one.begins.get(place, old) for one in truth.pending.values()} <= {old}
    }


def _untold(
    behind: Mapping[TopicPartition, int], marks: Mapping[TopicPartition, Mark], claim: Claim | Divert
) -> dict[TopicPartition, int]:
    """What marks don't vouch for, as the claim has offsets there and is of another log."""
    found: dict[TopicPartition, int] = {}
    for place, offset in every(claim.differing):
        mark = marks.get(place)
        if mark is not None and offset >= mark.since:
            found[place] = max(offset + 1, found.get(place, 0), behind.get(place, 0))
    return found


def _begun_by(truth: Truth, claim: Claim | Divert) -> dict[TopicPartition, Mark]:
    """The marks that a claim begins: for topic-partitions that have none, or the very one that the claim has lost.

    Whatever a mark vouches for has to be of the claims that tell it. One that vouches for all may begin only where no
    claim is settled.
    """
    begun = {}
    for place, mark in claim.begins.items():
        old, lost = truth.marks.get(place), claim.marks.get(place)
        if old != lost or (old is not None and old.since >= mark.since):
            continue
        settled = {offset for at, offset in truth.settled if at == place}
        foreign = [one for one in truth.pending.values() if one.begins.get(place) != mark]
        pending = {offset for one in foreign for at, offset in every(one.offsets) if at == place}
        if mark.since == 0:
            unmarked = [one for one in truth.pending.values() if place in one.offsets and place not in one.begins]
            is_free = all(offset < truth.starts.get(place, 0) for offset in settled) and not unmarked
        else:
            is_free = all(offset < mark.since for offset in settled | pending)
        if is_free:
            begun[place] = mark
    return begun


def _begun(truth: Truth, reset: Reset) -> Truth:
    others = {(place, offset) for place, offset in truth.settled if place not in reset.starts}
    before = {(place, offset) for place, start in reset.starts.items() for offset in range(start)}
    marks = {place: mark for place, mark in truth.marks.items() if place not in reset.starts} | dict(reset.marks)
    return Truth(
        generation=reset.generation,
        settled=frozenset(others | before),
        timestamps={place: time for place, time in truth.timestamps.items() if place not in reset.starts},
        starts={**truth.starts, **reset.starts},
        reset=reset.id,
        marks=marks,
        behind={
            place: first
            for place, first in truth.behind.items()
            if place not in reset.starts and place not in reset.marks
        },
    )
