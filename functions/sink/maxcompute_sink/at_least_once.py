"""The order of steps in which a batch becomes visible in the table, at least once: without a ledger.

    prepare   decode, partition, map: pure; what can't be written is known before anything is open
    stage     an upload session for each partition value, its block written and found in the service's own list
    set aside what can't be written or was refused: into the error topic, or the batch fails
    commit    every session, as soon as all are staged

Up to the commit nothing is visible, and a delivery that fails leaves nothing but sessions that expire. Each session's
commit is atomic; a failure between two of them leaves the rows of some partition values, which the redelivery writes
again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kafka_maxcompute.errors import DeadlineError
from kafka_maxcompute.maxcompute.upload_sessions import COMMIT_SECONDS, commit
from maxcompute_sink import rejected
from maxcompute_sink.parallel import each

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fc_powertools import Deadline, Metrics
    from maxcompute_sink.blocks import Blocks
    from maxcompute_sink.rejected import Rejected
    from maxcompute_sink.staging import Staged, Stager


@dataclass(frozen=True, slots=True)
class AtLeastOnce:
    """What writes one batch.

    `prepare` makes its blocks by the table's newest known definition; `set_aside` writes the letters of records that
    can't be written, or raises `RejectedRecordsError`. `stager` is asked for when there are blocks.
    """

    prepare: Callable[[], Blocks]
    set_aside: Callable[[Sequence[Rejected]], None]
    stager: Callable[[], Stager]


def deliver(line: AtLeastOnce, *, deadline: Deadline, metrics: Metrics) -> tuple[tuple[Staged, ...], int]:
    """Write a batch and make it visible; returns what was committed, and how many records were set aside.

    Raises `DeadlineError` before the first commit if too little time is left for all, else what the line raises.
    """
    blocks, stage = line.prepare(), None
    stager = line.stager()
    while stage is None:
        with metrics.timed("stage"):
            stage = stager.stage(blocks.blocks, deadline)
            metrics.count("uploaded", sum(len(block.body) for block in blocks.blocks), "Bytes")
        if stage is None:
            metrics.count("table_changes")
            blocks = line.prepare()
    if stage.untried:
        raise DeadlineError(
            f"expected time to find which of {stage.untried} records MaxCompute refuses, found none left; nothing was "
            "committed; give the function more time, or the trigger smaller batches"
        )
    remaining = deadline.remaining()
    if stage.staged and remaining < COMMIT_SECONDS:
        raise DeadlineError(
            f"expected {COMMIT_SECONDS:.0f} s for the commit, found {remaining:.1f} s of the function's time left; "
            "nothing was committed; give the function more time, or the trigger smaller batches"
        )
    rejected.log(stage.refused, metrics)
    bad = (*blocks.rejected, *stage.refused)
    if bad:
        line.set_aside(bad)
    with metrics.timed("commit"):
        each(lambda one: commit(stager.sessions, one.session, deadline), stage.staged)
    return tuple(stage.staged), len(bad)
