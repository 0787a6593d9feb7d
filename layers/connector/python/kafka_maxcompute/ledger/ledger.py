"""The ledger: appends operations to a log and reads the state that the log folds to.

`Ledger` is what a delivery needs of it. `LogLedger` is the one implementation; where it lives is the log's affair:
`memory_log.MemoryLog`, shared by several ledgers, or `kafka_log.KafkaLog`.

A state is used only when an end offset that was asked for after the last record was received has been reached: what
compaction removed in between, a snapshot before that end stands for. Only where no offset is missing since the last
state, one's own append is end enough.
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
"""Log offsets that a cold start reads first, from the end back; doubled until they hold what is needed."""
SNAPSHOT_EVERY = 200
"""Operations after the last cover that make a new snapshot worth its while. With a tombstone for each operation, some
400 log offsets lie between two snapshots, so the first reach of a cold start holds one."""
SNAPSHOT_INTERVALS = 100_000
"""Intervals in operations after the last cover that make one worth its while, too: a cold start folds them all."""
LARGEST_BYTES = 900_000
"""A snapshot above this isn't written: brokers refuse a message of more than 1 MiB by default (message.max.bytes).
From half of it on a warning is logged."""
LOST = "run audit, and then reset with offsets from which on the table has no rows, for reset would double those"
"""What to do about a ledger that is lost."""

_log = logging.getLogger(__name__)


class Ledger(Protocol):
    """The claims of one connector, safe to use from several threads.

    All calls can raise `UnavailableError`, `DeadlineError` and, where the log can't be relied on, `LedgerError`.
    """

    def read(self, deadline: Deadline, *, through: int | None = None) -> State:
        """The state at the log's end, or at least as of log offset `through`, which an append has returned.

        A claim is accepted when it's pending in the state through its own append.
        """

    def append(self, operation: Operation, deadline: Deadline) -> int | None:
        """Append an operation durably; its log offset, if that's told. After an error it may be in the log or not."""

    def maintain(self, deadline: Deadline) -> None:
        """Keep the log short; called after a delivery. Whether it succeeds changes no state."""


@dataclass(slots=True)
class _Reading:
    """What was read of the log, and where to go on; no state before the first reading.

    `cover` is that of the snapshot in force, which lies at log offset `snapshot`; -1 without one. `keys` has the log
    offset of each key's operation, `intervals` how many each operation after the cover has, by its log offset.
    """

    state: State | None = None
    position: int = 0
    epoch: int = -1
    cover: int = -1
    snapshot: int = -1
    keys: dict[bytes, int] = field(default_factory=dict)
    intervals: dict[int, int] = field(default_factory=dict)

    def go_on(self, found: Sequence[LogRecord], entries: Sequence[Entry], position: int) -> State:
        """The state after further records, whose operations the entries are."""
        self.state = advance(self.state or State(), entries)
        self.position = position
        self.epoch = max([self.epoch, *(record.epoch for record in found)])
        for entry in entries:
            if isinstance(entry.operation, Snapshot) and entry.operation.state.folded > self.cover:
                self.cover, self.snapshot = entry.operation.state.folded, entry.offset
        counts = self.intervals | {entry.offset: _count_intervals(entry.operation) for entry in entries}
        self.intervals = {offset: counted for offset, counted in counts.items() if offset > self.cover}
        for record in found:
            if record.value is None:
                self.keys.pop(record.key, None)
            else:
                self.keys[record.key] = record.offset
        return self.state


class LogLedger:
    """A ledger over its log. Keys of operations are all different, so that compaction drops only what is tombstoned."""

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
        """The state at the log's end, or through an append; see `Ledger`."""
        with self._lock:
            state = self._read(deadline, through)
        if not state.generation:
            raise LedgerError(
                "expected the ledger to begin with its Genesis, found none: the offset topic is new, or has lost what "
                f"was in it; for a new connector run the provisioning action apply, else {LOST}"
            )
        return state

    def append(self, operation: Operation, deadline: Deadline) -> int | None:
        """Append an operation under a key of its own; its log offset, if that's told."""
        key = f"{type(operation).__name__.lower()}-{uuid.uuid4().hex}".encode()
        return self._log.append(key, encode(operation), deadline)

    def maintain(self, deadline: Deadline) -> None:
        """Write a snapshot when it's due, and tombstones for what it covers once it's read back as the one in force."""
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
        """A snapshot; where somebody else's is in force by then, the tombstones are theirs to write."""
        snapshot = Snapshot(state=state)
        size = len(encode(snapshot))
        if 2 * size > self._largest_bytes:
            _log.warning(
                "the ledger's state takes %d bytes; above %d its log can't be kept short any more: see with the "
                "provisioning action status what is pending and which gaps the source topic has",
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
        """Go on from where the last read ended."""
        begin = last.position
        end = through + 1 if through is not None and begin <= through else self._log.end(deadline)
        if end < begin:
            raise PositionLostError(f"expected the log's end at {begin} or later, found {end}")
        found, position = self._receive(begin, end, deadline)
        if last.epoch >= 0 and any(record.epoch != last.epoch for record in found):
            raise PositionLostError("the log has another leader, which may not have all that was read of it")
        entries = _entries(found)
        state = last.go_on(found, entries, position)
        if any(_generation(entry) > state.generation for entry in entries):
            raise PositionLostError("the log has claims of a generation that it doesn't begin: it was created again")
        return state

    def _cold(self, last: _Reading, deadline: Deadline) -> State:
        """Read back from the end until a snapshot and all after its cover are there, or the log's start."""
        start, end = self._log.start(deadline), self._log.end(deadline)
        begin = max(start, end - REACH)
        found, position = self._receive(begin, end, deadline)
        while begin > 1 + _in_force(found)[0]:
            if begin == start:
                raise LedgerError(
                    f"expected the ledger's log from offset 0 or a snapshot of what came before, found its start at "
                    f"{start} and none: the offset topic has lost records; set its cleanup.policy to compact, then "
                    f"{LOST}"
                )
            before = max(start, begin - (end - begin))
            older, _ = self._between(before, begin, deadline)
            # Compaction may have been at work meanwhile, so the end is asked for once more.
            newer, position = self._receive(position, self._log.end(deadline), deadline)
            found = [*(record for record in older if record.offset < begin), *found, *newer]
            begin = before
        return last.go_on(found, _entries(found), position)

    def _receive(self, begin: int, end: int, deadline: Deadline) -> tuple[list[LogRecord], int]:
        """All records from `begin` to an end that was asked for after the last one of them, unless none is missing."""
        found, position = self._between(begin, end, deadline)
        while len(found) < position - begin and position < (end := self._log.end(deadline)):
            more, position = self._between(position, end, deadline)
            found += more
        return found, position

    def _between(self, begin: int, end: int, deadline: Deadline) -> tuple[list[LogRecord], int]:
        """The records from `begin` to `end` at least, and where to go on."""
        found: list[LogRecord] = []
        position = begin
        while position < end:
            records, position = self._log.records(position, deadline)
            found += records
        return found, position


def _entries(found: Sequence[LogRecord]) -> list[Entry]:
    """The operations among records that have an effect yet: those after the highest cover of a snapshot among them.

    What can't be read matters only there. So after a reset it's forgotten, and a cold start decodes little.
    """
    covered, snapshot = _in_force(found)
    return [
        snapshot
        if snapshot is not None and snapshot.offset == record.offset
        else Entry(record.offset, record.timestamp, decode(record.value))
        for record in found
        if record.value is not None and record.offset > covered
    ]


def _in_force(found: Sequence[LogRecord]) -> tuple[int, Entry | None]:
    """The snapshot with the highest cover among records, and that cover; -1 without one that can be read."""
    covers = [(cover(record.value), record, record.value) for record in found if record.value is not None]
    for reach, record, value in sorted(covers, key=lambda one: one[0], reverse=True):
        if reach < 0:
            break
        with contextlib.suppress(LedgerError):  # it's in the way of a reading if nothing covers it
            return reach, Entry(record.offset, record.timestamp, decode(value))
    return -1, None


def _count_intervals(operation: Operation) -> int:
    return sum(map(len, operation.offsets.values())) if isinstance(operation, Claim | Divert | Empty) else 0


def _generation(entry: Entry) -> int:
    """The generation that the appending process had read; 0 if the operation names none."""
    return entry.operation.generation if isinstance(entry.operation, Claim | Divert | Empty) else 0
