"""Download sessions: the rows of a table, a partition or a query's result at the time of the session's start.

A session on a table holds a view of the database open. To limit the number of open views, the emulator keeps only the
most recently used sessions; the service keeps each session for 24 hours.
"""

from __future__ import annotations

import re
import threading
import uuid
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from local_emulator.maxcompute.tunnel.errors import tunnel_error
from local_emulator.maxcompute.tunnel.schema_json import columns_json
from local_emulator.maxcompute.tunnel.uploads import LIFE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

    import pyarrow as pa

    from local_emulator.maxcompute.entities import Column, Table
    from local_emulator.maxcompute.snapshot import Snapshot
    from local_emulator.maxcompute.store import Store

MOST_SESSIONS = 256
ROWS_AT_A_TIME = 65_536
_ROW_RANGE = re.compile(r"\(\s*(\d+)\s*,\s*(\d+)\s*\)\Z")


class Rows(Protocol):
    """Rows that don't change during a download."""

    def batches(self, columns: Sequence[str], start: int, count: int) -> Iterator[pa.RecordBatch]:
        """Yield some columns of ``count`` rows from index ``start`` on."""

    def close(self) -> None:
        """Release the rows."""


@dataclass(slots=True)
class DownloadSession:
    """One session; ``resource`` is the path of its table and partition, or of its instance."""

    id: str
    resource: tuple[str, ...]
    columns: tuple[Column, ...]
    partition_columns: tuple[Column, ...]
    count: int
    rows: Rows
    created: datetime


class Downloads:
    """All download sessions."""

    def __init__(self, store: Store, now: Callable[[], datetime]) -> None:
        self._store = store
        self._now = now
        self._lock = threading.Lock()
        self._sessions: OrderedDict[str, DownloadSession] = OrderedDict()

    def close(self) -> None:
        """Release all views."""
        with self._lock:
            for session in self._sessions.values():
                session.rows.close()
            self._sessions.clear()

    def open_table(self, table: Table, spec: tuple[str, ...]) -> DownloadSession:
        """Return a new session on a table or partition; ServiceError NoSuchPartition for an unknown partition."""
        if spec:
            self._store.partition(table, spec)
        snapshot = self._store.snapshot(table)
        rows = _PartitionRows(snapshot, spec)
        return self._open(
            (*table_resource(table), *spec), table.columns, table.partition_columns, snapshot.count(spec), rows
        )

    def open_result(self, resource: tuple[str, ...], columns: tuple[Column, ...], result: pa.Table) -> DownloadSession:
        """Return a new session on a query's result."""
        return self._open(resource, columns, (), result.num_rows, _TableRows(result))

    def get(self, session_id: str, resource: tuple[str, ...]) -> DownloadSession:
        """Return the session of an id; ServiceError NoSuchDownload, InvalidResourceSpec, StatusConflict (too old)."""
        with self._lock:
            session = self._sessions.get(session_id)
            if session is None:
                raise tunnel_error("NoSuchDownload", f"Download id '{session_id}'.")
            self._sessions.move_to_end(session_id)
        if session.resource[: len(resource)] != resource:
            raise tunnel_error("InvalidResourceSpec", f"The session is on {'/'.join(session.resource)}.")
        if self._now() - session.created >= LIFE:
            raise tunnel_error("StatusConflict", f"It was opened {session.created.isoformat()}, more than {LIFE} ago.")
        return session

    def _open(
        self,
        resource: tuple[str, ...],
        columns: tuple[Column, ...],
        partition_columns: tuple[Column, ...],
        count: int,
        rows: Rows,
    ) -> DownloadSession:
        created = self._now()
        session_id = f"{created:%Y%m%d%H%M%S}{uuid.uuid4().hex}"
        session = DownloadSession(session_id, resource, columns, partition_columns, count, rows, created)
        forgotten = []
        with self._lock:
            self._sessions[session_id] = session
            while len(self._sessions) > MOST_SESSIONS:
                forgotten.append(self._sessions.popitem(last=False)[1])
        for old in forgotten:
            old.rows.close()
        return session


def row_batches(session: DownloadSession, columns: Sequence[str], start: int, count: int) -> Iterator[pa.RecordBatch]:
    """Yield some columns of ``count`` rows from index ``start`` on; a batch has rows of one file of a table alone.

    The rows are read in parts, so that a client that stops reading doesn't block the session's other readers.
    """
    for first in range(start, start + count, ROWS_AT_A_TIME):
        yield from list(session.rows.batches(columns, first, min(ROWS_AT_A_TIME, start + count - first)))


def table_resource(table: Table) -> tuple[str, ...]:
    """Return the resource of a session on a table."""
    return (table.project, table.schema, table.name)


def describe(session: DownloadSession) -> dict[str, Any]:
    """Return a session as JSON."""
    return {
        "DownloadID": session.id,
        "Status": "NORMAL",
        "InitiatedTime": f"{session.created:%a, %d %b %Y %H:%M:%S GMT}",
        "RecordCount": session.count,
        "SupportReadByRawSize": False,
        "Schema": {
            "columns": columns_json(session.columns),
            "partitionKeys": columns_json(session.partition_columns),
            "IsVirtualView": False,
        },
    }


def row_range(session: DownloadSession, text: str) -> tuple[int, int]:
    """Return the first index and the number of rows of ``(start,count)``; ServiceError InvalidRowRange beyond the end.

    Clients request a number of first rows without a look at the count; if there are no rows, the service returns none.
    """
    match = _ROW_RANGE.match(text)
    if not match:
        raise tunnel_error("InvalidRowRange", f"Expected '(start,count)', found '{text}'.")
    start, count = int(match[1]), int(match[2])
    if start == session.count == 0:
        return 0, 0
    if start + count > session.count:
        raise tunnel_error("InvalidRowRange", f"Rows {start} to {start + count - 1} of {session.count} are requested.")
    return start, count


def requested_columns(session: DownloadSession, text: str, *, in_order: bool) -> tuple[Column, ...]:
    """Return the columns of a comma-separated list (all for an empty list); ServiceError InvalidColumnSpec.

    ``in_order``: in the table's order, in which PyODPS reads Arrow. PyODPS reads records in the list's order.
    """
    if not text:
        return session.columns
    by_name = {column.name: column for column in session.columns + session.partition_columns}
    names = [name.strip().lower() for name in text.split(",")]
    unknown = [name for name in names if name not in by_name]
    if unknown or len(set(names)) != len(names):
        raise tunnel_error("InvalidColumnSpec", f"Expected some of {', '.join(by_name)}, each once; found '{text}'.")
    wanted = [by_name[name] for name in names]
    return tuple(column for column in by_name.values() if column in wanted) if in_order else tuple(wanted)


@dataclass(frozen=True, slots=True)
class _PartitionRows:
    snapshot: Snapshot
    spec: tuple[str, ...]

    def batches(self, columns: Sequence[str], start: int, count: int) -> Iterator[pa.RecordBatch]:
        return self.snapshot.files(self.spec, columns, start, count)

    def close(self) -> None:
        self.snapshot.close()


@dataclass(frozen=True, slots=True)
class _TableRows:
    table: pa.Table

    def batches(self, columns: Sequence[str], start: int, count: int) -> Iterator[pa.RecordBatch]:
        return iter(self.table.select(list(columns)).slice(start, count).to_batches())

    def close(self) -> None:
        pass
