"""Nothing is dropped as settled unless it's proven that the ledger is about the topic and table that are there."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

import pytest
from msgspec import structs

from kafka_maxcompute.errors import LedgerError
from kafka_maxcompute.ledger.identity import Observed, check, genesis, identity, new_beginning, signs_of_another
from kafka_maxcompute.ledger.operations import Genesis, Identity, Mark, Settle, Snapshot, State
from kafka_maxcompute.ledger.state import LAST_OFFSET
from tests.ledger_entries import CREATED, GENESIS, NOW, PLACE, claim, folded

if TYPE_CHECKING:
    from kafka_maxcompute.offsets import Offsets, TopicPartition

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
        check(WITHOUT_ID, replace(BY_MARK, dropped={PLACE: ((0, 0),)}))

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
            (
                WITHOUT_ID,
                BY_ID,
                "orders-0: expected the topic's id, but the ledger has none, or the record at offset 9",
            ),
            (
                STATE,
                replace(BY_ID, topics={}),
                "the brokers didn't return it, or the record at offset 9 .* no record there",
            ),
            (STATE, replace(BY_ID, topics={}, marks={}), "the brokers didn't return it"),
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
            (Observed(topics={"orders": "id-2"}), "topic orders: expected the topic with id id-1, found id-2"),
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
    observed = Observed(dropped={**DROPPED, other: ((0, 4),)}, differing={other: ((3, 3),)})
    assert observed.unlogged == {other: ((3, 3),)}
    assert replace(observed, gone=frozenset({PLACE})).unlogged == {**DROPPED, other: ((3, 3),)}
    assert BY_ID.unlogged == {}


BILLS = ("bills", 0)


@pytest.mark.parametrize(
    "timestamps", [{BILLS: NOW + 5, PLACE: NOW + 1}, {PLACE: NOW + 1}], ids=["one that was never settled", "one untold"]
)
def test_each_topic_partition_with_known_times_is_compared(timestamps: dict[TopicPartition, int]) -> None:
    state = structs.replace(STATE, timestamps={PLACE: NOW} if BILLS in timestamps else {BILLS: NOW, PLACE: NOW})
    # From the first offset on: without a reset nothing lies before a start.
    observed = Observed(dropped={BILLS: ((0, 0),), PLACE: ((0, 0),)}, timestamps=timestamps)
    (sign,) = signs_of_another(state, observed)
    assert sign.startswith("orders-0, offsets 0 to 0: ")


def test_faults_are_listed_one_a_line() -> None:
    with pytest.raises(
        LedgerError, match=r":\n  - topic orders: [^\n]*found id-2\n  - orders-0: [^\n]*\nNothing was dropped"
    ):
        check(STATE, Observed(topics={"orders": "id-2"}, marks={PLACE: "t"}))


def test_a_genesis_says_what_the_ledger_is_about() -> None:
    about = Identity(connector="c", table="p.t", table_created=5, topics={"orders": "id-1"})
    assert genesis("c", "p.t", 5, {"orders": "id-1"}) == Genesis(identity=about)
    assert identity("c", "p.t", None, {}) == Identity(connector="c", table="p.t", table_created=0, topics={})


@pytest.mark.parametrize("marks", [None, {PLACE: Mark(3, "d")}])
def test_a_ledger_that_was_lost_begins_with_all_before_the_starts_settled(
    marks: dict[TopicPartition, Mark] | None,
) -> None:
    begun = new_beginning(GENESIS.identity, {PLACE: 4, BILLS: 0}, end=9, now=77, id_="r", marks=marks)
    assert begun == Snapshot(
        state=State(
            folded=8,
            generation=77,
            identity=GENESIS.identity,
            settled={PLACE: ((0, 3),)},
            starts={PLACE: 4, BILLS: 0},
            reset="r",
            marks=marks or {},
            begun={PLACE: 77, BILLS: 77},
            former={PLACE: ((4, LAST_OFFSET),), BILLS: ((0, LAST_OFFSET),)},
        )
    )
