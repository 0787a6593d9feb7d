"""Records as a topic's log holds them, byte for byte, read by topic-partition and offset.

An event of the stream is lossy (its key is a string, the shape of its headers isn't documented), so whoever needs a
record's bytes reads it again. An offset that the log doesn't hold any more - deleted, compacted, or a transaction's
marker - is absent from the answer; a log that can't be read is an error, never an absence.
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
"""Kafka's word for none, which an event may have, too."""

Header: TypeAlias = tuple[str, bytes | None]
"""A header may have no value, and a name may come more than once; their order counts."""
Wanted: TypeAlias = "Mapping[TopicPartition, Sequence[Interval]]"
Found: TypeAlias = "dict[tuple[TopicPartition, int], Original]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Original:
    """A record without its place; `timestamp` is epoch milliseconds, None where the topic keeps none."""

    key: bytes | None
    value: bytes | None
    headers: tuple[Header, ...] = ()
    timestamp: int | None = None


def is_of_one_time(one: int | None, other: object) -> bool:
    """Whether two times (epoch ms) can be those of one record; Kafka's -1 for none, or no time, says nothing."""
    unknown = (None, NO_TIMESTAMP)
    return one in unknown or other in unknown or one == other


def digest(record: Original) -> str:
    """Key, value and headers in one short text; the timestamp isn't in it, since a topic may set its own."""
    parts = [record.key, record.value]
    for name, value in record.headers:
        parts += [name.encode(), value]
    found = hashlib.sha256()
    for part in parts:
        found.update(b"-" if part is None else b"%d:" % len(part))
        found.update(part or b"")
    return found.hexdigest()


class Originals(Protocol):
    """The logs of topics."""

    def read(self, wanted: Wanted, deadline: Deadline) -> Found:
        """The records at the wanted offsets that the log still holds, by topic-partition and offset.

        Raises `UnavailableError` where the log can't be read now, `DeadlineError` where not all of it was read in time.
        """

    def stream(self, wanted: Wanted, deadline: Deadline) -> Iterator[tuple[TopicPartition, int, Original]]:
        """The same records one by one, so that memory holds few of them; raises the same."""

    def passed(
        self, wanted: Wanted, deadline: Deadline, *, committed: bool
    ) -> Iterator[tuple[TopicPartition, int, Original | None]]:
        """How a reading of the wanted offsets goes on, step by step; those of a topic-partition rise.

        A step is an offset and the record there, or None where the reading has only come as far as that offset. No
        wanted offset between two steps holds a record now. With `committed` records of aborted transactions aren't
        shown, and a reading ends at the first record of an open one. Raises as `read` does.
        """


class MemoryOriginals:
    """Logs in memory: `log` may be filled, and offsets taken out of it, at any time."""

    def __init__(self, log: Found | None = None) -> None:
        self.log: Found = {} if log is None else log

    def read(self, wanted: Wanted, deadline: Deadline) -> Found:  # noqa: ARG002 # it never waits
        """The records among those that are wanted which the log holds."""
        return {
            (place, offset): record
            for (place, offset), record in self.log.items()
            if any(first <= offset <= last for first, last in wanted.get(place, ()))
        }

    def stream(self, wanted: Wanted, deadline: Deadline) -> Iterator[tuple[TopicPartition, int, Original]]:
        """The same, one by one."""
        for (place, offset), record in sorted(self.read(wanted, deadline).items(), key=lambda found: found[0]):
            yield place, offset, record

    def passed(
        self,
        wanted: Wanted,
        deadline: Deadline,  # noqa: ARG002 # it never waits
        *,
        committed: bool,  # noqa: ARG002 # it has no transactions
    ) -> Iterator[tuple[TopicPartition, int, Original | None]]:
        """The records, and where the last wanted offset of a topic-partition is behind."""
        for place, found in wanted.items():
            for offset in sorted(offset for where, offset in self.log if where == place):
                if any(first <= offset <= last for first, last in found):
                    yield place, offset, self.log[place, offset]
            yield place, found[-1][1] + 1, None
