"""Operations of a ledger as tests write them: topic orders, one partition value, short forms."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kafka_maxcompute.ledger.identity import genesis
from kafka_maxcompute.ledger.operations import Claim, Divert, Mark, Reset
from kafka_maxcompute.ledger.state import Entry, State, fold

if TYPE_CHECKING:
    from kafka_maxcompute.ledger.operations import Operation
    from kafka_maxcompute.offsets import Intervals, TopicPartition

PLACE = ("orders", 0)
CREATED = 1_605_594_000_000
GENESIS = genesis("orders", "p.t", CREATED, {"orders": "id-1"})
NOW = 1_605_594_600_000


def claim(
    id_: str,
    first: int,
    last: int,
    *,
    generation: int = 1,
    timestamp: int | None = None,
    begins: int | None = None,
    marks: int | None = None,
) -> Claim:
    """`begins` and `marks` are offsets of marks, whose digests name the claim."""
    return Claim(
        id=id_,
        partition_value="11-17-2020 14:20",
        blocks=(0,),
        rows=last - first + 1,
        offsets={PLACE: ((first, last),)},
        generation=generation,
        timestamps={} if timestamp is None else {PLACE: timestamp},
        begins={} if begins is None else {PLACE: Mark(begins, id_)},
        marks={} if marks is None else {PLACE: Mark(marks, id_)},
    )


def divert(id_: str, first: int, last: int, *, generation: int = 1) -> Divert:
    offsets: dict[TopicPartition, Intervals] = {PLACE: ((first, last),)}
    return Divert(id=id_, offsets=offsets, reasons={"malformed": offsets}, generation=generation)


def reset(id_: str = "r", *, generation: int = 2, start: int = 0, mark: int | None = None) -> Reset:
    marks = {} if mark is None else {PLACE: Mark(mark, id_)}
    return Reset(id=id_, generation=generation, identity=GENESIS.identity, starts={PLACE: start}, marks=marks)


def log_of(*operations: Operation) -> list[Entry]:
    return [Entry(offset, NOW + offset, operation) for offset, operation in enumerate(operations)]


def folded(*operations: Operation) -> State:
    state = State()
    for entry in log_of(*operations):
        state = fold(state, entry.operation, entry.offset, entry.timestamp)
    return state
