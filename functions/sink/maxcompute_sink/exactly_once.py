"""The order of steps in which a batch becomes visible in the table exactly once, by the ledger of claims.

    1  fold       the ledger's log; what is pending there and is old or holds an offset of mine is rolled forward
    2  drop       what is settled, and repeats within the batch
    3  prepare    partition, map: what can't be written is known before anything is open
    4  stage      an upload session for each partition value, invisible
    5  claim      each session, and what is bound for the error topic, in the ledger; then read the ledger back
    6  commit     the sessions whose claims were accepted, write the letters; settle each
    7  again      from 1, if a claim wasn't: another delivery was first with some offset

Nobody commits a session whose claim isn't read back as accepted. A delivery can end at any instruction: what was
accepted is rolled forward by whoever comes next, and what wasn't is never visible.

A warm instance begins with the state that it read last. That is only good for records that it says nothing of, and
whether they are still free is decided by the claim. As soon as it says anything of them, the log is folded again.
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
from kafka_maxcompute.ledger.operations import Claim, Divert, Settle
from kafka_maxcompute.ledger.roll_forward import roll_forward, write_letters
from kafka_maxcompute.maxcompute.upload_sessions import COMMIT_SECONDS, UploadSession, commit
from kafka_maxcompute.offsets import clash, count, intervals
from maxcompute_sink import batch, rejected
from maxcompute_sink.blocks import Coverage
from maxcompute_sink.claiming import Claiming
from maxcompute_sink.parallel import each
from maxcompute_sink.staging import Stager
from maxcompute_sink.strangers import Strangers

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

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
    from maxcompute_sink.records import AnyRecord
    from maxcompute_sink.rejected import Rejected
    from maxcompute_sink.staging import Stage
    from maxcompute_sink.strangers import Budget

SETTLE_SECONDS = 2.0
"""Kept of `COMMIT_SECONDS` for the ledger, so that what was committed is also settled."""
CLAIM_SECONDS = 5.0
"""Kept for claiming and reading back. With less than this and the commit's time left nothing is claimed any more."""
WAVE = 32
"""Partition values that are claimed and read back together: so many commits a table takes at a time."""
ROUNDS = 20
"""So often a delivery begins again after losing to others. Each loss is another's gain, so this is never reached unless
something is wrong."""

_log = logging.getLogger(__name__)


class Table(Protocol):
    """The target table of a batch."""

    def prepare(self, decoded: Decoded, coverage: Coverage | None, /) -> Blocks:
        """The blocks of records; their coverage is given where it's known."""

    def renew(self) -> bool:
        """Read the table's definition again, once in a delivery; whether `prepare` now goes by another one."""


class Check(Protocol):
    """What a newly read state is held against."""

    def verify(self, state: State, dropped: Coverage, known: Known, /) -> Offsets:
        """Those settled records that are in no log any more.

        Raises `LedgerError` where the state can't be about the table and topics that are there, or isn't proven to be
        about the records that are to be dropped as settled.
        """


class LaterMarks(Protocol):
    """Where later marks come from; `upkeep.Upkeep` reads them."""

    def later_marks(self, state: State, covered: Offsets, known: Known, deadline: Deadline, /) -> Later:
        """Marks to tell with the claims of what is covered."""


@dataclass(frozen=True, slots=True)
class ExactlyOnce:
    """The parts that deliver a batch exactly once.

    `strangers` knows when old claims of other batches were tried, and is kept between batches.
    """

    services: Services
    table: Table
    check: Check
    marks: LaterMarks
    encoding: str | None
    policy: FailurePolicy
    strangers: Strangers = field(default_factory=Strangers)


@dataclass(slots=True)
class Delivered:
    """What this delivery did: the claims it committed and diverted, the records it dropped as settled.

    `state` is the ledger's as last read; `elements` counts dead letters of elements that are no records, `unlogged`
    those of settled records that are in no log any more.
    """

    state: State | None
    written: list[Claim] = field(default_factory=list)
    diverted: list[Divert] = field(default_factory=list)
    dropped: int = 0
    elements: int = 0
    unlogged: int = 0


def deliver(
    decoded: Decoded, line: ExactlyOnce, *, deadline: Deadline, metrics: Metrics, state: State | None = None
) -> Delivered:
    """Write a batch; `state` is the ledger's as this instance last read it, if it did.

    Returns when every record is visible in the table or in the error topic, by this delivery or another. Raises
    `DeadlineError` before a claim that couldn't be committed in time, `RejectedRecordsError` where the policy is to
    stop at bad records, and what the services raise; then the batch has to be delivered again.
    """
    budget = line.strangers.budget(deadline.earlier(CLAIM_SECONDS + COMMIT_SECONDS))
    delivery = _Delivery(decoded, line, deadline, metrics, Delivered(state), budget)
    elements = batch.placeless(decoded.rejected)
    left, stopped = decoded, elements[:1] if line.policy == "stop" else []
    if stopped:
        left = batch.before_elements(decoded)
    bad, generation = delivery.write(left)
    stopped += bad
    if stopped:
        raise RejectedRecordsError(
            [one.error for one in stopped],
            records=decoded.elements,
            outcome="so the batch stops there; what comes before them is written (failure_policy stop)",
        )
    if delivery.dropped():
        delivery.keep_contradictions(generation)
    line.services.errors.write_elements([(one.error, one.element) for one in elements], deadline)
    delivery.done.elements = sum(one.error.count for one in elements)
    delivery.done.dropped = delivery.dropped()
    return delivery.done


@dataclass(frozen=True, slots=True)
class _Delivery:
    """One batch on its way."""

    decoded: Decoded
    line: ExactlyOnce
    deadline: Deadline
    metrics: Metrics
    done: Delivered
    budget: Budget

    def dropped(self) -> int:
        """How many of the batch's records were neither written nor brought to the error topic by it."""
        mine = sum(claim.rows for claim in self.done.written)
        mine += sum(count(offsets) for divert in self.done.diverted for offsets in divert.offsets.values())
        return len(self.decoded.records) + len(batch.placed(self.decoded.rejected)) - mine - self.done.unlogged

    def write(self, left: Decoded) -> tuple[list[Rejected], int]:
        """Write what isn't settled; with the policy to stop, the first bad record of each topic-partition.

        Also says in which generation of the ledger that was.
        """
        stopped: list[Rejected] = []
        covered = batch.coverage(left)
        left = batch.distinct(left, covered)
        generation = None if self.done.state is None else self.done.state.generation
        is_read = False
        for _ in range(ROUNDS):
            if self.done.state is None or self._concerns(self.done.state, covered):
                self.done.state = self._rolled_forward(covered, generation)
                is_read = True
                left, covered = self._without_settled(left, covered, self.done.state)
            generation = self.done.state.generation
            if not covered.offsets:
                return stopped, generation
            with self.metrics.timed("prepare"):
                blocks = self.line.table.prepare(left, None if left.rejected else covered)
                if blocks.rejected and self.line.policy == "stop":
                    if not is_read:
                        # Another delivery may have brought them to their end since this instance read the ledger.
                        self.done.state = None
                        continue
                    left, covered = _before(left, blocks.rejected, stopped)
                    blocks = self.line.table.prepare(left, covered)
            accepted, refused = self._write(blocks, left, covered, self.done.state)
            if accepted:
                return stopped, generation
            if refused:
                left, covered = _before(left, refused, stopped)
            self.done.state = None
        raise UnavailableError(f"{ROUNDS} times another delivery was first; the batch has to be delivered again")

    def _concerns(self, state: State, covered: Coverage) -> bool:
        """Whether a state says anything of these records, or holds what anyone is to roll forward."""
        return (
            clash(covered.offsets, state.settled)
            or any(clash(covered.offsets, pending.operation.offsets) for pending in state.pending.values())
            or bool(self._strangers(state, covered))
        )

    def _strangers(self, state: State, covered: Coverage) -> list[Pending]:
        """The old claims to try now that hold none of these offsets."""
        others = (one for one in state.pending.values() if not clash(covered.offsets, one.operation.offsets))
        return self.budget.due(others, self.line.services.clock())

    def _rolled_forward(self, covered: Coverage, generation: int | None) -> State:
        """The state at the ledger's end, as soon as nothing in it holds any of these offsets without being settled.

        Raises `UnavailableError` if a generation began after the one that this delivery, or its instance, has read.
        """
        for _ in range(ROUNDS):
            state = self.line.services.ledger.read(self.deadline)
            if generation not in {None, state.generation}:
                # The batch may be from a topic that was deleted since: its offsets are other records by now.
                raise UnavailableError(
                    f"expected generation {generation} of the ledger, found {state.generation}: a reset came since "
                    "this instance read it; the batch has to be delivered again"
                )
            generation = state.generation
            # First, for another table has neither the sessions nor the rows of what is pending.
            self.line.check.verify(state, Coverage({}, {}), error_topic.nothing)
            mine = [one for one in state.pending.values() if clash(covered.offsets, one.operation.offsets)]
            strangers = self._strangers(state, covered)
            if not mine and not strangers:
                self.line.strangers.keep_only(state.pending)
                return state
            with self.metrics.timed("roll_forward"):
                each(lambda one: self._forward(one, self.deadline), mine)
                self.budget.spend(strangers, self._try, self.line.services.clock)
        raise UnavailableError(f"{ROUNDS} times other deliveries claimed these offsets; the batch has to come again")

    def _forward(self, pending: Pending, deadline: Deadline) -> None:
        outcome = roll_forward(pending, self.line.services, deadline, batch.known(self.decoded))
        self.metrics.count(f"rolled_forward:{outcome.value}")
        _log.info("a pending claim is rolled forward", extra={"claim": pending.operation.id, "outcome": outcome.value})

    def _try(self, stranger: Pending, deadline: Deadline) -> None:
        """Roll forward what isn't of this batch; a failure is none of the batch's."""
        try:
            self._forward(stranger, deadline)
        except ConnectorError as error:
            _log.warning("an old claim stays pending: %s", error, extra={"claim": stranger.operation.id})

    def _without_settled(self, left: Decoded, covered: Coverage, state: State) -> tuple[Decoded, Coverage]:
        """What isn't settled of a batch, and where it's from."""
        if not clash(covered.offsets, state.settled):
            return left, covered
        kept, dropped = batch.split(left, state.settled)
        unlogged = self.line.check.verify(state, dropped, batch.known(self.decoded))
        if unlogged:
            self._keep(unlogged, state.generation, batch.known(self.decoded))
        return kept, batch.coverage(kept)

    def keep_contradictions(self, generation: int) -> None:
        """Write letters of what the batch has at an offset besides the record that was written or diverted there."""
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

            self._keep({place: intervals(found) for place, found in offsets.items()}, generation, known)

    def _keep(self, unlogged: Offsets, generation: int, known: Known) -> None:
        """Write letters of settled records that are in no log: nothing proves that they are the ones written.

        They can't be claimed again, so a letter is what is left; a redrive sends it only if that is allowed by name.
        """

        def told(place: TopicPartition, offset: int) -> error_topic.DeliveredRecord | None:
            found = known(place, offset)
            return None if found is None else replace(found, message=error_topic.UNLOGGED_MESSAGE)

        claimed = error_topic.Claimed(generation=generation, others=frozenset(unlogged))
        self.line.services.errors.write({error_topic.UNLOGGED: unlogged}, self.deadline, told, claimed)
        records = sum(map(count, unlogged.values()))
        self.done.unlogged += records
        self.metrics.count(f"rejected:{error_topic.UNLOGGED}", records)
        where = [f"{topic}-{number}" for topic, number in unlogged]
        _log.error("settled records are in no log any more", extra={"records": records, "topic_partitions": where})

    def _write(self, blocks: Blocks, left: Decoded, covered: Coverage, state: State) -> tuple[bool, list[Rejected]]:
        """Write all blocks, some partition values at a time, and divert the rest; whether that is done.

        With the policy to stop, and records that MaxCompute refuses, nothing of their wave is written: these records.
        """
        placed = batch.placed(blocks.rejected)
        claiming = self._claiming(covered, left, state)
        waves = [blocks.blocks[start : start + WAVE] for start in range(0, len(blocks.blocks), WAVE)] or [()]
        for number, wave in enumerate(waves, 1):
            stage = self._staged(wave, left)
            if stage is None:
                self.metrics.count("table_changes")
                return False, []
            if stage.refused and self.line.policy == "stop":
                return False, stage.refused
            bad = stage.refused + (placed if number == len(waves) else [])
            claims: list[Claim | Divert] = [claiming.claim(one) for one in stage.staged]
            claims += [claiming.divert(bad)] if bad else []
            if claims and not self._claimed(claims, batch.known(left, bad)):
                self.metrics.count("lost_claims")
                return False, []
            if stage.untried:
                raise DeadlineError(
                    f"expected time to find which of {stage.untried} records MaxCompute refuses, found none left; what "
                    "was found by now is written or in the error topic, and the next delivery goes on with the rest"
                )
        return True, []

    def _claiming(self, covered: Coverage, left: Decoded, state: State) -> Claiming:
        """What the claims of these records tell of the logs that they are from."""
        originals, known = self.line.services.errors.originals, batch.known(left)
        begins = marks.beginnings(state, covered.offsets, known, originals, self.deadline)
        return Claiming.of(state, self.line.marks.later_marks(state, covered.offsets, known, self.deadline), begins)

    def _staged(self, wave: Sequence[Block], left: Decoded) -> Stage | None:
        """The blocks in sessions, with time left to claim and commit; None if they don't fit the table any more."""
        line = self.line
        stager = Stager(
            line.services.sessions, line.encoding, lambda records: self._remade(left, records), line.table.renew
        )
        with self.metrics.timed("stage"):
            self._need_time()
            stage = stager.stage(wave, self.deadline.earlier(CLAIM_SECONDS + COMMIT_SECONDS))
            self.metrics.count("uploaded", sum(len(block.body) for block in wave), "Bytes")
            self._need_time()
        if stage is not None:
            rejected.log(stage.refused, self.metrics)
        return stage

    def _remade(self, left: Decoded, records: Sequence[AnyRecord]) -> Block:
        """The block of some good records of one partition value."""
        return self.line.table.prepare(batch.only(left, records), None).blocks[0]

    def _need_time(self) -> None:
        needed, found = CLAIM_SECONDS + COMMIT_SECONDS, self.deadline.remaining()
        if found < needed:
            raise DeadlineError(
                f"expected {needed:.0f} s for claim and commit, found {found:.1f} s of the function's time left; what "
                "was staged is invisible and expires; give the function more time, or the trigger smaller batches"
            )

    def _claimed(self, claims: Sequence[Claim | Divert], known: Known) -> bool:
        """Claim, read back, and bring to their end those that are accepted; whether all are."""
        ledger, deadline = self.line.services.ledger, self.deadline.earlier(COMMIT_SECONDS)
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
        """Make visible what was accepted, as `state` has it, and settle it."""
        services, deadline = self.line.services, self.deadline.earlier(SETTLE_SECONDS)
        if isinstance(claim, Claim):
            commit(services.sessions, UploadSession(claim.id, claim.partition_value), deadline)
            self.done.written.append(claim)
        else:
            write_letters(claim, state, services, deadline, known)
            self.done.diverted.append(claim)
        services.ledger.append(Settle(id=claim.id), self.deadline)


def _before(left: Decoded, bad: Iterable[Rejected], stopped: list[Rejected]) -> tuple[Decoded, Coverage]:
    """The records before the first bad ones, and where they are from; those bad ones are added to `stopped`."""
    first = batch.first_bad(bad)
    stopped += first.values()
    kept = batch.before(left, first)
    return kept, batch.coverage(kept)


def gauge(done: Delivered, metrics: Metrics, *, now: float) -> None:
    """Measure the ledger's state after a delivery; `now` in epoch seconds."""
    state = done.state
    if state is None:
        return
    mine = {claim.id for claim in done.written} | {divert.id for divert in done.diverted}
    pending = [one for one in state.pending.values() if one.operation.id not in mine]
    metrics.gauge("ledger_settled", sum(map(count, state.settled.values())))
    metrics.gauge("ledger_gaps", sum(len(settled) - 1 for settled in state.settled.values() if settled))
    metrics.gauge("ledger_pending", len(pending))
    oldest = max((now - one.timestamp / 1_000 for one in pending if one.timestamp >= 0), default=0.0)
    metrics.gauge("ledger_oldest_pending", round(1_000 * max(0.0, oldest)), "Milliseconds")
    metrics.count("dropped", done.dropped)
