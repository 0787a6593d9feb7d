"""Batch upload sessions: invisible blocks, which one commit puts into the table together.

A session is a directory with its description and its blocks. With a data directory a session outlives the emulator. The
commit's transaction stores a mark in the database, which shows that the commit happened.

The service's facts: a session lives 24 hours; block ids are 0 to 19,999; a block that is sent again replaces the
earlier block.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from local_emulator.maxcompute.entities import Table, table_from_json
from local_emulator.maxcompute.tunnel import blocks, session_directories
from local_emulator.maxcompute.tunnel.blocks import Block
from local_emulator.maxcompute.tunnel.cells import MAX_FIELD_SIZE, checked
from local_emulator.maxcompute.tunnel.errors import tunnel_error
from local_emulator.maxcompute.tunnel.schema_json import table_schema
from local_emulator.maxcompute.tunnel.sessions import Kind, Sessions

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from local_emulator.maxcompute.store import Store
    from local_emulator.maxcompute.tunnel.wires import Wire

LIFE = timedelta(hours=24)
BLOCK_IDS = 20_000
NORMAL, CLOSING, CLOSED, EXPIRED = "NORMAL", "CLOSING", "CLOSED", "EXPIRED"
_KIND = Kind("uploads", "Upload id", "NoSuchUpload", NORMAL, CLOSING, CLOSED, EXPIRED)


@dataclass(slots=True)
class UploadSession:
    """One session; see `sessions.Session`."""

    id: str
    table: Table
    spec: tuple[str, ...]
    overwrite: bool
    created: datetime
    directory: Path
    life: timedelta = LIFE
    status: str = NORMAL
    blocks: dict[int, Block] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)
    committing: threading.Lock = field(default_factory=threading.Lock)


class Uploads(Sessions[UploadSession]):
    """All upload sessions. With ``second_commit_conflicts``, a second commit of a session fails with StatusConflict."""

    def __init__(self, store: Store, now: Callable[[], datetime], data_dir: Path | None) -> None:
        super().__init__(_KIND, store, now, data_dir)
        self.second_commit_conflicts = False
        for session, description in self.restore(_session):
            # The session's answers still list the blocks, although their files are deleted.
            committed = description["committed"]
            session.blocks |= {block_id: Block(session.directory / f"{block_id}.arrow") for block_id in committed}

    def open(self, table: Table, spec: tuple[str, ...], *, overwrite: bool, create_partition: bool) -> UploadSession:
        """Return a new session; ServiceError NoSuchPartition if its partition neither exists nor shall be created."""
        if spec:
            if create_partition:
                self._store.add_partition(table, spec, if_not_exists=True)
            self._store.partition(table, spec)
        session = self.create(
            lambda session_id, created, directory: UploadSession(session_id, table, spec, overwrite, created, directory)
        )
        self._describe(session)
        return session

    def put(self, session: UploadSession, block_id: int, body: bytes, wire: Wire) -> Block:
        """Store a block; ServiceError, and nothing is stored, if the block is invalid or the session has ended."""
        if not 0 <= block_id < BLOCK_IDS:
            raise tunnel_error("InvalidBlockID", f"Expected 0 to {BLOCK_IDS - 1}, found {block_id}.")
        self.require_open(session)
        table = session.table
        rows = checked(wire.decode(body, table.columns), table.columns)
        with self.writing(session, table.arrow_schema(), rows) as keep:
            session.blocks[block_id] = keep(session.directory / f"{block_id}.arrow")
            return session.blocks[block_id]

    def commit(self, session: UploadSession) -> None:
        """Put all blocks into the table; further commits have no effect. ServiceError if the commit fails."""
        with session.committing:
            if session.status == CLOSED:
                if self.second_commit_conflicts:
                    raise tunnel_error("StatusConflict", "The upload was committed before.")
                return
            with self.committing(session):
                paths = [block.path for _, block in sorted(session.blocks.items())]
                part = (session.spec, map(blocks.read_block, paths))
                self._store.append_parts(session.table, [part], overwrite=session.overwrite, mark=session.id)
            self._describe(session)
            session_directories.delete_rows(session.directory)

    def describe(self, session: UploadSession) -> dict[str, Any]:
        """Return a session as JSON, the answer to all its requests except those for blocks."""
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

    def _describe(self, session: UploadSession) -> None:
        committed = sorted(session.blocks) if session.status == CLOSED else []
        self.save(session, overwrite=session.overwrite, committed=committed)


def _session(directory: Path, description: dict[str, Any]) -> UploadSession:
    """Return the session of a directory and its description."""
    return UploadSession(
        description["id"],
        table_from_json(description["table"]),
        tuple(description["spec"]),
        description["overwrite"],
        datetime.fromisoformat(description["created"]),
        directory,
        blocks={int(path.stem): Block(path) for path in directory.glob("*.arrow")},
    )
