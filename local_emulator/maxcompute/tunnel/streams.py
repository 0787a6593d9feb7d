"""Stream sessions: a write's rows are in the table when the request is answered; there is no commit.

The service's facts: a session writes with the columns of its start, although the table's columns may change, unless the
client requires the latest columns. A write that is sent twice is in the table twice. The life of an idle session isn't
documented; in the emulator it is the life of an upload session.
"""

from __future__ import annotations

import threading
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from local_emulator.maxcompute.errors import ServiceError
from local_emulator.maxcompute.tunnel.cells import checked
from local_emulator.maxcompute.tunnel.errors import malformed, tunnel_error
from local_emulator.maxcompute.tunnel.schema_json import table_schema
from local_emulator.maxcompute.tunnel.targets import current_table, require_same
from local_emulator.maxcompute.tunnel.uploads import LIFE

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from local_emulator.maxcompute.entities import Table
    from local_emulator.maxcompute.store import Store
    from local_emulator.maxcompute.tunnel.wires import Wire

LATEST_VERSION_HEADER = "odps-tunnel-latest-schema-version"


@dataclass(slots=True)
class StreamSession:
    """One session; ``table`` is the table's state at the session's start.

    ``spec`` is () for a table without partitions, and for a ``dynamic`` session whose writes name their partitions.
    """

    id: str
    table: Table
    spec: tuple[str, ...]
    dynamic: bool
    slots: int
    used: datetime
    batches: int = 0
    written: datetime | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)


@dataclass(frozen=True, slots=True)
class Pack:
    """The body of one write, and its request's parameters; ``count``: the number of records, None if not given."""

    body: bytes
    wire: Wire
    spec: tuple[str, ...]
    latest: bool
    count: int | None


class Streams:
    """All stream sessions, in memory; their rows are in the table."""

    def __init__(self, store: Store, now: Callable[[], datetime]) -> None:
        self._store = store
        self._now = now
        self._sessions: dict[str, StreamSession] = {}

    def open(
        self, table: Table, spec: tuple[str, ...], *, slots: int, dynamic: bool, create_partition: bool
    ) -> StreamSession:
        """Return a new session; ServiceError NoSuchPartition if its partition neither exists nor shall be created."""
        self._forget_idle()
        if spec and (create_partition or dynamic):
            self._store.add_partition(table, spec, if_not_exists=True)
        if spec:
            self._store.partition(table, spec)
        now = self._now()
        session = StreamSession(f"{now:%Y%m%d%H%M%S}{uuid.uuid4().hex}", table, spec, dynamic, slots, now)
        self._sessions[session.id] = session
        return session

    def get(self, session_id: str, table: Table, spec: tuple[str, ...] | None) -> StreamSession:
        """Return the session of an id.

        ``spec`` None: the request names no partition. For a dynamic session, a request's partition is the partition of
        its write. ServiceError StreamSessionNotFound, or InvalidResourceSpec if the session is on another table or
        partition.
        """
        session = self._sessions.get(session_id)
        if session is None or self._now() - session.used >= LIFE:
            raise tunnel_error("StreamSessionNotFound", f"Stream session '{session_id}'.")
        require_same(session.table, table, session.spec, None if session.dynamic else spec)
        return session

    def write(self, session: StreamSession, pack: Pack) -> int:
        """Put a pack's rows into the table; return the batch's number in its session. ServiceError: nothing was put."""
        current = current_table(self._store, session.table)
        if pack.latest and current.schema_version != session.table.schema_version:
            raise _modified(current)
        columns = session.table.columns
        rows = list(checked(pack.wire.decode(pack.body, columns), columns))
        count = sum(batch.num_rows for batch in rows)
        if pack.count is not None and pack.count != count:
            raise malformed(f"Its request says that it has {pack.count} records; {count} were found.")
        if current.schema_version != session.table.schema_version:
            rows = [_fitted(batch, session.table, current) for batch in rows]
        self._store.append_parts(current, [(pack.spec, [rows])], create=session.dynamic)
        with session.lock:
            session.used = session.written = self._now()
            session.batches += 1
            return session.batches

    def abort(self, session: StreamSession) -> None:
        """End a session; its rows stay in the table."""
        self._sessions.pop(session.id, None)

    def describe(self, session: StreamSession, address: str) -> dict[str, Any]:
        """Return a session as JSON; ``address`` is the address of the server that accepts its writes."""
        with session.lock:
            session.used = self._now()
            description: dict[str, Any] = {
                "session_name": session.id,
                "status": "normal",
                "schema": table_schema(session.table),
                "schema_version": str(session.table.schema_version),
                "slots": [[str(slot), address] for slot in range(session.slots)],
            }
            if session.written is not None:
                description["last_batch_id"] = session.batches
                description["last_batch_commit_time"] = int(session.written.timestamp() * 1000)
        return description

    def _forget_idle(self) -> None:
        now = self._now()
        for session in list(self._sessions.values()):
            if now - session.used >= LIFE:
                self._sessions.pop(session.id, None)


def _fitted(batch: pa.RecordBatch, known: Table, current: Table) -> pa.RecordBatch:
    """Return rows of a table's former columns with its current columns: new columns are NULL, dropped ones absent."""
    arrays = []
    for column in current.columns:
        before = known.column(column.name)
        if before is not None and before.type != column.type:
            raise _modified(current, f"Column '{column.name}' was {before.type}, is {column.type}.")
        arrays.append(
            pa.nulls(batch.num_rows, column.type.arrow_type()) if before is None else batch.column(column.name)
        )
    return pa.RecordBatch.from_arrays(arrays, schema=current.arrow_schema())


def _modified(current: Table, detail: str = "") -> ServiceError:
    """Return a 412 with the schema version for a new session."""
    error = tunnel_error("SchemaModified", detail or f"The latest schema version is {current.schema_version}.")
    return ServiceError(error.status, error.code, error.message, {LATEST_VERSION_HEADER: str(current.schema_version)})
