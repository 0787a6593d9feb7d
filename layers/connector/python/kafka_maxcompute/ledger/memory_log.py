"""A ledger's log in memory, shared by any number of ledgers; it can be compacted at any moment."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from kafka_maxcompute.errors import UnavailableError
from kafka_maxcompute.ledger.log import LogRecord, PositionLostError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from fc_powertools import Deadline

CHUNK = 500
"""Most records that one call of `records` returns, as a fetch does."""


class MemoryLog:
    """The log; `clock` returns the broker's time in epoch seconds, `chunk` is the most records of one read."""

    def __init__(self, clock: Callable[[], float] = time.time, *, chunk: int = CHUNK) -> None:
        self._clock = clock
        self._chunk = chunk
        self._lock = threading.Lock()
        self._kept: list[LogRecord] = []
        self._start = 0
        self._end = 0
        self._epoch = 0

    def start(self, deadline: Deadline) -> int:  # noqa: ARG002 # it never waits
        """Return the first offset."""
        with self._lock:
            return self._start

    def end(self, deadline: Deadline) -> int:  # noqa: ARG002 # it never waits
        """Return the next offset."""
        with self._lock:
            return self._end

    def records(self, start: int, deadline: Deadline) -> tuple[Sequence[LogRecord], int]:  # noqa: ARG002 # never waits
        """Return some records from `start` on, and the next position."""
        with self._lock:
            if not self._start <= start <= self._end:
                raise PositionLostError(f"expected log offset {start} in {self._start} to {self._end}")
            if start == self._end:
                raise UnavailableError(f"no record came at log offset {start}, the log's end")
            records = [record for record in self._kept if record.offset >= start][: self._chunk]
            return records, records[-1].offset + 1 if records else self._end

    def append(self, key: bytes, value: bytes | None, deadline: Deadline) -> int:  # noqa: ARG002 # it never waits
        """Append a record, or a tombstone."""
        with self._lock:
            offset = self._end
            self._kept.append(LogRecord(offset, int(self._clock() * 1000), key, value, self._epoch))
            self._end += 1
            return offset

    def tombstone(self, keys: Iterable[bytes], deadline: Deadline) -> None:
        """Append a tombstone for each key."""
        for key in keys:
            self.append(key, None, deadline)

    def compact(self, *, tombstones: bool = False, before: int | None = None) -> None:
        """Remove every record that isn't the last of its key.

        With `tombstones`, remove tombstones as well, as brokers do after delete.retention.ms. With `before`, remove
        only records before this offset: brokers compact one segment after the other.
        """
        with self._lock:
            last = {record.key: record.offset for record in self._kept}
            self._kept = [
                record
                for record in self._kept
                if (before is not None and record.offset >= before)
                or (last[record.key] == record.offset and not (tombstones and record.value is None))
            ]

    def delete_before(self, offset: int) -> None:
        """Move the log's start, as retention or a DeleteRecords request does."""
        with self._lock:
            self._start = max(self._start, min(offset, self._end))
            self._kept = [record for record in self._kept if record.offset >= self._start]

    def elect(self) -> None:
        """Give the log another leader."""
        with self._lock:
            self._epoch += 1

    def truncate(self, end: int) -> None:
        """Lose the log's end, as in an unclean election; 0 is the same as a topic created again."""
        with self._lock:
            self._epoch += 1
            self._kept = [record for record in self._kept if record.offset < end]
            self._start, self._end = min(self._start, end), min(self._end, end)

    def kept(self) -> Sequence[LogRecord]:
        """Return the records that are in the log now."""
        with self._lock:
            return tuple(self._kept)
