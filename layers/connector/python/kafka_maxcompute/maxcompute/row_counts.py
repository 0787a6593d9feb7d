"""Counts a partition's rows of some offsets; needed only if an upload session's outcome is unknown for ever."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from kafka_maxcompute.errors import UnavailableError
from kafka_maxcompute.maxcompute import sql
from kafka_maxcompute.maxcompute.jobs import select
from kafka_maxcompute.offsets import contains

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from fc_powertools import Deadline
    from kafka_maxcompute.maxcompute.service import Service
    from kafka_maxcompute.offsets import Interval, Offsets, TopicPartition
    from kafka_maxcompute.settings.settings import Settings

AT_ONCE = 200
"""Most intervals in one statement; SQL parsers have trouble with thousands of conditions."""


class RowCounts(Protocol):
    """The interface for counting rows of one table."""

    def count(self, partition_value: str, offsets: Offsets, deadline: Deadline) -> int:
        """Return the number of rows of these offsets in a partition; doubled rows count twice.

        Raises `RefusedError` if the table may not be read, `UnavailableError`, `DeadlineError`.
        """


class SqlRowCounts:
    """Counts by SQL; needs Select on the table."""

    def __init__(self, service: Service, settings: Settings) -> None:
        self._service = service
        self._table = settings.table
        self._column = settings.partition_column

    def count(self, partition_value: str, offsets: Offsets, deadline: Deadline) -> int:
        """As `RowCounts` has it."""
        listed = list(_listed(offsets))
        chunks = (listed[start : start + AT_ONCE] for start in range(0, len(listed), AT_ONCE))
        return sum(self._count(partition_value, ranges, deadline) for ranges in chunks)

    def _count(
        self, partition_value: str, ranges: Iterable[tuple[TopicPartition, Interval]], deadline: Deadline
    ) -> int:
        statement = sql.count_rows(self._table, self._column, partition_value, ranges)
        rows = select(self._service, statement, deadline)
        if len(rows) != 1 or not (rows[0].get("found") or "").isdigit():
            raise UnavailableError(
                f"could not count the rows of {partition_value!r}: expected one number, found {len(rows)} rows"
            )
        return int(rows[0]["found"] or 0)


class MemoryRowCounts:
    """Counts rows in memory: `rows` returns partition value, topic-partition and offset of each row."""

    def __init__(self, rows: Callable[[], Iterable[tuple[str, TopicPartition, int]]]) -> None:
        self._rows = rows

    def count(self, partition_value: str, offsets: Offsets, deadline: Deadline) -> int:  # noqa: ARG002 # it never waits
        """As `RowCounts` has it."""
        return sum(
            value == partition_value and contains(offsets.get(place, ()), offset)
            for value, place, offset in self._rows()
        )


def _listed(offsets: Offsets) -> Iterator[tuple[TopicPartition, Interval]]:
    return ((place, interval) for place, intervals in offsets.items() for interval in intervals)
