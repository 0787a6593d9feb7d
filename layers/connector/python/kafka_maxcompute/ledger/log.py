"""What the ledger needs of the log that it lives in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from kafka_maxcompute.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fc_powertools import Deadline


class PositionLostError(UnavailableError):
    """What has been read of the log may not be in it any more; the ledger reads it again."""


@dataclass(frozen=True, slots=True)
class LogRecord:
    """A record of the log; a `value` of None is a tombstone for the key.

    `timestamp` in ms is the broker's, `epoch` counts the log's leaders; both are -1 where the broker tells none.
    """

    offset: int
    timestamp: int
    key: bytes
    value: bytes | None
    epoch: int = -1


class Log(Protocol):
    """One topic-partition that is compacted by key. Calls raise `UnavailableError`, `DeadlineError`, `LedgerError`."""

    def start(self, deadline: Deadline) -> int:
        """The first offset that is kept, asked for now."""

    def end(self, deadline: Deadline) -> int:
        """The offset that the next record will get, asked for now."""

    def records(self, start: int, deadline: Deadline) -> tuple[Sequence[LogRecord], int]:
        """Some records in rising order, none before `start`, and where to go on; waits until there are some.

        The position can move on without a record where compaction left none. Raises `PositionLostError` where the log
        doesn't reach from here any more.
        """

    def append(self, key: bytes, value: bytes, deadline: Deadline) -> int | None:
        """Append a record durably; its log offset, None where the log has it, but the broker didn't say where."""

    def tombstone(self, keys: Iterable[bytes], deadline: Deadline) -> None:
        """Append a tombstone for each key, all of them durably."""
