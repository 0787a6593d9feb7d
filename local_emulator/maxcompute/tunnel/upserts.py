"""Upsert sessions on tables with a primary key: packs of rows that nobody sees until one commit writes them by key.

A session is a directory: its description and its packs in the order they came, of which the last row of a key counts.
With a data directory it outlives the emulator, as an upload session does.

The service's facts: the clients put a key's rows into one of the table's buckets, by a hash; a session lives 1 to 24
hours, as its client asks.
"""

from __future__ import annotations

import threading
import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import chain
from typing import TYPE_CHECKING, Any

from local_emulator.maxcompute.catalog import Table, table_from_json, table_to_json
from local_emulator.maxcompute.tunnel import blocks, session_directories, upsert_rows
from local_emulator.maxcompute.tunnel.errors import malformed, tunnel_error
from local_emulator.maxcompute.tunnel.schema_json import table_schema
from local_emulator.maxcompute.tunnel.session_directories import SessionDirectories
from local_emulator.maxcompute.tunnel.targets import require_same, require_unchanged

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import pyarrow as pa

    from local_emulator.maxcompute.store import Store
    from local_emulator.maxcompute.tunnel.wires import Wire

LONGEST_LIFE = 24  # hours
# How many times its life a session still says what became of it.
_REMEMBERED = 2
NORMAL, COMMITTING, COMMITTED, EXPIRED, ABORTED = "normal", "committing", "committed", "expired", "aborted"
_BUCKETS_PROPERTY, _BUCKETS = "write.bucket.num", 16  # the service's property of a table, and its default


@dataclass(slots=True)
class UpsertSession:
    """One session; ``lock`` guards what changes. ``table`` is the table as it was when the session was opened."""

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
        """How many buckets the table's keys are spread over."""
        return buckets_of(self.table)


class Upserts:
    """All upsert sessions. ``patience``: seconds that a commit is waited for before it is called committing."""

    def __init__(self, store: Store, now: Callable[[], datetime], data_dir: Path | None) -> None:
        self.patience = 5.0
        self._store = store
        self._now = now
        self._directories = SessionDirectories("upserts", data_dir)
        self._sessions: dict[str, UpsertSession] = {}
        for directory, description in self._directories.left_behind():
            self._restore(directory, description)

    def close(self) -> None:
        """Delete what needn't outlive the emulator."""
        self._directories.close()

    def open(self, table: Table, spec: tuple[str, ...], *, slots: int, hours: int) -> UpsertSession:
        """A new session on a partition; ServiceError NoSuchPartition, or InvalidArgument if the table has no key."""
        self._forget_old()
        if not (table.transactional and table.primary_key):
            raise tunnel_error("InvalidArgument", f"Table {table.name} isn't transactional with a PRIMARY KEY.")
        if not 1 <= hours <= LONGEST_LIFE:
            raise tunnel_error("InvalidArgument", f"'lifecycle' has to be 1 to {LONGEST_LIFE} hours, found {hours}.")
        if spec:
            self._store.partition(table, spec)
        created = self._now()
        name = f"{created:%Y%m%d%H%M%S}{uuid.uuid4().hex}"
        slots = max(1, min(slots, buckets_of(table)))
        directory = self._directories.make(name)
        session = UpsertSession(name, table, spec, slots, created, timedelta(hours=hours), directory)
        self._describe(session)
        self._sessions[name] = session
        return session

    def get(self, session_id: str, table: Table, spec: tuple[str, ...] | None) -> UpsertSession:
        """A session by its id; ServiceError UpsertSessionNotFound, or InvalidResourceSpec if it belongs elsewhere.

        ``spec`` None: the request names no partition.
        """
        session = self._sessions.get(session_id)
        if session is None or self._now() - session.created > _REMEMBERED * session.life:
            raise tunnel_error("UpsertSessionNotFound", f"Upsert session '{session_id}'.")
        require_same(session.table, table, session.spec, spec)
        return session

    def status(self, session: UpsertSession) -> str:
        """What has become of a session."""
        if session.status == NORMAL and self._now() - session.created >= session.life:
            return EXPIRED
        return session.status

    def write(self, session: UpsertSession, body: bytes, wire: Wire, count: int | None) -> None:
        """Take in a pack; ServiceError, and nothing kept, unless it is sound and the session takes it.

        ``count`` is what the request says that the pack has; None: it doesn't say.
        """
        self._require_normal(session)
        require_unchanged(self._store, session.table, session.spec)
        rows = _counted(upsert_rows.changes(body, wire, session.table), count)
        schema = upsert_rows.schema(session.table)
        written = blocks.write_block(session.directory / "pack", schema, rows, durable=self._directories.durable)
        with session.lock:
            try:
                self._require_normal(session)
            except BaseException:
                written.path.unlink(missing_ok=True)  # the end of the session may have taken it along
                raise
            path = session.directory / f"{len(session.packs):06d}.arrow"
            session.packs.append(blocks.keep_block(written, path, durable=self._directories.durable).path)

    def commit(self, session: UpsertSession) -> None:
        """Write all packs by key, once, however often it is asked for; ServiceError if that can't be done."""
        with session.committing:
            if session.status == COMMITTED:
                return
            with session.lock:
                self._require_normal(session)
                session.status = COMMITTING
            try:
                require_unchanged(self._store, session.table, session.spec)
                rows = chain.from_iterable(map(blocks.read_block, session.packs))
                self._store.upsert(session.table, session.spec, rows, mark=session.id)
            except BaseException:
                session.status = NORMAL
                raise
            session.status = COMMITTED
            session_directories.delete_rows(session.directory)

    def abort(self, session: UpsertSession) -> None:
        """Give up what was written; ServiceError StatusConflict once it is being committed."""
        with session.lock:
            if session.status == ABORTED:
                return
            self._require_normal(session)
            session.status = ABORTED
        session_directories.delete(session.directory)

    def describe(self, session: UpsertSession, address: str) -> dict[str, Any]:
        """A session as JSON; ``address`` is that of the server that takes its writes."""
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

    def _require_normal(self, session: UpsertSession) -> None:
        status = self.status(session)
        if status != NORMAL:
            raise tunnel_error("StatusConflict", f"Expected status {NORMAL}, found {status}.")

    def _describe(self, session: UpsertSession) -> None:
        description = {
            "id": session.id,
            "table": table_to_json(session.table),
            "spec": session.spec,
            "slots": session.slots,
            "created": session.created.isoformat(),
            "hours": session.life / timedelta(hours=1),
        }
        self._directories.describe(session.directory, description)

    def _restore(self, directory: Path, description: dict[str, Any]) -> None:
        """Take up a session that an emulator on the same data directory left behind."""
        session = UpsertSession(
            description["id"],
            table_from_json(description["table"]),
            tuple(description["spec"]),
            description["slots"],
            datetime.fromisoformat(description["created"]),
            timedelta(hours=description["hours"]),
            directory,
            packs=sorted(directory.glob("*.arrow")),
        )
        self._sessions[session.id] = session
        if self._store.has_mark(session.id):
            session.status = COMMITTED
            session_directories.delete_rows(directory)

    def _forget_old(self) -> None:
        now = self._now()
        for session in list(self._sessions.values()):
            if self.status(session) == EXPIRED:
                session_directories.delete_rows(session.directory)
            if now - session.created > _REMEMBERED * session.life:
                self._sessions.pop(session.id, None)
                session_directories.delete(session.directory)
                if self._store.has_mark(session.id):
                    self._store.drop_mark(session.id)


def buckets_of(table: Table) -> int:
    """How many buckets a table's keys are spread over."""
    text = table.properties.get(_BUCKETS_PROPERTY, "")
    return int(text) if text.isdecimal() and int(text) else _BUCKETS


def _counted(batches: Iterator[pa.RecordBatch], count: int | None) -> Iterator[pa.RecordBatch]:
    found = 0
    for batch in batches:
        found += batch.num_rows
        yield batch
    if count is not None and count != found:
        raise malformed(f"Its request says that it has {count} records; {found} were found.")
