"""exactly_once: the table and the error topic hold each record once, whatever comes between two steps."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NoReturn

import msgspec
import pytest

from fc_powertools import Deadline, Metrics
from kafka_maxcompute.errors import DeadlineError, LedgerError, RefusedError, UnavailableError
from kafka_maxcompute.ledger.ledger import LogLedger
from kafka_maxcompute.ledger.operations import Claim, Release, Reset, Settle
from kafka_maxcompute.ledger.roll_forward import MARGIN_SECONDS
from kafka_maxcompute.maxcompute.upload_sessions import COMMIT_SECONDS, LIFE_SECONDS, SessionState, SessionStatus
from maxcompute_sink import exactly_once
from maxcompute_sink.exactly_once import CLAIM_SECONDS, SETTLE_SECONDS, WAVE
from maxcompute_sink.old_claims import OLD_SECONDS
from tests.deadlines import soon
from tests.kafka_events import HOUR_14, element, payload
from tests.sink_delivery import IDENTITY, ORDERS, Check, Connector, Hooked, KilledError, killed_at, places

if TYPE_CHECKING:
    from collections.abc import Callable

    from kafka_maxcompute.maxcompute.upload_sessions import UploadSession

pytestmark = pytest.mark.quick

MINUTE = 60_000


def batch(*offsets: int) -> bytes:
    return payload(*map(element, offsets))


def minutes(count: int) -> bytes:
    """A batch of as many partition values, where partitions are minutes."""
    return payload(*(element(n, timestamp=HOUR_14 - n * MINUTE) for n in range(count)))


def killed(*_: object) -> None:
    raise KilledError


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
    done = connector.deliver(payload(element(1), element(2), element(1), element(1, value=[])))
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


def test_a_broker_that_doesnt_say_where_it_has_a_claim() -> None:
    connector = Connector(partition="MINUTE")

    class Silent:
        """Acknowledges every second record without its offset, as for one that was sent twice."""

        count = 0

        def append(self, *what: Any) -> int | None:
            self.count += 1
            offset = connector.log.append(*what)
            return None if self.count % 2 else offset

        def __getattr__(self, name: str) -> Any:
            return getattr(connector.log, name)

    silent: Any = Silent()
    line = connector.line(ledger=LogLedger(silent, snapshot_every=4))
    for count in (3, 6, 9):
        connector.deliver(minutes(count), line)
        assert connector.visible == places(*range(count))
    line.services.ledger.maintain(soon())
    assert connector.state.pending == {}


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


def test_each_step_leaves_the_time_that_those_after_it_need() -> None:
    connector = Connector()
    left: dict[str, float] = {}

    def note(name: str) -> Callable[..., object]:
        return lambda *given: left.setdefault(name, next(one for one in given if isinstance(one, Deadline)).remaining())

    steps = {name: note(name) for name in ("open", "put_block", "look", "commit")}
    ledger = Hooked(connector.ledger(), {"append": note("append")})
    connector.deliver(batch(1), connector.line(ledger=ledger, sessions=Hooked(connector.sessions, steps)), seconds=60)
    assert max(left[name] for name in ("open", "put_block", "look")) <= 60 - CLAIM_SECONDS - COMMIT_SECONDS
    assert left["append"] <= 60 - COMMIT_SECONDS
    assert left["commit"] <= 60 - SETTLE_SECONDS


def test_a_warm_worker_asks_three_times() -> None:
    """One append for the claim, one read that begins where the last one ended, one append to settle."""
    connector = Connector()
    calls: list[str] = []
    ledger = connector.ledger()
    log: dict[str, Callable[..., object]] = {
        name: lambda *_, name=name: calls.append(name)  # mypy can't type such a lambda
        for name in ("start", "end", "records", "append")
    }
    ledger._log = Hooked(ledger._log, log)  # it passes calls on
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
    reads: list[object] = []
    line = connector.line(ledger=Hooked(connector.ledger(), {"read": lambda *_: reads.append(1)}))
    connector.deliver(batch(1), line, state=stale)
    assert reads == [1]
    assert connector.visible == places(1)


@pytest.mark.parametrize("offsets", [(1,), (2,), (1, 2)])
def test_nothing_is_written_across_a_reset(offsets: tuple[int, ...]) -> None:
    """The batch may be from a topic that was deleted since; the same batch comes again, if it isn't."""
    connector = Connector()
    stale = connector.deliver(batch(1)).state
    connector.ledger().append(Reset(id="r", generation=2, identity=IDENTITY, starts={ORDERS: 0}), soon())
    with pytest.raises(UnavailableError, match=r"expected generation 1 of the ledger, found 2: the ledger was reset"):
        connector.deliver(batch(*offsets), state=stale)
    assert connector.visible == places(1)
    connector.deliver(batch(*offsets))
    assert connector.visible == sorted(places(1, *offsets))


def test_nothing_is_written_across_a_reset_that_comes_between_two_looks() -> None:
    connector = Connector()
    abandoned(connector, 1)

    def reset(session: UploadSession, _: Deadline) -> None:
        connector.ledger().append(Release(id=session.id), soon())
        connector.ledger().append(Reset(id="r", generation=2, identity=IDENTITY, starts={ORDERS: 0}), soon())

    line = connector.line(sessions=Hooked(connector.sessions, {"look": reset}))
    with pytest.raises(UnavailableError, match="the ledger was reset"):
        connector.deliver(batch(1), line)


def test_a_warm_worker_reads_the_ledger_before_it_stops_at_a_bad_record() -> None:
    """What is bad for it may have been written since, by an instance with other settings."""
    connector = Connector(failure_policy="stop")
    stale = connector.deliver(batch(1)).state
    connector.deliver(batch(2))
    connector.deliver(payload(element(2, value=[]), element(3)), state=stale)
    assert connector.visible == places(1, 2, 3)


def test_settled_records_that_are_in_no_log_are_kept_in_the_error_topic() -> None:
    connector = Connector()
    connector.deliver(batch(1, 2))
    line = replace(connector.line(), check=Check(lambda _, dropped, __: dropped.offsets))
    done = connector.deliver(batch(1, 2), line)
    assert [(one.offset, one.reason, one.record.value) for one in connector.letters.letters] == [
        (1, "not-in-log", b"v1"),
        (2, "not-in-log", b"v2"),
    ]
    assert (done.unlogged, done.dropped) == (2, 0)


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


def test_nothing_is_rolled_forward_by_what_another_table_has() -> None:
    connector = Connector()
    abandoned(connector, 7)
    connector.now += LIFE_SECONDS + MARGIN_SECONDS + 1
    elsewhere = Connector()

    def other_table(*_: object) -> NoReturn:
        raise LedgerError("another table")

    line = replace(connector.line(sessions=elsewhere.sessions), check=Check(other_table))
    for offset in (7, 1):
        with pytest.raises(LedgerError, match="another table"):
            connector.deliver(batch(offset), line)
    assert len(connector.state.pending) == 1


def test_an_old_claim_that_cannot_be_ended_holds_up_nobody() -> None:
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
    with pytest.raises(UnavailableError, match="accepted, found that 3 times another delivery was first"):
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


def test_a_ledger_that_was_not_read_is_not_measured() -> None:
    metrics = Metrics("test")
    exactly_once.gauge(exactly_once.Delivered(None), metrics, now=0)
    assert metrics.snapshot() == Metrics("test").snapshot()


def test_offsets_that_others_claim_again_and_again_end_the_delivery() -> None:
    connector = Connector()
    abandoned(connector, 1)

    class Claimed:
        """Somebody claims the same offset as soon as it's free."""

        def __init__(self) -> None:
            self.ledger = connector.ledger()
            self.count = 0

        def read(self, *args: Any, **kwargs: Any) -> Any:
            state = self.ledger.read(*args, **kwargs)
            (pending,) = state.pending.values()
            self.count += 1
            renamed = msgspec.structs.replace(pending.operation, id=f"again-{self.count}")
            again = msgspec.structs.replace(pending, operation=renamed)
            return msgspec.structs.replace(state, pending={f"again-{self.count}": again})

        def append(self, *_: Any) -> None: ...

    line = connector.line(ledger=Claimed(), sessions=Closed())
    with pytest.raises(UnavailableError, match="20 times other deliveries claimed these offsets"):
        connector.deliver(batch(1), line)


class Closed:
    """Each session that is looked at is committed."""

    def look(self, *_: Any) -> SessionState:
        return SessionState(SessionStatus.CLOSED, frozenset({0}))
