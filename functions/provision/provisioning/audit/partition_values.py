"""Which rows are in a partition value that isn't theirs.

The table keeps no time of its records, so a partition value can be held against three things only: the form that the
settings give it, which every row is checked for; the values of an offset that has several rows, which can't all be
right; and the time of the record in the log, which is asked for at both ends of runs, as far as the log still has them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kafka_maxcompute.maxcompute.partition_value import is_partition_value, partition_value
from kafka_maxcompute.offsets import intervals, union
from kafka_maxcompute.settings import time_zone

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kafka_maxcompute.offsets import Intervals
    from kafka_maxcompute.settings.settings import Settings
    from provisioning.audit.table_runs import Run

SAMPLES = 400
"""Offsets whose times are asked for in one audit: each may cost a fetch of its own."""


def samples(runs: Sequence[Run], most: int = SAMPLES) -> dict[int, Intervals]:
    """Both ends of runs by topic-partition; of evenly chosen ones where there are more than so many ends."""
    every = max(1, -(-2 * len(runs) // most))
    ends: dict[int, list[int]] = {}
    for run in runs[::every]:
        ends.setdefault(run.partition, []).extend((run.first, run.last))
    return {partition: intervals(offsets) for partition, offsets in ends.items()}


def misplaced(
    runs: Sequence[Run], times: Mapping[tuple[int, int], int | None], settings: Settings
) -> dict[int, Intervals]:
    """The offsets that are in a wrong partition value, by topic-partition.

    `times` has the records' (ms) by topic-partition and offset, where they are known. Of a run that is wrong at an end,
    that end is told.
    """
    window, names, zone = settings.partition, settings.partition_names, time_zone.parse(settings.time_zone)
    wrong: dict[int, Intervals] = {}
    for run in runs:
        values = {run.lowest, run.highest}
        if len(values) > 1 or not all(is_partition_value(value, window, names) for value in values):
            found: Intervals = ((run.first, run.last),)
        else:
            found = intervals(
                offset
                for offset in (run.first, run.last)
                if (time := times.get((run.partition, offset))) is not None
                and partition_value(time, window, names, zone) not in values
            )
        if found:
            wrong[run.partition] = union(wrong.get(run.partition, ()), found)
    return wrong
