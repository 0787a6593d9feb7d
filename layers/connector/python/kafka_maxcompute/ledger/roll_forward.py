"""Brings what is pending in the ledger to its end, whoever claimed it.

    session is   CLOSED               settle: the rows are visible
                 NORMAL               commit that very session, once, and read its status
                 CLOSING, COMMITTING  look again, within the deadline
                 EXPIRED, CANCELED    it can't be committed any more: count the rows in the table, then fold again
                 NORMAL, but refused  the same if the table was altered since the session was opened, for that can't be
                                      undone; after another refusal somebody has to decide
                 not known            the same if the claim is older than a session lives, else ask again later
    a divert                          write its letters, perhaps once more: a letter's identity is where its record is

The count comes before the fold: as long as the claim is still pending then, nobody had released it when the rows were
counted, so that rows which were found are its own.
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
"""Added to a session's life before "not known" is believed: the clocks of this process, the broker and MaxCompute
differ, and a commit that was asked for in the session's last moments takes seconds."""
UNKNOWN = frozenset({"NoSuchUpload", "NoSuchObject", "404"})
"""How the service says that it doesn't know a session; the last two also stand for a 404 that has no word for why."""
_DEAD = frozenset({SessionStatus.EXPIRED.value, SessionStatus.CANCELED.value, "TableModified", "SchemaModified"})
"""What a session is, or is refused with, that can't be committed any more: an alteration can't be undone."""


class Outcome(str, Enum):
    """How a pending operation ended; `ELSEWHERE`: somebody else was first."""

    SETTLED = "settled"
    RELEASED = "released"
    ELSEWHERE = "elsewhere"


@dataclass(frozen=True, slots=True)
class Services:
    """What a claim is staged, decided, committed and counted with; `clock` gives epoch seconds."""

    ledger: Ledger
    sessions: UploadSessions
    counts: RowCounts
    errors: ErrorTopic
    clock: Callable[[], float] = time.time


def roll_forward(pending: Pending, services: Services, deadline: Deadline, known: Known = nothing) -> Outcome:
    """Bring one pending claim or divert to its end; `known` is what a delivery at hand knows of diverted records.

    Raises `UnavailableError` or `DeadlineError` where its end can't be known yet, and `LedgerError` where somebody has
    to decide; it stays pending then.
    """
    operation = pending.operation
    if not isinstance(operation, Claim):
        write_letters(operation, services.ledger.read(deadline), services, deadline, known)
    elif not _committed(operation, pending.timestamp, services, deadline):
        return _counted(operation, services, deadline)
    services.ledger.append(Settle(id=operation.id), deadline)
    return Outcome.SETTLED


def write_letters(divert: Divert, state: State, services: Services, deadline: Deadline, known: Known) -> None:
    """Write the letters of an accepted divert; a log that isn't the one of its records has nothing for them.

    `state` is the ledger's, read after the divert was appended. Raises what the reads and the error topic raise.
    """
    others = marks.others(divert, state, services.errors.originals, deadline)
    claimed = replace(Claimed.by(divert), others=others)
    services.errors.write(divert.reasons, deadline, known, claimed)


def _committed(claim: Claim, timestamp: int, services: Services, deadline: Deadline) -> bool:
    """Whether the claim's session is closed, by now at the latest; False where it never will be."""
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
                f"expected the service to know upload session {claim.id}, which was claimed {age:.0f} s ago, found "
                f"that it doesn't ({error}); that can't be yet, so it's asked again with the next delivery"
            ) from error
        raise LedgerError(
            f"could not commit upload session {claim.id} for {claim.partition_value!r}: {error}. Its claim of "
            f"{claim.rows} rows stays in the ledger, so that nobody writes them twice; fix the cause, or wait until "
            "the session has expired (24 h after its opening): then they are written again"
        ) from error
    return True


def _refuse_blocks(claim: Claim, found: frozenset[int]) -> NoReturn:
    raise RefusedError(f"expected blocks {list(claim.blocks)}, found {sorted(found)}", code="BlockList")


def _counted(claim: Claim, services: Services, deadline: Deadline) -> Outcome:
    """Settle or release a claim whose session is gone, by the rows that the table has of it."""
    try:
        found = services.counts.count(claim.partition_value, claim.offsets, deadline)
    except RefusedError as error:
        raise LedgerError(
            f"upload session {claim.id} is gone, and whether it was committed can't be read in the table: {error}; "
            "grant the function's role Select on the table"
        ) from error
    state = services.ledger.read(deadline)
    if claim.id not in state.pending:
        return Outcome.ELSEWHERE
    reset = any(place in state.starts for place in claim.offsets)
    if found == claim.rows and not reset:
        services.ledger.append(Settle(id=claim.id), deadline)
        return Outcome.SETTLED
    if found == 0:
        services.ledger.append(Release(id=claim.id), deadline)
        return Outcome.RELEASED
    why = ", and some may be from before a reset" if reset else ""
    raise LedgerError(
        f"upload session {claim.id} is gone; expected all of its {claim.rows} rows in partition "
        f"{claim.partition_value!r} or none, found {found}{why}. Run the provisioning action audit; then remove the "
        "rows of its offsets, and the next delivery writes them again"
    )
