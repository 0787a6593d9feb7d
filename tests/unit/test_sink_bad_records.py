"""exactly_once with records that can't be written: each is in the error topic once, or the delivery stops before it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kafka_maxcompute.brokers.originals import Original
from kafka_maxcompute.errors import RejectedRecordsError, UnavailableError
from kafka_maxcompute.ledger.operations import Divert
from tests.kafka_events import HOUR_14, element, payload
from tests.sink_delivery import ORDERS, Connector, Hooked, KilledError, killed_at, places

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.quick

BAD = {"value": {"no": "text"}}


def test_records_that_cannot_be_written_are_diverted_with_their_bytes_and_the_rest_is_written() -> None:
    connector = Connector()
    original = Original(key=b"\xff", value=b"\x00", headers=(("h", None), ("h", b"\xfe")), timestamp=HOUR_14)
    connector.originals.log[ORDERS, 2] = original
    done = connector.deliver(payload(element(1), element(2, key="\ufffd", **BAD), element(3, timestamp=-1), element(4)))
    assert connector.visible == places(1, 4)
    by_offset = {letter.offset: letter for letter in connector.letters.letters}
    assert list(by_offset) == [2, 3]
    assert by_offset[2].record == original
    assert (by_offset[2].reason, by_offset[2].path, by_offset[2].form) == (
        "unexpected-event",
        "$.data.value",
        "original",
    )
    assert (by_offset[3].form, by_offset[3].reason) == ("as-delivered", "timestamp-absent")
    assert (by_offset[3].record.key, by_offset[3].record.value) == (b"k3", b"v3")
    assert (by_offset[3].connector, by_offset[3].request_id) == ("c", "request-1")
    assert connector.state.settled == {ORDERS: ((1, 4),)}
    assert len(done.diverted) == 1
    connector.deliver(payload(element(1), element(2, **BAD), element(3, timestamp=-1), element(4)))
    assert len(connector.letters.messages) == 2


def test_an_event_whose_record_is_gone_from_the_log_is_kept_as_its_text() -> None:
    connector = Connector()
    connector.deliver(payload(element(2, **BAD)))
    (letter,) = connector.letters.letters
    assert (letter.form, letter.offset) == ("event", 2)
    assert b'"no": "text"' in (letter.record.value or b"")


def test_a_record_of_a_topic_made_anew_is_not_taken_for_the_one_that_was_delivered() -> None:
    connector = Connector()
    for offset in (2, 3):
        connector.originals.log[ORDERS, offset] = Original(key=b"other", value=b"other", timestamp=HOUR_14 + 1)
    connector.deliver(payload(element(2, **BAD), element(3, timestamp=HOUR_14 + 400 * 24 * 3_600_000)))
    by_offset = {letter.offset: letter for letter in connector.letters.letters}
    assert {offset: letter.form for offset, letter in by_offset.items()} == {2: "event", 3: "as-delivered"}
    assert b'"no": "text"' in (by_offset[2].record.value or b"")
    assert by_offset[3].record.value == b"v3"


def test_a_record_whose_time_is_not_known_is_the_one_at_its_offset() -> None:
    connector = Connector()
    for offset, timestamp in ((2, None), (3, HOUR_14)):
        connector.originals.log[ORDERS, offset] = Original(key=b"k%d" % offset, value=b"v", timestamp=timestamp)
    connector.deliver(payload(element(2, **BAD), element(3, timestamp=-1)))
    assert [letter.form for letter in connector.letters.letters] == ["original", "original"]


def test_a_failed_write_to_the_error_topic_fails_the_batch_and_the_next_delivery_writes_it() -> None:
    connector = Connector()

    def fails(*_: object) -> None:
        raise UnavailableError("no broker")

    line = connector.line()
    errors = line.services.errors
    broken = connector.line(
        errors=type(errors)(Hooked(connector.letters, {"write": fails}), connector.originals, "c", "r")
    )
    with pytest.raises(UnavailableError):
        connector.deliver(payload(element(1), element(2, **BAD)), broken)
    assert connector.letters.letters == []
    connector.deliver(payload(element(2, **BAD), element(3)))
    assert [letter.offset for letter in connector.letters.letters] == [2]
    assert connector.visible == places(1, 3)


def test_a_divert_that_was_left_is_ended_by_the_next_delivery_with_what_it_knows() -> None:
    connector = Connector()
    line = connector.line(ledger=Hooked(connector.ledger(), {"append": killed_at("Settle")}))
    with pytest.raises(KilledError):
        connector.deliver(payload(element(2, **BAD)), line)
    connector.letters.messages.clear()
    connector.deliver(payload(element(2, value="corrected"), element(3)))
    assert connector.visible == places(3)
    assert [(letter.offset, letter.record.value) for letter in connector.letters.letters] == [(2, b"corrected")]


def test_two_workers_judge_a_record_differently() -> None:
    connector = Connector()

    def between(*_: object) -> None:
        hooks.clear()
        connector.deliver(payload(element(1, value="good")))

    hooks: dict[str, Callable[..., object]] = {"append": between}
    connector.deliver(payload(element(1, **BAD)), connector.line(ledger=Hooked(connector.ledger(), hooks)))
    assert connector.visible == places(1)
    assert connector.letters.letters == []


def test_an_element_that_names_no_record_is_kept_as_its_text_before_the_reply() -> None:
    connector = Connector()
    done = connector.deliver(b"[" + payload(element(1))[1:-1] + b', {"neither": 1}]')
    (letter,) = connector.letters.letters
    assert (letter.form, letter.record.value, letter.offset) == ("event", b'{"neither": 1}', None)
    assert (connector.visible, done.elements) == (places(1), 1)


def test_stop_writes_what_comes_before_the_first_bad_record_of_each_topic_partition() -> None:
    connector = Connector(failure_policy="stop")
    elements = [element(1), element(2, **BAD), element(3), element(4, timestamp=-1)]
    elements += [element(1, partition=1), element(2, partition=1)]
    for _ in range(2):
        with pytest.raises(RejectedRecordsError, match="orders-0-2: Expected") as caught:
            connector.deliver(payload(*elements))
        assert len(caught.value.rejected) == 1
        assert connector.visible == [(0, 1), (1, 1), (1, 2)]
    assert connector.letters.letters == []
    connector.deliver(payload(element(1), element(2), element(3), element(4)))
    assert connector.visible == [*places(1, 2, 3, 4), (1, 1), (1, 2)]


def test_stop_tells_how_many_records_there_were_and_what_became_of_the_others() -> None:
    connector = Connector(failure_policy="stop")
    told = r"^1 of 5 records can't be written, so the batch stops there; the records before them are written"
    with pytest.raises(RejectedRecordsError, match=told) as caught:
        connector.deliver(b"[" + payload(*map(element, range(3)))[1:-1] + b",{},{}]")
    assert len(caught.value.rejected) == 1


def test_stop_with_nothing_before_the_bad_record_writes_nothing() -> None:
    connector = Connector(failure_policy="stop")
    with pytest.raises(RejectedRecordsError, match="orders-0-1"):
        connector.deliver(payload(element(1, timestamp=-1), element(2)))
    assert (connector.visible, connector.state.pending) == ([], {})


def test_stop_at_an_element_that_names_no_record_writes_what_comes_before_it() -> None:
    connector = Connector(failure_policy="stop")
    good = [payload(element(n))[1:-1] for n in range(4)]
    with pytest.raises(RejectedRecordsError, match="element 2"):
        connector.deliver(b"[" + b",".join([good[0], good[1], b"{}", good[2], good[3]]) + b"]")
    assert connector.visible == places(0, 1)
    assert connector.letters.letters == []


@pytest.mark.parametrize("absent", [None, -1, "yesterday"])
@pytest.mark.parametrize("by_another", [False, True])
def test_a_record_without_a_time_beside_one_with_an_earlier_time_is_kept_with_its_bytes(
    absent: object, *, by_another: bool
) -> None:
    """The time of the log is later than all that the divert knows, which says nothing of this record."""
    connector = Connector()
    originals = {offset: Original(key=b"k%d" % offset, value=b"\xff", timestamp=HOUR_14 + offset) for offset in (2, 3)}
    connector.originals.log.update({(ORDERS, offset): one for offset, one in originals.items()})
    batch = payload(element(2, timestamp=HOUR_14 + 2, **BAD), element(3, timestamp=absent))
    if by_another:
        with pytest.raises(KilledError):
            connector.deliver(batch, connector.line(ledger=Hooked(connector.ledger(), {"append": killed_at("Settle")})))
        connector.letters.messages.clear()
        connector.now += 3_600
        connector.deliver(payload(element(9)))
    else:
        connector.deliver(batch)
    assert {letter.offset: letter.record for letter in connector.letters.letters} == originals


def test_a_record_with_another_key_is_not_taken_for_the_one_that_was_delivered() -> None:
    connector = Connector()
    connector.originals.log[ORDERS, 2] = Original(key=b"other", value=b"other", timestamp=HOUR_14)
    connector.deliver(payload(element(2, timestamp=None)))
    (letter,) = connector.letters.letters
    assert (letter.form, letter.record.key) == ("as-delivered", b"k2")


def test_a_divert_names_its_offsets_by_reason() -> None:
    connector = Connector()
    line = connector.line(ledger=Hooked(connector.ledger(), {"append": killed_at("Settle")}))
    with pytest.raises(KilledError):
        connector.deliver(payload(element(1, **BAD), element(2, timestamp=-1), element(3, **BAD)), line)
    (pending,) = connector.state.pending.values()
    assert isinstance(pending.operation, Divert)
    assert pending.operation.reasons == {
        "unexpected-event": {ORDERS: ((1, 1), (3, 3))},
        "timestamp-absent": {ORDERS: ((2, 2),)},
    }
    assert pending.operation.offsets == {ORDERS: ((1, 3),)}
