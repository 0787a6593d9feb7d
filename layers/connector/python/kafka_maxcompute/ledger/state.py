"""The fold of the ledger's log: every reader of the same log gets the same state, with no lock, lease or clock.

Only the state decides what an operation does. An operation that can't have its effect has none, and is no fault: it's
how a race ends for the one that comes second.
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


__all__ = ["Entry", "Pending", "State", "advance", "before", "fold", "former", "has_id", "is_claimed", "taken"]

Held = TypeVar("Held")
LAST_OFFSET = 2**63 - 2
"""The last offset that a log can have: Kafka's are 64 bits, signed, and the end is one more."""


class Entry(msgspec.Struct, frozen=True):
    """An operation where it lies in the log: its log offset, and the broker's timestamp (ms; -1 where unknown)."""

    offset: int
    timestamp: int
    operation: Operation


def advance(state: State, entries: Sequence[Entry]) -> State:
    """The state after further entries of the log, in log order.

    The snapshot with the highest cover replaces the state if it reaches further; every operation after that cover is
    folded, also those that lie before the snapshot. A snapshot that reaches less far has no effect.
    """
    for entry in entries:
        if isinstance(entry.operation, Snapshot) and entry.operation.state.folded > state.folded:
            state = entry.operation.state
    for entry in entries:
        state = fold(state, entry.operation, entry.offset, entry.timestamp)
    return state


def fold(state: State, operation: Operation, offset: int, timestamp: int) -> State:
    """The state after the operation at a log offset; one that the state has folded already has no effect."""
    if offset <= state.folded:
        return state
    state = replace(state, folded=offset)
    match operation:
        case Genesis() if not state.generation:
            state = replace(state, generation=1, identity=operation.identity)
        case Claim() | Divert():
            state = _claimed(state, operation, timestamp)
        case Settle():
            state = _settled(state, operation.id)
        case Release():
            state = replace(state, pending=_except(state.pending, operation.id))
        case Empty():
            state = _emptied(state, operation)
        case Reset():
            state = _begun(state, operation)
    return state


def taken(state: State) -> dict[TopicPartition, Intervals]:
    """All offsets that are settled or pending, hence not free to be claimed."""
    return joined(state.settled, *(pending.operation.offsets for pending in state.pending.values()))


def before(starts: Mapping[TopicPartition, int]) -> dict[TopicPartition, Intervals]:
    """All offsets before the first one to deliver."""
    return {where: ((0, start - 1),) for where, start in starts.items() if start > 0}


def former(state: State, where: TopicPartition) -> Intervals:
    """The offsets of a topic-partition that an earlier generation may have rows and letters of.

    A ledger that an earlier release has reset kept nothing of what was settled before: then it's all from the start on.
    """
    if where in state.starts and where not in state.begun:
        return ((state.starts[where], LAST_OFFSET),)
    return state.former.get(where, ())


def _claimed(state: State, claim: Claim | Divert, timestamp: int) -> State:
    """Pending, if the claim is of this generation and nothing of it is taken."""
    if claim.generation != state.generation or claim.id in state.pending:
        return state
    held = (state.settled, *(pending.operation.offsets for pending in state.pending.values()))
    if any(clash(claim.offsets, offsets) for offsets in held):
        return state
    return replace(state, pending={**state.pending, claim.id: Pending(claim, timestamp)})


def _settled(state: State, claim: str) -> State:
    """What was pending under this id is settled."""
    if claim not in state.pending:
        return state
    operation = state.pending[claim].operation
    timestamps = dict(state.timestamps)
    for where, highest in operation.timestamps.items():
        timestamps[where] = max(highest, timestamps.get(where, highest))
    marks = _marked(state, operation)
    return replace(
        state,
        settled=joined(state.settled, operation.offsets),
        timestamps=timestamps,
        pending=_except(state.pending, claim),
        marks=marks,
        behind=_behind(state, operation, marks),
    )


def _marked(state: State, operation: Claim | Divert) -> dict[TopicPartition, Mark]:
    """The marks after an operation is settled.

    A mark begins a topic-partition that has none, or replaces the one that the same operation names. A later mark was
    compared together with one that the ledger had, so it's of the same log, and has the same `since`.
    """
    marks = dict(state.marks)
    for where, mark in operation.begins.items():
        replaced = marks.get(where)
        is_next = replaced is None or mark.since > replaced.since
        if operation.marks.get(where) == replaced and is_next and _vouches(state, where, mark):
            marks[where] = mark
    for where, mark in operation.marks.items():
        if where in marks and mark.offset > marks[where].offset and mark.since == marks[where].since:
            marks[where] = mark
    return marks


def _vouches(state: State, where: TopicPartition, mark: Mark) -> bool:
    """Whether a mark that begins can vouch for what it says: nothing of that is taken by claims that don't tell it.

    What was claimed without this mark may be of another log. Of a mark for all, what is pending needs one of its own.
    """
    pending = [one.operation for one in state.pending.values() if where in one.operation.offsets]
    if not mark.since:
        return not is_claimed(state, where) and all(where in one.begins for one in pending)
    others = (one.offsets for one in pending if one.begins.get(where) != mark)
    held = (offsets[where][-1][1] for offsets in (state.settled, *others) if where in offsets)
    return all(last < mark.since for last in held)


def _behind(state: State, operation: Claim | Divert, marks: Mapping[TopicPartition, Mark]) -> dict[TopicPartition, int]:
    """The first offset that a mark vouches for by now, by topic-partition, if that is later than the mark's `since`.

    A batch can be of a log that was there before the mark's, and be claimed after the mark has begun. A topic's id
    shows that, so a mark that vouches for all counts without being told if the ledger has the id.
    """
    behind = {where: first for where, first in state.behind.items() if state.marks[where].since == marks[where].since}
    for where in operation.offsets.keys() & marks.keys():
        last, mark = operation.offsets[where][-1][1], marks[where]
        is_sure = has_id(state, where) and not mark.since
        if not is_sure and mark.since <= last and not _tells(operation, where, mark):
            behind[where] = max(last + 1, behind.get(where, 0))
    return behind


def _tells(operation: Claim | Divert, where: TopicPartition, mark: Mark) -> bool:
    """Whether a claim was compared with the log of the mark in force: one that it begins, or one with that `since`."""
    if where in operation.begins:
        return operation.begins[where] == mark
    return where in operation.marks and operation.marks[where].since == mark.since


def has_id(state: State, where: TopicPartition) -> bool:
    """Whether the ledger has the id of a topic-partition's topic: brokers before Kafka 2.8 tell none."""
    return state.identity is not None and where[0] in state.identity.topics


def is_claimed(state: State, where: TopicPartition) -> bool:
    """Whether more of a topic-partition is settled than what lies before its start."""
    return bool(difference(state.settled.get(where, ()), before(state.starts).get(where, ())))


def _emptied(state: State, empty: Empty) -> State:
    """Settled without a claim; what is pending stays with its claim."""
    if empty.generation != state.generation:
        return state
    pending = joined({}, *(one.operation.offsets for one in state.pending.values()))
    return replace(state, settled=joined(state.settled, without(empty.offsets, pending)))


def _begun(state: State, reset: Reset) -> State:
    """The next generation; of the topic-partitions that it names, all before the start counts as settled."""
    if state.pending or not state.generation or reset.generation != state.generation + 1:
        return state
    starts = reset.starts
    marks = {**_others(state.marks, starts), **reset.marks}
    return replace(
        state,
        generation=reset.generation,
        identity=reset.identity,
        settled={**_others(state.settled, starts), **before(starts)},
        timestamps=_others(state.timestamps, starts),
        starts={**state.starts, **starts},
        reset=reset.id,
        marks=marks,
        behind=_others(_others(state.behind, starts), reset.marks),
        begun={**state.begun, **dict.fromkeys(starts, reset.generation)},
        former={**_others(state.former, starts), **_former(state, starts)},
    )


def _others(held: Mapping[TopicPartition, Held], named: Mapping[TopicPartition, object]) -> dict[TopicPartition, Held]:
    """What is kept of the topic-partitions that aren't named."""
    return {where: found for where, found in held.items() if where not in named}


def _former(state: State, starts: Mapping[TopicPartition, int]) -> dict[TopicPartition, Intervals]:
    """What is settled by now from the new starts on, of the topic-partitions where anything is."""
    held = {where: union(state.settled.get(where, ()), former(state, where)) for where in starts}
    return without(held, before(starts))


def _except(pending: Mapping[str, Pending], claim: str) -> dict[str, Pending]:
    return {key: one for key, one in pending.items() if key != claim}
