"""Reads a table's rows as runs of offsets; a query in MaxCompute makes the runs, so few lines are transferred."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kafka_maxcompute.maxcompute import sql
from kafka_maxcompute.maxcompute.jobs import select

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fc_powertools import Deadline
    from kafka_maxcompute.maxcompute.service import Service
    from kafka_maxcompute.settings.settings import Settings

PAGE = 5_000
"""The number of runs in the result of one query; the service truncates results at 10,000 rows
(READ_TABLE_MAX_ROW) or 10 MB."""


@dataclass(frozen=True, slots=True)
class Run:
    """Every offset from `first` to `last` has `copies` rows.

    `lowest` and `highest` are the lowest and the highest partition value of an offset's rows, equal if `copies` is 1.
    """

    partition: int
    first: int
    last: int
    lowest: str
    highest: str
    copies: int = 1


def statement(settings: Settings, after: tuple[int, int] | None = None, page: int = PAGE) -> sql.Statement:
    """Return the query for the source topic's first `page` runs, or for the first after (topic-partition, offset)."""
    return sql.runs_of_offsets(settings.table, settings.partition_column, settings.source_topic, after, page)


def runs(service: Service, settings: Settings, deadline: Deadline, *, page: int = PAGE) -> Iterator[Run]:
    """Yield the table's runs in the order of topic-partition and offset.

    Each query reads the next `page` runs. Raises what `select` raises.
    """
    after = None
    while True:
        page_runs = [_run(row) for row in select(service, statement(settings, after, page), deadline)]
        yield from page_runs
        if len(page_runs) < page:
            return
        after = page_runs[-1].partition, page_runs[-1].last


def _run(row: dict[str, str | None]) -> Run:
    return Run(
        partition=int(row["partition"] or 0),
        first=int(row["first_offset"] or 0),
        last=int(row["last_offset"] or 0),
        lowest=row["lowest"] or "",
        highest=row["highest"] or "",
        copies=int(row["copies"] or 0),
    )
