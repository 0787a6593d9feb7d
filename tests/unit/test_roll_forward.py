"""roll_forward: what is pending ends as its session says, and is given up only where nothing of it is there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from msgspec import structs

from fc_powertools import Deadline
from kafka_maxcompute.brokers.originals import Original
from kafka_maxcompute.errors import LedgerError, RefusedError, UnavailableError
from kafka_maxcompute.ledger import marks
from kafka_maxcompute.ledger.operations import Claim, Divert, Mark, Release, Reset, Settle
from kafka_maxcompute.ledger.roll_forward import MARGIN_SECONDS, Outcome, roll_forward
from kafka_maxcompute.maxcompute.upload_sessions import LIFE_SECONDS, SessionState, SessionStatus, UploadSession
from tests.deadlines import soon
from tests.kafka_events import element, payload
from tests.sink_delivery import IDENTITY, ORDERS, Connector, Hooked, KilledError, places

if TYPE_CHECKING:
    from collections.abc import Callable

    from kafka_maxcompute.ledger.operations import Pending
    from kafka_maxcompute.offsets import Intervals, TopicPartition

pytestmark = pytest.mark.quick

ALL = (1, 2, 3)
PT = "11-17-2020 14"
OLD = LIFE_SECONDS + MARGIN_SECONDS + 1


def killed(*_: object) -> None:
    raise KilledError


def connector_with_a_claim(*, committed: bool = False) -> tuple[Connector, Pending]:
    """A claim that is accepted, and whose worker ended before or after the commit."""
    connector = Connector()
    line = connector.line(sessions=Hooked(connector.sessions, {"commit": killed}, after=committed))
    with pytest.raises(KilledError):
        connector.deliver(payload(*map(element, ALL)), line)
    (pending,) = connector.state.pending.values()
    return connector, pending


def refusing(code: str) -> Callable[..., None]:
    def refuse(*_: object, **__: object) -> None:
        raise RefusedError(f"no: {code}", code=code)

    return refuse


class Told:
    """Sessions of which the service says these statuses one after the other, the last of them for ever."""

    def __init__(self, *statuses: SessionStatus, blocks: frozenset[int] = frozenset({0})) -> None:
        self.statuses, self.blocks = list(statuses), blocks
        self.commits = 0

    def look(self, *_: object) -> SessionState:
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        return SessionState(status, self.blocks)

    def commit(self, session: UploadSession, _: Deadline) -> SessionStatus:
        self.commits += 1
        raise UnavailableError(f"no answer for {session.id}")


@pytest.mark.parametrize("committed", [False, True])
def test_a_session_is_committed_unless_it_is_already(*, committed: bool) -> None:
    connector, pending = connector_with_a_claim(committed=committed)
    assert roll_forward(pending, connector.services(), soon()) is Outcome.SETTLED
    assert connector.visible == places(*ALL)
    assert connector.state.settled == {ORDERS: ((1, 3),)}


def test_two_at_once_have_one_effect() -> None:
    connector, pending = connector_with_a_claim()
    for _ in range(2):
        assert roll_forward(pending, connector.services(), soon()) is Outcome.SETTLED
    assert connector.visible == places(*ALL)


@pytest.mark.parametrize("busy", [SessionStatus.CLOSING, SessionStatus.COMMITTING])
def test_a_session_that_is_being_committed_is_waited_for(busy: SessionStatus) -> None:
    connector, pending = connector_with_a_claim()
    sessions = Told(busy, busy, busy, SessionStatus.CLOSED)
    assert roll_forward(pending, connector.services(sessions=sessions), soon()) is Outcome.SETTLED
    assert sessions.commits == 0


@pytest.mark.parametrize("status", [SessionStatus.CLOSING, SessionStatus.UNKNOWN])
def test_a_session_that_does_not_end_in_time_stays_pending(status: SessionStatus) -> None:
    connector, pending = connector_with_a_claim()
    with pytest.raises(UnavailableError, match=status.value):
        roll_forward(pending, connector.services(sessions=Told(status)), Deadline.after(0.5))
    assert connector.state.pending.keys() == {pending.operation.id}


def test_the_outcome_of_a_commit_without_an_answer_is_read_from_the_status() -> None:
    connector, pending = connector_with_a_claim()
    sessions = Told(SessionStatus.NORMAL, SessionStatus.NORMAL, SessionStatus.CLOSED)
    assert roll_forward(pending, connector.services(sessions=sessions), soon()) is Outcome.SETTLED
    assert sessions.commits == 1


def test_a_refused_commit_releases_nothing() -> None:
    connector, pending = connector_with_a_claim()
    sessions = Hooked(connector.sessions, {"commit": refusing("NoPermission")})
    with pytest.raises(LedgerError, match=r"NoPermission.*stays in the ledger"):
        roll_forward(pending, connector.services(sessions=sessions), soon())
    assert connector.state.pending.keys() == {pending.operation.id}


@pytest.mark.parametrize("code", ["TableModified", "SchemaModified"])
def test_a_session_of_a_table_that_was_altered_is_given_up_and_its_records_are_written_again(code: str) -> None:
    connector, pending = connector_with_a_claim()
    altered = Hooked(connector.sessions, {"commit": refusing(code)})
    assert roll_forward(pending, connector.services(sessions=altered), soon()) is Outcome.RELEASED
    assert (connector.state.pending, connector.state.settled) == ({}, {})
    connector.deliver(payload(*map(element, ALL)))
    assert connector.visible == places(*ALL)


def test_a_session_of_an_altered_table_that_was_committed_before_is_settled() -> None:
    connector, pending = connector_with_a_claim(committed=True)
    altered = Hooked(connector.sessions, {"commit": refusing("TableModified")})
    assert roll_forward(pending, connector.services(sessions=altered), soon()) is Outcome.SETTLED
    assert connector.visible == places(*ALL)


def test_a_session_with_other_blocks_is_not_committed() -> None:
    connector, pending = connector_with_a_claim()
    sessions = Told(SessionStatus.NORMAL, blocks=frozenset({0, 1}))
    with pytest.raises(LedgerError, match=r"expected blocks \[0\], found \[0, 1\]"):
        roll_forward(pending, connector.services(sessions=sessions), soon())
    assert sessions.commits == 0


def test_a_critical_session_releases_nothing() -> None:
    connector, pending = connector_with_a_claim()
    with pytest.raises(LedgerError, match="CRITICAL"):
        roll_forward(pending, connector.services(sessions=Told(SessionStatus.CRITICAL)), soon())
    assert connector.state.pending.keys() == {pending.operation.id}


def gone(connector: Connector, how: str) -> Any:
    """Sessions of which none is there any more."""
    connector.now += OLD
    if how == "unknown":
        return Hooked(connector.sessions, {"look": refusing("NoSuchUpload")})
    return Told(SessionStatus(how))


@pytest.mark.parametrize("how", ["EXPIRED", "CANCELED", "unknown"])
@pytest.mark.parametrize("committed", [False, True])
def test_a_session_that_is_gone_is_decided_by_the_rows_of_the_table(how: str, *, committed: bool) -> None:
    connector, pending = connector_with_a_claim(committed=committed)
    outcome = roll_forward(pending, connector.services(sessions=gone(connector, how)), soon())
    assert outcome is (Outcome.SETTLED if committed else Outcome.RELEASED)
    assert connector.state.settled == ({ORDERS: ((1, 3),)} if committed else {})
    assert connector.state.pending == {}
    connector.deliver(payload(*map(element, ALL)))
    assert connector.visible == places(*ALL)


@pytest.mark.parametrize("code", ["NoSuchUpload", "NoSuchObject", "404"])
def test_a_young_claim_is_not_released_for_a_transient_404(code: str) -> None:
    connector, pending = connector_with_a_claim()
    connector.now += LIFE_SECONDS
    sessions = Hooked(connector.sessions, {"look": refusing(code)})
    with pytest.raises(UnavailableError, match="next delivery"):
        roll_forward(pending, connector.services(sessions=sessions), soon())
    assert connector.state.pending.keys() == {pending.operation.id}


@pytest.mark.parametrize("timestamp", [-1, 0, 1])
def test_a_session_that_is_unknown_is_given_up_by_the_age_of_its_claim_alone(timestamp: int) -> None:
    """Brokers may keep no time, and say -1: then nothing says that the claim is old."""
    connector, pending = connector_with_a_claim()
    services = connector.services(sessions=gone(connector, "unknown"))
    timed = structs.replace(pending, timestamp=timestamp)
    if timestamp < 0:
        with pytest.raises(UnavailableError, match="next delivery"):
            roll_forward(timed, services, soon())
        assert connector.state.pending.keys() == {pending.operation.id}
    else:
        assert roll_forward(timed, services, soon()) is Outcome.RELEASED


def test_a_session_that_is_unknown_is_not_given_up_before_it_is_older_than_any_session() -> None:
    connector, pending = connector_with_a_claim()
    sessions = Hooked(connector.sessions, {"look": refusing("NoSuchUpload")})
    connector.now = pending.timestamp / 1_000 + LIFE_SECONDS + MARGIN_SECONDS
    with pytest.raises(UnavailableError, match="next delivery"):
        roll_forward(pending, connector.services(sessions=sessions), soon())
    connector.now += 0.001
    assert roll_forward(pending, connector.services(sessions=sessions), soon()) is Outcome.RELEASED


class Count:
    """A table that has so many rows of whatever is asked for."""

    def __init__(self, found: int, before: Callable[[], object] = lambda: None) -> None:
        self._found, self._before = found, before

    def count(self, *_: object) -> int:
        self._before()
        return self._found


@pytest.mark.parametrize("found", [1, 2, 4, 6])
def test_some_rows_are_for_somebody_to_decide(found: int) -> None:
    connector, pending = connector_with_a_claim()
    services = connector.services(sessions=gone(connector, "EXPIRED"), counts=Count(found))
    with pytest.raises(LedgerError, match=rf"all of its 3 rows.*or none, found {found}\. Run the"):
        roll_forward(pending, services, soon())
    assert connector.state.pending.keys() == {pending.operation.id}


def test_a_table_that_may_not_be_read_decides_nothing() -> None:
    connector, pending = connector_with_a_claim()
    counts = Count(0, refusing("NoPermission"))
    with pytest.raises(LedgerError, match="Select"):
        roll_forward(pending, connector.services(sessions=gone(connector, "EXPIRED"), counts=counts), soon())
    assert connector.state.pending.keys() == {pending.operation.id}


@pytest.mark.parametrize("operation", [Settle, Release])
def test_what_somebody_else_ended_while_rows_were_counted_stays_as_it_is(
    operation: type[Settle | Release],
) -> None:
    connector, pending = connector_with_a_claim()
    expired = gone(connector, "EXPIRED")

    def ended() -> None:
        connector.ledger().append(operation(id=pending.operation.id), soon())
        if operation is Release:
            connector.deliver(payload(*map(element, ALL)))

    found = 0 if operation is Settle else 3
    services = connector.services(sessions=expired, counts=Count(found, ended))
    assert roll_forward(pending, services, soon()) is Outcome.ELSEWHERE
    assert connector.state.settled == {ORDERS: ((1, 3),)}


@pytest.mark.parametrize("found", [0, 3])
def test_rows_from_before_a_reset_prove_nothing(found: int) -> None:
    connector = Connector()
    connector.ledger().append(Reset(id="r", generation=2, identity=IDENTITY, starts={ORDERS: 0}), soon())
    claim = Claim(id="s", partition_value=PT, blocks=(0,), rows=3, offsets={ORDERS: ((1, 3),)}, generation=2)
    connector.ledger().append(claim, soon())
    (pending,) = connector.state.pending.values()
    services = connector.services(sessions=gone(connector, "EXPIRED"), counts=Count(found))
    if found:
        with pytest.raises(LedgerError, match="before a reset"):
            roll_forward(pending, services, soon())
    else:
        assert roll_forward(pending, services, soon()) is Outcome.RELEASED


def test_letters_of_a_divert_are_written_from_the_log_by_whoever_finds_it() -> None:
    connector = Connector()
    offsets: dict[TopicPartition, Intervals] = {ORDERS: ((1, 2),)}
    divert = Divert(id="d", offsets=offsets, reasons={"unexpected-event": offsets}, generation=1)
    connector.ledger().append(divert, soon())
    (pending,) = connector.state.pending.values()
    assert roll_forward(pending, connector.services(), soon()) is Outcome.SETTLED
    letters = connector.letters.letters
    assert [(letter.offset, letter.reason, letter.truncated) for letter in letters] == [
        (1, "unexpected-event", True),
        (2, "unexpected-event", True),
    ]
    assert connector.state.settled == offsets


@pytest.mark.parametrize(
    ("found", "kept"),
    [
        (Original(key=b"k", value=b"diverted", timestamp=5), b"diverted"),
        # The topic was created again: the record at the mark is another one.
        (Original(key=b"k", value=b"another", timestamp=5), None),
        # No diverted record is as late.
        (Original(key=b"k", value=b"diverted", timestamp=6), None),
    ],
)
def test_letters_of_a_divert_take_nothing_from_another_log(found: Original, kept: bytes | None) -> None:
    connector = Connector()
    offsets: dict[TopicPartition, Intervals] = {ORDERS: ((3, 3),)}
    mark = Mark(3, marks.digest(Original(key=b"k", value=b"diverted", timestamp=5)))
    divert = Divert(
        id="d",
        offsets=offsets,
        reasons={"not-csv": offsets},
        generation=1,
        timestamps={ORDERS: 5},
        begins={ORDERS: mark},
    )
    connector.ledger().append(divert, soon())
    connector.originals.log[ORDERS, 3] = found
    assert roll_forward(connector.state.pending["d"], connector.services(), soon()) is Outcome.SETTLED
    (letter,) = connector.letters.letters
    assert (letter.record.value, letter.generation) == (kept, 1)
    assert (letter.form, letter.truncated) == (("original", False) if kept else ("as-delivered", True))


@pytest.mark.parametrize("other", [False, True])
def test_the_settle_names_the_marks_of_the_same_log(*, other: bool) -> None:
    connector = Connector()
    for offset in (2, 3):
        record = Original(key=b"k", value=b"%d" % offset, timestamp=5)
        connector.originals.log[ORDERS, offset] = record
        offsets: dict[TopicPartition, Intervals] = {ORDERS: ((offset, offset),)}
        begins = {ORDERS: Mark(offset, marks.digest(record))}
        divert = Divert(id=f"d{offset}", offsets=offsets, reasons={"not-csv": offsets}, generation=1, begins=begins)
        connector.ledger().append(divert, soon())
    if other:
        connector.originals.log[ORDERS, 2] = Original(key=b"k", value=b"another", timestamp=5)
    (first, second) = connector.state.pending.values()
    for pending in (second, first, second):
        assert roll_forward(pending, connector.services(), soon()) is Outcome.SETTLED
    assert connector.state.marks == second.operation.begins
    assert connector.state.behind == ({ORDERS: 3} if other else {})


def test_a_divert_whose_letters_cannot_be_written_stays_pending() -> None:
    connector = Connector()
    offsets: dict[TopicPartition, Intervals] = {ORDERS: ((1, 2),)}
    connector.ledger().append(Divert(id="d", offsets=offsets, reasons={"x": offsets}, generation=1), soon())
    (pending,) = connector.state.pending.values()
    services = connector.services()

    def fails(*_: object) -> None:
        raise UnavailableError("no broker")

    broken = Hooked(services.errors, {"write": fails})
    with pytest.raises(UnavailableError):
        roll_forward(pending, connector.services(errors=broken), soon())
    assert connector.state.pending.keys() == {"d"}
