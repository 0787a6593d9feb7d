"""Upsert sessions on tables with a primary key: invisible packs of rows, which one commit writes by key.

A session is a directory with its description and its packs in the order of arrival; the last row of a key counts. With
a data directory a session outlives the emulator, as an upload session does.

The service's facts: the clients assign a key's rows to a bucket of the table, by a hash; a session lives 1 to 24 hours,
as its client requests.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import chain
from typing import TYPE_CHECKING, Any

from local_emulator.maxcompute.entities import Table, table_from_json
from local_emulator.maxcompute.tunnel import blocks, session_directories, upsert_rows
from local_emulator.maxcompute.tunnel.errors import malformed, tunnel_error
from local_emulator.maxcompute.tunnel.schema_json import table_schema
from local_emulator.maxcompute.tunnel.sessions import Kind, Sessions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import pyarrow as pa

    from local_emulator.maxcompute.store import Store
    from local_emulator.maxcompute.tunnel.wires import Wire

LONGEST_LIFE = 24  # hours
NORMAL, COMMITTING, COMMITTED, EXPIRED, ABORTED = "normal", "committing", "committed", "expired", "aborted"
_KIND = Kind("upserts", "Upsert session", "UpsertSessionNotFound", NORMAL, COMMITTING, COMMITTED, EXPIRED)
_BUCKETS_PROPERTY, _BUCKETS = "write.bucket.num", 16  # the service's property of a table, and its default


@dataclass(slots=True)
class UpsertSession:
    """One session; see `sessions.Session`."""

    id: str
    table: Table
    spec: tuple[str, ...]
    slots: int
    created: datetime
    life: timedelta
    directory: Path
    status: str = NORMAL
    packs: list[Path] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    committing: threading.Lock = field(default_factory=threading.Lock)

    @property
    def buckets(self) -> int:
        """The number of buckets of the table's keys."""
        return count_buckets(self.table)


class Upserts(Sessions[UpsertSession]):
    """All upsert sessions. ``patience``: seconds to wait for a commit before the answer says that it still runs."""

    def __init__(self, store: Store, now: Callable[[], datetime], data_dir: Path | None) -> None:
        super().__init__(_KIND, store, now, data_dir)
        self.patience = 5.0
        self.restore(_session)

    def open(self, table: Table, spec: tuple[str, ...], *, slots: int, hours: int) -> UpsertSession:
        """Return a new session on a partition; ServiceError NoSuchPartition, or InvalidArgument without a key."""
        if not (table.transactional and table.primary_key):
            raise tunnel_error("InvalidArgument", f"Table {table.name} isn't transactional with a PRIMARY KEY.")
        if not 1 <= hours <= LONGEST_LIFE:
            raise tunnel_error("InvalidArgument", f"'lifecycle' has to be 1 to {LONGEST_LIFE} hours, found {hours}.")
        if spec:
            self._store.partition(table, spec)
        slots, life = max(1, min(slots, count_buckets(table))), timedelta(hours=hours)
        session = self.create(
            lambda session_id, created, directory: UpsertSession(
                session_id, table, spec, slots, created, life, directory
            )
        )
        self.save(session, slots=slots, hours=life / timedelta(hours=1))
        return session

    def write(self, session: UpsertSession, body: bytes, wire: Wire, count: int | None) -> None:
        """Store a pack; ServiceError, and nothing is stored, if the pack is invalid or the session has ended.

        ``count`` is the request's number of records; None: the request has none.
        """
        self.require_open(session)
        rows = _counted(upsert_rows.changes(body, wire, session.table), count)
        with self.writing(session, upsert_rows.schema(session.table), rows) as keep:
            session.packs.append(keep(session.directory / f"{len(session.packs):06d}.arrow").path)

    def commit(self, session: UpsertSession) -> None:
        """Write all packs by key; further commits have no effect. ServiceError if the commit fails."""
        with session.committing:
            if session.status == COMMITTED:
                return
            with self.committing(session):
                rows = chain.from_iterable(map(blocks.read_block, session.packs))
                self._store.upsert(session.table, session.spec, rows, mark=session.id)
            session_directories.delete_rows(session.directory)

    def abort(self, session: UpsertSession) -> None:
        """End a session and drop its packs; ServiceError StatusConflict if its commit has started."""
        with session.lock:
            if session.status == ABORTED:
                return
            self.require_normal(session)
            session.status = ABORTED
        session_directories.delete(session.directory)

    def describe(self, session: UpsertSession, address: str) -> dict[str, Any]:
        """Return a session as JSON; ``address`` is the address of the server that accepts its writes."""
        slots = [
            {"slot_id": str(slot), "buckets": list(range(slot, session.buckets, session.slots)), "worker_addr": address}
            for slot in range(session.slots)
        ]
        return {
            "id": session.id,
            "status": self.status(session),
            "schema": table_schema(session.table),
            "hash_key": list(session.table.primary_key),
            "hasher": "default",
            "slots": slots,
            "enable_partial_update": False,
        }


def _session(directory: Path, description: dict[str, Any]) -> UpsertSession:
    """Return the session of a directory and its description."""
    return UpsertSession(
        description["id"],
        table_from_json(description["table"]),
        tuple(description["spec"]),
        description["slots"],
        datetime.fromisoformat(description["created"]),
        timedelta(hours=description["hours"]),
        directory,
        packs=sorted(directory.glob("*.arrow")),
    )


def count_buckets(table: Table) -> int:
    """Return the number of buckets of a table's keys."""
    text = table.properties.get(_BUCKETS_PROPERTY, "")
    return int(text) if text.isdecimal() and int(text) else _BUCKETS


def _counted(batches: Iterator[pa.RecordBatch], count: int | None) -> Iterator[pa.RecordBatch]:
    rows = 0
    for batch in batches:
        rows += batch.num_rows
        yield batch
    if count is not None and count != rows:
        raise malformed(f"Its request says that it has {count} records; {rows} were found.")
