"""Records that MaxCompute refuses although they fit the table: each is found and set aside, the rest is written."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from fc_powertools import Deadline, Metrics
from kafka_maxcompute.errors import (
    DeadlineError,
    RefusedError,
    RejectedRecordsError,
    TableChangedError,
    UnavailableError,
)
from kafka_maxcompute.maxcompute.upload_sessions import InMemoryUploadSessions, SessionStatus, UploadSession
from maxcompute_sink import at_least_once, batch, staging
from maxcompute_sink.at_least_once import deliver
from maxcompute_sink.exactly_once import WAVE
from maxcompute_sink.staging import REFUSED, Stager
from tests.kafka_events import HOUR_14, element, payload
from tests.sink_delivery import ORDERS, Connector, places

if TYPE_CHECKING:
    from collections.abc import Sequence

    from maxcompute_sink.rejected import Rejected

pytestmark = pytest.mark.quick

POISON = "the-service-dislikes-this"
SAID = f"The data stream did not validate against schema. Value '{POISON}'."
HOUR = 3_600_000


class Picky(InMemoryUploadSessions):
    """Sessions that refuse blocks with certain rows; blocks are uncompressed, so that what they hold can be seen."""

    def __init__(self, connector: Connector, code: str = "MalformedDataStream") -> None:
        super().__init__(lambda: connector.now)
        self.code = code
        self.puts: list[int] = []
        self.refuses_once = 0
        """So many further blocks are refused, whatever they hold."""
        self.seconds = 0.0
        """What a block costs on the connector's clock."""
        self._connector = connector

    def put_block(
        self, session: UploadSession, block_id: int, body: bytes, encoding: str | None, deadline: Deadline
    ) -> None:
        self._connector.now += self.seconds
        if deadline.expired:
            raise DeadlineError("no time")
        self.puts.append(len(re.findall(rb"row-\d+", body)))
        if self.refuses_once or POISON.encode() in body:
            self.refuses_once = max(0, self.refuses_once - 1)
            raise RefusedError(f"could not write block {block_id}: {self.code}", code=self.code, said=SAID)
        super().put_block(session, block_id, body, encoding, deadline)


def picky(**settings: object) -> tuple[Connector, Picky]:
    connector = Connector(**settings)
    connector.sessions = sessions = Picky(connector)
    return connector, sessions


def records(count: int, *bad: int, per_hour: int = 1_000_000) -> bytes:
    """Records of offsets 0 to `count`, of which the bad ones are those that MaxCompute refuses."""
    return payload(
        *(
            element(n, value=f"row-{n}-{POISON if n in bad else ''}", timestamp=HOUR_14 - n // per_hour * HOUR)
            for n in range(count)
        )
    )


def good(count: int, *bad: int) -> list[tuple[int, int]]:
    return places(*(n for n in range(count) if n not in bad))


@pytest.mark.parametrize("code", sorted(staging.OF_THE_DATA))
@pytest.mark.parametrize(
    ("count", "bad"), [(1, (0,)), (2, (0,)), (2, (1,)), (2, (0, 1)), (9, (4,)), (100, (0, 57, 58, 99)), (5, range(5))]
)
def test_each_refused_record_is_in_the_error_topic_and_the_others_in_the_table(
    code: str, count: int, bad: Sequence[int]
) -> None:
    connector, sessions = picky()
    sessions.code = code
    done = connector.deliver(records(count, *bad))
    assert connector.visible == good(count, *bad)
    assert sorted((letter.offset, letter.reason) for letter in connector.letters.letters) == [(n, REFUSED) for n in bad]
    assert connector.state.settled == {ORDERS: ((0, count - 1),)}
    assert connector.state.pending == {}
    assert (sum(claim.rows for claim in done.written), done.dropped) == (count - len(bad), 0)
    again = connector.deliver(records(count, *bad))
    assert (connector.visible, again.dropped) == (good(count, *bad), count)
    assert len(connector.letters.messages) == len(bad)


def test_what_was_taken_is_not_sent_again_and_is_one_claim() -> None:
    connector, sessions = picky()
    done = connector.deliver(records(1_024, 700))
    assert len(done.written) == 1
    assert len(sessions.puts) < 2 * 10 + 4
    assert sum(sessions.puts) < 3 * 1_024


def test_the_letter_has_the_services_own_words_and_no_other_message_has_them() -> None:
    connector, _ = picky()
    connector.deliver(records(3, 1))
    (letter,) = connector.letters.letters
    assert SAID in letter.message
    assert "MalformedDataStream" in letter.message
    connector, _ = picky(failure_policy="stop")
    with pytest.raises(RejectedRecordsError, match="orders-0-1: expected a row that MaxCompute takes") as caught:
        connector.deliver(records(3, 1))
    assert POISON not in str(caught.value)


def test_a_block_that_a_broken_connection_spoiled_blames_no_record() -> None:
    connector, sessions = picky()
    sessions.refuses_once = 2
    connector.deliver(records(2))
    assert (connector.visible, connector.letters.messages) == (good(2), [])
    sessions.refuses_once = 1
    connector.deliver(payload(element(7)))
    assert connector.letters.messages == []


def test_a_refusal_of_blocks_without_rows_is_not_about_records() -> None:
    connector, sessions = picky()
    sessions.refuses_once = 1_000_000
    with pytest.raises(RefusedError, match="MalformedDataStream"):
        connector.deliver(records(16))
    assert (connector.visible, connector.letters.messages, connector.state.settled) == ([], [], {})
    assert len(sessions.puts) < 10


@pytest.mark.parametrize("code", ["NoPermission", "InvalidArgument", "StatusConflict", "CorruptedDataStream"])
def test_other_refusals_are_about_no_record(code: str) -> None:
    connector, sessions = picky()
    sessions.code = code
    with pytest.raises(RefusedError, match=code):
        connector.deliver(records(4, 2))
    assert len(sessions.puts) == 1
    assert connector.letters.messages == []


@pytest.mark.parametrize("code", sorted(staging.MODIFIED))
def test_an_altered_table_is_not_halved(code: str) -> None:
    connector, sessions = picky()
    sessions.code = code
    with pytest.raises(TableChangedError, match="altered"):
        connector.deliver(records(4, 2))
    assert len(sessions.puts) == 1


def test_with_the_policy_to_stop_what_comes_before_is_written_and_nothing_after() -> None:
    connector, _ = picky(failure_policy="stop")
    with pytest.raises(RejectedRecordsError, match="orders-0-5"):
        connector.deliver(records(10, 5, 7))
    assert connector.visible == places(0, 1, 2, 3, 4)
    assert connector.letters.messages == []
    assert connector.state.settled == {ORDERS: ((0, 4),)}


def test_with_the_policy_to_stop_each_bad_record_is_named_however_it_was_found() -> None:
    """One is no text, another is refused with the first partition values, and the last one with those after them."""
    connector, _ = picky(failure_policy="stop", partition="MINUTE")
    minutes = [element(n, timestamp=HOUR_14 - n * 60_000) for n in range(WAVE)]
    minutes[3] = element(3, timestamp=HOUR_14, value=POISON)
    late = [element(n, partition=1, timestamp=HOUR_14 - HOUR - n * 60_000, value=POISON) for n in range(WAVE)]
    untold = element(7, partition=2, value={"no": "text"})
    with pytest.raises(RejectedRecordsError) as caught:
        connector.deliver(payload(*minutes, untold, *late))
    assert [error.where for error in caught.value.rejected] == ["orders-2-7", "orders-1-0", "orders-0-3"]
    assert connector.visible == places(0, 1, 2)


def test_partition_values_with_and_without_bad_records_are_all_written() -> None:
    connector, _ = picky()
    connector.deliver(records(100, 3, 50, per_hour=2))
    assert connector.visible == good(100, 3, 50)
    assert sorted(letter.offset or 0 for letter in connector.letters.letters) == [3, 50]


def test_what_is_found_before_the_time_is_up_makes_the_next_delivery_a_smaller_one() -> None:
    connector, sessions = picky()
    sessions.seconds = 1.0
    bad, deliveries = range(0, 256, 16), 0
    said: list[str] = []
    decoded = connector.preparation.decode(records(256, *bad))
    while connector.state.settled != {ORDERS: ((0, 255),)}:
        deliveries += 1
        before = sum(last - first + 1 for first, last in connector.state.settled.get(ORDERS, ()))
        try:
            connector.deliver_decoded(decoded, Deadline.after(60, lambda: connector.now))
        except DeadlineError as error:
            said.append(re.sub(r"\d+", "n", str(error)))
        assert sum(last - first + 1 for first, last in connector.state.settled[ORDERS]) > before
    assert 1 < deliveries < 10
    assert len(said) == deliveries - 1
    assert all(one.startswith("expected time to find which of n records MaxCompute refuses") for one in said)
    assert connector.visible == good(256, *bad)
    assert sorted(letter.offset or 0 for letter in connector.letters.letters) == list(bad)


@pytest.mark.parametrize(("first", "bad"), [("row-4", ()), ("row-4", (0,)), ("row-0", ())])
def test_a_session_with_a_block_whose_answer_was_lost_is_not_committed(first: str, bad: tuple[int, ...]) -> None:
    class Late(Picky):
        """One block gets no answer, and is in its session only when somebody commits that.

        That is the block of the records from the first one on; if it's the first block, it's refused when sent again.
        """

        late: tuple[UploadSession, int, bytes] | None = None

        def put_block(
            self, session: UploadSession, block_id: int, body: bytes, encoding: str | None, deadline: Deadline
        ) -> None:
            if self.late is None and b"row-7" in body and (first == "row-0" or b"row-0" not in body):
                self.late = session, block_id, body
                if first != "row-0":
                    raise UnavailableError("no answer")
            super().put_block(session, block_id, body, encoding, deadline)

        def commit(self, session: UploadSession, deadline: Deadline) -> SessionStatus:
            if self.late is not None and self.late[0] == session:
                super().put_block(*self.late, None, deadline)
            return super().commit(session, deadline)

    connector = Connector()
    connector.sessions = sessions = Late(connector)
    sessions.refuses_once = 1
    with suppress(DeadlineError, UnavailableError):
        connector.deliver(records(8, *bad))
    connector.deliver(records(8, *bad))
    assert sessions.late is not None
    assert connector.visible == good(8, *bad)
    assert [letter.offset for letter in connector.letters.letters] == list(bad)


def test_no_time_to_find_anything_is_said() -> None:
    connector, sessions = picky()
    sessions.seconds = 10.0
    decoded = connector.preparation.decode(records(256, 0))
    with pytest.raises(DeadlineError, match="expected time to find which of 256 records"):
        connector.deliver_decoded(decoded, Deadline.after(30, lambda: connector.now))
    assert (connector.visible, connector.letters.messages) == ([], [])


class WithoutLedger:
    """A batch's delivery at least once, with or without an error topic."""

    def __init__(self, *, has_error_topic: bool) -> None:
        self.connector, self.sessions = picky()
        self.aside: list[Rejected] = []
        self._has_error_topic = has_error_topic

    def deliver(self, decoded: Any, deadline: Deadline) -> int:
        def set_aside(bad: Sequence[Rejected]) -> None:
            if not self._has_error_topic:
                raise RejectedRecordsError([one.error for one in bad], records=len(decoded.records))
            self.aside += bad

        def prepare(some: Any = decoded) -> Any:
            return self.connector.preparation.blocks(some, now=HOUR_14)

        stager = Stager(self.sessions, None, lambda few: prepare(batch.only(decoded, few)).blocks[0], lambda: False)
        line = at_least_once.AtLeastOnce(prepare, set_aside, lambda: stager)
        return deliver(line, deadline=deadline, metrics=Metrics("test"))[1]


def test_without_a_ledger_refused_records_go_to_the_error_topic_too() -> None:
    worker = WithoutLedger(has_error_topic=True)
    decoded = worker.connector.preparation.decode(records(40, 3, 21))
    assert worker.deliver(decoded, Deadline.after(60)) == 2
    assert worker.connector.visible == good(40, 3, 21)
    assert [one.offset for one in worker.aside] == [3, 21]
    (first, _) = worker.aside
    known = batch.known(decoded, worker.aside)(ORDERS, 3)
    assert known is not None
    assert known.message == f"{first.error.message}: {SAID}"


def test_without_an_error_topic_the_batch_fails_and_names_the_record() -> None:
    worker = WithoutLedger(has_error_topic=False)
    with pytest.raises(RejectedRecordsError, match=r"1 of 40 records.*\n.*orders-0-21"):
        worker.deliver(worker.connector.preparation.decode(records(40, 21)), Deadline.after(60))
    assert worker.connector.visible == []


def test_without_a_ledger_a_batch_is_written_whole_or_not_at_all() -> None:
    worker = WithoutLedger(has_error_topic=True)
    worker.sessions.seconds = 1.0
    decoded = worker.connector.preparation.decode(records(256, *range(0, 256, 16)))
    with pytest.raises(DeadlineError, match="nothing was committed"):
        worker.deliver(decoded, Deadline.after(30, lambda: worker.connector.now))
    assert (worker.connector.visible, worker.aside) == ([], [])
