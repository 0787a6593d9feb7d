"""The order of steps in which a batch becomes visible in the table, at least once: without a ledger.

    prepare   decode, partition, map: pure; what can't be written is known before anything is open
    stage     an upload session for each partition value, its block written and found in the service's own list
    commit    every session, as soon as all are staged

Up to the commit nothing is visible, and a delivery that fails leaves nothing but sessions that expire. Each session's
commit is atomic; a failure between two of them leaves the rows of some partition values, which the redelivery writes
again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kafka_maxcompute.errors import DeadlineError
from kafka_maxcompute.upload_sessions import commit
from maxcompute_sink.framing import ENCODINGS
from maxcompute_sink.parallel import each
from maxcompute_sink.staging import stage

if TYPE_CHECKING:
    from fc_powertools import Deadline, Metrics
    from kafka_maxcompute.upload_sessions import UploadSessions
    from maxcompute_sink.blocks import Blocks
    from maxcompute_sink.staging import Staged

COMMIT_SECONDS = 10.0
"""The least time in which a commit is begun: it takes seconds, and its outcome should still be learnt."""


def deliver(
    blocks: Blocks, sessions: UploadSessions, *, compression: str, deadline: Deadline, metrics: Metrics
) -> tuple[Staged, ...]:
    """Write all blocks and make them visible; returns what was committed.

    Raises `DeadlineError` before the first commit where too little time is left for all, else what the sessions raise.
    """
    with metrics.timed("stage"):
        staged = each(lambda block: stage(block, sessions, ENCODINGS[compression], deadline), blocks.blocks)
        metrics.count("uploaded", sum(len(block.body) for block in blocks.blocks), "Bytes")
    remaining = deadline.remaining()
    if staged and remaining < COMMIT_SECONDS:
        raise DeadlineError(
            f"expected {COMMIT_SECONDS:.0f} s for the commit, found {remaining:.1f} s of the function's time left; "
            "nothing was committed; give the function more time, or the trigger smaller batches"
        )
    with metrics.timed("commit"):
        each(lambda one: commit(sessions, one.session, deadline), staged)
    return staged
