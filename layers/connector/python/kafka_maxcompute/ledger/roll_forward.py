"""Completes pending claims and diverts, whichever process appended them.

    session is   CLOSED               settle: the rows are visible
                 NORMAL               commit this session, once, and read its status
                 CLOSING, COMMITTING  read the status again, within the deadline
                 EXPIRED, CANCELED    it can't be committed any more: count the rows in the table, then read the ledger
                 NORMAL, but refused  the same if the table was altered after the session was opened, because an
                                      alteration can't be undone; after another refusal the operator has to decide
                 not known            the same if the claim is older than a session lives, else try again later
    a divert                          write its dead letters, perhaps a second time: a letter is identified by the
                                      place of its record

The rows are counted before the ledger is read. If the claim is still pending then, no process had released it when the
rows were counted, so the counted rows are the claim's own.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, NoReturn

from kafka_maxcompute.dead_letters.error_topic import Claimed, nothing
from kafka_maxcompute.errors import LedgerError, RefusedError, UnavailableError
from kafka_maxcompute.ledger import marks
from kafka_maxcompute.ledger.operations import Claim, Release, Settle
from kafka_maxcompute.maxcompute.upload_sessions import LIFE_SECONDS, SessionStatus, UploadSession, commit

if TYPE_CHECKING:
    from collections.abc import Callable

    from fc_powertools import Deadline
    from kafka_maxcompute.dead_letters.error_topic import ErrorTopic, Known
    from kafka_maxcompute.ledger.ledger import Ledger
    from kafka_maxcompute.ledger.operations import Divert, Pending, State
    from kafka_maxcompute.maxcompute.row_counts import RowCounts
    from kafka_maxcompute.maxcompute.upload_sessions import UploadSessions

MARGIN_SECONDS = 3600.0
"""Added to a session's life before "not known" counts: the clocks of this process, the broker and MaxCompute differ,
and a commit that was requested in the session's last moments takes seconds."""
UNKNOWN = frozenset({"NoSuchUpload", "NoSuchObject", "404"})
"""Error codes of the service for a session that it doesn't know; the last two also stand for a 404 without a code."""
_DEAD = frozenset({SessionStatus.EXPIRED.value, SessionStatus.CANCELED.value, "TableModified", "SchemaModified"})
"""Statuses and error codes of a session that can't be committed any more: an alteration can't be undone."""


class Outcome(str, Enum):
    """How a pending operation ended; `ELSEWHERE`: another process completed it first."""

    SETTLED = "settled"
    RELEASED = "released"
    ELSEWHERE = "elsewhere"


@dataclass(frozen=True, slots=True)
class Services:
    """The services that stage, append, commit and count a claim; `clock` returns epoch seconds."""

    ledger: Ledger
    sessions: UploadSessions
    counts: RowCounts
    errors: ErrorTopic
    clock: Callable[[], float] = time.time


def roll_forward(pending: Pending, services: Services, deadline: Deadline, known: Known = nothing) -> Outcome:
    """Complete one pending claim or divert; `known` gives the delivery's record at a diverted offset.

    Raises `UnavailableError` or `DeadlineError` if the outcome is unknown yet, and `LedgerError` if the operator has
    to decide; the operation stays pending then.
    """
    operation = pending.operation
    if isinstance(operation, Claim) and not _commit(operation, pending.timestamp, services, deadline):
        return _decide_by_rows(operation, services, deadline)
    state = services.ledger.read(deadline)
    if not isinstance(operation, Claim):
        write_letters(operation, state, services, deadline, known)
    settle(operation, state, services, deadline)
    return Outcome.SETTLED


def settle(operation: Claim | Divert, state: State, services: Services, deadline: Deadline) -> None:
    """Append the settle of a claim or divert that is finished.

    `state` is the ledger's, read after the operation was appended. If the operation has a mark and the ledger has
    others of the topic-partition, the log is read at all of them. Raises what this read and the append raise.
    """
    claim = state.pending.get(operation.id)
    begins = claim.operation.begins if claim is not None else {}
    same_log = marks.of_one_log(begins, state, services.errors.originals, deadline)
    services.ledger.append(Settle(id=operation.id, same_log=same_log), deadline)


def write_letters(divert: Divert, state: State, services: Services, deadline: Deadline, known: Known) -> None:
    """Write the dead letters of an accepted divert; records are read only from logs that are still the divert's.

    `state` is the ledger's, read after the divert was appended. Raises what the reads and the error topic raise.
    """
    other_logs = marks.other_logs(divert, state, services.errors.originals, deadline)
    claimed = replace(Claimed.by(divert), other_logs=other_logs)
    services.errors.write(divert.reasons, deadline, known, claimed)


def _commit(claim: Claim, timestamp: int, services: Services, deadline: Deadline) -> bool:
    """Commit the claim's session if it isn't closed yet; return False if it can never be committed."""
    session = UploadSession(claim.id, claim.partition_value)
    try:
        state = services.sessions.look(session, deadline)
        if state.status is SessionStatus.NORMAL and state.blocks != set(claim.blocks):
            _refuse_blocks(claim, state.blocks)
        if state.status is not SessionStatus.CLOSED:
            commit(services.sessions, session, deadline, look_first=True)
    except RefusedError as error:
        if error.code in _DEAD:
            return False
        if error.code in UNKNOWN:
            age = services.clock() - timestamp / 1_000
            if timestamp >= 0 and age > LIFE_SECONDS + MARGIN_SECONDS:
                return False
            raise UnavailableError(
                f"expected MaxCompute to know upload session {claim.id}, which was claimed {age:.0f} s ago, found "
                f"that it doesn't ({error}); a session can't be gone so early, so the next delivery tries again"
            ) from error
        raise LedgerError(
            f"could not commit upload session {claim.id} for {claim.partition_value!r}: {error}. Its claim of "
            f"{claim.rows} rows stays in the ledger, so that no delivery writes them twice; fix the cause, or wait "
            "until the session has expired (24 h after its opening): then the next delivery writes them again"
        ) from error
    return True


def _refuse_blocks(claim: Claim, blocks: frozenset[int]) -> NoReturn:
    raise RefusedError(f"expected blocks {list(claim.blocks)}, found {sorted(blocks)}", code="BlockList")


def _decide_by_rows(claim: Claim, services: Services, deadline: Deadline) -> Outcome:
    """Settle or release a claim whose session is gone, by the number of its rows in the table."""
    try:
        rows = services.counts.count(claim.partition_value, claim.offsets, deadline)
    except RefusedError as error:
        raise LedgerError(
            f"upload session {claim.id} is gone, and the table can't be read to see whether it was committed: {error}; "
            "grant the function's role Select on the table"
        ) from error
    state = services.ledger.read(deadline)
    if claim.id not in state.pending:
        return Outcome.ELSEWHERE
    reset = any(place in state.starts for place in claim.offsets)
    if rows == claim.rows and not reset:
        settle(claim, state, services, deadline)
        return Outcome.SETTLED
    if rows == 0:
        services.ledger.append(Release(id=claim.id), deadline)
        return Outcome.RELEASED
    why = ", and some may be from before a reset" if reset else ""
    raise LedgerError(
        f"upload session {claim.id} is gone; expected all of its {claim.rows} rows in partition "
        f"{claim.partition_value!r} or none, found {rows}{why}. Run the provisioning action audit; then remove the "
        "rows of its offsets, and the next delivery writes them again"
    )
