"""Marks of source topics' logs in deliveries, and settled records that are in no log."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from kafka_maxcompute.brokers.originals import Original
from kafka_maxcompute.ledger import marks
from kafka_maxcompute.ledger.ledger import LogLedger
from kafka_maxcompute.ledger.operations import Divert, Mark
from tests.kafka_events import HOUR_14, element, payload
from tests.sink_delivery import ORDERS, Check, Connector, Marks, places

if TYPE_CHECKING:
    from collections.abc import Collection

    from fc_powertools import Deadline
    from kafka_maxcompute.dead_letters.error_topic import Known
    from kafka_maxcompute.ledger.operations import Operation
    from kafka_maxcompute.ledger.state import State
    from kafka_maxcompute.offsets import Offsets, TopicPartition

pytestmark = pytest.mark.quick


def batch(*offsets: int) -> bytes:
    return payload(*map(element, offsets))


def test_settled_records_that_are_in_no_log_are_kept_as_letters() -> None:
    connector = Connector()
    connector.deliver(batch(1, 2))
    line = replace(connector.line(), check=Check(lambda _, dropped, __: {ORDERS: ((2, 2),)} if dropped.offsets else {}))
    done = connector.deliver(batch(1, 2, 3), line)
    assert (done.dropped, done.unlogged, sum(claim.rows for claim in done.written)) == (1, 1, 1)
    assert connector.visible == places(1, 2, 3)
    (letter,) = connector.letters.letters
    assert (letter.offset, letter.reason, letter.form, letter.generation) == (2, "not-in-log", "as-delivered", 1)
    assert "nothing proves that this record is the one written" in letter.message


def test_the_first_claim_of_a_topic_partition_marks_its_log_and_later_ones_move_the_mark() -> None:
    connector = Connector()
    for offset in range(1, 9):
        connector.originals.log[ORDERS, offset] = Original(
            key=b"k%d" % offset, value=b"v%d" % offset, timestamp=HOUR_14
        )
    connector.deliver(batch(1, 2))
    first = Mark(2, marks.digest(connector.originals.log[ORDERS, 2]))
    assert connector.state.marks == {ORDERS: first}
    connector.deliver(batch(3, 4))
    assert connector.state.marks == {ORDERS: first}
    later, of_before = Mark(4, "d"), Mark(6, "e")
    line = replace(connector.line(), marks=Marks(lambda *_: {(1, ORDERS): later, (0, ORDERS): of_before}))
    connector.deliver(batch(5, 6), line)
    assert connector.state.marks == {ORDERS: later}


def test_a_record_that_the_log_has_not_marks_nothing() -> None:
    connector = Connector()
    connector.originals.log[ORDERS, 1] = Original(key=b"k1", value=b"v1", timestamp=HOUR_14 + 1)
    connector.deliver(batch(1))
    assert connector.state.marks == {}


def test_a_mark_begins_only_in_a_topic_whose_id_is_the_ledgers() -> None:
    asked: list[tuple[int, set[str]]] = []

    def delivered(offset: int, unconfirmed: frozenset[str]) -> dict[tuple[str, int], Mark]:
        def check(state: State, topics: Collection[str]) -> frozenset[str]:
            asked.append((state.generation, set(topics)))
            return unconfirmed

        verify = connector.line().check.verify
        connector.deliver(batch(offset), replace(connector.line(), check=Check(verify, check)))
        return dict(connector.state.marks)

    for others, begins in (({"orders"}, False), ({"others"}, True)):
        connector = Connector()
        connector.originals.log[ORDERS, 1] = Original(key=b"k1", value=b"v1", timestamp=HOUR_14)
        assert delivered(1, frozenset(others)).keys() == ({ORDERS} if begins else set())
    # Of a topic-partition that has claims no mark begins here, so nothing is asked.
    delivered(2, frozenset())
    assert asked == [(1, {"orders"}), (1, {"orders"})]


def test_a_claim_says_that_its_batch_differs_from_the_log() -> None:
    connector = Connector()
    connector.deliver(batch(1, 2))
    compared: list[tuple[int, Offsets, list[Original]]] = []

    def differing(state: State, covered: Offsets, known: Known) -> frozenset[TopicPartition]:
        records = [delivered for offset in (3, 4) if (delivered := known(ORDERS, offset))]
        compared.append((state.generation, covered, [delivered.record for delivered in records]))
        return frozenset({ORDERS})

    line = connector.line()
    done = connector.deliver(batch(3, 4), replace(line, check=Check(line.check.verify, differing=differing)))
    assert [claim.differing for claim in done.written] == [{ORDERS: ((3, 4),)}]
    ((generation, covered, records),) = compared
    assert (generation, covered) == (1, {ORDERS: ((3, 4),)})
    assert [(record.key, record.value) for record in records] == [(b"k3", b"v3"), (b"k4", b"v4")]


def test_a_topic_that_is_recreated_as_a_record_is_diverted_has_nothing_for_its_letter() -> None:
    connector = Connector()
    log = connector.originals.log
    for offset in range(1, 4):
        log[ORDERS, offset] = Original(key=b"k%d" % offset, value=b"v%d" % offset, timestamp=HOUR_14)
    connector.deliver(batch(1, 2))

    class Recreating(LogLedger):
        def append(self, operation: Operation, deadline: Deadline) -> int | None:
            if isinstance(operation, Divert):
                for offset in range(1, 4):
                    log[ORDERS, offset] = Original(key=None, value=b"of the new topic", timestamp=HOUR_14)
            return super().append(operation, deadline)

    untold = payload(element(3, key=None, timestamp=None, value=3))
    done = connector.deliver(untold, connector.line(ledger=Recreating(connector.log)))
    assert [divert.offsets for divert in done.diverted] == [{ORDERS: ((3, 3),)}]
    (letter,) = connector.letters.letters
    assert letter.offset == 3
    assert letter.form != "original"
    assert letter.record.value != b"of the new topic"


def test_another_record_at_the_same_offset_of_a_batch_is_no_repeat() -> None:
    """A batch can hold records of a topic that was deleted, and of the one that was created again after it."""
    connector = Connector()
    newer = element(2, key="new", value="of the new topic", timestamp=HOUR_14 + 1)
    done = connector.deliver(payload(element(1), element(2), element(2), newer, newer))
    assert (sum(claim.rows for claim in done.written), done.unlogged, done.dropped) == (2, 1, 2)
    assert connector.visible == places(1, 2)
    (letter,) = connector.letters.letters
    assert (letter.offset, letter.reason, letter.form) == (2, "not-in-log", "as-delivered")
    assert (letter.record.key, letter.record.value, letter.generation) == (b"new", b"of the new topic", 1)
