"""The common part of upload and upsert sessions: an id, a directory, a life, and a commit that happens once."""

from __future__ import annotations

import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from local_emulator.maxcompute.entities import table_to_json
from local_emulator.maxcompute.errors import ServiceError
from local_emulator.maxcompute.tunnel import blocks, session_directories
from local_emulator.maxcompute.tunnel.errors import tunnel_error
from local_emulator.maxcompute.tunnel.session_directories import SessionDirectories
from local_emulator.maxcompute.tunnel.targets import require_same, require_unchanged

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime, timedelta
    from pathlib import Path

    import pyarrow as pa

    from local_emulator.maxcompute.entities import Table
    from local_emulator.maxcompute.store import Store
    from local_emulator.maxcompute.tunnel.blocks import Block

_REMEMBERED = 2
"""For how many times its life a session's status can be requested."""


class Session(Protocol):
    """One session; `lock` guards the changing fields. `table` is the table's state at the session's start."""

    id: str
    table: Table
    spec: tuple[str, ...]
    created: datetime
    life: timedelta
    directory: Path
    status: str
    lock: threading.Lock


@dataclass(frozen=True, slots=True)
class Kind:
    """The names and statuses of a kind of sessions; `unknown` is the error code for an unknown id."""

    directory: str
    noun: str
    unknown: str
    normal: str
    committing: str
    committed: str
    expired: str


S = TypeVar("S", bound=Session)


class Sessions(Generic[S]):
    """All sessions of a kind, in memory and in their directories; each kind has a subclass."""

    def __init__(self, kind: Kind, store: Store, now: Callable[[], datetime], data_dir: Path | None) -> None:
        self._kind = kind
        self._store = store
        self._now = now
        self._directories = SessionDirectories(kind.directory, data_dir)
        self._by_id: dict[str, S] = {}

    def close(self) -> None:
        """Delete the sessions' files, unless they outlive the emulator."""
        self._directories.close()

    def restore(self, read: Callable[[Path, dict[str, Any]], S]) -> list[tuple[S, dict[str, Any]]]:
        """Read the sessions that an earlier emulator left in the data directory; return the committed ones."""
        committed = []
        for directory, description in self._directories.saved_sessions():
            session = self._by_id[description["id"]] = read(directory, description)
            if self._store.has_mark(session.id):
                session.status = self._kind.committed
                session_directories.delete_rows(directory)
                committed.append((session, description))
        return committed

    def create(self, make: Callable[[str, datetime, Path], S]) -> S:
        """Return a new session, made from an id, a time and a directory; first forget the old sessions."""
        self._forget_old()
        created = self._now()
        session_id = f"{created:%Y%m%d%H%M%S}{uuid.uuid4().hex}"
        session = make(session_id, created, self._directories.make(session_id))
        self._by_id[session_id] = session
        return session

    def get(self, session_id: str, table: Table, spec: tuple[str, ...] | None) -> S:
        """Return the session of an id.

        `spec` None: the request names no partition. ServiceError with the kind's code for an unknown id, or
        InvalidResourceSpec if the session is on another table or partition.
        """
        session = self._by_id.get(session_id)
        if session is None or self._now() - session.created > _REMEMBERED * session.life:
            raise tunnel_error(self._kind.unknown, f"{self._kind.noun} '{session_id}'.")
        require_same(session.table, table, session.spec, spec)
        return session

    def status(self, session: S) -> str:
        """Return a session's status now."""
        if session.status == self._kind.normal and self._now() - session.created >= session.life:
            return self._kind.expired
        return session.status

    def save(self, session: S, **fields: Any) -> None:
        """Save the description that `restore` reads: `fields`, and the fields of all sessions."""
        description = {
            "id": session.id,
            "table": table_to_json(session.table),
            "spec": session.spec,
            "created": session.created.isoformat(),
            **fields,
        }
        self._directories.describe(session.directory, description)

    def require_open(self, session: S) -> None:
        """Raise ServiceError unless the session accepts rows and its table is unchanged."""
        self.require_normal(session)
        require_unchanged(self._store, session.table, session.spec)

    def require_normal(self, session: S) -> None:
        """Raise ServiceError StatusConflict if the session has ended."""
        status = self.status(session)
        if status != self._kind.normal:
            raise tunnel_error("StatusConflict", f"Expected status {self._kind.normal}, found {status}.")

    @contextmanager
    def writing(
        self, session: S, schema: pa.Schema, batches: Iterable[pa.RecordBatch]
    ) -> Iterator[Callable[[Path], Block]]:
        """Write rows into a file of the session, and lock the session during the block.

        Yields a function that gives the file its final name.
        """
        durable = self._directories.durable
        block = blocks.write_block(session.directory / "rows", schema, batches, durable=durable)
        with session.lock:
            try:
                self.require_normal(session)
            except ServiceError:
                block.path.unlink(missing_ok=True)  # the end of the session may have deleted the file
                raise
            yield lambda path: blocks.keep_block(block, path, durable=durable)

    @contextmanager
    def committing(self, session: S) -> Iterator[None]:
        """Run a commit's work in the block: afterwards the session is committed, or normal again if the work fails."""
        with session.lock:
            self.require_normal(session)
            session.status = self._kind.committing
        try:
            require_unchanged(self._store, session.table, session.spec)
            yield
        except BaseException:
            session.status = self._kind.normal
            raise
        session.status = self._kind.committed

    def _forget_old(self) -> None:
        now = self._now()
        for session in list(self._by_id.values()):
            if self.status(session) == self._kind.expired:
                session_directories.delete_rows(session.directory)
            if now - session.created > _REMEMBERED * session.life:
                self._by_id.pop(session.id, None)
                session_directories.delete(session.directory)
                if self._store.has_mark(session.id):
                    self._store.drop_mark(session.id)
