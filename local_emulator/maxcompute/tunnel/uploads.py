"""Batch upload sessions: blocks that nobody sees until one commit puts them all into the table, and keeps a mark of it.

A session is a directory: its description and its blocks. With a data directory it outlives the emulator, and whether
its commit happened is told by the mark that the commit's own transaction left in the database.

The service's facts: a session lives 24 hours; block ids are 0 to 19,999; a block that is sent again replaces the former
one.
"""

from __future__ import annotations

import threading
import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import chain
from typing import TYPE_CHECKING, Any

from local_emulator.maxcompute.catalog import Table, table_from_json, table_to_json
from local_emulator.maxcompute.errors import ServiceError
from local_emulator.maxcompute.tunnel import blocks, session_directories
from local_emulator.maxcompute.tunnel.blocks import Block
from local_emulator.maxcompute.tunnel.cells import MAX_FIELD_SIZE, checked
from local_emulator.maxcompute.tunnel.errors import tunnel_error
from local_emulator.maxcompute.tunnel.schema_json import table_schema
from local_emulator.maxcompute.tunnel.session_directories import SessionDirectories
from local_emulator.maxcompute.tunnel.targets import require_same, require_unchanged

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from local_emulator.maxcompute.store import Store
    from local_emulator.maxcompute.tunnel.wires import Wire

LIFE = timedelta(hours=24)
# How long after its end a session still says what became of it.
_REMEMBERED = 2 * LIFE
BLOCK_IDS = 20_000
NORMAL, CLOSING, CLOSED, EXPIRED = "NORMAL", "CLOSING", "CLOSED", "EXPIRED"


@dataclass(slots=True)
class UploadSession:
    """One session; ``lock`` guards what changes. ``table`` is the table as it was when the session was opened."""

    id: str
    table: Table
    spec: tuple[str, ...]
    overwrite: bool
    created: datetime
    directory: Path
    status: str = NORMAL
    blocks: dict[int, Block] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)
    committing: threading.Lock = field(default_factory=threading.Lock)


class Uploads:
    """All upload sessions. ``second_commit_conflicts``: a commit of a closed session is refused with StatusConflict."""

    def __init__(self, store: Store, now: Callable[[], datetime], data_dir: Path | None) -> None:
        self.second_commit_conflicts = False
        self._store = store
        self._now = now
        self._directories = SessionDirectories("uploads", data_dir)
        self._sessions: dict[str, UploadSession] = {}
        for directory, description in self._directories.left_behind():
            self._restore(directory, description)

    def close(self) -> None:
        """Delete what needn't outlive the emulator."""
        self._directories.close()

    def open(self, table: Table, spec: tuple[str, ...], *, overwrite: bool, create_partition: bool) -> UploadSession:
        """A new session on a partition; ServiceError NoSuchPartition if it isn't there and isn't to be made."""
        self._forget_old()
        if spec:
            if create_partition:
                self._store.add_partition(table, spec, if_not_exists=True)
            self._store.partition(table, spec)
        created = self._now()
        session_id = f"{created:%Y%m%d%H%M%S}{uuid.uuid4().hex}"
        directory = self._directories.make(session_id)
        session = UploadSession(session_id, table, spec, overwrite, created, directory)
        self._describe(session)
        self._sessions[session_id] = session
        return session

    def get(self, session_id: str, table: Table, spec: tuple[str, ...] | None) -> UploadSession:
        """A session by its id; ServiceError NoSuchUpload, or InvalidResourceSpec if it belongs elsewhere.

        ``spec`` None: the request names no partition.
        """
        session = self._sessions.get(session_id)
        if session is None or self._now() - session.created > _REMEMBERED:
            raise tunnel_error("NoSuchUpload", f"Upload id '{session_id}'.")
        require_same(session.table, table, session.spec, spec)
        return session

    def status(self, session: UploadSession) -> str:
        """What has become of a session."""
        if session.status == NORMAL and self._now() - session.created >= LIFE:
            return EXPIRED
        return session.status

    def put(self, session: UploadSession, block_id: int, body: bytes, wire: Wire) -> Block:
        """Take in a block; ServiceError, and nothing kept, unless it is sound and the session takes it."""
        if not 0 <= block_id < BLOCK_IDS:
            raise tunnel_error("InvalidBlockID", f"Expected 0 to {BLOCK_IDS - 1}, found {block_id}.")
        self._require_normal(session)
        require_unchanged(self._store, session.table, session.spec)
        table = session.table
        path = session.directory / f"{block_id}.arrow"
        rows = checked(wire.decode(body, table.columns), table.columns)
        written = blocks.write_block(path, table.arrow_schema(), rows, durable=self._directories.durable)
        with session.lock:
            try:
                self._require_normal(session)
            except ServiceError:
                written.path.unlink()
                raise
            session.blocks[block_id] = blocks.keep_block(written, path, durable=self._directories.durable)
            return session.blocks[block_id]

    def commit(self, session: UploadSession) -> None:
        """Put all blocks into the table, once, however often it is asked for; ServiceError if that can't be done."""
        with session.committing:
            if session.status == CLOSED:
                if self.second_commit_conflicts:
                    raise tunnel_error("StatusConflict", "The upload was committed before.")
                return
            with session.lock:
                self._require_normal(session)
                session.status = CLOSING
            try:
                require_unchanged(self._store, session.table, session.spec)
                paths = [block.path for _, block in sorted(session.blocks.items())]
                part = (session.spec, chain.from_iterable(map(blocks.read_block, paths)))
                self._store.append_parts(session.table, [part], overwrite=session.overwrite, mark=session.id)
            except BaseException:
                session.status = NORMAL
                raise
            session.status = CLOSED
            self._describe(session)
            session_directories.delete_rows(session.directory)

    def describe(self, session: UploadSession) -> dict[str, Any]:
        """A session as JSON, as all its requests but those for blocks are answered."""
        with session.lock:
            block_ids = sorted(session.blocks)
        return {
            "UploadID": session.id,
            "Status": self.status(session),
            "InitiatedTime": f"{session.created:%a, %d %b %Y %H:%M:%S GMT}",
            "Owner": session.table.owner,
            "MaxFieldSize": MAX_FIELD_SIZE,
            "IsOverwrite": session.overwrite,
            "Schema": table_schema(session.table),
            "UploadedBlockList": [{"BlockID": block_id} for block_id in block_ids],
        }

    def _require_normal(self, session: UploadSession) -> None:
        status = self.status(session)
        if status != NORMAL:
            raise tunnel_error("StatusConflict", f"Expected status {NORMAL}, found {status}.")

    def _describe(self, session: UploadSession) -> None:
        description = {
            "id": session.id,
            "table": table_to_json(session.table),
            "spec": session.spec,
            "overwrite": session.overwrite,
            "created": session.created.isoformat(),
            "committed": sorted(session.blocks) if session.status == CLOSED else [],
        }
        self._directories.describe(session.directory, description)

    def _restore(self, directory: Path, description: dict[str, Any]) -> None:
        """Take up a session that an emulator on the same data directory left behind."""
        session = UploadSession(
            description["id"],
            table_from_json(description["table"]),
            tuple(description["spec"]),
            description["overwrite"],
            datetime.fromisoformat(description["created"]),
            directory,
            blocks={int(path.stem): Block(path) for path in directory.glob("*.arrow")},
        )
        self._sessions[session.id] = session
        if self._store.has_mark(session.id):
            session.status = CLOSED
            # Its answers still list the blocks, whose rows are in the table.
            committed = description["committed"]
            session.blocks |= {block_id: Block(directory / f"{block_id}.arrow") for block_id in committed}
            session_directories.delete_rows(directory)

    def _forget_old(self) -> None:
        now = self._now()
        for session in list(self._sessions.values()):
            if self.status(session) == EXPIRED:
                session_directories.delete_rows(session.directory)
            if now - session.created > _REMEMBERED:
                self._sessions.pop(session.id, None)
                session_directories.delete(session.directory)
                if self._store.has_mark(session.id):
                    self._store.drop_mark(session.id)
