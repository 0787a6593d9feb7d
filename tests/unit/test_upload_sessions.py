"""Upload sessions in memory, and how the outcome of a commit is learnt, whatever becomes of its answer."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import pytest
from odps.models import TableSchema
from odps.tunnel.io.reader import TunnelArrowReader

from fc_powertools import Deadline
from kafka_maxcompute.errors import RefusedError, UnavailableError
from kafka_maxcompute.maxcompute.upload_sessions import (
    LIFE_SECONDS,
    InMemoryUploadSessions,
    SessionState,
    SessionStatus,
    UploadSession,
    commit,
)
from tests.upload_sessions_contract import PT, UploadSessionsContract, body

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.quick

COLUMNS = TableSchema.from_lists(
    ["topic", "partition", "offset", "key", "value"], ["string", "bigint", "bigint", "string", "string"]
)


def values(framed: bytes) -> list[str]:
    table = TunnelArrowReader(COLUMNS, lambda _: io.BytesIO(framed)).read()
    return list(table["value"].to_pylist())


class TestInMemory(UploadSessionsContract):
    @pytest.fixture
    def sessions(self) -> InMemoryUploadSessions:
        return InMemoryUploadSessions()

    @pytest.fixture
    def visible(self, sessions: InMemoryUploadSessions) -> Callable[[str], list[str]]:
        return lambda value: [text for block in sessions.committed[value] for text in values(block)]


def test_a_session_expires_a_day_after_it_was_opened() -> None:
    now = [0.0]
    sessions, deadline = InMemoryUploadSessions(lambda: now[0]), Deadline.after(5)
    session, committed = sessions.open(PT, deadline), sessions.open(PT, deadline)
    sessions.commit(committed, deadline)
    now[0] = LIFE_SECONDS - 0.001
    assert sessions.look(session, deadline).status is SessionStatus.NORMAL
    now[0] = LIFE_SECONDS
    assert sessions.look(session, deadline).status is SessionStatus.EXPIRED
    assert sessions.look(committed, deadline).status is SessionStatus.CLOSED
    with pytest.raises(RefusedError, match="found it EXPIRED") as caught:
        commit(sessions, session, deadline)
    assert caught.value.code == "EXPIRED"


def test_a_session_in_memory_is_committed_once() -> None:
    """The service may answer a second commit as it answered the first; here it's known to be asked for once."""
    sessions, deadline = InMemoryUploadSessions(), Deadline.after(5)
    session = staged(sessions)
    sessions.commit(session, deadline)
    with pytest.raises(RefusedError) as caught:
        sessions.commit(session, deadline)
    assert (caught.value.code, sessions.committed) == ("StatusConflict", {PT: [body("a")]})


class Faulty(InMemoryUploadSessions):
    """Sessions whose commits go as a script says, an entry each: what happens before the commit, and after it."""

    def __init__(
        self, *script: tuple[Exception | None, Exception | None], statuses: list[SessionStatus] | None = None
    ) -> None:
        super().__init__()
        self.script = list(script)
        self.statuses = statuses or []
        self.asked = 0
        self.looked = 0

    def commit(self, session: UploadSession, deadline: Deadline) -> SessionStatus:
        self.asked += 1
        before, after = self.script.pop(0) if self.script else (None, None)
        if before:
            raise before
        status = super().commit(session, deadline)
        if after:
            raise after
        return self.statuses.pop(0) if self.statuses else status

    def look(self, session: UploadSession, deadline: Deadline) -> SessionState:
        self.looked += 1
        state = super().look(session, deadline)
        return SessionState(self.statuses.pop(0), state.blocks) if self.statuses else state


LOST = UnavailableError("no answer")
CONFLICT = RefusedError("closed already", code="StatusConflict")


def staged(sessions: InMemoryUploadSessions) -> UploadSession:
    session = sessions.open(PT, Deadline.after(5))
    sessions.put_block(session, 0, body("a"), None, Deadline.after(5))
    return session


@pytest.mark.parametrize(
    ("script", "statuses", "asked"),
    [
        ([], [], 1),
        ([(None, LOST)], [], 1),
        ([(LOST, None)], [], 2),
        ([(LOST, None), (LOST, None), (None, LOST)], [], 3),
        ([(None, CONFLICT)], [], 1),
        ([(None, None)], [SessionStatus.CLOSING, SessionStatus.COMMITTING, SessionStatus.UNKNOWN], 1),
        ([(None, LOST)], [SessionStatus.COMMITTING, SessionStatus.CLOSING], 1),
    ],
    ids=["plain", "answer lost", "not applied", "often", "refused though done", "takes long", "lost and takes long"],
)
def test_a_commit_takes_place_once_and_is_known(script: list[Any], statuses: list[SessionStatus], asked: int) -> None:
    sessions = Faulty(*script, statuses=statuses)
    commit(sessions, staged(sessions), Deadline.after(30))
    assert sessions.committed == {PT: [body("a")]}
    assert sessions.asked == asked


@pytest.mark.parametrize("look_first", [False, True])
def test_a_commit_is_asked_for_at_once_or_after_a_look(*, look_first: bool) -> None:
    sessions = Faulty()
    session, deadline = staged(sessions), Deadline.after(5)
    commit(sessions, session, deadline, look_first=look_first)
    assert (sessions.asked, sessions.looked) == (1, int(look_first))
    commit(sessions, session, deadline, look_first=True)
    assert (sessions.asked, sessions.looked) == (1, int(look_first) + 1)


def test_a_refusal_that_the_status_confirms_is_raised_and_not_repeated() -> None:
    refusal = RefusedError("the table was altered", code="TableModified")
    sessions = Faulty((refusal, None))
    with pytest.raises(RefusedError) as caught:
        commit(sessions, staged(sessions), Deadline.after(30))
    assert (caught.value, sessions.asked, sessions.committed) == (refusal, 1, {PT: []})


@pytest.mark.parametrize("status", [SessionStatus.CANCELED, SessionStatus.EXPIRED, SessionStatus.CRITICAL])
def test_a_session_that_is_past_committing_is_refused(status: SessionStatus) -> None:
    sessions = Faulty((LOST, None), statuses=[status])
    with pytest.raises(RefusedError, match=f"found it {status.value}"):
        commit(sessions, staged(sessions), Deadline.after(30))


def test_a_commit_that_never_ends_ends_with_the_deadline() -> None:
    sessions = Faulty((None, LOST), statuses=[SessionStatus.CLOSING] * 1_000)
    with pytest.raises(UnavailableError, match="is CLOSING, so its commit isn't known to be done"):
        commit(sessions, staged(sessions), Deadline.after(0.5))
    assert sessions.asked == 1


def test_a_commit_that_is_never_applied_ends_with_the_deadline() -> None:
    sessions = Faulty(*[(LOST, None)] * 1_000)
    with pytest.raises(UnavailableError):
        commit(sessions, staged(sessions), Deadline.after(0.5))
    assert sessions.committed == {PT: []}
