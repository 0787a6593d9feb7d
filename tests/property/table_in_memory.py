"""The table of a small world: upload sessions that expire, are forgotten, cancelled or slow, and the rows they show."""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from odps.models import TableSchema
from odps.tunnel.io.reader import TunnelArrowReader

from kafka_maxcompute.errors import RefusedError
from kafka_maxcompute.maxcompute.upload_sessions import (
    LIFE_SECONDS,
    InMemoryUploadSessions,
    SessionState,
    SessionStatus,
)
from tests.property.source_topic import said_by

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fc_powertools import Deadline
    from kafka_maxcompute.maxcompute.upload_sessions import UploadSession, _StoredSession
    from kafka_maxcompute.offsets import TopicPartition
    from tests.property.source_topic import Id

COLUMNS = TableSchema.from_lists(
    ["topic", "partition", "offset", "key", "value"], ["string", "bigint", "bigint", "string", "string"]
)
LOOKS = 2
"""After so many looks a session that was being committed is closed."""
SLOWEST_SECONDS = 3600.0
"""So long after it was asked for, a commit is done, even if nobody looked. The service's commits take seconds; this is
the most that the sink allows for. The service has no commit that waits a day for somebody's look: a 404 of a moment
would hide its session, the table would have none of its rows, and they would appear after its claim was released."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the table; `id` is the record that its key and value are of."""

    partition_value: str
    place: TopicPartition
    offset: int
    key: str | None
    value: str | None
    session: str

    @property
    def id(self) -> Id:
        """The record."""
        return said_by(self.key, self.value)


@dataclass(slots=True)
class _UnderWay:
    """A commit that takes its time: done at `due`, or by the last of `looks`."""

    due: float
    looks: int = LOOKS


@cache
def _read(body: bytes) -> tuple[tuple[TopicPartition, int, str | None, str | None], ...]:
    table = TunnelArrowReader(COLUMNS, lambda _: io.BytesIO(body)).read()
    return tuple(
        ((row["topic"], row["partition"]), row["offset"], row["key"], row["value"]) for row in table.to_pylist()
    )


class TableInMemory(InMemoryUploadSessions):
    """The table's sessions; `rows` is what a reader sees, `staged` what each session holds, seen or not."""

    def __init__(
        self, clock: Callable[[], float], is_slow: Callable[[], bool], is_refused: Callable[[Id], bool]
    ) -> None:
        super().__init__(clock)
        self.rows: list[Row] = []
        self.staged: dict[str, list[Row]] = {}
        self._is_refused = is_refused
        self._blocks: dict[tuple[str, int], list[Row]] = {}
        self._is_slow = is_slow
        self._under_way: dict[str, _UnderWay] = {}
        self._forgotten: set[str] = set()

    def put_block(
        self, session: UploadSession, block_id: int, body: bytes, encoding: str | None, deadline: Deadline
    ) -> None:
        """Keep a block, and know what is in it; one with a record that it can't take is refused."""
        rows = [Row(session.partition_value, *row, session.id) for row in _read(body)]
        if any(self._is_refused(row.id) for row in rows):
            raise RefusedError("the stream is malformed", code="MalformedDataStream")
        super().put_block(session, block_id, body, encoding, deadline)
        self._blocks[session.id, block_id] = rows
        self.staged[session.id] = [
            row for (id_, _), found in self._blocks.items() if id_ == session.id for row in found
        ]

    def look(self, session: UploadSession, deadline: Deadline) -> SessionState:
        """The status; looks bring a slow commit to its end."""
        if session.id in self._under_way:
            self._under_way[session.id].looks -= 1
            if not self._under_way[session.id].looks:
                self._close(session.id)
        return super().look(session, deadline)

    def commit(self, session: UploadSession, deadline: Deadline) -> SessionStatus:
        """Show the rows, at once or after some looks."""
        held = self._current(session)
        if held.status is SessionStatus.NORMAL and self._is_slow():
            held.status = SessionStatus.COMMITTING
            self._under_way[session.id] = _UnderWay(self._clock() + SLOWEST_SECONDS)
            return held.status
        status = super().commit(session, deadline)
        self.rows += self.staged.get(session.id, [])
        return status

    def pass_time(self) -> None:
        """Bring to their end the slow commits whose time has come, now that the clock has moved."""
        for id_ in [id_ for id_, one in self._under_way.items() if self._clock() >= one.due]:
            self._close(id_)

    def forget(self) -> int:
        """Know nothing more of sessions that have lived their time; how many there were."""
        gone = [id_ for id_, held in self._sessions.items() if self._clock() >= held.opened + LIFE_SECONDS]
        gone = [id_ for id_ in gone if id_ not in self._under_way and id_ not in self._forgotten]
        self._forgotten.update(gone)
        return len(gone)

    def cancel(self, choose: Callable[[list[str]], str]) -> None:
        """Somebody cancels an open session."""
        alive = [id_ for id_, held in self._sessions.items() if held.status is SessionStatus.NORMAL]
        if alive:
            self._sessions[choose(alive)].status = SessionStatus.CANCELED

    def counted(self) -> Iterator[tuple[str, TopicPartition, int]]:
        """For `MemoryRowCounts`."""
        return ((row.partition_value, row.place, row.offset) for row in self.rows)

    def is_gone(self, session: str) -> bool:
        """Whether a session can't be committed any more."""
        return session in self._forgotten or self._sessions[session].status in {
            SessionStatus.EXPIRED,
            SessionStatus.CANCELED,
        }

    def _close(self, session: str) -> None:
        del self._under_way[session]
        self._sessions[session].status = SessionStatus.CLOSED
        self.rows += self.staged.get(session, [])

    def _current(self, session: UploadSession) -> _StoredSession:
        if session.id in self._forgotten:
            raise RefusedError(f"there is no session {session.id}", code="NoSuchUpload")
        return super()._current(session)
