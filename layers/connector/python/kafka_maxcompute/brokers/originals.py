"""Records as a topic's log holds them, byte for byte, read by topic-partition and offset.

An event of the stream is lossy (its key is a string, the shape of its headers isn't documented), so a record's bytes
are read from the log. An offset without a record (deleted, compacted, or a transaction's marker) is missing in the
result. A log that can't be read is an error.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from fc_powertools import Deadline
    from kafka_maxcompute.offsets import Interval, TopicPartition

NO_TIMESTAMP = -1
"""Kafka's value for a missing timestamp, which an event may have, too."""

Header: TypeAlias = tuple[str, bytes | None]
"""Name and value. A header may have no value, a name may come more than once, and the order of headers counts."""
Wanted: TypeAlias = "Mapping[TopicPartition, Sequence[Interval]]"
Found: TypeAlias = "dict[tuple[TopicPartition, int], Original]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Original:
    """A record without its place; `timestamp` is in epoch milliseconds, None if the topic keeps none."""

    key: bytes | None
    value: bytes | None
    headers: tuple[Header, ...] = ()
    timestamp: int | None = None


def is_of_one_time(left: int | None, right: object) -> bool:
    """Whether two times (epoch ms) can be of the same record; a missing time (None or Kafka's -1) equals any."""
    unknown = (None, NO_TIMESTAMP)
    return left in unknown or right in unknown or left == right


def digest(record: Original) -> str:
    """Return a digest of key, value and headers; the timestamp isn't in it, since a topic may set its own."""
    parts = [record.key, record.value]
    for name, value in record.headers:
        parts += [name.encode(), value]
    hashed = hashlib.sha256()
    for part in parts:
        hashed.update(b"-" if part is None else b"%d:" % len(part))
        hashed.update(part or b"")
    return hashed.hexdigest()


class Originals(Protocol):
    """The interface for reading the logs of topics."""

    def read(self, wanted: Wanted, deadline: Deadline) -> Found:
        """Return the records at the wanted offsets that the log still holds, by topic-partition and offset.

        Raises `UnavailableError` if the log can't be read now, and `DeadlineError` if the time was too short.
        """

    def stream(self, wanted: Wanted, deadline: Deadline) -> Iterator[tuple[TopicPartition, int, Original]]:
        """Yield the same records one by one, so that memory holds few of them; raises the same errors."""

    def passed(
        self, wanted: Wanted, deadline: Deadline, *, committed: bool
    ) -> Iterator[tuple[TopicPartition, int, Original | None]]:
        """Yield the steps of a reading of the wanted offsets; the offsets of a topic-partition rise.

        A step is an offset and its record, or an offset and None: then everything before this offset was read. No
        wanted offset between two steps holds a record now. With `committed`, records of aborted transactions are
        skipped, and the reading ends at the first record of an open transaction. Raises as `read` does.
        """


class MemoryOriginals:
    """Logs in memory; records may be added to `log` and removed from it at any time."""

    def __init__(self, log: Found | None = None) -> None:
        self.log: Found = {} if log is None else log

    def read(self, wanted: Wanted, deadline: Deadline) -> Found:  # noqa: ARG002 # it never waits
        """Return the records at the wanted offsets that the log holds."""
        return {
            (place, offset): record
            for (place, offset), record in self.log.items()
            if any(first <= offset <= last for first, last in wanted.get(place, ()))
        }

    def stream(self, wanted: Wanted, deadline: Deadline) -> Iterator[tuple[TopicPartition, int, Original]]:
        """Yield the same records, one by one."""
        for (place, offset), record in sorted(self.read(wanted, deadline).items(), key=lambda located: located[0]):
            yield place, offset, record

    def passed(
        self,
        wanted: Wanted,
        deadline: Deadline,  # noqa: ARG002 # it never waits
        *,
        committed: bool,  # noqa: ARG002 # it has no transactions
    ) -> Iterator[tuple[TopicPartition, int, Original | None]]:
        """Yield the records, and after each topic-partition the offset behind its last wanted one."""
        for place, wanted_intervals in wanted.items():
            for offset in sorted(offset for log_place, offset in self.log if log_place == place):
                if any(first <= offset <= last for first, last in wanted_intervals):
                    yield place, offset, self.log[place, offset]
            yield place, wanted_intervals[-1][1] + 1, None
