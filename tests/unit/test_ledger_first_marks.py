"""Marks of several claims of one topic-partition: which of them are of one log, and what a mark vouches for then."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import pytest
from msgspec import structs

from kafka_maxcompute.brokers.originals import MemoryOriginals, Original
from kafka_maxcompute.ledger import marks
from kafka_maxcompute.ledger.operations import Mark, Release, Settle, Snapshot, State, decode, encode
from kafka_maxcompute.ledger.state import fold
from tests.deadlines import soon
from tests.ledger_entries import GENESIS, NOW, PLACE, claim, divert, folded
from tests.ledger_logs import Timely

if TYPE_CHECKING:
    from kafka_maxcompute.ledger.operations import Operation

pytestmark = pytest.mark.quick

OTHER = ("orders", 1)
A, B = claim("a", 0, 2, begins=2), claim("b", 5, 6, begins=6)
MARK_A, MARK_B = A.begins[PLACE], B.begins[PLACE]


def settled(id_: str, *same_log: Mark) -> Settle:
    return Settle(id=id_, same_log={PLACE: same_log} if same_log else {})


def advanced(state: State, *operations: Operation) -> State:
    for operation in operations:
        state = fold(state, operation, state.folded + 1, NOW)
    return state


def told(state: State) -> tuple[Mark | None, int | None]:
    """The mark in force, and what it vouches for."""
    return state.marks.get(PLACE), state.behind.get(PLACE)


class TestTheFold:
    def test_a_mark_does_not_vouch_for_a_claim_with_another_mark(self) -> None:
        assert told(folded(GENESIS, A, B, settled("b"), settled("a"))) == (MARK_B, 3)
        assert told(folded(GENESIS, A, B, settled("a"), settled("b"))) == (MARK_A, 7)
        assert told(folded(GENESIS, A, settled("a"), B, settled("b"))) == (MARK_A, 7)
        # That the settle names yet another mark doesn't help.
        assert told(folded(GENESIS, A, B, settled("a"), settled("b", Mark(2, "c")))) == (MARK_A, 7)

    def test_it_vouches_if_both_were_in_one_log(self) -> None:
        assert told(folded(GENESIS, A, B, settled("a"), settled("b", MARK_A))) == (MARK_A, None)
        assert told(folded(GENESIS, A, settled("a"), B, settled("b", MARK_A))) == (MARK_A, None)

    def test_a_pending_claim_gets_the_mark_if_the_settle_of_another_names_its_own(self) -> None:
        begun = folded(GENESIS, A, B, settled("b", MARK_A))
        assert begun.pending["a"].operation.begins == {PLACE: MARK_B}
        assert begun.pending["a"].timestamp == folded(GENESIS, A).pending["a"].timestamp
        assert told(folded(GENESIS, A, B, settled("b", MARK_A), settled("a"))) == (MARK_B, None)
        assert folded(GENESIS, A, B, settled("b", Mark(2, "c"))).pending["a"].operation == A

    def test_what_a_settle_says_of_marks_counts_only_if_they_are_of_the_log_of_the_mark_in_force(self) -> None:
        c = claim("c", 8, 9, begins=9)
        operations = GENESIS, A, B, c, settled("a"), settled("c", MARK_B)
        assert folded(*operations).pending["b"].operation == B
        assert told(folded(*operations)) == (MARK_A, 10)
        operations = GENESIS, A, B, c, settled("a"), settled("c", MARK_B, MARK_A)
        assert folded(*operations).pending["b"].operation.begins == {PLACE: MARK_A}
        assert told(folded(*operations, settled("b"))) == (MARK_A, None)

    def test_a_mark_stays_while_a_claim_with_another_one_is_pending(self) -> None:
        later = structs.replace(claim("l", 8, 9), marks={PLACE: Mark(9, "later")})
        operations = GENESIS, A, B, settled("a"), later, settled("l")
        assert folded(*operations).marks == {PLACE: MARK_A}
        assert told(folded(*operations, settled("b", MARK_A))) == (MARK_A, None)
        assert folded(GENESIS, A, B, settled("a"), Release(id="b"), later, settled("l")).marks == later.marks
        elsewhere = structs.replace(B, offsets={OTHER: ((5, 6),)}, begins={OTHER: MARK_B})
        assert folded(GENESIS, A, elsewhere, settled("a"), later, settled("l")).marks == later.marks

    def test_the_other_claims_of_a_batch_follow_its_mark(self) -> None:
        rest = structs.replace(divert("r", 3, 4), begins=A.begins)
        later = structs.replace(claim("l", 8, 9), marks={PLACE: Mark(9, "later")})
        moved = folded(GENESIS, A, rest, settled("a"), later, settled("l"))
        assert moved.marks == moved.pending["r"].operation.begins == later.marks
        assert told(folded(GENESIS, A, rest, settled("a"), later, settled("l"), settled("r"))) == (
            Mark(9, "later"),
            None,
        )

    def test_a_claim_below_the_mark_is_not_vouched_for_anyway(self) -> None:
        begun = structs.replace(folded(GENESIS, A), marks={PLACE: Mark(9, "m", 3)})
        assert told(advanced(begun, settled("a"))) == (Mark(9, "m", 3), None)
        begun = structs.replace(folded(GENESIS, A), marks={PLACE: Mark(9, "m", 2)})
        assert told(advanced(begun, settled("a"))) == (Mark(9, "m", 2), 3)

    def test_a_mark_that_replaces_another_one_takes_no_claims_with_it(self) -> None:
        begun = structs.replace(folded(GENESIS, A), marks={PLACE: Mark(1, "lost")}, settled={PLACE: ((3, 4),)})
        again = structs.replace(claim("n", 8, 9), begins={PLACE: Mark(9, "n", 8)}, marks={PLACE: Mark(1, "lost")})
        state = advanced(begun, again, settled("n"))
        assert (state.marks, state.pending["a"].operation) == ({PLACE: Mark(9, "n", 8)}, A)

    def test_claims_without_a_mark_and_topic_partitions_without_one_are_as_before(self) -> None:
        assert told(folded(GENESIS, claim("p", 8, 9), A, settled("a"))) == (None, None)
        assert told(folded(GENESIS, A, settled("a"), claim("p", 8, 9), settled("p"))) == (MARK_A, None)
        stray = structs.replace(claim("p", 8, 9), begins={OTHER: MARK_B})
        assert folded(GENESIS, stray, settled("p")).behind == {}


def test_what_a_settle_says_of_marks_is_in_its_document() -> None:
    settle = settled("b", MARK_A, Mark(9, "m", 4))
    assert encode(settled("b")) == b'{"v":2,"op":"settle","id":"b"}'
    assert decode(encode(settle)) == settle
    snapshot = Snapshot(state=folded(GENESIS, A, B, settled("b", MARK_A)))
    assert decode(encode(snapshot)) == snapshot


class TestTheMarksOfOneLog:
    LOG: ClassVar = {
        (PLACE, offset): Original(key=b"k", value=b"%d" % offset, timestamp=offset) for offset in range(10)
    }

    def mark(self, offset: int, since: int = 0) -> Mark:
        return Mark(offset, marks.digest(self.LOG[PLACE, offset]), since)

    def state(self, *others: Mark, in_force: Mark | None = None) -> State:
        claims = [
            structs.replace(claim(str(mark.offset), mark.offset, mark.offset), begins={PLACE: mark}) for mark in others
        ]
        return structs.replace(folded(GENESIS, *claims), marks={} if in_force is None else {PLACE: in_force})

    def found(self, state: State, log: MemoryOriginals | None = None) -> set[Mark]:
        begins = {PLACE: self.mark(5), OTHER: Mark(1, "m")}
        return set(marks.of_one_log(begins, state, log or Timely(self.LOG), soon()).get(PLACE, ()))

    def test_all_that_the_log_has_are_found_by_one_read(self) -> None:
        log = Timely(self.LOG)
        assert self.found(self.state(self.mark(2), self.mark(7), in_force=self.mark(9, 4)), log) == {
            *(self.mark(2), self.mark(7)),
            self.mark(9, 4),
        }
        assert log.reads == 1
        assert self.found(self.state(self.mark(2), Mark(3, "other"), Mark(20, "gone"))) == {self.mark(2)}

    def test_none_if_the_log_does_not_have_the_record_of_the_claims_own_mark(self) -> None:
        state = self.state(self.mark(2))
        assert self.found(state, Timely({at: record for at, record in self.LOG.items() if at[1] != 5})) == set()
        other = {**self.LOG, (PLACE, 5): Original(key=b"k", value=b"other", timestamp=5)}
        assert self.found(state, Timely(other)) == set()

    def test_nothing_is_read_if_there_are_no_others(self) -> None:
        log = Timely(self.LOG)
        assert marks.of_one_log({PLACE: self.mark(5)}, self.state(self.mark(5)), log, soon()) == {}
        assert marks.of_one_log({}, self.state(self.mark(2)), log, soon()) == {}
        assert marks.of_one_log({OTHER: self.mark(5)}, self.state(self.mark(2)), log, soon()) == {}
        assert log.reads == 0
        assert marks.of_one_log({PLACE: self.mark(5)}, self.state(Mark(2, "other")), log, soon()) == {}
