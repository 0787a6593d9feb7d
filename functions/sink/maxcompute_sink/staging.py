"""Writes rows into upload sessions, where they stay invisible until a session is committed.

A block that MaxCompute refuses for its data is halved, in one session, until the records to blame are found. The halves
that MaxCompute takes stay in the session, so no row is sent twice. docs/DESIGN.md says which refusals are about data.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from kafka_maxcompute.errors import DeadlineError, RefusedError, TableChangedError, UnavailableError
from maxcompute_sink.arrow_types import arrow_type
from maxcompute_sink.blocks import Coverage
from maxcompute_sink.framing import empty_body
from maxcompute_sink.parallel import each
from maxcompute_sink.rejected import Rejected

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pyarrow as pa

    from fc_powertools import Deadline
    from kafka_maxcompute.maxcompute.column import Column
    from kafka_maxcompute.maxcompute.upload_sessions import UploadSession, UploadSessions
    from maxcompute_sink.blocks import Block
    from maxcompute_sink.records import AnyRecord

BLOCK_ID = 0
"""A batch has at most 32 MB, a block up to 100 GB: one block is enough."""
MODIFIED = frozenset({"TableModified", "SchemaModified", "NoSuchSchema"})
"""Tunnel's error codes for a table that was altered after the session was opened."""
OF_THE_DATA = frozenset({"MalformedDataStream", "MaxMessageLengthExceeded"})
"""Tunnel's error codes for data in a block that it doesn't take; docs/DESIGN.md has the messages."""
REFUSED = "refused-by-maxcompute"
"""The reason of records that MaxCompute refuses, although they pass this connector's own checks."""
PUT_SECONDS = 5.0
"""With less time left than this, no further block is tried: its answer could come too late."""
LOOK_SECONDS = 5.0
"""Time that is kept for reading a session's list of blocks after its block was halved."""


@dataclass(frozen=True, slots=True)
class Staged:
    """Rows that are written and not yet visible: those of `block`, in the session's blocks with the ids `blocks`."""

    block: Block
    session: UploadSession
    blocks: tuple[int, ...] = (BLOCK_ID,)


@dataclass(slots=True)
class Stage:
    """The outcome of staging blocks; `untried` counts the records for which there was no time left."""

    staged: list[Staged] = field(default_factory=list)
    refused: list[Rejected] = field(default_factory=list)
    untried: int = 0


@dataclass(frozen=True, slots=True)
class Stager:
    """Writes blocks into upload sessions.

    `remake` makes a block of some records of another block. `renew` reads the table's definition again, once in a
    delivery, and returns whether it has changed.
    """

    sessions: UploadSessions
    encoding: str | None
    remake: Callable[[Sequence[AnyRecord]], Block]
    renew: Callable[[], bool]

    def stage(self, blocks: Sequence[Block], deadline: Deadline) -> Stage | None:
        """Write each block into a session of its own; return None if the table has another definition now.

        Raises the sessions' errors, and `TableChangedError` if the table changed in a way that the definition doesn't
        show, or after this delivery had read the definition again.
        """
        try:
            outcomes = each(lambda block: self._try_to_write(block, deadline), blocks)
        except TableChangedError:
            if not self.renew():
                raise
            return None
        stage = Stage([outcome for outcome in outcomes if isinstance(outcome, Staged)])
        refused = [outcome for outcome in outcomes if not isinstance(outcome, Staged)]
        if refused and self.renew():
            return None
        # In new sessions: an earlier request for a refused block may still reach the first session.
        for part in each(lambda block: _Halving(self, self.open(block, deadline)).run(block, deadline), refused):
            stage.staged += part.staged
            stage.refused += part.refused
            stage.untried += part.untried
        return stage

    def _try_to_write(self, block: Block, deadline: Deadline) -> Staged | Block:
        """Write a block into a session; return the block itself if MaxCompute refuses its data."""
        session = self.open(block, deadline)
        try:
            self.put(session, BLOCK_ID, block.body, deadline)
        except RefusedError as error:
            if error.code in OF_THE_DATA:
                return block
            raise
        staged = Staged(block, session)
        self.look(staged, deadline)
        return staged

    def open(self, block: Block, deadline: Deadline) -> UploadSession:
        """Open a session for a block; raises `TableChangedError` if the table has other columns than the block."""
        session = self.sessions.open(block.partition_value, deadline)
        # A block's bytes don't name its columns, so the service can't detect each difference.
        if session.columns and not _are_written_alike(session.columns, block.columns):
            raise TableChangedError(
                f"expected the table of upload session {session.id} to have the columns of the block, found other "
                "columns; the table was altered, and the next delivery reads its definition again"
            )
        return session

    def put(self, session: UploadSession, block_id: int, body: bytes, deadline: Deadline) -> None:
        """Write a block; raises `TableChangedError` if the session's table has been altered."""
        try:
            self.sessions.put_block(session, block_id, body, self.encoding, deadline)
        except RefusedError as error:
            if error.code in MODIFIED:
                raise TableChangedError(f"the table was altered while the batch was being written: {error}") from error
            raise

    def look(self, staged: Staged, deadline: Deadline) -> None:
        """Read the service's list of a session's blocks; raises `UnavailableError` if it lists other blocks."""
        listed, expected = self.sessions.look(staged.session, deadline).blocks, set(staged.blocks)
        if listed != expected:
            blocks = f"{len(expected)} blocks" if len(expected) > 1 else f"block {staged.blocks[0]}"
            message = f"expected upload session {staged.session.id} to hold {blocks}, found {sorted(listed)}"
            raise UnavailableError(f"{message}; nothing was committed")


@dataclass(slots=True)
class _Halving:
    """The search for the records that MaxCompute refuses in one block; no block id is used twice.

    `taken` has the records that MaxCompute took, by block id.
    """

    stager: Stager
    session: UploadSession
    taken: dict[int, Sequence[AnyRecord]] = field(default_factory=dict)
    refused: list[Rejected] = field(default_factory=list)
    last_id: int = BLOCK_ID

    def run(self, block: Block, deadline: Deadline) -> Stage:
        """Halve until each record is taken or refused, or the time is up.

        When the time is up, the records tried so far make the next delivery smaller. But if an answer was lost, its
        block may still reach the session at any later time. Then the session is never committed, and only the refused
        records count as tried.
        """
        putting = deadline.earlier(LOOK_SECONDS)
        untried, trying = _halves(block.source), putting.earlier(PUT_SECONDS)
        try:
            while untried and not trying.expired:
                untried[-1:] = self._write_or_halve(untried[-1], putting)
        except (DeadlineError, UnavailableError):
            if not self.refused:
                raise
            untried += self.taken.values()
            self.taken = {}
        records = [record for part in self.taken.values() for record in part]
        staged = []
        if records:
            rows = replace(block, records=len(records), body=b"", coverage=Coverage.of(records), source=records)
            staged.append(Staged(rows, self.session, tuple(self.taken)))
            self.stager.look(staged[0], deadline)
        return Stage(staged, self.refused, sum(map(len, untried)))

    def _write_or_halve(self, records: Sequence[AnyRecord], deadline: Deadline) -> list[Sequence[AnyRecord]]:
        """Write records as a block; if they are refused, return the halves to try next, the first half last."""
        error = self._put(records, deadline)
        if error is not None and len(records) > 1:
            return _halves(records)
        if error is not None:
            self._blame(records, deadline)
        return []

    def _blame(self, records: Sequence[AnyRecord], deadline: Deadline) -> None:
        """Set a single record aside if it is refused again: a broken connection has the same error code."""
        if not self.taken:
            # Raises if a block without rows is refused, too: then the cause isn't a record.
            self.last_id += 1
            self.stager.put(self.session, self.last_id, empty_body(self.stager.encoding), deadline)
            self.taken[self.last_id] = ()
        error = self._put(records, deadline)
        if error is not None:
            message = f"expected a row that MaxCompute takes, found that it refuses this row, also by itself: {error}"
            self.refused.append(Rejected.of(records[0], REFUSED, message, path="$.data", said=error.said))

    def _put(self, records: Sequence[AnyRecord], deadline: Deadline) -> RefusedError | None:
        """Write records as a block; return the refusal if MaxCompute refuses their data."""
        body = self.stager.remake(records).body
        self.last_id += 1
        try:
            self.stager.put(self.session, self.last_id, body, deadline)
        except RefusedError as error:
            if error.code not in OF_THE_DATA:
                raise
            return error
        self.taken[self.last_id] = records
        return None


def _halves(records: Sequence[AnyRecord]) -> list[Sequence[AnyRecord]]:
    """Return the two halves of some records, the first half last; a single record is one part."""
    middle = len(records) // 2
    return [part for part in (records[middle:], records[:middle]) if part]


def _are_written_alike(columns: Sequence[Column], others: Sequence[Column]) -> bool:
    """Whether a block's bytes mean the same with both: equal names and equal types on the wire, in the same order."""
    return len(columns) == len(others) and all(
        column.name.lower() == other.name.lower()
        and (column.type == other.type or _wire_type(column.type) == _wire_type(other.type))
        for column, other in zip(columns, others, strict=True)
    )


def _wire_type(type_name: str) -> pa.DataType | str:
    """Return the Arrow type of a column type, or the type's name if it has no Arrow type."""
    try:
        return arrow_type(type_name)
    except ValueError:
        return type_name
