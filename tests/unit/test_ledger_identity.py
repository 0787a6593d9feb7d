"""Nothing is dropped as settled unless it's proven that the ledger is about the topic and table that are there."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

import pytest
from msgspec import structs

from kafka_maxcompute.errors import LedgerError
from kafka_maxcompute.ledger.identity import Observed, check, genesis
from kafka_maxcompute.ledger.operations import Settle, State
from tests.ledger_entries import CREATED, GENESIS, NOW, PLACE, claim, folded

if TYPE_CHECKING:
    from kafka_maxcompute.offsets import Offsets

pytestmark = pytest.mark.quick

STATE = folded(GENESIS, claim("s", 0, 9, timestamp=NOW, begins=9), Settle(id="s"))
"""Offsets 0 to 9 are settled, the record at offset 9 is the mark, and the topic's id is known."""
DROPPED: Offsets = {PLACE: ((2, 3),)}
BY_ID = Observed(
    table="P.T",
    table_created=CREATED,
    topics={"orders": "id-1", "bills": "id-7"},
    ends={PLACE: 10, ("bills", 0): 0},
    dropped=DROPPED,
    timestamps={PLACE: NOW},
    marks={PLACE: ""},
)
BY_MARK = replace(BY_ID, topics={}, marks={PLACE: "s"})
WITHOUT_ID = structs.replace(STATE, identity=genesis("orders", "p.t", CREATED, {}).identity)


class TestWhatProvesThatTheLogIsTheLedgers:
    @pytest.mark.parametrize("observed", [BY_ID, BY_MARK, replace(BY_ID, marks={PLACE: "s"})])
    def test_the_topics_id_or_the_marked_record(self, observed: Observed) -> None:
        check(STATE, observed)

    def test_the_mark_alone_if_the_ledger_has_no_id(self) -> None:
        check(WITHOUT_ID, BY_MARK)
        check(WITHOUT_ID, replace(BY_MARK, topics={"orders": "id-9"}))

    def test_no_proof_is_needed_if_nothing_is_dropped(self) -> None:
        check(STATE, Observed())
        check(State(), Observed())

    def test_what_has_no_log_any_more_is_not_compared(self) -> None:
        check(WITHOUT_ID, replace(BY_ID, ends={}, marks={}, topics={}, gone=frozenset({PLACE})))


class TestNoAnswerIsNoProof:
    MARKLESS: ClassVar = folded(GENESIS, claim("s", 0, 9, timestamp=NOW), Settle(id="s"))

    @pytest.mark.parametrize(
        ("state", "observed", "doubt"),
        [
            (WITHOUT_ID, BY_ID, "orders-0: expected the topic's id, but it has none, or the record at offset 9"),
            (
                STATE,
                replace(BY_ID, topics={}),
                "the brokers didn't tell it, or the record at offset 9 .* no record there",
            ),
            (STATE, replace(BY_ID, topics={}, marks={}), "the brokers didn't tell it"),
            (MARKLESS, replace(BY_MARK, marks={}), "but it has marked none"),
            (MARKLESS, BY_MARK, "but it has marked none"),
            (STATE, replace(BY_ID, ends={}), "orders-0: expected the end of its log, found no answer"),
            (STATE, replace(BY_ID, table_created=None), f"creation time .* found {CREATED} and none"),
            (STATE, replace(BY_ID, table_created=0), f"creation time .* found {CREATED} and none"),
            (
                structs.replace(STATE, identity=genesis("orders", "p.t", None, {"orders": "id-1"}).identity),
                BY_ID,
                f"creation time .* found none and {CREATED}",
            ),
            (structs.replace(STATE, identity=None), BY_MARK, f"creation time .* found none and {CREATED}"),
        ],
    )
    def test_it_stops_and_says_how_to_go_on(self, state: State, observed: Observed, doubt: str) -> None:
        with pytest.raises(LedgerError, match=rf"(?s)nothing proves .*{doubt}.*Nothing was dropped.*same_topic"):
            check(state, observed)

    def test_each_topic_partition_needs_its_own(self) -> None:
        both = replace(BY_MARK, dropped={**DROPPED, ("orders", 1): ((0, 0),)}, ends={PLACE: 10, ("orders", 1): 5})
        with pytest.raises(LedgerError, match="orders-1: expected the topic's id") as caught:
            check(WITHOUT_ID, both)
        assert "orders-0" not in str(caught.value)

    def test_what_lies_before_a_resets_start_needs_it_too(self) -> None:
        state = structs.replace(STATE, starts={PLACE: 4}, marks={})
        with pytest.raises(LedgerError, match="nothing proves"):
            check(state, BY_MARK)


class TestSignsOfAnotherTopicOrTable:
    @pytest.mark.parametrize(
        ("observed", "fault"),
        [
            (
                Observed(ends={PLACE: 9}),
                "orders-0: expected its log to reach beyond settled offset 9, found its end at 9",
            ),
            (Observed(topics={"orders": "id-2"}), "topic orders: expected the one with id id-1, found id-2"),
            (
                Observed(dropped=DROPPED, timestamps={PLACE: NOW + 1}),
                f"orders-0, offsets 2 to 3: .* later than {NOW}",
            ),
            (Observed(marks={PLACE: "t"}), "orders-0: expected the record at offset 9 .* found another"),
            # An id says nothing of a log that was cut off and has grown again.
            (replace(BY_ID, marks={PLACE: "t"}), "orders-0: expected the record at offset 9 .* found another"),
            (Observed(table="p.t", table_created=CREATED + 1), f"p.t: expected one created at {CREATED} "),
            (Observed(table="p.u"), "table: expected p.t, found p.u"),
        ],
    )
    def test_each_stops_and_names_the_reset(self, observed: Observed, fault: str) -> None:
        with pytest.raises(LedgerError, match=f"(?s){fault}.*run the provisioning action reset"):
            check(STATE, observed)

    def test_the_time_of_what_lies_before_a_resets_start_is_none(self) -> None:
        state = structs.replace(STATE, starts={PLACE: 3})
        check(state, replace(BY_ID, dropped={PLACE: ((2, 3),)}, timestamps={PLACE: NOW + 1}))
        with pytest.raises(LedgerError, match="later than"):
            check(state, replace(BY_ID, dropped={PLACE: ((3, 3),)}, timestamps={PLACE: NOW + 1}))


def test_delivered_records_that_no_log_has_are_told() -> None:
    other = ("orders", 1)
    observed = Observed(dropped={**DROPPED, other: ((0, 4),)}, others={other: ((3, 3),)})
    assert observed.unlogged == {other: ((3, 3),)}
    assert replace(observed, gone=frozenset({PLACE})).unlogged == {**DROPPED, other: ((3, 3),)}
    assert BY_ID.unlogged == {}
