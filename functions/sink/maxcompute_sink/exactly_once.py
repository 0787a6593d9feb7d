"""Writes a batch into the table exactly once, with the ledger, in these steps.

    1  fold       read the ledger's log; roll forward pending claims that are old or have offsets of this batch
    2  drop       leave out the records that are settled, and repeats within the batch
    3  prepare    partition and map; this finds the records that can't be written, before a session is opened
    4  stage      write the rows of each partition value into an upload session, where they are invisible
    5  claim      append a claim for each session, and a divert for the bad records; then read the ledger back
    6  commit     commit the sessions of accepted claims, write the dead letters of accepted diverts; settle each
    7  repeat     if a claim wasn't accepted, begin at 1 again: another delivery has claimed some of the offsets

A delivery commits a session only after reading its claim back as accepted. The delivery can end at any instruction:
the next delivery rolls accepted claims forward, and a session without an accepted claim never becomes visible.

A warm instance begins with the ledger's state that it read last. If the old state doesn't mention the batch's records,
the delivery doesn't read the log first: it claims, and the claim shows whether the offsets are still free. If the old
state mentions any of the records, the delivery reads the log first.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from kafka_maxcompute.dead_letters import error_topic
from kafka_maxcompute.errors import (
    ConnectorError,
    DeadlineError,
    RejectedRecordsError,
    UnavailableError,
)
from kafka_maxcompute.ledger import marks
from kafka_maxcompute.ledger.operations import Claim, Divert
from kafka_maxcompute.ledger.roll_forward import roll_forward, settle, write_letters
from kafka_maxcompute.maxcompute.upload_sessions import COMMIT_SECONDS, UploadSession, commit
from kafka_maxcompute.offsets import clash, count, intervals
from maxcompute_sink import batch, rejected
from maxcompute_sink.blocks import Coverage
from maxcompute_sink.claiming import Claiming
from maxcompute_sink.old_claims import OldClaims
from maxcompute_sink.parallel import each
from maxcompute_sink.staging import Stager

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from fc_powertools import Deadline, Metrics
    from kafka_maxcompute.dead_letters.error_topic import Known
    from kafka_maxcompute.ledger.marks import Later
    from kafka_maxcompute.ledger.operations import Pending
    from kafka_maxcompute.ledger.roll_forward import Services
    from kafka_maxcompute.ledger.state import State
    from kafka_maxcompute.offsets import Offsets, TopicPartition
    from kafka_maxcompute.settings.settings import FailurePolicy
    from maxcompute_sink.blocks import Block, Blocks
    from maxcompute_sink.decode import Decoded
    from maxcompute_sink.old_claims import Budget
    from maxcompute_sink.records import AnyRecord
    from maxcompute_sink.rejected import Rejected
    from maxcompute_sink.staging import Stage

SETTLE_SECONDS = 2.0
"""Of `COMMIT_SECONDS`, the seconds kept for appending the settle."""
CLAIM_SECONDS = 5.0
"""The seconds kept for appending claims and reading them back. If less than `CLAIM_SECONDS` + `COMMIT_SECONDS` remain,
nothing is claimed."""
WAVE = 32
"""The number of partition values that are claimed together: a table accepts this many concurrent commits."""
ROUNDS = 20
"""How often a delivery begins again because another delivery has claimed some of its offsets. Each time the other
delivery makes progress, so this limit is reached only if there is a fault."""

_log = logging.getLogger(__name__)


class Table(Protocol):
    """The target table of a batch."""

    def prepare(self, decoded: Decoded, coverage: Coverage | None, /) -> Blocks:
        """Return the blocks of records; `coverage` is the coverage of all the records, None if unknown."""

    def renew(self) -> bool:
        """Read the table's definition again, once in a delivery; return whether the definition has changed."""


class Check(Protocol):
    """Compares a newly read state with the table and the source topics."""

    def verify(self, state: State, dropped: Coverage, known: Known, /) -> Offsets:
        """Return those offsets of `dropped` whose records are in no log any more; `dropped` has settled records.

        Raises `LedgerError` if the state can't be about the present table and topics, or if nothing proves that the
        state is about the records in `dropped`.
        """

    def differing(self, state: State, covered: Offsets, known: Known, /) -> frozenset[TopicPartition]:
        """Return the topic-partitions whose log differs from the batch to claim; see `SourceTopics.differing`."""

    def unconfirmed(self, state: State, topics: Collection[str], /) -> frozenset[str]:
        """Return the topics that have an id in the ledger, and for which the brokers report another id or none."""


class LaterMarks(Protocol):
    """Reads later marks; implemented by `upkeep.Upkeep`."""

    def later_marks(self, state: State, covered: Offsets, known: Known, deadline: Deadline, /) -> Later:
        """Return the later marks for the claims of the covered records."""


@dataclass(frozen=True, slots=True)
class ExactlyOnce:
    """The services and settings of deliveries.

    `old_claims` has the times of tries to roll forward old claims of other batches; it is kept between batches.
    """

    services: Services
    table: Table
    check: Check
    marks: LaterMarks
    encoding: str | None
    policy: FailurePolicy
    old_claims: OldClaims = field(default_factory=OldClaims)


@dataclass(slots=True)
class Delivered:
    """The result of a delivery.

    `state` is the ledger's state that the delivery read last. `written` has the committed claims, `diverted` the
    diverts. `dropped` is the number of records dropped as settled. `elements` counts the dead letters of elements that
    aren't records, `unlogged` the dead letters of settled records that are in no log any more.
    """

    state: State | None
    written: list[Claim] = field(default_factory=list)
    diverted: list[Divert] = field(default_factory=list)
    dropped: int = 0
    elements: int = 0
    unlogged: int = 0


def deliver(
    decoded: Decoded, parts: ExactlyOnce, *, deadline: Deadline, metrics: Metrics, state: State | None = None
) -> Delivered:
    """Write a batch; `state` is the ledger's state that this instance read last, or None.

    Returns when every record is visible in the table or in the error topic, by this delivery or another. Raises
    `DeadlineError`, before it claims, if too little time remains to commit, `RejectedRecordsError` if the policy is to
    stop and there are bad records, and the services' errors. After an error the batch has to be delivered again.
    """
    budget = parts.old_claims.budget(deadline.earlier(CLAIM_SECONDS + COMMIT_SECONDS))
    delivery = _Delivery(decoded, parts, deadline, metrics, Delivered(state), budget)
    elements = batch.placeless(decoded.rejected)
    remaining, stopped = decoded, elements[:1] if parts.policy == "stop" else []
    if stopped:
        remaining = batch.before_elements(decoded)
    bad, generation = delivery.write(remaining)
    stopped += bad
    if stopped:
        raise RejectedRecordsError(
            [rejection.error for rejection in stopped],
            records=decoded.elements,
            outcome="so the batch stops there; the records before them are written (failure_policy stop)",
        )
    if delivery.dropped():
        delivery.write_contradictions(generation)
    parts.services.errors.write_elements([(element.error, element.element) for element in elements], deadline)
    delivery.done.elements = sum(element.error.count for element in elements)
    delivery.done.dropped = delivery.dropped()
    return delivery.done


@dataclass(frozen=True, slots=True)
class _Delivery:
    """The delivery of one batch; `done` collects the result."""

    decoded: Decoded
    parts: ExactlyOnce
    deadline: Deadline
    metrics: Metrics
    done: Delivered
    budget: Budget

    def dropped(self) -> int:
        """Return the number of records that this delivery wrote into neither the table nor the error topic."""
        handled = sum(claim.rows for claim in self.done.written)
        handled += sum(count(offsets) for divert in self.done.diverted for offsets in divert.offsets.values())
        return len(self.decoded.records) + len(batch.placed(self.decoded.rejected)) - handled - self.done.unlogged

    def write(self, remaining: Decoded) -> tuple[list[Rejected], int]:
        """Write the records that aren't settled.

        Returns the bad records at which the batch stops (with the policy to stop: the first of each topic-partition),
        and the ledger's generation in which the records were written.
        """
        stopped: list[Rejected] = []
        covered = batch.coverage(remaining)
        remaining = batch.distinct(remaining, covered)
        generation = None if self.done.state is None else self.done.state.generation
        is_read = False
        for _ in range(ROUNDS):
            if self.done.state is None or self._is_affected_by(self.done.state, covered):
                self.done.state = self._rolled_forward(covered, generation)
                is_read = True
                remaining, covered = self._without_settled(remaining, covered, self.done.state)
            generation = self.done.state.generation
            if not covered.offsets:
                return stopped, generation
            with self.metrics.timed("prepare"):
                blocks = self.parts.table.prepare(remaining, None if remaining.rejected else covered)
                if blocks.rejected and self.parts.policy == "stop":
                    if not is_read:
                        # Another delivery may have settled or diverted the bad records after this instance's last read.
                        self.done.state = None
                        continue
                    remaining, covered = _before(remaining, blocks.rejected, stopped)
                    blocks = self.parts.table.prepare(remaining, covered)
            accepted, refused = self._write_blocks(blocks, remaining, covered, self.done.state)
            if accepted:
                return stopped, generation
            if refused:
                remaining, covered = _before(remaining, refused, stopped)
            self.done.state = None
        raise UnavailableError(
            f"expected this delivery's claims to be accepted, found that {ROUNDS} times another delivery was first; "
            "the batch has to be delivered again"
        )

    def _is_affected_by(self, state: State, covered: Coverage) -> bool:
        """Return whether a state has any covered offset as settled or pending, or old claims that are due."""
        return (
            clash(covered.offsets, state.settled)
            or any(clash(covered.offsets, pending.operation.offsets) for pending in state.pending.values())
            or bool(self._due_old_claims(state, covered))
        )

    def _due_old_claims(self, state: State, covered: Coverage) -> list[Pending]:
        """Return the old claims to roll forward now, without claims that have a covered offset."""
        others = (claim for claim in state.pending.values() if not clash(covered.offsets, claim.operation.offsets))
        return self.budget.due(others, self.parts.services.clock())

    def _rolled_forward(self, covered: Coverage, generation: int | None) -> State:
        """Read the ledger and roll claims forward until no pending claim has a covered offset; return the state.

        Raises `UnavailableError` if the ledger's generation isn't `generation` (None: not read yet) any more.
        """
        for _ in range(ROUNDS):
            state = self.parts.services.ledger.read(self.deadline)
            if generation not in {None, state.generation}:
                # The batch may be of a topic that was deleted since then: its offsets now belong to other records.
                raise UnavailableError(
                    f"expected generation {generation} of the ledger, found {state.generation}: the ledger was reset "
                    "after this instance read it; the batch has to be delivered again"
                )
            generation = state.generation
            # Checked before any roll-forward: another table doesn't have the pending claims' sessions and rows.
            self.parts.check.verify(state, Coverage({}, {}), error_topic.nothing)
            overlapping = [claim for claim in state.pending.values() if clash(covered.offsets, claim.operation.offsets)]
            old = self._due_old_claims(state, covered)
            if not overlapping and not old:
                self.parts.old_claims.keep_only(state.pending)
                return state
            with self.metrics.timed("roll_forward"):
                each(lambda claim: self._roll_forward(claim, self.deadline), overlapping)
                self.budget.spend(old, self._try_to_roll_forward, self.parts.services.clock)
        raise UnavailableError(
            f"expected the batch's offsets to be free or settled, found that {ROUNDS} times other deliveries claimed "
            "these offsets; the batch has to be delivered again"
        )

    def _roll_forward(self, pending: Pending, deadline: Deadline) -> None:
        outcome = roll_forward(pending, self.parts.services, deadline, batch.known(self.decoded))
        self.metrics.count(f"rolled_forward:{outcome.value}")
        _log.info("a pending claim is rolled forward", extra={"claim": pending.operation.id, "outcome": outcome.value})

    def _try_to_roll_forward(self, pending: Pending, deadline: Deadline) -> None:
        """Roll forward a claim of another batch; a failure is logged and doesn't fail this batch."""
        try:
            self._roll_forward(pending, deadline)
        except ConnectorError as error:
            _log.warning("an old claim stays pending: %s", error, extra={"claim": pending.operation.id})

    def _without_settled(self, remaining: Decoded, covered: Coverage, state: State) -> tuple[Decoded, Coverage]:
        """Return the records that aren't settled, and their coverage."""
        if not clash(covered.offsets, state.settled):
            return remaining, covered
        kept, dropped = batch.split(remaining, state.settled)
        unlogged = self.parts.check.verify(state, dropped, batch.known(self.decoded))
        if unlogged:
            self._write_unlogged(unlogged, state.generation, batch.known(self.decoded))
        return kept, batch.coverage(kept)

    def write_contradictions(self, generation: int) -> None:
        """Write dead letters of records whose offset also has another record, which was written or diverted."""
        for others in batch.contradictions(self.decoded):
            offsets: defaultdict[TopicPartition, list[int]] = defaultdict(list)
            for place, offset in others:
                offsets[place].append(offset)

            def known(
                place: TopicPartition,
                offset: int,
                of: Mapping[tuple[TopicPartition, int], error_topic.DeliveredRecord] = others,
            ) -> error_topic.DeliveredRecord | None:
                return of.get((place, offset))

            unlogged = {place: intervals(numbers) for place, numbers in offsets.items()}
            self._write_unlogged(unlogged, generation, known)

    def _write_unlogged(self, unlogged: Offsets, generation: int, known: Known) -> None:
        """Write dead letters of settled records that are in no log: nothing proves that the table has these records.

        Their offsets can't be claimed again, so only a dead letter can keep the records. A redrive sends such a dead
        letter only if its request allows `unclear`.
        """

        def known_as_unlogged(place: TopicPartition, offset: int) -> error_topic.DeliveredRecord | None:
            record = known(place, offset)
            return None if record is None else replace(record, message=error_topic.UNLOGGED_MESSAGE)

        claimed = error_topic.Claimed(generation=generation, other_logs=frozenset(unlogged))
        self.parts.services.errors.write({error_topic.UNLOGGED: unlogged}, self.deadline, known_as_unlogged, claimed)
        records = sum(map(count, unlogged.values()))
        self.done.unlogged += records
        self.metrics.count(f"rejected:{error_topic.UNLOGGED}", records)
        where = [f"{topic}-{number}" for topic, number in unlogged]
        _log.error("settled records are in no log any more", extra={"records": records, "topic_partitions": where})

    def _write_blocks(
        self, blocks: Blocks, remaining: Decoded, covered: Coverage, state: State
    ) -> tuple[bool, list[Rejected]]:
        """Write all blocks, a wave of partition values at a time, and divert the bad records.

        Returns whether all blocks are written and all bad records diverted. With the policy to stop, a wave with
        records that MaxCompute refuses isn't written, and these records are returned, too.
        """
        placed = batch.placed(blocks.rejected)
        known = batch.known(remaining)
        claiming = self._claiming(covered, known, state)
        waves = [blocks.blocks[start : start + WAVE] for start in range(0, len(blocks.blocks), WAVE)] or [()]
        for number, wave in enumerate(waves, 1):
            stage = self._stage(wave, remaining)
            if stage is None:
                self.metrics.count("table_changes")
                return False, []
            if stage.refused and self.parts.policy == "stop":
                return False, stage.refused
            bad = stage.refused + (placed if number == len(waves) else [])
            # Compared right before the claim, because the topic can be deleted and created again at any time.
            differing = self.parts.check.differing(state, covered.offsets, known)
            claiming = replace(claiming, differing=differing)
            self._require_time()
            claims: list[Claim | Divert] = [claiming.claim(staged) for staged in stage.staged]
            claims += [claiming.divert(bad)] if bad else []
            if claims and not self._claim_and_finish(claims, batch.known(remaining, bad)):
                self.metrics.count("lost_claims")
                return False, []
            if stage.untried:
                raise DeadlineError(
                    f"expected time to find which of {stage.untried} records MaxCompute refuses, found none left; "
                    "the records tried so far are written or in the error topic; the next delivery tries the rest"
                )
        return True, []

    def _claiming(self, covered: Coverage, known: Known, state: State) -> Claiming:
        """Return the builder of these records' claims, which has the claims' generation and marks."""
        originals = self.parts.services.errors.originals
        begins = marks.beginnings(state, covered.offsets, known, originals, self.deadline)
        later = self.parts.marks.later_marks(state, covered.offsets, known, self.deadline)
        claiming = Claiming.of(state, later, begins)
        # A mark replaces the topic's id when the brokers don't report the id. So the mark must be of the same topic.
        topics = {topic for topic, _ in claiming.begins}
        return claiming.without(self.parts.check.unconfirmed(state, topics) if topics else frozenset())

    def _stage(self, wave: Sequence[Block], remaining: Decoded) -> Stage | None:
        """Write blocks into sessions, leaving time to claim and commit; None if the blocks no longer fit the table."""
        parts = self.parts
        stager = Stager(
            parts.services.sessions,
            parts.encoding,
            lambda records: self._remade_block(remaining, records),
            parts.table.renew,
        )
        with self.metrics.timed("stage"):
            self._require_time()
            stage = stager.stage(wave, self.deadline.earlier(CLAIM_SECONDS + COMMIT_SECONDS))
            self.metrics.count("uploaded", sum(len(block.body) for block in wave), "Bytes")
            self._require_time()
        if stage is not None:
            rejected.log(stage.refused, self.metrics)
        return stage

    def _remade_block(self, remaining: Decoded, records: Sequence[AnyRecord]) -> Block:
        """Return a block of good records that have the same partition value."""
        return self.parts.table.prepare(batch.only(remaining, records), None).blocks[0]

    def _require_time(self) -> None:
        needed, seconds = CLAIM_SECONDS + COMMIT_SECONDS, self.deadline.remaining()
        if seconds < needed:
            raise DeadlineError(
                f"expected {needed:.0f} s for claim and commit, found {seconds:.1f} s of the function's time left; the "
                "staged rows are invisible and expire; give the function more time, or the trigger smaller batches"
            )

    def _claim_and_finish(self, claims: Sequence[Claim | Divert], known: Known) -> bool:
        """Append claims, read them back, and finish the accepted claims; return whether all claims were accepted."""
        ledger, deadline = self.parts.services.ledger, self.deadline.earlier(COMMIT_SECONDS)
        with self.metrics.timed("claim"):
            appended = each(lambda claim: ledger.append(claim, deadline), claims)
            offsets = [offset for offset in appended if offset is not None]
            last = max(offsets) if len(offsets) == len(claims) else None
            self.done.state = state = ledger.read(deadline, through=last)
        accepted = [claim for claim in claims if claim.id in state.pending]
        with self.metrics.timed("commit"):
            each(lambda claim: self._finish(claim, state, known), accepted)
        return len(accepted) == len(claims)

    def _finish(self, claim: Claim | Divert, state: State, known: Known) -> None:
        """Commit the session, or write the dead letters, of a claim that is pending in `state`; settle the claim."""
        services, deadline = self.parts.services, self.deadline.earlier(SETTLE_SECONDS)
        if isinstance(claim, Claim):
            commit(services.sessions, UploadSession(claim.id, claim.partition_value), deadline)
            self.done.written.append(claim)
        else:
            write_letters(claim, state, services, deadline, known)
            self.done.diverted.append(claim)
        settle(claim, state, services, self.deadline)


def _before(remaining: Decoded, bad: Iterable[Rejected], stopped: list[Rejected]) -> tuple[Decoded, Coverage]:
    """Return the records before each topic-partition's first bad one, and their coverage; add the bad to `stopped`."""
    first = batch.first_bad(bad)
    stopped += first.values()
    kept = batch.before(remaining, first)
    return kept, batch.coverage(kept)


def gauge(done: Delivered, metrics: Metrics, *, now: float) -> None:
    """Set the metrics of the ledger's state after a delivery; `now` is in epoch seconds."""
    state = done.state
    if state is None:
        return
    own = {claim.id for claim in done.written} | {divert.id for divert in done.diverted}
    pending = [claim for claim in state.pending.values() if claim.operation.id not in own]
    metrics.gauge("ledger_settled", sum(map(count, state.settled.values())))
    metrics.gauge("ledger_gaps", sum(len(settled) - 1 for settled in state.settled.values() if settled))
    metrics.gauge("ledger_pending", len(pending))
    oldest = max((now - claim.timestamp / 1_000 for claim in pending if claim.timestamp >= 0), default=0.0)
    metrics.gauge("ledger_oldest_pending", round(1_000 * max(0.0, oldest)), "Milliseconds")
    metrics.count("dropped", done.dropped)
