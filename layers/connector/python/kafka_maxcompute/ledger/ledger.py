"""The ledger: appends operations to a log and reads the state that the log folds to.

`Ledger` is the interface that a delivery uses. `LogLedger` implements it over a log: `memory_log.MemoryLog`, which
several ledgers can share, or `kafka_log.KafkaLog`.

A reader uses a state only after it has read up to an end offset that it requested after the last record had arrived.
If compaction removed operations in between, a snapshot before this end has them. If no offset is missing since the
last state, reading up to the process's own append is enough.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from kafka_maxcompute.errors import DeadlineError, LedgerError, RefusedError, UnavailableError
from kafka_maxcompute.ledger.log import PositionLostError
from kafka_maxcompute.ledger.operations import Claim, Divert, Empty, Operation, Snapshot, State, cover, decode, encode
from kafka_maxcompute.ledger.state import Entry, advance

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fc_powertools import Deadline
    from kafka_maxcompute.ledger.log import Log, LogRecord

REACH = 1_000
"""Log offsets before the end that a cold start reads first; doubled until they hold a snapshot and all after its cover.
"""
SNAPSHOT_EVERY = 200
"""Operations after the last cover that make a new snapshot due. With a tombstone for each operation, some 400 log
offsets lie between two snapshots, so the first reach of a cold start holds a snapshot."""
SNAPSHOT_INTERVALS = 100_000
"""Intervals in operations after the last cover that make a new snapshot due, too: a cold start folds them all."""
LARGEST_BYTES = 900_000
"""Largest snapshot that is written: brokers refuse a message of more than 1 MiB by default (message.max.bytes).
Above half of this size a warning is logged."""
LOST = (
    "run audit, and then reset with a start behind all rows of the table in each topic-partition: reset writes the "
    "records from its start on, so rows that are there already would be doubled"
)
"""What to do about a ledger that is lost."""

_log = logging.getLogger(__name__)


class Ledger(Protocol):
    """The claims of one connector, safe to use from several threads.

    All calls can raise `UnavailableError` and `DeadlineError`, and `LedgerError` if the log isn't reliable.
    """

    def read(self, deadline: Deadline, *, through: int | None = None) -> State:
        """Return the state at the log's end, or at least as of log offset `through`, which an append has returned.

        A claim is accepted if it's pending in the state as of its own append.
        """

    def append(self, operation: Operation, deadline: Deadline) -> int | None:
        """Append an operation durably and return its log offset, None if the broker didn't return one.

        After an error the operation may be in the log or not.
        """

    def maintain(self, deadline: Deadline) -> None:
        """Shorten the log if due; called after a delivery. Success or failure doesn't change the state."""


@dataclass(slots=True)
class _Reading:
    """What was read of the log, and the log offset to read next; `state` is None before the first reading.

    `cover` is the cover of the snapshot in force, `snapshot` its log offset; both are -1 without a snapshot. `keys` has
    the log offset of each key's operation. `intervals` has the number of intervals of each operation after the cover,
    by its log offset.
    """

    state: State | None = None
    position: int = 0
    epoch: int = -1
    cover: int = -1
    snapshot: int = -1
    keys: dict[bytes, int] = field(default_factory=dict)
    intervals: dict[int, int] = field(default_factory=dict)

    def advance_by(self, records: Sequence[LogRecord], entries: Sequence[Entry], position: int) -> State:
        """Fold further records, whose operations are `entries`, and return the new state."""
        self.state = advance(self.state or State(), entries)
        self.position = position
        self.epoch = max([self.epoch, *(record.epoch for record in records)])
        for entry in entries:
            if isinstance(entry.operation, Snapshot) and entry.operation.state.folded > self.cover:
                self.cover, self.snapshot = entry.operation.state.folded, entry.offset
        counts = self.intervals | {entry.offset: _count_intervals(entry.operation) for entry in entries}
        self.intervals = {offset: counted for offset, counted in counts.items() if offset > self.cover}
        for record in records:
            if record.value is None:
                self.keys.pop(record.key, None)
            else:
                self.keys[record.key] = record.offset
        return self.state


class LogLedger:
    """A ledger over its log. Each operation has its own key, so compaction removes only operations with a tombstone."""

    def __init__(
        self,
        log: Log,
        *,
        snapshot_every: int = SNAPSHOT_EVERY,
        snapshot_intervals: int = SNAPSHOT_INTERVALS,
        largest_bytes: int = LARGEST_BYTES,
    ) -> None:
        self._log = log
        self._snapshot_every = snapshot_every
        self._snapshot_intervals = snapshot_intervals
        self._largest_bytes = largest_bytes
        self._lock = threading.Lock()
        self._last = _Reading()

    def read(self, deadline: Deadline, *, through: int | None = None) -> State:
        """Return the state at the log's end, or as of an append; see `Ledger`."""
        with self._lock:
            state = self._read(deadline, through)
        if not state.generation:
            raise LedgerError(
                "expected the ledger to begin with its Genesis, found none: the offset topic is new, or has lost its "
                f"records; for a new connector run the provisioning action apply, else {LOST}"
            )
        return state

    def append(self, operation: Operation, deadline: Deadline) -> int | None:
        """Append an operation under its own key and return its log offset, None if the broker didn't return one."""
        key = f"{type(operation).__name__.lower()}-{uuid.uuid4().hex}".encode()
        return self._log.append(key, encode(operation), deadline)

    def maintain(self, deadline: Deadline) -> None:
        """Write a snapshot if due; if it's in force when read back, write tombstones for the operations it covers."""
        try:
            if self._due():
                state = self.read(deadline)
                if self._due():
                    self._shorten(state, deadline)
        except (UnavailableError, DeadlineError, RefusedError) as error:
            _log.warning("the ledger's log isn't shortened now: %s", error)

    def _due(self) -> bool:
        with self._lock:
            after = self._last.intervals.values()
            return len(after) >= self._snapshot_every or sum(after) >= self._snapshot_intervals

    def _shorten(self, state: State, deadline: Deadline) -> None:
        """Write a snapshot, and tombstones if it's in force; otherwise the author of the one in force writes them."""
        snapshot = Snapshot(state=state)
        size = len(encode(snapshot))
        if 2 * size > self._largest_bytes:
            _log.warning(
                "the ledger's state takes %d bytes; above %d bytes its log can't be shortened any more: run the "
                "provisioning action status to see the pending claims and the gaps of the source topic",
                *(size, self._largest_bytes),
            )
        if size > self._largest_bytes:
            return
        offset = self.append(snapshot, deadline)
        self.read(deadline, through=offset)
        with self._lock:
            in_force, cover = self._last.snapshot, self._last.cover
            covered = [key for key, at in self._last.keys.items() if at <= cover]
        if in_force == offset:
            self._log.tombstone(covered, deadline)

    def _read(self, deadline: Deadline, through: int | None) -> State:
        if self._last.state is not None:
            try:
                return self._warm(self._last, deadline, through)
            except PositionLostError as error:
                _log.warning("the ledger is read again: %s", error)
        self._last = _Reading()
        return self._cold(self._last, deadline)

    def _warm(self, last: _Reading, deadline: Deadline, through: int | None) -> State:
        """Read on from the end of the last read."""
        begin = last.position
        end = through + 1 if through is not None and begin <= through else self._log.end(deadline)
        if end < begin:
            raise PositionLostError(f"expected the log's end at {begin} or later, found {end}")
        records, position = self._receive(begin, end, deadline)
        if last.epoch >= 0 and any(record.epoch != last.epoch for record in records):
            raise PositionLostError("the log has another leader, which may lack records that were read before")
        entries = _entries(records)
        state = last.advance_by(records, entries, position)
        if any(_generation(entry) > state.generation for entry in entries):
            raise PositionLostError("the log has claims of a generation that no operation began: it was created again")
        return state

    def _cold(self, last: _Reading, deadline: Deadline) -> State:
        """Read back from the end until a snapshot and all after its cover are read, or all from the log's start."""
        start, end = self._log.start(deadline), self._log.end(deadline)
        begin = max(start, end - REACH)
        records, position = self._receive(begin, end, deadline)
        while begin > 1 + _in_force(records)[0]:
            if begin == start:
                raise LedgerError(
                    "expected the ledger's log to start at offset 0, or to have a snapshot of everything before its "
                    f"start, found its start at {start} and no such snapshot: the offset topic has lost records; set "
                    f"its cleanup.policy to compact, then {LOST}"
                )
            before = max(start, begin - (end - begin))
            older, _ = self._between(before, begin, deadline)
            # Compaction may have removed records meanwhile, so the end is requested again.
            newer, position = self._receive(position, self._log.end(deadline), deadline)
            records = [*(record for record in older if record.offset < begin), *records, *newer]
            begin = before
        return last.advance_by(records, _entries(records), position)

    def _receive(self, begin: int, end: int, deadline: Deadline) -> tuple[list[LogRecord], int]:
        """Return the records from `begin` on, and the next position.

        If offsets are missing among them, they reach up to an end that was requested after the last record arrived.
        """
        records, position = self._between(begin, end, deadline)
        while len(records) < position - begin and position < (end := self._log.end(deadline)):
            more, position = self._between(position, end, deadline)
            records += more
        return records, position

    def _between(self, begin: int, end: int, deadline: Deadline) -> tuple[list[LogRecord], int]:
        """Return the records from `begin` at least up to `end`, and the next position."""
        records: list[LogRecord] = []
        position = begin
        while position < end:
            fetched, position = self._log.records(position, deadline)
            records += fetched
        return records, position


def _entries(records: Sequence[LogRecord]) -> list[Entry]:
    """Return the operations after the highest cover of a snapshot among the records, and that snapshot.

    Only records after the cover are decoded. So unreadable records before it, such as those before a reset, don't
    matter, and a cold start decodes little.
    """
    covered, snapshot = _in_force(records)
    return [
        snapshot
        if snapshot is not None and snapshot.offset == record.offset
        else Entry(record.offset, record.timestamp, decode(record.value))
        for record in records
        if record.value is not None and record.offset > covered
    ]


def _in_force(records: Sequence[LogRecord]) -> tuple[int, Entry | None]:
    """Return the highest cover of a readable snapshot among the records, and the snapshot; -1 and None without one."""
    covers = [(cover(record.value), record, record.value) for record in records if record.value is not None]
    for reach, record, value in sorted(covers, key=lambda candidate: candidate[0], reverse=True):
        if reach < 0:
            break
        with contextlib.suppress(LedgerError):  # `_entries` raises it, unless another snapshot covers this one
            return reach, Entry(record.offset, record.timestamp, decode(value))
    return -1, None


def _count_intervals(operation: Operation) -> int:
    return sum(map(len, operation.offsets.values())) if isinstance(operation, Claim | Divert | Empty) else 0


def _generation(entry: Entry) -> int:
    """Return the generation that the appending process had read; 0 if the operation has no generation."""
    return entry.operation.generation if isinstance(entry.operation, Claim | Divert | Empty) else 0
