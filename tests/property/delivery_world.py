"""A small world in which the real delivery is attacked.

Some instances of the function work over one ledger's log, one table's upload sessions and one error topic, all of them
in memory, with a clock that jumps. The source topic has two topic-partitions with a few records each, in two hours;
some can't be written.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from functools import cache
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import tenacity.nap
from odps.models import TableSchema
from odps.tunnel.io.reader import TunnelArrowReader

from fc_powertools import Deadline, Metrics
from kafka_maxcompute.dead_letters import MemoryDeadLetters
from kafka_maxcompute.diverted import ErrorTopic
from kafka_maxcompute.ledger.ledger import LogLedger
from kafka_maxcompute.ledger.memory_log import MemoryLog
from kafka_maxcompute.ledger.operations import Genesis, Identity
from kafka_maxcompute.originals import MemoryOriginals, Original
from kafka_maxcompute.roll_forward import Services
from kafka_maxcompute.row_counts import MemoryRowCounts
from kafka_maxcompute.settings import Settings
from kafka_maxcompute.table import expected
from kafka_maxcompute.upload_sessions import InMemoryUploadSessions
from maxcompute_sink import parallel
from maxcompute_sink.blocks import Preparation
from maxcompute_sink.exactly_once import Line, deliver
from maxcompute_sink.strangers import Strangers
from tests.kafka_events import HOUR_14, element, payload
from tests.property.interleaving import Fate, Gate, Worker

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import pytest

    from kafka_maxcompute.ledger.state import State
    from kafka_maxcompute.offsets import TopicPartition

TOPIC_PARTITIONS = 2
RECORDS = 6
"""Of each topic-partition."""
BAD = frozenset({(0, 2), (1, 4)})
"""These can't be written, whoever judges them."""
DOUBTFUL = frozenset({(0, 3), (1, 1)})
"""These can't be written by an instance with the stricter settings."""
HOUR = 3_600
SNAPSHOT_EVERY = 4
NOW = 1_800_000_000.0
COLUMNS = TableSchema.from_lists(
    ["topic", "partition", "offset", "key", "value"], ["string", "bigint", "bigint", "string", "string"]
)
NEEDED = {
    "name": "c",
    "source_topic": "orders",
    "endpoint": "http://127.0.0.1/api",
    "project": "p",
    "table": "t",
    "compression": "none",
    "bootstrap_servers": "127.0.0.1:1",
}
LENIENT = Settings.from_mapping({**NEEDED, "earliest_timestamp": "2000-01-01T00:00:00Z"})
STRICT = Settings.from_mapping({**NEEDED, "earliest_timestamp": "2020-01-01T00:00:00Z"})


def record(place: int, offset: int) -> dict[str, Any]:
    """A record of the source topic as an event has it."""
    early = HOUR_14 - 365 * 24 * HOUR * 1_000
    timestamp = early if (place, offset) in DOUBTFUL else HOUR_14 + offset % 2 * HOUR * 1_000
    value: object = offset if (place, offset) in BAD else f"v{place}-{offset}"
    return element(offset, partition=place, timestamp=timestamp, key=f"k{place}-{offset}", value=value)


@cache
def rows_of(body: bytes) -> tuple[tuple[TopicPartition, int, str, str], ...]:
    """The rows that a block holds."""
    table = TunnelArrowReader(COLUMNS, lambda _: io.BytesIO(body)).read()
    return tuple(
        ((row["topic"], row["partition"]), row["offset"], row["key"], row["value"]) for row in table.to_pylist()
    )


@dataclass
class Instance:
    """One process of the function, from its start to its death."""

    gate: Gate
    ledger: LogLedger
    strict: bool
    state: State | None = None
    strangers: Strangers = field(default_factory=Strangers)


class World:
    """All that outlives a process, and the processes; must be used in `patched`."""

    def __init__(self) -> None:
        self.now = NOW
        self.ticks = 0.0
        self.log = MemoryLog(lambda: self.now, chunk=3)
        self.sessions = InMemoryUploadSessions(lambda: self.now)
        self.letters = MemoryDeadLetters()
        everything = [(place, offset) for place in range(TOPIC_PARTITIONS) for offset in range(RECORDS)]
        self.everything = frozenset(everything)
        self.originals = MemoryOriginals(
            {
                (("orders", place), offset): Original(key=f"k{place}-{offset}".encode(), value=b"\xff%d" % offset)
                for place, offset in everything
            }
        )
        self.idle: list[Instance] = []
        self.running: list[tuple[Worker, Instance, frozenset[tuple[int, int]]]] = []
        self.acknowledged: set[tuple[int, int]] = set()
        identity = Identity(connector="c", table="p.t", table_created=0)
        LogLedger(self.log).append(Genesis(identity=identity), Deadline.after(1.0))

    def begin(self, batch: frozenset[tuple[int, int]], *, warm: bool, strict: bool) -> Worker:
        """Deliver some records to an instance that is idle, or to a new one."""
        warm_ones = [one for one in self.idle if one.strict == strict] if warm else []
        if warm_ones:
            instance = warm_ones[0]
            self.idle.remove(instance)
        else:
            gate = Gate()
            ledger = LogLedger(gate.before(self.log), snapshot_every=SNAPSHOT_EVERY)
            instance = Instance(gate, ledger, strict)

        def work(worker: Worker) -> None:
            instance.gate.worker = worker
            self._deliver(batch, instance)

        worker = Worker(work)
        self.running.append((worker, instance, batch))
        self._reap()
        return worker

    def go(self, worker: Worker, fate: Fate = Fate.DONE) -> None:
        """One call of a worker."""
        worker.go(fate)
        self._reap()

    def finish(self, worker: Worker) -> None:
        """All calls of a worker, none of which fails."""
        for _ in range(2_000):
            if worker.ended:
                return
            self.go(worker)
        raise AssertionError("a delivery doesn't end")

    def _reap(self) -> None:
        """Acknowledge what succeeded; a process that was killed is gone, any other is idle again."""
        for entry in [entry for entry in self.running if entry[0].ended]:
            worker, instance, batch = entry
            self.running.remove(entry)
            if worker.error is None:
                self.acknowledged |= batch
            elif not isinstance(worker.error, Exception):
                continue
            elif isinstance(worker.error, AssertionError | TypeError | AttributeError | KeyError):
                raise worker.error
            self.idle.append(instance)

    def _deliver(self, batch: Iterable[tuple[int, int]], instance: Instance) -> None:
        """What `Instance.handle` does, without HTTP."""
        settings = STRICT if instance.strict else LENIENT
        preparation = Preparation(settings, expected(settings))
        gate = instance.gate
        services = Services(
            ledger=instance.ledger,
            sessions=gate.before(self.sessions),
            counts=gate.before(MemoryRowCounts(self._counted)),
            errors=ErrorTopic(gate.before(self.letters), gate.before(self.originals), "c", "r"),
            clock=lambda: self.now,
        )
        line = Line(
            services=services,
            prepare=lambda decoded, coverage: preparation.blocks(decoded, now=HOUR_14, coverage=coverage),
            verify=lambda *_: {},
            renew=lambda: False,
            encoding=None,
            policy="continue",
            strangers=instance.strangers,
        )
        deadline = Deadline.after(240.0, lambda: self.ticks)
        decoded = preparation.decode(payload(*(record(place, offset) for place, offset in sorted(batch))))
        state, instance.state = instance.state, None
        done = deliver(decoded, line, deadline=deadline, metrics=Metrics("test"), state=state)
        instance.state = done.state
        instance.ledger.maintain(deadline)

    def _counted(self) -> Iterator[tuple[str, TopicPartition, int]]:
        for value, bodies in self.sessions.committed.items():
            for body in bodies:
                yield from ((value, place, offset) for place, offset, *_ in rows_of(body))

    def visible(self) -> list[tuple[int, int]]:
        """Where each row of the table is from."""
        return [(place[1], offset) for _, place, offset in self._counted()]

    def diverted(self) -> set[tuple[int, int]]:
        """Where the dead letters are from; a letter written twice is one."""
        return {
            (one.partition, one.offset)
            for one in self.letters.letters
            if one.partition is not None and one.offset is not None
        }

    def check(self) -> None:
        """What holds at any moment."""
        visible, diverted = self.visible(), self.diverted()
        assert len(visible) == len(set(visible)), f"rows twice: {sorted(visible)}"
        assert not diverted & set(visible), f"row and letter: {sorted(diverted & set(visible))}"
        assert self.acknowledged <= diverted | set(visible), "acknowledged and lost"
        state = LogLedger(self.log).read(Deadline.after(10.0))
        settled = {
            (place, offset)
            for (_, place), found in state.settled.items()
            for first, last in found
            for offset in range(first, last + 1)
        }
        assert settled <= diverted | set(visible), f"settled and nowhere: {sorted(settled - diverted - set(visible))}"

    def end(self) -> None:
        """Once faults stop, redeliveries end with every record in its one place, byte for byte."""
        for worker, *_ in list(self.running):
            self.finish(worker)
        for _ in range(8):
            worker = self.begin(self.everything, warm=False, strict=False)
            self.finish(worker)
            if worker.error is None:
                break
            self.now += 26 * HOUR
        assert worker.error is None, f"stuck: {worker.error!r}"
        self.check()
        assert sorted([*self.visible(), *self.diverted()]) == sorted(self.everything)
        assert BAD <= self.diverted() <= BAD | DOUBTFUL
        for bodies in self.sessions.committed.values():
            for (_, place), offset, key, value in (row for body in bodies for row in rows_of(body)):
                assert (key, value) == (f"k{place}-{offset}", f"v{place}-{offset}")
        for letter in self.letters.letters:
            assert letter.record.value == b"\xff%d" % (letter.offset or 0)
            assert letter.record.key == f"k{letter.partition}-{letter.offset}".encode()

    def close(self) -> None:
        """Let no thread outlive the test."""
        for worker, *_ in self.running:
            while not worker.ended:
                worker.go(Fate.KILLED_BEFORE)


def patched(patch: pytest.MonkeyPatch, world: list[World]) -> None:
    """One thread a worker, and waits that only move the clock; the last of `world` is the one at work."""

    def sleep(seconds: float) -> None:
        world[-1].ticks += seconds

    patch.setattr(parallel, "PARALLEL", 1)
    patch.setattr(tenacity.nap, "time", SimpleNamespace(sleep=sleep))
