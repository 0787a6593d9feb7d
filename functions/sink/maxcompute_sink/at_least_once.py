"""The steps by which a batch becomes visible in the table at least once, without a ledger.

    prepare    decode, partition, map; the records that can't be written are known before a session is open
    stage      write an upload session for each partition value, and compare the service's list of its blocks
    set aside  write rejected and refused records into the error topic, or fail the batch
    commit     commit every session, as soon as all are staged

Nothing is visible before the commit, and a delivery that fails earlier leaves only sessions that expire. Each session's
commit is atomic. A failure between two commits leaves the rows of some partition values in the table, and the
redelivery writes these rows again.
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
    """The parts that deliver one batch at least once.

    `prepare` makes the batch's blocks with the table's newest known definition. `set_aside` writes the dead letters of
    rejected records, or raises `RejectedRecordsError`. `stager` is called after the first `prepare`.
    """

    prepare: Callable[[], Blocks]
    set_aside: Callable[[Sequence[Rejected]], None]
    stager: Callable[[], Stager]


def deliver(parts: AtLeastOnce, *, deadline: Deadline, metrics: Metrics) -> tuple[tuple[Staged, ...], int]:
    """Write a batch and make it visible; return what was committed, and how many records were set aside.

    Raises `DeadlineError` before the first commit if too little time is left for all, and the errors of the parts.
    """
    blocks, stage = parts.prepare(), None
    stager = parts.stager()
    while stage is None:
        with metrics.timed("stage"):
            stage = stager.stage(blocks.blocks, deadline)
            metrics.count("uploaded", sum(len(block.body) for block in blocks.blocks), "Bytes")
        if stage is None:
            metrics.count("table_changes")
            blocks = parts.prepare()
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
        parts.set_aside(bad)
    with metrics.timed("commit"):
        each(lambda staged: commit(stager.sessions, staged.session, deadline), stage.staged)
    return tuple(stage.staged), len(bad)
