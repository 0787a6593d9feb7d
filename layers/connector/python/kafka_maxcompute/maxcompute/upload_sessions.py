"""Upload sessions of a MaxCompute table: a session's rows are invisible until its commit, which is atomic.

The sink uses the interface `UploadSessions`. `kafka_maxcompute.maxcompute.tunnel` implements this interface with the
service. `InMemoryUploadSessions` implements it in memory, and behaves as MaxCompute's documents on Tunnel and the SDKs'
sources describe the service (docs/DESIGN.md lists the assumptions).
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
"""Lifetime of a session after its opening."""
BLOCK_IDS = range(20_000)
COMMIT_SECONDS = 10.0
"""The seconds that are kept for a commit and for reading its outcome."""


class SessionStatus(str, Enum):
    """The status of a session; of the SDKs, only the one for Java knows COMMITTING."""

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
    """A session's id, and the partition value of its rows.

    `columns` are the columns that the session's blocks must have, () if unknown: a commit doesn't need the columns.
    """

    id: str
    partition_value: str
    columns: tuple[Column, ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class SessionState:
    """A session's status and the ids of its blocks."""

    status: SessionStatus
    blocks: frozenset[int]


class UploadSessions(Protocol):
    """The sessions of one table; every method can raise `UnavailableError`, `RefusedError` and `DeadlineError`."""

    def open(self, partition_value: str, deadline: Deadline) -> UploadSession:
        """Open a session for a partition; the service creates a missing partition."""

    def put_block(
        self, session: UploadSession, block_id: int, body: bytes, encoding: str | None, deadline: Deadline
    ) -> None:
        """Write a block (see `maxcompute_sink.framing`), or replace the block that has this id."""

    def look(self, session: UploadSession, deadline: Deadline) -> SessionState:
        """Read the session's present state."""

    def commit(self, session: UploadSession, deadline: Deadline) -> SessionStatus:
        """Request the commit once; after an error, `look` shows whether the session was committed."""


def commit(sessions: UploadSessions, session: UploadSession, deadline: Deadline, *, look_first: bool = False) -> None:
    """Commit a session; return when the service reports it as closed, by this request or an earlier one.

    After a lost answer or a refusal, the status is read. The commit is requested again only if the status shows that
    the session isn't committed. The rows are never written again in another session. With `look_first`, the status is
    read before the first request. Raises `RefusedError` if the session can't be committed, and `UnavailableError` if
    the session is still open at the deadline.
    """
    must_look = look_first
    for attempt in until(deadline):
        with attempt:
            status = sessions.look(session, deadline).status if must_look else SessionStatus.NORMAL
            must_look = True
            if status is SessionStatus.NORMAL:
                status = _request_commit(sessions, session, deadline)
            if status is SessionStatus.CLOSED:
                return
            if status in {SessionStatus.CANCELED, SessionStatus.EXPIRED, SessionStatus.CRITICAL}:
                raise RefusedError(
                    f"expected upload session {session.id} to be closed by its commit, found it {status.value}; the "
                    "batch has to be delivered again",
                    code=status.value,
                )
            raise UnavailableError(
                f"upload session {session.id} is {status.value}, so its commit isn't known to be done"
            )


def _request_commit(sessions: UploadSessions, session: UploadSession, deadline: Deadline) -> SessionStatus:
    """Request the commit once; return the session's status after the request."""
    try:
        return sessions.commit(session, deadline)
    except UnavailableError:
        return sessions.look(session, deadline).status
    except RefusedError:
        # The service may refuse a commit because the session is already committed.
        status = sessions.look(session, deadline).status
        if status is SessionStatus.NORMAL:
            raise
        return status


@dataclass(slots=True)
class _StoredSession:
    """A session in memory."""

    opened: float
    status: SessionStatus = SessionStatus.NORMAL
    blocks: dict[int, bytes] = field(default_factory=dict)


class InMemoryUploadSessions:
    """The sessions of a table, in memory; `committed` has the visible blocks by partition value."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.committed: dict[str, list[bytes]] = {}
        self._clock = clock
        self._lock = threading.Lock()
        self._sessions: dict[str, _StoredSession] = {}

    def open(self, partition_value: str, deadline: Deadline) -> UploadSession:  # noqa: ARG002 # it never waits
        """Open a session, and create its partition if it's missing."""
        with self._lock:
            session = UploadSession(f"session-{len(self._sessions)}", partition_value)
            self._sessions[session.id] = _StoredSession(self._clock())
            self.committed.setdefault(partition_value, [])
        return session

    def put_block(
        self,
        session: UploadSession,
        block_id: int,
        body: bytes,
        encoding: str | None,  # noqa: ARG002 # bodies are kept as they are
        deadline: Deadline,  # noqa: ARG002 # it never waits
    ) -> None:
        """Store a block, which becomes visible with the commit."""
        with self._lock:
            stored = self._current(session)
            if stored.status is not SessionStatus.NORMAL:
                raise RefusedError(f"session {session.id} is {stored.status.value}", code="StatusConflict")
            if block_id not in BLOCK_IDS:
                raise RefusedError(f"block id {block_id} is not in 0 to {BLOCK_IDS[-1]}", code="InvalidBlockID")
            stored.blocks[block_id] = body

    def look(self, session: UploadSession, deadline: Deadline) -> SessionState:  # noqa: ARG002 # it never waits
        """Return the session's status and the ids of its blocks."""
        with self._lock:
            stored = self._current(session)
            return SessionState(stored.status, frozenset(stored.blocks))

    def commit(self, session: UploadSession, deadline: Deadline) -> SessionStatus:  # noqa: ARG002 # it never waits
        """Make all blocks of the session visible together."""
        with self._lock:
            stored = self._current(session)
            if stored.status is not SessionStatus.NORMAL:
                raise RefusedError(f"session {session.id} is {stored.status.value}", code="StatusConflict")
            self.committed[session.partition_value] += [stored.blocks[block] for block in sorted(stored.blocks)]
            stored.status = SessionStatus.CLOSED
            return stored.status

    def _current(self, session: UploadSession) -> _StoredSession:
        """Return the stored session; set its status to EXPIRED if its lifetime is over."""
        stored = self._sessions.get(session.id)
        if stored is None:
            raise RefusedError(f"there is no session {session.id}", code="NoSuchUpload")
        if stored.status is SessionStatus.NORMAL and self._clock() >= stored.opened + LIFE_SECONDS:
            stored.status = SessionStatus.EXPIRED
        return stored
