"""The order of steps in which a batch becomes visible in the table.

    prepare   decode, partition, map: pure; a record that can't be written stops the batch here, before anything is open
    stage     an upload session for each partition value, its block written and found in the service's own list
    commit    every session, as soon as all are staged

Up to the commit nothing is visible, and a delivery that fails leaves nothing but sessions that expire. Each session's
commit is atomic; a failure between two of them leaves the rows of some partition values, which the redelivery writes
again: at-least-once.
"""

from __future__ import annotations

import contextvars
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from kafka_maxcompute.errors import DeadlineError, UnavailableError
from kafka_maxcompute.upload_sessions import commit
from maxcompute_sink.framing import ENCODINGS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fc_powertools import Deadline, Metrics
    from kafka_maxcompute.upload_sessions import UploadSession, UploadSessions
    from maxcompute_sink.blocks import Block, Blocks

COMMIT_SECONDS = 10.0
"""The least time in which a commit is begun: it takes seconds, and its outcome should still be learnt."""
PARALLEL = 8
"""Sessions that are written or committed at a time; the service takes 32 commits at a time for one table."""

BLOCK_ID = 0
"""A batch has at most 32 MB, a block up to 100 GB: one is enough."""

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Staged:
    """A block that is written and not yet visible."""

    block: Block
    session: UploadSession


def deliver(
    blocks: Blocks, sessions: UploadSessions, *, compression: str, deadline: Deadline, metrics: Metrics
) -> tuple[Staged, ...]:
    """Write all blocks and make them visible; returns what was committed.

    Raises `DeadlineError` before the first commit where too little time is left for all, else what the sessions raise.
    """
    with metrics.timed("stage"):
        staged = _each(lambda block: _stage(block, sessions, ENCODINGS[compression], deadline), blocks.blocks)
    remaining = deadline.remaining()
    if staged and remaining < COMMIT_SECONDS:
        raise DeadlineError(
            f"expected {COMMIT_SECONDS:.0f} s for the commit, found {remaining:.1f} s of the function's time left; "
            "nothing was committed; give the function more time, or the trigger smaller batches"
        )
    with metrics.timed("commit"):
        _each(lambda one: commit(sessions, one.session, deadline), staged)
    return staged


def _stage(block: Block, sessions: UploadSessions, encoding: str | None, deadline: Deadline) -> Staged:
    session = sessions.open(block.partition_value, deadline)
    sessions.put_block(session, BLOCK_ID, block.body, encoding, deadline)
    state = sessions.look(session, deadline)
    if state.blocks != {BLOCK_ID}:
        found = f"expected upload session {session.id} to hold block {BLOCK_ID}, found {sorted(state.blocks)}"
        raise UnavailableError(f"{found}; nothing was committed")
    return Staged(block, session)


def _each(work: Callable[[Item], Result], items: Sequence[Item]) -> tuple[Result, ...]:
    """The results of the work on all items, several at a time; after a first failure no further item is begun."""
    if len(items) <= 1:
        return tuple(map(work, items))
    failed = threading.Event()

    def unless_failed(item: Item) -> tuple[Result, ...]:
        if failed.is_set():
            return ()
        try:
            return (work(item),)
        except BaseException:
            failed.set()
            raise

    with ThreadPoolExecutor(min(PARALLEL, len(items))) as pool:
        # Each in its own copy of the context, so that log lines keep the invocation's fields.
        running = [pool.submit(contextvars.copy_context().run, unless_failed, item) for item in items]
    return tuple(result for future in running for result in future.result())
