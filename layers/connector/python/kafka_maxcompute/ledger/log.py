"""The interface of the log in which a ledger is kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from kafka_maxcompute.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fc_powertools import Deadline


class PositionLostError(UnavailableError):
    """Records that were read before may not be in the log any more; the ledger reads the log again."""


@dataclass(frozen=True, slots=True)
class LogRecord:
    """A record of the log; a `value` of None is a tombstone for the key.

    `timestamp` is the broker's (epoch ms), `epoch` counts the log's leaders; both are -1 if the broker returns none.
    """

    offset: int
    timestamp: int
    key: bytes
    value: bytes | None
    epoch: int = -1


class Log(Protocol):
    """One topic-partition that is compacted by key. Calls raise `UnavailableError`, `DeadlineError`, `LedgerError`."""

    def start(self, deadline: Deadline) -> int:
        """Request and return the first offset that is kept."""

    def end(self, deadline: Deadline) -> int:
        """Request and return the offset that the next record will get."""

    def records(self, start: int, deadline: Deadline) -> tuple[Sequence[LogRecord], int]:
        """Return some records from `start` on in rising order, and the next position; wait until there are some.

        The position can advance without a record if compaction left none. Raises `PositionLostError` if the log can't
        be read from `start` any more.
        """

    def append(self, key: bytes, value: bytes, deadline: Deadline) -> int | None:
        """Append a record durably and return its log offset; None if the log has it, but its offset is unknown."""

    def tombstone(self, keys: Iterable[bytes], deadline: Deadline) -> None:
        """Append a tombstone for each key, all of them durably."""
