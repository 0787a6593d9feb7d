"""The fold of the ledger's log: every reader of the same log gets the same state, with no lock, lease or clock.

Only the state decides what an operation does. An operation that can't have its effect has none. It isn't a fault: a
race ends so for the process that comes second.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import msgspec
from msgspec.structs import replace

from kafka_maxcompute.ledger.operations import (
    Claim,
    Divert,
    Empty,
    Genesis,
    Mark,
    Operation,
    Pending,
    Release,
    Reset,
    Settle,
    Snapshot,
    State,
)
from kafka_maxcompute.offsets import Intervals, TopicPartition, clash, difference, joined, union, without

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


__all__ = ["Entry", "Pending", "State", "advance", "before", "fold", "former", "is_claimed", "taken"]

Value = TypeVar("Value")
LAST_OFFSET = 2**63 - 2
"""The last offset that a log can have: Kafka's offsets are signed 64-bit numbers, and the log's end is one more."""


class Entry(msgspec.Struct, frozen=True):
    """An operation of the log with its log offset and the broker's timestamp (epoch ms; -1 if unknown)."""

    offset: int
    timestamp: int
    operation: Operation


def advance(state: State, entries: Sequence[Entry]) -> State:
    """Return the state after further entries of the log, in log order.

    The snapshot with the highest cover replaces the state if its cover is beyond the state's. Then every operation
    after the cover is folded, including operations that lie before the snapshot in the log. A snapshot with a lower
    cover has no effect.
    """
    for entry in entries:
        if isinstance(entry.operation, Snapshot) and entry.operation.state.folded > state.folded:
            state = entry.operation.state
    for entry in entries:
        state = fold(state, entry.operation, entry.offset, entry.timestamp)
    return state


def fold(state: State, operation: Operation, offset: int, timestamp: int) -> State:
    """Return the state after the operation at a log offset; an operation that is folded already has no effect."""
    if offset <= state.folded:
        return state
    state = replace(state, folded=offset)
    match operation:
        case Genesis() if not state.generation:
            state = replace(state, generation=1, identity=operation.identity)
        case Claim() | Divert():
            state = _claimed(state, operation, timestamp)
        case Settle():
            state = _settled(state, operation)
        case Release():
            state = replace(state, pending=_except(state.pending, operation.id))
        case Empty():
            state = _emptied(state, operation)
        case Reset():
            state = _begun(state, operation)
    return state


def taken(state: State) -> dict[TopicPartition, Intervals]:
    """Return all offsets that are settled or pending, hence not free to be claimed."""
    return joined(state.settled, *(pending.operation.offsets for pending in state.pending.values()))


def before(starts: Mapping[TopicPartition, int]) -> dict[TopicPartition, Intervals]:
    """Return all offsets before the first offset to deliver."""
    return {place: ((0, start - 1),) for place, start in starts.items() if start > 0}


def former(state: State, place: TopicPartition) -> Intervals:
    """Return the offsets of a topic-partition for which rows or letters of an earlier generation may exist.

    A ledger that an earlier release has reset didn't keep which offsets were settled before: then all offsets from the
    start on are returned.
    """
    if place in state.starts and place not in state.begun:
        return ((state.starts[place], LAST_OFFSET),)
    return state.former.get(place, ())


def _claimed(state: State, claim: Claim | Divert, timestamp: int) -> State:
    """Make the claim pending if its generation is the current one and none of its offsets is taken."""
    if claim.generation != state.generation or claim.id in state.pending:
        return state
    taken_offsets = (state.settled, *(pending.operation.offsets for pending in state.pending.values()))
    if any(clash(claim.offsets, offsets) for offsets in taken_offsets):
        return state
    return replace(state, pending={**state.pending, claim.id: Pending(claim, timestamp)})


def _settled(state: State, settle: Settle) -> State:
    """Settle the offsets of the pending claim that the settle names."""
    if settle.id not in state.pending:
        return state
    operation = state.pending[settle.id].operation
    timestamps = dict(state.timestamps)
    for place, highest in operation.timestamps.items():
        timestamps[place] = max(highest, timestamps.get(place, highest))
    marks = _marked(state, operation)
    same_log = _same_log(state, operation, settle, marks)
    return replace(
        state,
        settled=joined(state.settled, operation.offsets),
        timestamps=timestamps,
        pending=_with_marks(_except(state.pending, settle.id), same_log, marks),
        marks=marks,
        behind=_behind(state, _with_unproven(operation, same_log), marks),
    )


def _marked(state: State, operation: Claim | Divert) -> dict[TopicPartition, Mark]:
    """Return the marks after an operation is settled.

    A mark in `begins` is for a topic-partition without a mark, or replaces the mark that the same operation names. A
    mark in `marks` was read together with a mark that the ledger had, so it's of the same log and has the same `since`.
    A mark doesn't move while a pending claim has another one, with which the claim's settle will compare it.
    """
    marks = dict(state.marks)
    for place, mark in operation.begins.items():
        replaced = marks.get(place)
        is_next = replaced is None or mark.since > replaced.since
        if operation.marks.get(place) == replaced and is_next and _vouches(state, place, mark):
            marks[place] = mark
    for place, mark in operation.marks.items():
        if place in marks and mark.offset > marks[place].offset and mark.since == marks[place].since:
            current = marks[place]
            if all(pending.operation.begins.get(place, current) == current for pending in state.pending.values()):
                marks[place] = mark
    return marks


def _same_log(
    state: State, operation: Claim | Divert, settle: Settle, marks: Mapping[TopicPartition, Mark]
) -> dict[TopicPartition, set[Mark]]:
    """Return the marks that are proven to be of the log of the mark in force after a settle; it is one of them."""
    same_log: dict[TopicPartition, set[Mark]] = {}
    for place in marks.keys() & {*operation.begins, *operation.marks}:
        mark, former = marks[place], state.marks.get(place)
        proven = {operation.begins.get(place, mark), *settle.same_log.get(place, ())}
        same_log[place] = proven if mark in proven else {mark}
        if former is not None and former.since == mark.since:
            same_log[place].add(former)
    return same_log


def _with_marks(
    pending: dict[str, Pending],
    same_log: Mapping[TopicPartition, set[Mark]],
    marks: Mapping[TopicPartition, Mark],
) -> dict[str, Pending]:
    """Let the pending claims whose marks are of the log of the mark in force have this mark instead."""
    changed = dict(pending)
    for id_, claim in pending.items():
        begun = claim.operation.begins
        begins = {place: marks[place] if mark in same_log.get(place, ()) else mark for place, mark in begun.items()}
        if begins != begun:
            changed[id_] = replace(claim, operation=replace(claim.operation, begins=begins))
    return changed


def _vouches(state: State, place: TopicPartition, mark: Mark) -> bool:
    """Whether a mark that begins can vouch for the offsets from its `since` on.

    No claim without the mark may have taken any of these offsets: that claim may be of another log. If the mark has no
    `since`, each pending claim of the topic-partition has to begin a mark too.
    """
    claims = [pending.operation for pending in state.pending.values() if place in pending.operation.offsets]
    if not mark.since:
        return not is_claimed(state, place) and all(place in claim.begins for claim in claims)
    unmarked = (claim.offsets for claim in claims if claim.begins.get(place) != mark)
    last_taken = (offsets[place][-1][1] for offsets in (state.settled, *unmarked) if place in offsets)
    return all(last < mark.since for last in last_taken)


def _with_unproven(operation: Claim | Divert, same_log: Mapping[TopicPartition, set[Mark]]) -> Claim | Divert:
    """Return the operation with those offsets as differing, too, whose mark isn't proven to be of the ledger's log."""
    unproven = {place for place, mark in operation.begins.items() if mark not in same_log.get(place, ())}
    offsets = {place: claimed for place, claimed in operation.offsets.items() if place in unproven}
    return replace(operation, differing={**offsets, **operation.differing})


def _behind(state: State, operation: Claim | Divert, marks: Mapping[TopicPartition, Mark]) -> dict[TopicPartition, int]:
    """Return the first offset that a mark vouches for, by topic-partition, if it's later than the mark's `since`.

    A batch of a former log can be claimed after the mark has begun. So the mark vouches for nothing up to the last
    offset of a claim that differs from the log.
    """
    behind = {place: first for place, first in state.behind.items() if state.marks[place].since == marks[place].since}
    for place, offsets in operation.differing.items():
        last = offsets[-1][1]
        if place in marks and marks[place].since <= last:
            behind[place] = max(last + 1, behind.get(place, 0))
    return behind


def is_claimed(state: State, place: TopicPartition) -> bool:
    """Whether any offset of a topic-partition from its start on is settled."""
    return bool(difference(state.settled.get(place, ()), before(state.starts).get(place, ())))


def _emptied(state: State, empty: Empty) -> State:
    """Settle the offsets without a claim, except those that are pending."""
    if empty.generation != state.generation:
        return state
    claimed = joined({}, *(pending.operation.offsets for pending in state.pending.values()))
    return replace(state, settled=joined(state.settled, without(empty.offsets, claimed)))


def _begun(state: State, reset: Reset) -> State:
    """Begin the next generation: in the topic-partitions that the reset names, all before the start is settled."""
    if state.pending or not state.generation or reset.generation != state.generation + 1:
        return state
    starts = reset.starts
    marks = {**_unnamed(state.marks, starts), **reset.marks}
    return replace(
        state,
        generation=reset.generation,
        identity=reset.identity,
        settled={**_unnamed(state.settled, starts), **before(starts)},
        timestamps=_unnamed(state.timestamps, starts),
        starts={**state.starts, **starts},
        reset=reset.id,
        marks=marks,
        behind=_unnamed(_unnamed(state.behind, starts), reset.marks),
        begun={**state.begun, **dict.fromkeys(starts, reset.generation)},
        former={**_unnamed(state.former, starts), **_former(state, starts)},
    )


def _unnamed(
    by_place: Mapping[TopicPartition, Value], named: Mapping[TopicPartition, object]
) -> dict[TopicPartition, Value]:
    """Return the values of the topic-partitions that aren't named."""
    return {place: value for place, value in by_place.items() if place not in named}


def _former(state: State, starts: Mapping[TopicPartition, int]) -> dict[TopicPartition, Intervals]:
    """Return the offsets from the new starts on that are settled in this generation or were in an earlier one."""
    settled = {place: union(state.settled.get(place, ()), former(state, place)) for place in starts}
    return without(settled, before(starts))


def _except(pending: Mapping[str, Pending], id_: str) -> dict[str, Pending]:
    return {key: claim for key, claim in pending.items() if key != id_}
