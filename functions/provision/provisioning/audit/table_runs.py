"""The rows of a table as runs of offsets, made inside MaxCompute, so that millions of rows answer with a few lines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kafka_maxcompute.maxcompute import sql
from kafka_maxcompute.maxcompute.statements import select

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fc_powertools import Deadline
    from kafka_maxcompute.maxcompute.service import Service
    from kafka_maxcompute.settings.settings import Settings

PAGE = 5_000
"""Runs that one query answers with; the service cuts a job's result at 10,000 rows (READ_TABLE_MAX_ROW) or 10 MB."""


@dataclass(frozen=True, slots=True)
class Run:
    """Offsets from `first` to `last` without a gap, each of which is in `copies` rows.

    `lowest` and `highest` are the partition values of an offset's rows; they differ only where there are copies.
    """

    partition: int
    first: int
    last: int
    lowest: str
    highest: str
    copies: int = 1


def statement(settings: Settings, after: tuple[int, int] | None = None, page: int = PAGE) -> sql.Statement:
    """The query for the first runs of the source topic, or the first after a topic-partition's offset."""
    return sql.runs_of_offsets(settings.table, settings.partition_column, settings.source_topic, after, page)


def runs(service: Service, settings: Settings, deadline: Deadline, *, page: int = PAGE) -> Iterator[Run]:
    """The table's runs by topic-partition and offset.

    Each further page is a query of its own, over what the ones before haven't answered. Raises as `select` does.
    """
    after = None
    while True:
        found = [_run(row) for row in select(service, statement(settings, after, page), deadline)]
        yield from found
        if len(found) < page:
            return
        after = found[-1].partition, found[-1].last


def _run(row: dict[str, str | None]) -> Run:
    return Run(
        partition=int(row["partition"] or 0),
        first=int(row["first_offset"] or 0),
        last=int(row["last_offset"] or 0),
        lowest=row["lowest"] or "",
        highest=row["highest"] or "",
        copies=int(row["copies"] or 0),
    )
