"""Rows become upload sessions that hold them: invisible, until somebody commits them.

A block that MaxCompute refuses for its data is halved, in the same session, until the records to blame are found: those
it took stay in the session, so that nothing is sent twice. See docs/DESIGN.md for which refusals are about data.
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
"""A batch has at most 32 MB, a block up to 100 GB: one is enough."""
MODIFIED = frozenset({"TableModified", "SchemaModified", "NoSuchSchema"})
"""How Tunnel says that a session's table isn't as it was when the session was opened."""
OF_THE_DATA = frozenset({"MalformedDataStream", "MaxMessageLengthExceeded"})
"""How Tunnel says that it can't take what a block holds; docs/DESIGN.md has its sentences."""
REFUSED = "refused-by-maxcompute"
"""The reason of records that MaxCompute refuses, although they fit the table as far as this connector knows."""
PUT_SECONDS = 5.0
"""The least time in which a further block is tried, so that its answer comes before the time is up."""
LOOK_SECONDS = 5.0
"""Kept for the look at a session after its block was halved."""


@dataclass(frozen=True, slots=True)
class Staged:
    """What is written and not yet visible: the rows of `block`, in these blocks of the session."""

    block: Block
    session: UploadSession
    blocks: tuple[int, ...] = (BLOCK_ID,)


@dataclass(slots=True)
class Stage:
    """What became of some blocks; `untried` counts records that there was no time to find out about."""

    staged: list[Staged] = field(default_factory=list)
    refused: list[Rejected] = field(default_factory=list)
    untried: int = 0


@dataclass(frozen=True, slots=True)
class Stager:
    """Writes blocks into upload sessions.

    `remake` makes one block of some records of another; `renew` reads the table's definition again, once in a delivery,
    and says whether it has changed.
    """

    sessions: UploadSessions
    encoding: str | None
    remake: Callable[[Sequence[AnyRecord]], Block]
    renew: Callable[[], bool]

    def stage(self, blocks: Sequence[Block], deadline: Deadline) -> Stage | None:
        """Write each block into a session of its own; None if the table turns out to have another definition now.

        Raises what sessions raise, and `TableChangedError` if the table changed in a way that the definition doesn't
        show, or after this delivery has read it.
        """
        try:
            whole = each(lambda block: self._tried(block, deadline), blocks)
        except TableChangedError:
            if not self.renew():
                raise
            return None
        found = Stage([one for one in whole if isinstance(one, Staged)])
        suspect = [one for one in whole if not isinstance(one, Staged)]
        if suspect and self.renew():
            return None
        # In sessions of their own: an earlier request for the refused block may still come into the first ones.
        for part in each(lambda one: _Halving(self, self.open(one, deadline)).run(one, deadline), suspect):
            found.staged += part.staged
            found.refused += part.refused
            found.untried += part.untried
        return found

    def _tried(self, block: Block, deadline: Deadline) -> Staged | Block:
        """The block in a session; just the block if MaxCompute refuses what it holds."""
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
        """A session for a block; raises `TableChangedError` if the table has other columns than the block."""
        session = self.sessions.open(block.partition_value, deadline)
        # A block's bytes don't say which columns they are, so the service can't always tell.
        if session.columns and not _alike(session.columns, block.columns):
            raise TableChangedError(f"the table of upload session {session.id} has other columns than the batch")
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
        """Find what was written in the service's own list; raises `UnavailableError` if it isn't just that."""
        found, expected = self.sessions.look(staged.session, deadline).blocks, set(staged.blocks)
        if found != expected:
            listed = f"{len(expected)} blocks" if len(expected) > 1 else f"block {staged.blocks[0]}"
            message = f"expected upload session {staged.session.id} to hold {listed}, found {sorted(found)}"
            raise UnavailableError(f"{message}; nothing was committed")


@dataclass(slots=True)
class _Halving:
    """The search for the records of a block that MaxCompute refuses; block ids are never used twice."""

    stager: Stager
    session: UploadSession
    taken: dict[int, Sequence[AnyRecord]] = field(default_factory=dict)
    refused: list[Rejected] = field(default_factory=list)
    last_id: int = BLOCK_ID

    def run(self, block: Block, deadline: Deadline) -> Stage:
        """Halve until each record is taken or refused, or the time is up.

        What is known by then makes the next delivery a smaller one. But a block whose answer was lost may come into its
        session at any later time, so that session is never committed: only the refused records are known then.
        """
        putting = deadline.earlier(LOOK_SECONDS)
        left, trying = _halves(block.source), putting.earlier(PUT_SECONDS)
        try:
            while left and not trying.expired:
                left[-1:] = self._left_of(left[-1], putting)
        except (DeadlineError, UnavailableError):
            if not self.refused:
                raise
            left += self.taken.values()
            self.taken = {}
        records = [record for part in self.taken.values() for record in part]
        staged = []
        if records:
            rows = replace(block, records=len(records), body=b"", coverage=Coverage.of(records), source=records)
            staged.append(Staged(rows, self.session, tuple(self.taken)))
            self.stager.look(staged[0], deadline)
        return Stage(staged, self.refused, sum(map(len, left)))

    def _left_of(self, records: Sequence[AnyRecord], deadline: Deadline) -> list[Sequence[AnyRecord]]:
        """Write records as a block; if they are refused, the halves to try next, the first one last."""
        error = self._put(records, deadline)
        if error is not None and len(records) > 1:
            return _halves(records)
        if error is not None:
            self._blame(records, deadline)
        return []

    def _blame(self, records: Sequence[AnyRecord], deadline: Deadline) -> None:
        """Set a single record aside, if it is refused again: a connection that breaks off has the same word."""
        if not self.taken:
            # A block without rows that is refused, too, isn't refused for a record; then this raises.
            self.last_id += 1
            self.stager.put(self.session, self.last_id, empty_body(self.stager.encoding), deadline)
            self.taken[self.last_id] = ()
        error = self._put(records, deadline)
        if error is not None:
            message = f"expected a row that MaxCompute takes, found that it refuses this one, also by itself: {error}"
            self.refused.append(Rejected.of(records[0], REFUSED, message, path="$.data", said=error.said))

    def _put(self, records: Sequence[AnyRecord], deadline: Deadline) -> RefusedError | None:
        """Write records as a block; the refusal, if it is about them."""
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
    """The two halves of some records, the first one last; of a single record just that."""
    middle = len(records) // 2
    return [part for part in (records[middle:], records[:middle]) if part]


def _alike(found: Sequence[Column], expected: Sequence[Column]) -> bool:
    """Whether the bytes of a block mean the same with both: names, and types on the wire, in their order."""
    return len(found) == len(expected) and all(
        one.name.lower() == other.name.lower() and (one.type == other.type or _wire(one.type) == _wire(other.type))
        for one, other in zip(found, expected, strict=True)
    )


def _wire(type_name: str) -> pa.DataType | str:
    """The Arrow type of a column, or the type's own name if it has none."""
    try:
        return arrow_type(type_name)
    except ValueError:
        return type_name
