"""Finds rows in a wrong partition value.

The table doesn't have its records' times, so a partition value can be compared with three things only: the form that
the settings define, for every row; the other values of an offset with several rows, which can't all be right; and the
record's time in the log, for the first and the last offset of runs, if the log still has the records.
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
"""The most offsets whose times one audit reads: each may need its own fetch."""


def samples(runs: Sequence[Run], most: int = SAMPLES) -> dict[int, Intervals]:
    """Return first and last offsets of runs, by topic-partition; of evenly chosen runs if they are more than `most`."""
    every = max(1, -(-2 * len(runs) // most))
    ends: dict[int, list[int]] = {}
    for run in runs[::every]:
        ends.setdefault(run.partition, []).extend((run.first, run.last))
    return {partition: intervals(offsets) for partition, offsets in ends.items()}


def misplaced(
    runs: Sequence[Run], times: Mapping[tuple[int, int], int | None], settings: Settings
) -> dict[int, Intervals]:
    """Return the offsets in a wrong partition value, by topic-partition.

    `times` has the known times (epoch ms) of records by topic-partition and offset. If the time of a run's first or
    last offset is wrong, the result has only this offset of the run.
    """
    window, names, zone = settings.partition, settings.partition_names, time_zone.parse(settings.time_zone)
    wrong: dict[int, Intervals] = {}
    for run in runs:
        values = {run.lowest, run.highest}
        if len(values) > 1 or not all(is_partition_value(value, window, names) for value in values):
            offsets: Intervals = ((run.first, run.last),)
        else:
            offsets = intervals(
                offset
                for offset in (run.first, run.last)
                if (time := times.get((run.partition, offset))) is not None
                and partition_value(time, window, names, zone) not in values
            )
        if offsets:
            wrong[run.partition] = union(wrong.get(run.partition, ()), offsets)
    return wrong
