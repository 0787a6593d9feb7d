"""Finds rows in a wrong partition value.

The table doesn't have the records' times. So only three things can be checked. Every partition value must have the form
that the settings define. All rows of an offset must have the same partition value. For the first and the last offset of
runs, the partition value must fit the record's time, if the log still has the record.
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
"""The largest number of offsets whose times an audit reads: each offset may need its own fetch."""


def samples(runs: Sequence[Run], most: int = SAMPLES) -> dict[int, Intervals]:
    """Return first and last offsets of runs, by topic-partition.

    If that would be more than `most` offsets, only every second (third, ...) run is used.
    """
    every = max(1, -(-2 * len(runs) // most))
    ends: dict[int, list[int]] = {}
    for run in runs[::every]:
        ends.setdefault(run.partition, []).extend((run.first, run.last))
    return {partition: intervals(offsets) for partition, offsets in ends.items()}


def misplaced(
    runs: Sequence[Run], times: Mapping[tuple[int, int], int | None], settings: Settings
) -> dict[int, Intervals]:
    """Return the offsets in a wrong partition value, by topic-partition.

    `times` has the known times (epoch ms) of records, by topic-partition and offset. If a run's partition value doesn't
    fit the time of its first or last offset, the result has only this offset, not the whole run.
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
