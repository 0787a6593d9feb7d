"""Upload sessions of a MaxCompute table: what is written in one is invisible until its commit, which is atomic.

`UploadSessions` is what the sink needs of them. `kafka_maxcompute.maxcompute.tunnel` has the real ones; those here live
in memory and behave like the service (MaxCompute's documents on Tunnel and the SDKs' sources; docs/DESIGN.md says what
is assumed of it).
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Protocol

from kafka_maxcompute.errors import RefusedError, UnavailableError
from kafka_maxcompute.retrying import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from fc_powertools import Deadline
    from kafka_maxcompute.maxcompute.column import Column

LIFE_SECONDS = 24 * 3600
"""How long a session lives from its opening."""
BLOCK_IDS = range(20_000)
COMMIT_SECONDS = 10.0
"""The least time in which a commit is begun: it takes seconds, and its outcome should still be learnt."""


class SessionStatus(str, Enum):
    """What a session is in; COMMITTING is named by the Java SDK only."""

    UNKNOWN = "UNKNOWN"
    NORMAL = "NORMAL"
    CLOSING = "CLOSING"
    COMMITTING = "COMMITTING"
    CLOSED = "CLOSED"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"
    CRITICAL = "CRITICAL"


@dataclass(frozen=True, slots=True)
class UploadSession:
    """A session by its id, and the partition value that its rows are for.

    `columns` are those that its blocks must have, () where that isn't known: whoever commits needn't know them.
    """

    id: str
    partition_value: str
    columns: tuple[Column, ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class SessionState:
    """What the service says of a session: its status and the blocks that it holds."""

    status: SessionStatus
    blocks: frozenset[int]


class UploadSessions(Protocol):
    """The sessions of one table. All calls can raise `UnavailableError`, `RefusedError` and `DeadlineError`."""

    def open(self, partition_value: str, deadline: Deadline) -> UploadSession:
        """A new session for a partition, which is created if need be."""

    def put_block(
        self, session: UploadSession, block_id: int, body: bytes, encoding: str | None, deadline: Deadline
    ) -> None:
        """Write a block (see `maxcompute_sink.framing`); a block of the same id that is there is replaced."""

    def look(self, session: UploadSession, deadline: Deadline) -> SessionState:
        """The session as it is now."""

    def commit(self, session: UploadSession, deadline: Deadline) -> SessionStatus:
        """Ask once for the session's commit; after an error its status decides whether it took place."""


def commit(sessions: UploadSessions, session: UploadSession, deadline: Deadline, *, look_first: bool = False) -> None:
    """Commit a session; returns when the service says that it's closed, however that came to be.

    After an answer that was lost or was no, the status is read, and the commit is asked for again only where that says
    that it hasn't taken place. Never is the work done again in another session. With `look_first` the status is read
    before anything is asked for. Raises `RefusedError` where the session can't be committed, `UnavailableError` where
    it's still open when the time is up.
    """
    asked = look_first
    for attempt in until(deadline):
        with attempt:
            status = sessions.look(session, deadline).status if asked else SessionStatus.NORMAL
            asked = True
            if status is SessionStatus.NORMAL:
                status = _ask(sessions, session, deadline)
            if status is SessionStatus.CLOSED:
                return
            if status in {SessionStatus.CANCELED, SessionStatus.EXPIRED, SessionStatus.CRITICAL}:
                found = f"expected upload session {session.id} to be closed by its commit, found it {status.value}"
                raise RefusedError(f"{found}; the batch has to be delivered again", code=status.value)
            raise UnavailableError(
                f"upload session {session.id} is {status.value}, so its commit isn't known to be done"
            )


def _ask(sessions: UploadSessions, session: UploadSession, deadline: Deadline) -> SessionStatus:
    """Ask for the commit once; the status after it."""
    try:
        return sessions.commit(session, deadline)
    except UnavailableError:
        return sessions.look(session, deadline).status
    except RefusedError:
        # It may say no because it's done already.
        status = sessions.look(session, deadline).status
        if status is SessionStatus.NORMAL:
            raise
        return status


@dataclass(slots=True)
class _Held:
    """A session in memory."""

    opened: float
    status: SessionStatus = SessionStatus.NORMAL
    blocks: dict[int, bytes] = field(default_factory=dict)


class InMemoryUploadSessions:
    """The sessions of a table in memory; `committed` is what a reader of the table sees, by partition value."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.committed: dict[str, list[bytes]] = {}
        self._clock = clock
        self._lock = threading.Lock()
        self._held: dict[str, _Held] = {}

    def open(self, partition_value: str, deadline: Deadline) -> UploadSession:  # noqa: ARG002 # it never waits
        """A new session; the partition is there from now on."""
        with self._lock:
            session = UploadSession(f"session-{len(self._held)}", partition_value)
            self._held[session.id] = _Held(self._clock())
            self.committed.setdefault(partition_value, [])
        return session

    def put_block(
        self,
        session: UploadSession,
        block_id: int,
        body: bytes,
        encoding: str | None,  # noqa: ARG002 # bodies are kept as they come
        deadline: Deadline,  # noqa: ARG002 # it never waits
    ) -> None:
        """Keep a block until the commit."""
        with self._lock:
            held = self._current(session)
            if held.status is not SessionStatus.NORMAL:
                raise RefusedError(f"session {session.id} is {held.status.value}", code="StatusConflict")
            if block_id not in BLOCK_IDS:
                raise RefusedError(f"block id {block_id} is not in 0 to {BLOCK_IDS[-1]}", code="InvalidBlockID")
            held.blocks[block_id] = body

    def look(self, session: UploadSession, deadline: Deadline) -> SessionState:  # noqa: ARG002 # it never waits
        """Status and blocks."""
        with self._lock:
            held = self._current(session)
            return SessionState(held.status, frozenset(held.blocks))

    def commit(self, session: UploadSession, deadline: Deadline) -> SessionStatus:  # noqa: ARG002 # it never waits
        """Show all blocks at once."""
        with self._lock:
            held = self._current(session)
            if held.status is not SessionStatus.NORMAL:
                raise RefusedError(f"session {session.id} is {held.status.value}", code="StatusConflict")
            self.committed[session.partition_value] += [held.blocks[block] for block in sorted(held.blocks)]
            held.status = SessionStatus.CLOSED
            return held.status

    def _current(self, session: UploadSession) -> _Held:
        """The session after what time has done to it."""
        held = self._held.get(session.id)
        if held is None:
            raise RefusedError(f"there is no session {session.id}", code="NoSuchUpload")
        if held.status is SessionStatus.NORMAL and self._clock() >= held.opened + LIFE_SECONDS:
            held.status = SessionStatus.EXPIRED
        return held
