"""Rows become an upload session that holds them: invisible, until somebody commits it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kafka_maxcompute.errors import UnavailableError

if TYPE_CHECKING:
    from fc_powertools import Deadline
    from kafka_maxcompute.upload_sessions import UploadSession, UploadSessions
    from maxcompute_sink.blocks import Block

BLOCK_ID = 0
"""A batch has at most 32 MB, a block up to 100 GB: one is enough."""


@dataclass(frozen=True, slots=True)
class Staged:
    """A block that is written and not yet visible."""

    block: Block
    session: UploadSession


def stage(block: Block, sessions: UploadSessions, encoding: str | None, deadline: Deadline) -> Staged:
    """Write a block into a session of its own, and find it in the service's own list."""
    session = sessions.open(block.partition_value, deadline)
    sessions.put_block(session, BLOCK_ID, block.body, encoding, deadline)
    state = sessions.look(session, deadline)
    if state.blocks != {BLOCK_ID}:
        found = f"expected upload session {session.id} to hold block {BLOCK_ID}, found {sorted(state.blocks)}"
        raise UnavailableError(f"{found}; nothing was committed")
    return Staged(block, session)
