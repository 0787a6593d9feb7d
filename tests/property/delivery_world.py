"""A small world in which the real delivery is attacked.

Some instances of the function work over one ledger's log, one table's upload sessions, one error topic and one source
topic, all of them in memory, with a clock that jumps. Whatever is random comes from one seed.
"""

from __future__ import annotations

import random as random_module
import uuid
from collections import Counter
from functools import cache, partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import tenacity.nap

from fc_powertools import Deadline, Metrics
from kafka_maxcompute.dead_letters.error_topic import ErrorTopic
from kafka_maxcompute.errors import ConnectorError, LedgerError
from kafka_maxcompute.ledger import gaps, identity, ledger, marks
from kafka_maxcompute.ledger.gaps import Gaps
from kafka_maxcompute.ledger.operations import Divert, Reset
from kafka_maxcompute.ledger.roll_forward import Services
from kafka_maxcompute.maxcompute.row_counts import MemoryRowCounts
from kafka_maxcompute.maxcompute.table import expected
from kafka_maxcompute.settings.settings import Settings
from maxcompute_sink import exactly_once, parallel
from maxcompute_sink.blocks import Coverage, Preparation
from maxcompute_sink.exactly_once import ExactlyOnce, deliver
from maxcompute_sink.replaced_text import ReplacedText
from tests.property import world_judge
from tests.property.interleaving import Fate, Gate, Worker
from tests.property.source_topic import NOW_MS, TOPIC, Batch, Kind, SourceRecord, SourceTopic
from tests.property.table_in_memory import SLOWEST_SECONDS, TableInMemory
from tests.property.world_services import (
    Appending,
    Bounds,
    Delivery,
    Instance,
    JudgedLedger,
    Letters,
    Opening,
    WorldLog,
    named_append,
)
from tests.sink_delivery import Check, Marks, Table

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    import pytest

    from kafka_maxcompute.dead_letters.error_topic import Known
    from kafka_maxcompute.ledger.marks import Later
    from kafka_maxcompute.ledger.operations import Mark
    from kafka_maxcompute.ledger.state import State
    from kafka_maxcompute.offsets import Offsets, TopicPartition
    from maxcompute_sink.blocks import Blocks
    from maxcompute_sink.decode import Decoded
    from maxcompute_sink.exactly_once import Delivered
    from tests.property.reference_fold import Truth
    from tests.property.source_topic import Id
    from tests.property.world_judge import Letter

HOUR = 3_600
NOW = 1_800_000_000.0
TABLE = "p.t"
CONNECTOR = "c"
NEEDED = {
    "name": CONNECTOR,
    "source_topic": TOPIC,
    "endpoint": "http://127.0.0.1/api",
    "project": "p",
    "table": "t",
    "compression": "none",
    "bootstrap_servers": "127.0.0.1:1",
}
LENIENT = Settings.from_mapping({**NEEDED, "earliest_timestamp": "2000-01-01T00:00:00Z"})
STRICT = Settings.from_mapping({**NEEDED, "earliest_timestamp": "2020-01-01T00:00:00Z"})
_ROUNDS = 12


@cache
def _preparation(*, strict: bool) -> Preparation:
    settings = STRICT if strict else LENIENT
    return Preparation(settings, expected(settings))


class World:
    """All that outlives a process, and the processes; must be used in `patched`."""

    def __init__(
        self,
        seed: int = 0,
        *,
        has_ids: bool = True,
        has_gaps: bool = False,
        stops: bool = False,
        is_slow: bool = False,
        replaced: float = 0.3,
    ) -> None:
        self.begun_anew = 0
        self.random = random_module.Random(seed)  # noqa: S311 - it has to be repeatable
        self.now = NOW
        self.ticks = 0.0
        self.stops = stops
        self.met: Counter[tuple[str, Fate]] = Counter()
        self.ended: Counter[str] = Counter()
        self.log = WorldLog(lambda: self.now)
        self.table = TableInMemory(
            lambda: self.now,
            lambda: is_slow and self.random.random() < 0.3,
            lambda id_: id_ in self.known and self.known[id_].kind is Kind.REFUSED,
        )
        self.topic = SourceTopic(self.random, has_ids=has_ids, has_gaps=has_gaps, replaced=replaced)
        self.letters: list[Letter] = []
        self.idle: list[Instance] = []
        self.running: list[Delivery] = []
        self.operators: list[Worker] = []
        self.acknowledged: set[SourceRecord] = set()
        self.texts: set[str] = set()
        self.era = 0
        self.recognized = 0
        self.eras: dict[TopicPartition, int] = {}
        self.known: dict[Id, SourceRecord] = {}
        self.opened: dict[str, Delivery] = {}
        self._checked: tuple[int, ...] = ()
        self._resets: dict[str, tuple[int, Mapping[TopicPartition, int]]] = {}
        about = identity.genesis(CONNECTOR, TABLE, 1, self.topic.ids)
        JudgedLedger(self.log, self.log).append(about, Deadline.after(1.0))

    @property
    def truth(self) -> Truth:
        """What the ledger's log says now."""
        return self.log.reference.now

    # Deliveries

    def begin(
        self, batch: Batch, *, warm: bool = False, strict: bool = False, stops: bool = False, looks: bool = False
    ) -> Delivery:
        """Deliver a batch to an instance that is idle, or to a new one."""
        self.known |= {one.id: one for one in batch.records}
        warm_ones = [one for one in self.idle if one.strict == strict] if warm else []
        if warm_ones:
            instance = warm_ones[0]
            self.idle.remove(instance)
        else:
            gate = Gate()
            instance = Instance(gate, JudgedLedger(gate.before(self.log, "log", named_append), self.log), strict)
        delivery = Delivery(instance, batch, stops, looks, self.era, instance.state is not None, self.truth.settled)

        def work(worker: Worker) -> None:
            instance.gate.worker = worker
            self._deliver(delivery)

        delivery.worker = Worker(work, self._sleep)
        self.running.append(delivery)
        self._reap()
        return delivery

    def go(self, delivery: Delivery, fate: Fate = Fate.DONE) -> None:
        """One call of a delivery."""
        self.met[delivery.worker.at or "", fate] += 1
        delivery.worker.go(fate)
        self._reap()
        self._turn()

    def finish(self, delivery: Delivery) -> None:
        """All calls of a delivery, none of which fails."""
        for _ in range(2_000):
            if delivery.worker.ended:
                return
            self.go(delivery)
        raise AssertionError("a delivery doesn't end")

    def wait(self, seconds: float) -> None:
        """Let time pass, in which commits that are under way are done."""
        self.now += seconds
        self.table.pass_time()

    def _sleep(self, seconds: float) -> None:
        self.ticks += seconds

    def _reap(self) -> None:
        """Acknowledge what succeeded; a process that was killed is gone, any other is idle again."""
        for delivery in [one for one in self.running if one.worker.ended]:
            self.running.remove(delivery)
            error = delivery.worker.error
            self.ended[type(error).__name__ if error is not None else "acknowledged"] += 1
            world_judge.check_stopped(self, delivery, error)
            if error is None:
                if delivery.era == self.era:
                    self.acknowledged.update(delivery.batch.records)
                self.texts.update(delivery.batch.placeless)
            elif not isinstance(error, Exception):
                continue
            elif not isinstance(error, ConnectorError):
                raise error
            self.idle.append(delivery.instance)

    def _deliver(self, delivery: Delivery) -> None:
        """What `Instance.handle` does, without HTTP."""
        instance = delivery.instance
        preparation, gate = _preparation(strict=instance.strict), instance.gate
        services = Services(
            ledger=Appending(instance.ledger, delivery),
            sessions=gate.before(Opening(self, delivery), "sessions", self._named),
            counts=gate.before(MemoryRowCounts(self.table.counted), "rows"),
            errors=ErrorTopic(
                gate.before(Letters(self, delivery), "letters"),
                gate.before(self.topic, "originals"),
                CONNECTOR,
                "r",
            ),
            clock=lambda: self.now,
        )
        metrics = Metrics("test")
        deadline = Deadline.after(240.0, lambda: self.ticks)
        text = ReplacedText(STRICT if instance.strict else LENIENT, services.errors.originals, metrics, {})

        def prepare(decoded: Decoded, coverage: Coverage | None) -> Blocks:
            blocks = preparation.blocks(decoded, now=NOW_MS, coverage=coverage)
            if blocks.replaced and text.restore(decoded.records, deadline):
                blocks = preparation.blocks(decoded, now=NOW_MS, coverage=coverage)
            return blocks

        line = ExactlyOnce(
            services=services,
            table=Table(prepare),
            check=Check(
                lambda state, dropped, known: self._verify(state, dropped, known, gate),
                lambda state, topics: self._unconfirmed(state, topics, gate),
                lambda state, covered, known: self._differing(state, covered, known, gate),
            ),
            marks=Marks(partial(self._later, delivery)),
            encoding=None,
            policy="stop" if delivery.stops else "continue",
            old_claims=instance.old_claims,
        )
        decoded = preparation.decode(delivery.batch.payload)
        state, instance.state = instance.state, None
        done = deliver(decoded, line, deadline=deadline, metrics=metrics, state=state)
        instance.state = done.state
        self._keep_up(delivery, services, done, deadline)

    def _named(self, call: str, arguments: tuple[Any, ...]) -> str:
        """A call of the sessions; a look by whether there's a claim for it yet."""
        if call != "look":
            return call
        return "look claimed" if arguments[0].id in self.truth.pending else "look staged"

    def _later(self, delivery: Delivery, state: State, covered: Offsets, known: Known, deadline: Deadline) -> Later:
        """What `Upkeep` reads before a claim; nothing fails for want of it."""
        instance = delivery.instance
        originals = instance.gate.before(self.topic, "originals")
        begun: dict[TopicPartition, Mark] = {}
        try:
            if delivery.looks:
                instance.later = {}
                state = instance.ledger.read(deadline)
                moved = marks.advanced(state, covered, known, originals, deadline)
                instance.later = {(state.generation, place): mark for place, mark in moved.items()}
                left = {place: held for place, held in covered.items() if place not in moved}
                begun = marks.late_beginnings(state, left, known, originals, deadline)
        except ConnectorError:
            return instance.later
        self.begun_anew += len(begun)
        return {**instance.later, **{(state.generation, place): mark for place, mark in begun.items()}}

    def _keep_up(self, delivery: Delivery, services: Services, done: Delivered, deadline: Deadline) -> None:
        """What `Upkeep` does after a batch; nothing fails for want of it."""
        instance, state, originals = delivery.instance, done.state, services.errors.originals
        bounds = instance.gate.before(Bounds(self), "topic")
        try:
            instance.ledger.maintain(deadline)
            if delivery.looks and state is not None:
                if instance.gaps is None:
                    instance.gaps = Gaps(instance.ledger, originals, lambda places, _: bounds.limits(places))
                instance.gaps.settle(state, deadline)
        except ConnectorError:
            pass

    def _differing(self, state: State, covered: Offsets, known: Known, gate: Gate) -> frozenset[TopicPartition]:
        """What `Instance` compares right before a claim."""
        topic, originals = gate.before(Bounds(self), "topic"), gate.before(self.topic, "originals")
        unsure = {place: offsets for place, offsets in covered.items() if marks.is_unsure(state, place)}

        def ends(places: Collection[TopicPartition]) -> dict[TopicPartition, int]:
            return {place: end for place, end in topic.ends().items() if place in places}

        return marks.differing(unsure, known, originals, ends, Deadline.after(60.0, lambda: self.ticks))

    def _unconfirmed(self, state: State, topics: Collection[str], gate: Gate) -> frozenset[str]:
        """What `Instance` asks the brokers before a mark begins."""
        known = state.topic_ids
        if not known.keys() & topics:
            return frozenset()
        told = gate.before(Bounds(self), "topic").ids() or {}  # they may not be told
        return frozenset(topic for topic in topics if known[topic] != told.get(topic))

    def _verify(self, state: State, dropped: Coverage, known: Known, gate: Gate) -> Offsets:
        """What `Instance` asks table and brokers, and its check of the answers."""
        found = identity.Observed(table=TABLE, table_created=1)
        if dropped.offsets:
            topic, originals = gate.before(Bounds(self), "topic"), gate.before(self.topic, "originals")
            ends = topic.ends()
            look = marks.look(state, dropped.offsets, originals, Deadline.after(60.0, lambda: self.ticks), known)
            found = identity.Observed(
                table=TABLE,
                table_created=1,
                topics=topic.ids() or {},  # they may not be told
                ends={place: end for place, end in ends.items() if place in dropped.offsets},
                dropped=dropped.offsets,
                timestamps=dropped.timestamps,
                marks=look.digests,
                differing=look.differing,
            )
        identity.check(state, found)
        return found.unlogged

    # What the operator does

    def reset(self, starts: Mapping[TopicPartition, int]) -> Worker:
        """The action reset: a worker that reads the ledger, and begins its next generation."""
        gate = Gate()
        ledger = JudgedLedger(gate.before(self.log, "log", named_append), self.log)
        name = uuid.UUID(int=self.random.getrandbits(128)).hex
        self._resets[name] = self.topic.incarnation, starts
        about = identity.identity(CONNECTOR, TABLE, 1, self.topic.ids)

        def work(worker: Worker) -> None:
            gate.worker = worker
            deadline = Deadline.after(240.0, lambda: self.ticks)
            bounds = {place: (self.topic.starts[place], end) for place, end in self.topic.ends.items()}
            found = marks.of_logs(bounds, gate.before(self.topic, "originals"), deadline)
            state = ledger.read(deadline)
            reset = Reset(id=name, generation=state.generation + 1, identity=about, starts=dict(starts), marks=found)
            ledger.append(reset, deadline)

        worker = Worker(work, self._sleep)
        self.operators.append(worker)
        return worker

    def operate(self, worker: Worker, fate: Fate = Fate.DONE) -> None:
        """One call of an operator."""
        self.met[worker.at or "", fate] += 1
        worker.go(fate)
        if worker.ended:
            self.operators.remove(worker)
            if isinstance(worker.error, Exception) and not isinstance(worker.error, ConnectorError):
                raise worker.error
        self._turn()

    def _turn(self) -> None:
        """Once a reset has its effect, what comes after the starts is delivered again: the operator removes its rows.

        The stream was paused for it, so what hasn't read the ledger by then never does. Rows of a topic that was there
        before stay.
        """
        name = self.truth.reset
        if name not in self._resets:
            return
        self.recognized, starts = self._resets.pop(name)
        self.era += 1
        self.eras |= dict.fromkeys(starts, self.era)
        self.acknowledged = {one for one in self.acknowledged if one.place not in starts}
        self.table.rows = [
            row
            for row in self.table.rows
            if row.id[0] != self.recognized or row.offset < starts.get(row.place, row.offset + 1)
        ]
        for delivery in [one for one in self.running if not one.has_read]:
            self.kill(delivery)

    def kill(self, delivery: Delivery) -> None:
        """End a delivery where it stands."""
        while not delivery.worker.ended:
            delivery.worker.go(Fate.KILLED_BEFORE)
        self._reap()

    # What has to hold

    def check(self) -> None:
        """What holds at any moment."""
        marks = (len(self.log.reference.truths), len(self.table.rows), len(self.letters), self.ended.total(), self.era)
        if marks != self._checked:
            world_judge.check(self)
            self._checked = marks

    def end(self, batches: Callable[[list[SourceRecord]], Iterable[Batch]]) -> None:
        """Once faults stop, redeliveries end with every record in its one place, byte for byte."""
        for delivery in list(self.running):
            self.finish(delivery)
        for operator in list(self.operators):
            while not operator.ended:
                self.operate(operator)
        self.stops = False
        error: BaseException | None = None
        for _ in range(_ROUNDS):
            error = self._redelivered(batches)
            if error is None:
                break
            self.wait(26 * HOUR)
            if isinstance(error, LedgerError):
                self._remedy()
        assert error is None, f"stuck: {error!r}"
        # A commit that is still under way shows its rows, whether its claim is settled or was released.
        self.wait(SLOWEST_SECONDS)
        self.check()
        world_judge.check_whole(self)

    def _redelivered(self, batches: Callable[[list[SourceRecord]], Iterable[Batch]]) -> BaseException | None:
        for batch in batches(self.topic.delivered()):
            delivery = self.begin(batch)
            self.finish(delivery)
            if delivery.worker.error is not None:
                return delivery.worker.error
        return None

    def _remedy(self) -> None:
        """What the operator does about a `LedgerError`: rows of claims that nobody can end are removed, then reset.

        The reset of a topic that is the same begins nowhere, it only vouches for the topic.
        """
        for id_, claim in self.truth.pending.items():
            if not isinstance(claim, Divert) and self.table.is_gone(id_):
                self.table.rows = [
                    row
                    for row in self.table.rows
                    if row.partition_value != claim.partition_value
                    or not any(first <= row.offset <= last for first, last in claim.offsets.get(row.place, ()))
                ]
        if not self.truth.pending:
            is_another = self.topic.incarnation != self.recognized
            worker = self.reset(dict.fromkeys(self.topic.starts, 0) if is_another else {})
            while not worker.ended:
                self.operate(worker)

    def close(self) -> None:
        """Let no thread outlive the test."""
        for delivery in self.running:
            while not delivery.worker.ended:
                delivery.worker.go(Fate.KILLED_BEFORE)
        for worker in self.operators:
            while not worker.ended:
                worker.go(Fate.KILLED_BEFORE)


def patched(patch: pytest.MonkeyPatch, world: list[World]) -> None:
    """One thread a worker, and waits that only move the clock; the last of `world` is the one at work."""

    def sleep(seconds: float) -> None:
        world[-1].ticks += seconds

    patch.setattr(parallel, "PARALLEL", 1)
    patch.setattr(tenacity.nap, "time", SimpleNamespace(sleep=sleep))
    patch.setattr(gaps, "MANY", 0)
    patch.setattr(ledger, "REACH", 8)
    patch.setattr(exactly_once, "WAVE", 2)
