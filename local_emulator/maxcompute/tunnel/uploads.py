"""Batch upload sessions: blocks that nobody sees until one commit puts them all into the table, and keeps a mark of it.

A session is a directory: its description and its blocks. With a data directory it outlives the emulator, and whether
its commit happened is told by the mark that the commit's own transaction left in the database.

The service's facts: a session lives 24 hours; block ids are 0 to 19,999; a block that is sent again replaces the former
one.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import chain
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
    """All upload sessions. ``second_commit_conflicts``: a commit of a closed session is refused with StatusConflict."""

    def __init__(self, store: Store, now: Callable[[], datetime], data_dir: Path | None) -> None:
        super().__init__(_KIND, store, now, data_dir)
        self.second_commit_conflicts = False
        for session, description in self.restore(_session):
            # Its answers still list the blocks, whose rows are in the table.
            committed = description["committed"]
            session.blocks |= {block_id: Block(session.directory / f"{block_id}.arrow") for block_id in committed}

    def open(self, table: Table, spec: tuple[str, ...], *, overwrite: bool, create_partition: bool) -> UploadSession:
        """A new session on a partition; ServiceError NoSuchPartition if it isn't there and isn't to be made."""
        if spec:
            if create_partition:
                self._store.add_partition(table, spec, if_not_exists=True)
            self._store.partition(table, spec)
        session = self.begin(
            lambda session_id, created, directory: UploadSession(session_id, table, spec, overwrite, created, directory)
        )
        self._describe(session)
        return session

    def put(self, session: UploadSession, block_id: int, body: bytes, wire: Wire) -> Block:
        """Take in a block; ServiceError, and nothing kept, unless it is sound and the session takes it."""
        if not 0 <= block_id < BLOCK_IDS:
            raise tunnel_error("InvalidBlockID", f"Expected 0 to {BLOCK_IDS - 1}, found {block_id}.")
        self.require_open(session)
        table = session.table
        rows = checked(wire.decode(body, table.columns), table.columns)
        with self.written(session, table.arrow_schema(), rows) as keep:
            session.blocks[block_id] = keep(session.directory / f"{block_id}.arrow")
            return session.blocks[block_id]

    def commit(self, session: UploadSession) -> None:
        """Put all blocks into the table, once, however often it is asked for; ServiceError if that can't be done."""
        with session.committing:
            if session.status == CLOSED:
                if self.second_commit_conflicts:
                    raise tunnel_error("StatusConflict", "The upload was committed before.")
                return
            with self.committing(session):
                paths = [block.path for _, block in sorted(session.blocks.items())]
                part = (session.spec, chain.from_iterable(map(blocks.read_block, paths)))
                self._store.append_parts(session.table, [part], overwrite=session.overwrite, mark=session.id)
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

    def _describe(self, session: UploadSession) -> None:
        committed = sorted(session.blocks) if session.status == CLOSED else []
        self.remember(session, overwrite=session.overwrite, committed=committed)


def _session(directory: Path, description: dict[str, Any]) -> UploadSession:
    """A session as its directory describes it."""
    return UploadSession(
        description["id"],
        table_from_json(description["table"]),
        tuple(description["spec"]),
        description["overwrite"],
        datetime.fromisoformat(description["created"]),
        directory,
        blocks={int(path.stem): Block(path) for path in directory.glob("*.arrow")},
    )
