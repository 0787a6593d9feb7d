"""exactly_once: the table and the error topic hold each record once, whatever comes between two steps."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from kafka_maxcompute.errors import DeadlineError, LedgerError, RefusedError, RejectedRecordsError, UnavailableError
from kafka_maxcompute.ledger.operations import Claim, Divert, Reset, Settle
from kafka_maxcompute.originals import Original
from maxcompute_sink import exactly_once
from maxcompute_sink.exactly_once import CLAIM_SECONDS, COMMIT_SECONDS, OLD_SECONDS, WAVE
from tests.kafka_events import HOUR_14, element, payload
from tests.sink_delivery import IDENTITY, Connector, Hooked, soon

if TYPE_CHECKING:
    from collections.abc import Callable

    from maxcompute_sink.exactly_once import Line

pytestmark = pytest.mark.quick

MINUTE = 60_000
ORDERS = ("orders", 0)


class KilledError(BaseException):
    """The process is gone."""


def batch(*offsets: int) -> bytes:
    return payload(*map(element, offsets))


def minutes(count: int) -> bytes:
    """A batch of as many partition values, where partitions are minutes."""
    return payload(*(element(n, timestamp=HOUR_14 - n * MINUTE) for n in range(count)))


def killed(*_: object) -> None:
    raise KilledError


def killed_at(name: str) -> Callable[..., None]:
    """Killed at an append of such an operation."""

    def die(operation: object, *_: object) -> None:
        if type(operation).__name__ == name:
            raise KilledError

    return die


def places(*offsets: int) -> list[tuple[int, int]]:
    return [(0, offset) for offset in offsets]


def test_a_batch_is_written_once_and_settled() -> None:
    connector = Connector()
    done = connector.deliver(payload(element(7), element(8), element(3, partition=1)))
    assert connector.visible == [(0, 7), (0, 8), (1, 3)]
    state = connector.state
    assert state.settled == {ORDERS: ((7, 8),), ("orders", 1): ((3, 3),)}
    assert state.timestamps == {ORDERS: HOUR_14, ("orders", 1): HOUR_14}
    assert state.pending == {}
    assert [(claim.partition_value, claim.rows) for claim in done.written] == [("11-17-2020 14", 3)]


def test_a_delivery_that_comes_again_writes_nothing() -> None:
    connector = Connector()
    connector.deliver(batch(1, 2))
    done = connector.deliver(batch(1, 2))
    assert connector.visible == places(1, 2)
    assert (done.written, done.dropped) == ([], 2)
    assert connector.verified[0].offsets == {ORDERS: ((1, 2),)}
    assert connector.verified[0].timestamps == {ORDERS: HOUR_14}


def test_a_batch_that_is_cut_anew_writes_what_is_new() -> None:
    connector = Connector()
    for offsets in ((1, 2, 5), (2, 3, 4), (0, 1, 2, 3, 4, 5, 6)):
        connector.deliver(batch(*offsets))
    assert connector.visible == places(*range(7))
    assert connector.state.settled == {ORDERS: ((0, 6),)}


def test_repeats_within_a_batch_are_written_once() -> None:
    connector = Connector()
    done = connector.deliver(payload(element(1), element(2), element(1, value="again"), element(1, value=[])))
    assert [row["value"] for row in connector.rows["11-17-2020 14"]] == ["v1", "v2"]
    assert connector.letters.letters == []
    assert done.dropped == 2


def test_an_empty_batch_asks_for_nothing_but_the_ledger() -> None:
    connector = Connector()
    done = connector.deliver(b"[]")
    assert (done.written, connector.sessions.committed) == ([], {})


@pytest.mark.parametrize("step", ["open", "put_block", "look", "commit"])
@pytest.mark.parametrize("after", [False, True])
def test_killed_at_a_call_of_the_service(step: str, *, after: bool) -> None:
    connector = Connector()
    line = connector.line(sessions=Hooked(connector.sessions, {step: killed}, after=after))
    with pytest.raises(KilledError):
        connector.deliver(batch(1, 2), line)
    connector.deliver(batch(1, 2))
    assert connector.visible == places(1, 2)
    assert connector.state.pending == {}


@pytest.mark.parametrize("step", ["Claim", "Settle"])
@pytest.mark.parametrize("after", [False, True])
def test_killed_at_an_append(step: str, *, after: bool) -> None:
    connector = Connector()
    line = connector.line(ledger=Hooked(connector.ledger(), {"append": killed_at(step)}, after=after))
    with pytest.raises(KilledError):
        connector.deliver(batch(1, 2), line)
    connector.deliver(batch(2, 3))
    connector.deliver(batch(1, 2))
    assert connector.visible == places(1, 2, 3)
    assert connector.state.settled == {ORDERS: ((1, 3),)}


def test_killed_between_two_commits() -> None:
    connector = Connector(partition="MINUTE")
    calls = threading.Semaphore(1)

    def second(*_: object) -> None:
        if not calls.acquire(blocking=False):
            raise KilledError

    with pytest.raises(KilledError):
        connector.deliver(minutes(3), connector.line(sessions=Hooked(connector.sessions, {"commit": second})))
    assert len(connector.visible) == 1
    connector.deliver(minutes(3))
    assert connector.visible == places(0, 1, 2)


def test_the_answer_to_a_commit_is_lost() -> None:
    connector = Connector()

    def lost(*_: object) -> None:
        raise UnavailableError("no answer")

    connector.deliver(batch(1), connector.line(sessions=Hooked(connector.sessions, {"commit": lost}, after=True)))
    assert connector.visible == places(1)
    assert connector.state.settled == {ORDERS: ((1, 1),)}


@pytest.mark.parametrize(("mine", "other"), [((1, 2), (1, 2)), ((1, 2), (2, 3)), ((1, 2, 3), (2,)), ((1,), (2,))])
@pytest.mark.parametrize("step", ["append", "read"])
def test_another_delivery_comes_between(mine: tuple[int, ...], other: tuple[int, ...], step: str) -> None:
    connector = Connector()

    def between(*_: object) -> None:
        hooks.clear()
        connector.deliver(batch(*other))

    hooks: dict[str, Callable[..., object]] = {step: between}
    done = connector.deliver(batch(*mine), connector.line(ledger=Hooked(connector.ledger(), hooks)))
    assert connector.visible == places(*sorted({*mine, *other}))
    assert done.dropped == len(set(mine) & set(other))
    assert connector.state.pending == {}


def test_a_worker_whose_claim_was_first_is_found_committed_by_the_other() -> None:
    connector = Connector()

    def between(*_: object) -> None:
        hooks.clear()
        connector.deliver(batch(2, 3))

    hooks: dict[str, Callable[..., object]] = {"commit": between}
    connector.deliver(batch(1, 2), connector.line(sessions=Hooked(connector.sessions, hooks)))
    assert connector.visible == places(1, 2, 3)
    assert connector.state.pending == {}


def test_a_zombie_claims_what_has_long_been_written() -> None:
    connector = Connector()

    def sleep(*_: object) -> None:
        hooks.clear()
        connector.deliver(batch(1, 2))
        connector.now += 40 * 3_600

    hooks: dict[str, Callable[..., object]] = {"append": sleep}
    connector.deliver(batch(1, 2), connector.line(ledger=Hooked(connector.ledger(), hooks)))
    assert connector.visible == places(1, 2)


def test_a_zombie_whose_claim_is_accepted_commits_nothing_that_has_expired() -> None:
    connector = Connector()

    def sleep(*_: object) -> None:
        hooks.clear()
        connector.now += 40 * 3_600

    hooks: dict[str, Callable[..., object]] = {"append": sleep}
    with pytest.raises(RefusedError, match="EXPIRED"):
        connector.deliver(batch(1, 2), connector.line(ledger=Hooked(connector.ledger(), hooks)))
    connector.deliver(batch(1, 2))
    assert connector.visible == places(1, 2)


def test_workers_in_parallel_write_each_record_once() -> None:
    connector = Connector(partition="MINUTE")
    batches = [
        payload(*(element(n, timestamp=HOUR_14 - n % 3 * MINUTE) for n in range(first, first + 10)))
        for first in (0, 5, 2, 8, 0, 5)
    ]
    failures: list[BaseException] = []

    def work(one: bytes) -> None:
        try:
            connector.deliver(one)
        except BaseException as error:  # noqa: BLE001 # shown by the test
            failures.append(error)

    workers = [threading.Thread(target=work, args=(one,)) for one in batches]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert failures == []
    assert connector.visible == places(*range(18))
    assert connector.state.pending == {}


def test_hundreds_of_partition_values_are_claimed_in_waves() -> None:
    connector = Connector(partition="MINUTE")
    reads = []
    line = connector.line(ledger=Hooked(connector.ledger(), {"read": lambda *_: reads.append(1)}))
    done = connector.deliver(minutes(2 * WAVE + 1), line)
    assert len(done.written) == 2 * WAVE + 1
    assert len(reads) == 1 + 3


def test_what_was_written_before_the_time_was_up_is_not_written_again() -> None:
    connector = Connector(partition="MINUTE")

    def late(*_: object) -> None:
        if len(connector.visible) >= WAVE:
            raise DeadlineError("late")

    with pytest.raises(DeadlineError):
        connector.deliver(minutes(WAVE + 5), connector.line(sessions=Hooked(connector.sessions, {"open": late})))
    assert len(connector.visible) == WAVE
    done = connector.deliver(minutes(WAVE + 5))
    assert len(done.written) == 5
    assert connector.visible == places(*range(WAVE + 5))


def test_too_little_time_ends_before_anything_is_claimed() -> None:
    connector = Connector()
    with pytest.raises(DeadlineError, match="for claim and commit"):
        connector.deliver(batch(1), seconds=CLAIM_SECONDS + COMMIT_SECONDS - 1)
    assert (connector.state.pending, connector.visible) == ({}, [])


def test_a_warm_worker_asks_three_times() -> None:
    """One append for the claim, one read that begins where the last one ended, one append to settle."""
    connector = Connector()
    calls: list[str] = []
    ledger = connector.ledger()
    log: dict[str, Callable[..., object]] = {
        name: lambda *_, name=name: calls.append(name)  # type: ignore[misc]
        for name in ("bounds", "records", "append")
    }
    ledger._log = Hooked(ledger._log, log)  # type: ignore[assignment]
    line = connector.line(ledger=ledger)
    state = connector.deliver(batch(1), line).state
    for offset in range(2, 5):
        calls.clear()
        state = connector.deliver(batch(offset), line, state=state).state
        assert calls == ["append", "records", "append"]
    assert connector.visible == places(1, 2, 3, 4)


def test_a_warm_worker_looks_again_before_it_drops_anything() -> None:
    connector = Connector()
    stale = connector.deliver(batch(1)).state
    reset = Reset(id="r", generation=2, identity=IDENTITY, starts={ORDERS: 0})
    connector.ledger().append(reset, soon())
    connector.deliver(batch(1), state=stale)
    assert connector.visible == places(1, 1)


def test_a_claim_of_an_older_generation_has_no_effect() -> None:
    connector = Connector()
    stale = connector.deliver(batch(1)).state
    connector.ledger().append(Reset(id="r", generation=2, identity=IDENTITY, starts={ORDERS: 2}), soon())
    connector.deliver(batch(2), state=stale)
    assert connector.visible == places(1, 2)
    assert connector.metrics.snapshot()["counters"]["lost_claims"] == 1  # type: ignore[index]


def abandoned(connector: Connector, *offsets: int) -> None:
    """A claim that is accepted, and whose worker is gone."""
    with pytest.raises(KilledError):
        connector.deliver(batch(*offsets), connector.line(sessions=Hooked(connector.sessions, {"commit": killed})))


def test_an_old_claim_is_rolled_forward_by_any_delivery() -> None:
    connector = Connector()
    abandoned(connector, 1)
    connector.deliver(batch(5))
    assert connector.visible == places(5)
    connector.now += OLD_SECONDS + 1
    connector.deliver(batch(6))
    assert connector.visible == places(1, 5, 6)


def test_a_stranger_that_cannot_be_ended_holds_up_nobody() -> None:
    connector = Connector()
    abandoned(connector, 1)
    connector.now += OLD_SECONDS + 1
    looked = []

    def critical(session: Any, *_: object) -> None:
        if session.id == "session-0":
            looked.append(session.id)
            raise RefusedError("no", code="Broken")

    line = connector.line(sessions=Hooked(connector.sessions, {"look": critical}))
    for offset in (5, 6):
        connector.deliver(batch(offset), line)
    assert connector.visible == places(5, 6)
    assert len(looked) == 1
    connector.now += 61
    connector.deliver(batch(7), line)
    assert len(looked) == 2
    with pytest.raises(LedgerError):
        connector.deliver(batch(1), line)


BAD = {"value": {"no": "text"}}


def test_records_that_cannot_be_written_are_diverted_with_their_bytes_and_the_rest_is_written() -> None:
    connector = Connector()
    original = Original(key=b"\xff", value=b"\x00", headers=(("h", None), ("h", b"\xfe")), timestamp=5)
    connector.originals.log[ORDERS, 2] = original
    done = connector.deliver(payload(element(1), element(2, **BAD), element(3, timestamp=-1), element(4)))
    assert connector.visible == places(1, 4)
    by_offset = {letter.offset: letter for letter in connector.letters.letters}
    assert sorted(by_offset) == [2, 3]
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
    connector.deliver(payload(element(2, value="mended"), element(3)))
    assert connector.visible == places(3)
    assert {letter.offset for letter in connector.letters.letters} == {2}


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


def test_losing_for_ever_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exactly_once, "ROUNDS", 3)
    connector = Connector()
    offsets = iter(range(100))
    foreign = connector.ledger()

    def always_first(operation: object, *_: object) -> None:
        if isinstance(operation, Claim):
            number = next(offsets)
            other = Claim(
                id=f"other-{number}",
                partition_value="x",
                blocks=(0,),
                rows=1,
                offsets={ORDERS: ((number, number),)},
                generation=1,
            )
            foreign.append(other, soon())
            foreign.append(Settle(id=other.id), soon())

    line = connector.line(ledger=Hooked(connector.ledger(), {"append": always_first}))
    with pytest.raises(UnavailableError, match="3 times another delivery was first"):
        connector.deliver(batch(*range(50)), line)


def test_the_ledger_is_measured() -> None:
    connector = Connector()
    connector.deliver(batch(1, 5))
    abandoned(connector, 9)
    connector.now += 2
    done = connector.deliver(batch(7))
    exactly_once.gauge(done, connector.metrics, now=connector.now)
    gauges = connector.metrics.snapshot()["gauges"]
    assert gauges == {"ledger_settled": 2, "ledger_gaps": 1, "ledger_pending": 1, "ledger_oldest_pending": 2_000}


def test_a_divert_names_its_offsets_by_reason() -> None:
    connector = Connector()
    line: Line = connector.line(ledger=Hooked(connector.ledger(), {"append": killed_at("Settle")}))
    with pytest.raises(KilledError):
        connector.deliver(payload(element(1, **BAD), element(2, timestamp=-1), element(3, **BAD)), line)
    (pending,) = connector.state.pending.values()
    assert isinstance(pending.operation, Divert)
    assert pending.operation.reasons == {
        "unexpected-event": {ORDERS: ((1, 1), (3, 3))},
        "timestamp-absent": {ORDERS: ((2, 2),)},
    }
    assert pending.operation.offsets == {ORDERS: ((1, 3),)}
