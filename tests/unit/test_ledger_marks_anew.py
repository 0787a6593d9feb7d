"""Marks of topic-partitions that have claims and no mark: where they begin, what they vouch for, and in which races."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from msgspec import structs

from kafka_maxcompute.brokers.originals import Original
from kafka_maxcompute.dead_letters.error_topic import DeliveredRecord
from kafka_maxcompute.errors import LedgerError
from kafka_maxcompute.ledger import marks
from kafka_maxcompute.ledger import state as ledger_state
from kafka_maxcompute.ledger.identity import Observed, check, genesis
from kafka_maxcompute.ledger.operations import Empty, Mark, Release, Reset, Settle
from tests.deadlines import soon
from tests.ledger_entries import CREATED, GENESIS, PLACE, claim, divert, folded, reset
from tests.ledger_logs import Timely

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fc_powertools import Deadline
    from kafka_maxcompute.brokers.originals import Found, Wanted
    from kafka_maxcompute.ledger.operations import Claim, Operation, State
    from kafka_maxcompute.offsets import Offsets, TopicPartition

pytestmark = pytest.mark.quick

UNMARKED = (GENESIS, claim("old", 0, 9), Settle(id="old"))
"""What an earlier release has written."""
MARK = Mark(19, "m", 10)
OTHER = ("orders", 1)


def telling(operation: Claim, mark: Mark = MARK, *, lost: Mark | None = None) -> Claim:
    """The claim with a mark that begins, or replaces one."""
    return structs.replace(operation, begins={PLACE: mark}, marks={} if lost is None else {PLACE: lost})


def marked(*operations: Operation) -> Mark | None:
    return folded(*operations).marks.get(PLACE)


class TestTheFold:
    def test_a_mark_begins_behind_all_that_is_taken(self) -> None:
        assert marked(*UNMARKED, telling(claim("new", 10, 19)), Settle(id="new")) == MARK

    @pytest.mark.parametrize("since", [9, 5, 0])
    def test_none_that_vouches_for_what_was_settled_without_it(self, since: int) -> None:
        mark = Mark(19, "m", since)
        assert marked(*UNMARKED, telling(claim("new", 10, 19), mark), Settle(id="new")) is None

    def test_none_if_another_claim_settles_or_is_pending_there(self) -> None:
        new, other = telling(claim("new", 10, 19)), claim("other", 25, 29)
        assert marked(*UNMARKED, new, other, Settle(id="new")) is None
        assert marked(*UNMARKED, new, other, Settle(id="other"), Settle(id="new")) is None
        assert marked(*UNMARKED, new, divert("other", 25, 29), Settle(id="new")) is None
        assert marked(*UNMARKED, new, other, Release(id="other"), Settle(id="new")) == MARK
        assert marked(*UNMARKED, new, Empty(offsets={PLACE: ((25, 29),)}, generation=1), Settle(id="new")) is None

    def test_of_two_that_race_the_one_behind_the_other_begins(self) -> None:
        first, second = telling(claim("first", 10, 19)), telling(claim("second", 20, 29), Mark(29, "n", 20))
        both = (*UNMARKED, first, second)
        assert marked(*both, Settle(id="second"), Settle(id="first")) == Mark(29, "n", 20)
        assert marked(*both, Settle(id="first")) is None
        assert marked(*both, Settle(id="first"), Settle(id="second")) == Mark(29, "n", 20)
        assert marked(*UNMARKED, first, Settle(id="first"), second, Settle(id="second")) == MARK

    def test_claims_of_one_batch_tell_it_together(self) -> None:
        """A batch has a claim for each partition value, and one for what is diverted."""
        one, two = telling(claim("one", 10, 14)), telling(claim("two", 15, 19))
        assert marked(*UNMARKED, one, two, Settle(id="two")) == MARK
        assert marked(*UNMARKED, one, two, Settle(id="one"), Settle(id="two")) == MARK
        another = telling(claim("two", 15, 19), replace_digest(MARK))
        assert marked(*UNMARKED, one, another, Settle(id="one"), Settle(id="two")) is None

    def test_what_lies_elsewhere_is_no_matter(self) -> None:
        elsewhere = structs.replace(claim("far", 50, 59), offsets={OTHER: ((50, 59),)})
        assert marked(*UNMARKED, elsewhere, telling(claim("new", 10, 19)), Settle(id="new")) == MARK

    def test_it_moves_with_what_it_vouches_for(self) -> None:
        begun = (*UNMARKED, telling(claim("new", 10, 19)), Settle(id="new"))
        moved = structs.replace(claim("t", 20, 29), marks={PLACE: Mark(29, "t", 10)})
        assert marked(*begun, moved, Settle(id="t")) == Mark(29, "t", 10)

    @pytest.mark.parametrize("since", [0, 9, 11, 20])
    def test_a_mark_with_another_beginning_is_no_later_one(self, since: int) -> None:
        """Its record was found together with one of another log."""
        begun = (*UNMARKED, telling(claim("new", 10, 19)), Settle(id="new"))
        other = structs.replace(claim("t", 20, 29), marks={PLACE: Mark(29, "t", since)})
        assert marked(*begun, other, Settle(id="t")) == MARK

    @pytest.mark.parametrize(
        ("since", "last", "behind"), [(0, 0, 1), (1, 1, 2), (1, 5, 6), (10, 10, 11), (10, 9, None)]
    )
    def test_a_claim_of_another_log_counts_from_where_the_mark_begins(
        self, since: int, last: int, behind: int | None
    ) -> None:
        state = structs.replace(folded(*UNMARKED), marks={PLACE: Mark(20, "s", since)})
        other = structs.replace(claim("o", 0, last), differing={PLACE: ((0, last),)})
        found = ledger_state._behind(state, other, state.marks)
        assert found == ({} if behind is None else {PLACE: behind})

    def test_a_claim_that_does_not_carry_it_moves_nothing(self) -> None:
        begun = (*UNMARKED, telling(claim("new", 10, 19)), Settle(id="new"))
        assert folded(*begun, claim("o", 25, 29), Settle(id="o")).behind == {}

    @pytest.mark.parametrize("since", [0, 10])
    def test_no_mark_vouches_for_a_claim_that_differs_from_the_log(self, since: int) -> None:
        """Not even if the claim carries the mark: that one was read at another moment."""
        late = (*UNMARKED, telling(claim("new", 10, 19)), Settle(id="new"))
        begun: tuple[Operation, ...] = late if since else (GENESIS, claim("new", 10, 19, begins=19), Settle(id="new"))
        for other in (claim("o", 25, 29), divert("o", 25, 29)):
            differing = structs.replace(other, marks={PLACE: Mark(29, "o", since)}, differing=other.offsets)
            assert folded(*begun, differing).behind == {}
            assert folded(*begun, differing, Settle(id="o")).behind == {PLACE: 30}
            low = structs.replace(
                claim("p", 20, 22), marks={PLACE: Mark(29, "p", since)}, differing={PLACE: ((20, 22),)}
            )
            assert folded(*begun, differing, low, Settle(id="o"), Settle(id="p")).behind == {PLACE: 30}
            elsewhere = structs.replace(differing, differing={OTHER: ((25, 29),)})
            assert folded(*begun, elsewhere, Settle(id="o")).behind == {}
            assert folded(*begun, differing, Settle(id="o"), reset(start=3)).behind == {}
        assert (
            folded(GENESIS, structs.replace(claim("o", 5, 9), differing={PLACE: ((5, 9),)}), Settle(id="o")).behind
            == {}
        )

    def test_what_lies_before_its_beginning_is_no_matter(self) -> None:
        early = (GENESIS, claim("old", 5, 9), Settle(id="old"), claim("early", 0, 4))
        begun = (*early, telling(claim("new", 10, 19)), Settle(id="new"))
        assert folded(*begun, Settle(id="early")).behind == {}

    def test_a_mark_that_replaces_it_or_a_reset_begins_anew(self) -> None:
        other = structs.replace(claim("o", 25, 29), differing={PLACE: ((25, 29),)})
        begun = (*UNMARKED, telling(claim("new", 10, 19)), Settle(id="new"), other, Settle(id="o"))
        again = telling(claim("again", 30, 39), Mark(39, "a", 30), lost=MARK)
        state = folded(*begun, again, Settle(id="again"))
        assert (state.marks[PLACE], state.behind) == (Mark(39, "a", 30), {})
        assert folded(*begun, reset(start=3)).behind == {}
        assert folded(*begun, reset(start=3, mark=29)).behind == {}
        vouched = Reset(id="r", generation=2, identity=GENESIS.identity, starts={}, marks={PLACE: Mark(29, "r")})
        assert folded(*begun, vouched).behind == {}
        assert folded(*begun, structs.replace(vouched, marks={})).behind == {PLACE: 30}

    def test_the_first_claim_marks_nothing_while_one_without_a_mark_is_pending(self) -> None:
        """That one is perhaps of a log that was there before."""
        first = claim("first", 10, 19, begins=19)
        assert marked(GENESIS, claim("p", 0, 9), first, Settle(id="first")) is None
        assert marked(GENESIS, divert("p", 0, 9), first, Settle(id="first")) is None
        assert marked(GENESIS, claim("p", 0, 9, begins=9), first, Settle(id="first")) == Mark(19, "first")
        elsewhere = structs.replace(claim("p", 0, 9), offsets={OTHER: ((0, 9),)})
        assert marked(GENESIS, elsewhere, first, Settle(id="first")) == Mark(19, "first")

    def test_a_lost_one_is_replaced_by_name(self) -> None:
        begun = (GENESIS, claim("s", 0, 9, begins=9), Settle(id="s"))
        lost, again = Mark(9, "s"), telling(claim("new", 10, 19), lost=Mark(9, "s"))
        assert marked(*begun, again, Settle(id="new")) == MARK
        assert marked(*begun, telling(claim("new", 10, 19)), Settle(id="new")) == lost
        moved = structs.replace(claim("t", 20, 29), marks={PLACE: Mark(29, "t")})
        assert marked(*begun, moved, Settle(id="t"), again, Settle(id="new")) == Mark(29, "t")
        # Nothing to replace: the topic-partition that the claim's delivery has read had a mark.
        assert marked(*UNMARKED, again, Settle(id="new")) is None

    def test_none_is_replaced_by_one_with_the_same_beginning(self) -> None:
        """The two may be of two logs, and later marks of either would be taken for the other's."""
        # Its claims hold nothing yet of what it vouches for.
        before = structs.replace(claim("a", 0, 4), begins={PLACE: Mark(29, "a", 10)})
        begun = (GENESIS, claim("old", 5, 9), Settle(id="old"), before, Settle(id="a"))
        assert marked(*begun) == Mark(29, "a", 10)
        again = telling(claim("new", 10, 19), lost=Mark(29, "a", 10))
        assert marked(*begun, again, Settle(id="new")) == Mark(29, "a", 10)

    def test_a_reset_vouches_for_all_again(self) -> None:
        begun = (*UNMARKED, telling(claim("new", 10, 19)), Settle(id="new"))
        vouched = Reset(id="r", generation=2, identity=GENESIS.identity, starts={}, marks={PLACE: Mark(19, "r")})
        assert marked(*begun, vouched) == Mark(19, "r")
        assert marked(*begun, reset(start=3)) is None
        assert marked(*begun, reset(start=30, mark=29)) == Mark(29, "r")


def replace_digest(mark: Mark) -> Mark:
    return Mark(mark.offset, "of another log", mark.since)


class TestDropping:
    STATE = structs.replace(
        folded(*UNMARKED, telling(claim("new", 10, 19)), Settle(id="new")),
        identity=genesis("orders", "p.t", CREATED, {}).identity,
    )

    def dropped(self, offsets: Offsets, digest: str = "m") -> None:
        found = Observed(table="p.t", table_created=CREATED, ends={PLACE: 20}, dropped=offsets, marks={PLACE: digest})
        check(self.STATE, found)

    def test_what_the_mark_vouches_for(self) -> None:
        self.dropped({PLACE: ((10, 19),)})

    @pytest.mark.parametrize("offsets", [((9, 9),), ((9, 12),), ((2, 3), (15, 19))])
    def test_nothing_that_lies_before(self, offsets: tuple[tuple[int, int], ...]) -> None:
        doubt = rf"orders-0: .*a mark for offset {offsets[0][0]}, but the ledger's mark vouches for .* from 10 on"
        with pytest.raises(LedgerError, match=rf"(?s)nothing proves .*{doubt}.*same_topic"):
            self.dropped({PLACE: offsets})

    def test_nothing_up_to_what_was_claimed_without_it(self) -> None:
        state = structs.replace(self.STATE, behind={PLACE: 15})
        found = Observed(table="p.t", table_created=CREATED, ends={PLACE: 20}, marks={PLACE: "m"})
        check(state, replace(found, dropped={PLACE: ((15, 19),)}))
        with pytest.raises(LedgerError, match="vouches for offsets from 15 on"):
            check(state, replace(found, dropped={PLACE: ((14, 19),)}))

    def test_nothing_if_the_log_has_no_record_or_another_one(self) -> None:
        with pytest.raises(LedgerError, match="the record at offset 19 that the ledger has marked, but the log has no"):
            self.dropped({PLACE: ((5, 12),)}, "")
        with pytest.raises(LedgerError, match="another topic or table"):
            self.dropped({PLACE: ((10, 19),)}, "n")


def record(offset: int, value: bytes | None = b"v") -> Original:
    return Original(key=b"k%d" % offset, value=value, timestamp=1_000 + offset)


def log_of(offsets: Iterable[int], value: bytes = b"v", place: TopicPartition = PLACE) -> Found:
    return {(place, offset): record(offset, value) for offset in offsets}


class TestABatchThatBeginsOne:
    STATE = folded(*UNMARKED)

    def anew(
        self,
        log: Found,
        *offsets: tuple[int, int],
        state: State = STATE,
        delivered: dict[int, DeliveredRecord] | None = None,
    ) -> Mark | None:
        told = delivered or {}

        def known(_: TopicPartition, offset: int) -> DeliveredRecord | None:
            return told.get(offset, DeliveredRecord(record(offset)))

        self.originals = Timely(log)
        return marks.late_beginnings(state, {PLACE: offsets}, known, self.originals, soon()).get(PLACE)

    def test_a_new_batch_that_the_log_has_as_it_was_delivered(self) -> None:
        assert self.anew(log_of(range(40)), (10, 29)) == Mark(29, marks.digest(record(29)), 10)
        assert self.anew(log_of(range(10, 40)), (12, 14), (20, 29)) == Mark(29, marks.digest(record(29)), 12)

    def test_only_what_lies_behind_all_that_is_taken(self) -> None:
        assert self.anew(log_of(range(40)), (5, 29)) == Mark(29, marks.digest(record(29)), 10)
        assert self.originals.streamed == [{PLACE: ((10, 29),)}]
        pending = folded(*UNMARKED, claim("p", 15, 19))
        assert self.anew(log_of(range(40)), (10, 14), (20, 29), state=pending) == Mark(29, marks.digest(record(29)), 20)
        assert self.anew(log_of(range(40)), (10, 14), state=pending) is None
        assert self.anew(log_of(range(40)), (10, 19), state=pending) is None

    def test_a_topic_partition_without_claims_begins_in_another_way(self) -> None:
        for state in (folded(GENESIS), folded(GENESIS, reset(start=5)), folded(GENESIS, claim("p", 0, 9))):
            assert self.anew(log_of(range(40)), (10, 29), state=state) is None
        assert self.originals.streamed == []

    def test_none_if_the_last_record_is_not_the_logs(self) -> None:
        assert self.anew(log_of(range(29)), (10, 29)) is None
        assert self.anew(log_of(range(29)) | log_of([29], b"w"), (10, 29)) is None
        assert self.originals.streamed == []

    @pytest.mark.parametrize(("log", "since"), [(log_of(range(15), b"w"), 15), (log_of([10, 20], b"w"), 21), ({}, 29)])
    def test_it_vouches_from_behind_the_last_record_that_is_not_the_logs(self, log: Found, since: int) -> None:
        """A stream goes on in a topic that was created again, and its batch has records of both."""
        here = log_of(range(since, 30)) if not log else log_of(range(40)) | log
        assert self.anew(here, (10, 29)) == Mark(29, marks.digest(record(29)), since)

    def test_none_as_long_as_the_marked_record_is_there(self) -> None:
        state = structs.replace(self.STATE, marks={PLACE: Mark(9, "whatever it is")})
        assert self.anew(log_of(range(40)), (10, 29), state=state) is None
        assert self.anew(log_of(range(10, 40)), (10, 29), state=state) == Mark(29, marks.digest(record(29)), 10)

    def test_each_topic_partition_has_its_own(self) -> None:
        known_of = {PLACE: b"v", OTHER: b"v"}
        state = structs.replace(self.STATE, settled={PLACE: ((0, 9),), OTHER: ((0, 4),)})
        originals = Timely(log_of(range(20)) | log_of(range(20), b"w", OTHER))
        covered = {OTHER: ((5, 9),), PLACE: ((10, 14),), ("orders", 2): ((0, 3),)}
        found = marks.late_beginnings(
            state, covered, lambda place, offset: DeliveredRecord(record(offset, known_of[place])), originals, soon()
        )
        assert found == {PLACE: Mark(14, marks.digest(record(14)), 10)}

    @pytest.mark.parametrize(
        ("logged", "delivered", "same"),
        [
            (b"v", DeliveredRecord(record(10)), True),
            (b"v", DeliveredRecord(record(10, b"w")), False),
            (b"v", DeliveredRecord(record(10, b64encode(b"v"))), True),
            (b"", DeliveredRecord(record(10, None)), True),
            (b'{"a": 1, "b": [2]}', DeliveredRecord(record(10, b'{"b":[2],"a":1}')), True),
            (b'{"a": 1}', DeliveredRecord(record(10, b'{"a":2}')), False),
            (b'{"a": 1}', DeliveredRecord(record(10, b"v")), False),
            (b"v", DeliveredRecord(record(10), "event"), False),
            (b"v", DeliveredRecord(replace(record(10), timestamp=7)), False),
        ],
    )
    def test_what_an_event_tells_is_compared(self, logged: bytes, delivered: DeliveredRecord, same: bool) -> None:
        found = self.anew(log_of([10], logged), (10, 10), delivered={10: delivered})
        assert (found is not None) == same

    def test_two_topic_partitions_begin_theirs_at_once(self) -> None:
        state = structs.replace(self.STATE, settled={PLACE: ((0, 9),), OTHER: ((0, 4),)})
        originals = Timely(log_of(range(20)) | log_of(range(20), place=OTHER))
        covered = {PLACE: ((10, 14),), OTHER: ((5, 9),)}
        found = marks.late_beginnings(
            state, covered, lambda _, offset: DeliveredRecord(record(offset)), originals, soon()
        )
        assert {place: mark.since for place, mark in found.items()} == {PLACE: 10, OTHER: 5}

    def test_none_if_the_log_is_another_one_by_the_second_reading(self) -> None:
        class Emptied(Timely):
            def read(self, wanted: Wanted, deadline: Deadline) -> Found:
                found = super().read(wanted, deadline)
                self.log.clear()
                return found

        covered, originals = {PLACE: ((10, 14),)}, Emptied(log_of(range(20)))
        begun = marks.late_beginnings(
            self.STATE, covered, lambda _, offset: DeliveredRecord(record(offset)), originals, soon()
        )
        assert begun == {}

    def test_a_record_that_the_delivery_does_not_know_proves_nothing(self) -> None:
        originals = Timely(log_of(range(40)))
        nothing_known = marks.late_beginnings(self.STATE, {PLACE: ((10, 11),)}, lambda *_: None, originals, soon())
        assert nothing_known == {}
