"""How a ledger fares on topics whose offsets have gaps everywhere: `python benchmarks/ledger.py`.

Six instances deliver side by side, each with a ledger of its own over one log and an upkeep of its own; the source
topic and the log are in memory, and seconds are of CPU, so they are those of the code alone. A scenario is a pattern of
offsets: a record at every second one (transactions of one record: its marker follows), at every third and tenth, at a
third of all at random, and at random ones of 200 topic-partitions. Each figure stands beside its bar; exits with 1 if
one is missed.

With --apache N the log, the source topic and its group are those of a real Apache Kafka, with N transactions of one
record, a tenth of them aborted; a tenth as many gaps are let be.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import time
import uuid
from bisect import bisect_left
from contextlib import closing
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).resolve().parents[1]
PARTS = (".", "functions/sink", "layers/connector/python", "layers/powertools/python")
sys.path[:0] = [str(ROOT / part) for part in PARTS]

from confluent_kafka import Consumer, Producer  # noqa: E402 # after the path is set
from confluent_kafka import TopicPartition as Place  # noqa: E402

from fc_powertools import Deadline  # noqa: E402
from kafka_maxcompute.brokers import log_bounds  # noqa: E402
from kafka_maxcompute.brokers.clients import consumer  # noqa: E402
from kafka_maxcompute.brokers.originals import MemoryOriginals, Original  # noqa: E402
from kafka_maxcompute.brokers.topic_log import KafkaOriginals  # noqa: E402
from kafka_maxcompute.ledger import gaps  # noqa: E402
from kafka_maxcompute.ledger.gaps import Gaps  # noqa: E402
from kafka_maxcompute.ledger.identity import genesis  # noqa: E402
from kafka_maxcompute.ledger.kafka_log import KafkaLog  # noqa: E402
from kafka_maxcompute.ledger.ledger import LogLedger  # noqa: E402
from kafka_maxcompute.ledger.memory_log import MemoryLog  # noqa: E402
from kafka_maxcompute.ledger.operations import Claim, Settle, Snapshot, encode  # noqa: E402
from kafka_maxcompute.offsets import intervals  # noqa: E402
from local_emulator.kafka.apache import ApacheBroker  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from kafka_maxcompute.brokers.originals import Originals, Wanted
    from kafka_maxcompute.ledger.gaps import Limits
    from kafka_maxcompute.ledger.ledger import Ledger
    from kafka_maxcompute.ledger.log import Log
    from kafka_maxcompute.ledger.operations import State
    from kafka_maxcompute.offsets import TopicPartition

INSTANCES = 6
SNAPSHOT_BYTES, COLD_SECONDS, GROWTH = 200_000, 1.0, 1.5
"""The bars. Growth is the cost of a batch in the last fifth of a run, compared with the second fifth."""
COMPACT_EVERY = 20
"""Rounds of the instances between two compactions of the log."""
RECORD = Original(key=b"k", value=b"v" * 300)


def soon() -> Deadline:
    """As long as a batch's upkeep may take."""
    return Deadline.after(60.0)


@dataclass(frozen=True, slots=True)
class Pattern:
    """A source topic: the offsets of a batch's records in one topic-partition, and where the next batch's begin.

    A batch has the same count of records of each of its `spread` topic-partitions.
    """

    name: str
    offsets: Sequence[int]
    span: int
    spread: int = 1

    def batch(self, number: int) -> dict[TopicPartition, list[int]]:
        """The offsets of a batch."""
        return {
            ("orders", place): [number * self.span + offset for offset in self.offsets] for place in range(self.spread)
        }


def every(step: int, records: int) -> Pattern:
    """A record at every so many-th offset."""
    return Pattern(f"every {step}", range(0, records * step, step), records * step)


def at_random(share: int, records: int, spread: int = 1) -> Pattern:
    """A record at one of so many offsets, at random; the same for each batch."""
    drawn = random.Random(share)  # noqa: S311 - nothing is secret here
    steps = [drawn.randrange(1, 2 * share) for _ in range(records // spread)]
    offsets = [0, *accumulate(steps)]
    return Pattern(f"random {share}, {spread} topic-partitions", offsets[:-1], offsets[-1], spread)


@dataclass(frozen=True, slots=True)
class Made(MemoryOriginals):
    """The source topic of a pattern, which takes no memory."""

    pattern: Pattern

    def passed(
        self,
        wanted: Wanted,
        deadline: Deadline,  # noqa: ARG002 # it never waits
        *,
        committed: bool,  # noqa: ARG002 # it has no transactions
    ) -> Iterator[tuple[TopicPartition, int, Original | None]]:
        """Its records, topic-partition by topic-partition."""
        offsets, span = self.pattern.offsets, self.pattern.span
        for place, windows in wanted.items():
            for first, last in windows:
                for number in range(first // span, last // span + 1):
                    begin = number * span
                    for index in range(bisect_left(offsets, first - begin), bisect_left(offsets, last - begin + 1)):
                        yield place, begin + offsets[index], RECORD
            yield place, windows[-1][1] + 1, None


@dataclass(slots=True)
class Delivering:
    """The instances that deliver a topic's batches, round by round, with the services that they share."""

    batch: Callable[[int], dict[TopicPartition, list[int]]]
    logs: Sequence[Log]
    originals: Originals
    limits: Callable[[Iterable[TopicPartition], Deadline], Limits]
    acknowledge: Callable[[dict[TopicPartition, list[int]]], None]
    ledgers: list[LogLedger] = field(default_factory=list)
    searches: list[Gaps] = field(default_factory=list)
    costs: list[float] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)

    def begin(self) -> None:
        """The ledger's beginning, and the instances."""
        self.ledgers = [LogLedger(log) for log in self.logs]
        self.ledgers[0].append(genesis("c", "p.t", 1, {}), soon())
        self.searches = [Gaps(ledger, self.originals, self.limits) for ledger in self.ledgers]

    def round(self, number: int) -> None:
        """A batch of each instance: all claim, then all settle, then each does its upkeep and is acknowledged."""
        begun = time.process_time()
        batches = [self.batch(number * len(self.ledgers) + index) for index in range(len(self.ledgers))]
        states = [self._claim(*pair) for pair in zip(self.ledgers, batches, strict=True)]
        size = len(encode(Snapshot(state=self.ledgers[0].read(soon())))) if number % 5 == 0 else 0
        for ledger, (name, state) in zip(self.ledgers, states, strict=True):
            if name not in state.pending:
                raise SystemExit("a claim that nobody else has made wasn't accepted")
            ledger.append(Settle(id=name), soon())
        for ledger, search, (_, state) in zip(self.ledgers, self.searches, states, strict=True):
            ledger.maintain(soon())
            search.settle(state, soon())
        self.costs.append((time.process_time() - begun) / len(batches))
        if size:
            self.sizes.append(size)
        for batch in batches:
            self.acknowledge(batch)

    def _claim(self, ledger: Ledger, batch: dict[TopicPartition, list[int]]) -> tuple[str, State]:
        """As a delivery does it; the state as read back."""
        claim = Claim(
            id=uuid.uuid4().hex,
            partition_value="11-17-2020 14",
            blocks=(0,),
            rows=sum(map(len, batch.values())),
            offsets={place: intervals(offsets) for place, offsets in batch.items()},
            generation=1,
            timestamps=dict.fromkeys(batch, 1),
        )
        return claim.id, ledger.read(soon(), through=ledger.append(claim, soon()))

    def cold(self) -> float:
        """Seconds of CPU until a new instance knows the state."""
        begun = time.process_time()
        LogLedger(self.logs[0]).read(soon())
        return time.process_time() - begun


def of_memory(pattern: Pattern, log: MemoryLog) -> Delivering:
    """Instances over a log in memory."""
    committed: dict[TopicPartition, int] = {}

    def acknowledge(batch: dict[TopicPartition, list[int]]) -> None:
        committed.update({place: offsets[-1] + 1 for place, offsets in batch.items()})

    def limits(places: Iterable[TopicPartition], _: Deadline) -> Limits:
        return {place: (0, committed[place]) for place in places if place in committed}

    return Delivering(pattern.batch, [log] * INSTANCES, Made(pattern), limits, acknowledge)


def run(pattern: Pattern, batches: int) -> bool:
    """One scenario; whether it keeps all bars."""
    log = MemoryLog()
    delivering = of_memory(pattern, log)
    delivering.begin()
    rounds, colds = max(10, batches // INSTANCES), list[float]()
    for number in range(rounds):
        delivering.round(number)
        if number % COMPACT_EVERY == COMPACT_EVERY - 1:
            colds.append(delivering.cold())
            log.compact(tombstones=True)
    colds.append(delivering.cold())
    fifth = max(1, rounds // 5)
    early, late = (statistics.fmean(delivering.costs[part : part + fifth]) for part in (fifth, rounds - fifth))
    held = [
        told(max(delivering.sizes), SNAPSHOT_BYTES, "B"),
        told(max(colds), COLD_SECONDS, "s"),
        told(late / early, GROWTH, "x"),
    ]
    figures = " | ".join(told for told, _ in held)
    print(f"| {pattern.name} | {rounds * INSTANCES:,} | {figures} | {late * 1e3:.0f} ms |", flush=True)
    return all(fine for _, fine in held)


def told(found: float, bar: float, unit: str) -> tuple[str, bool]:
    """A figure beside its bar, and whether it keeps it."""
    figures = f"{found:,.0f} < {bar:,.0f}" if unit == "B" else f"{found:.2f} < {bar:.1f}"
    return f"{figures} {unit}{'' if found < bar else ', MISSED'}", found < bar


@dataclass(frozen=True, slots=True)
class Transactions:
    """A topic of a real broker, written in transactions of one record, with its group."""

    properties: dict[str, Any]
    topic: str
    there: list[int]

    @property
    def place(self) -> TopicPartition:
        """Its one topic-partition."""
        return self.topic, 0

    def fill(self, count: int) -> None:
        """Write them, a tenth of them aborted; `there` has the offsets of the others."""
        writer = Producer({**self.properties, "transactional.id": self.topic, "linger.ms": 0})
        writer.init_transactions(30)
        for number in range(count):
            writer.begin_transaction()
            writer.produce(self.topic, b"v" * 300, b"k", 0)
            writer.flush(30)
            (writer.abort_transaction if number % 10 == 9 else writer.commit_transaction)(30)
        logs = KafkaOriginals(self.properties, "reads", committed=True)
        self.there.extend(offset for _, offset, _ in logs.stream({self.place: ((0, 10**12),)}, Deadline.after(60)))

    def commit(self, batch: dict[TopicPartition, list[int]]) -> None:
        """What the stream does when a batch is written."""
        with closing(Consumer({**self.properties, "group.id": "g"})) as group:
            group.commit(offsets=[Place(*self.place, batch[self.place][-1] + 1)], asynchronous=False)

    def limits(self, places: Iterable[TopicPartition], deadline: Deadline) -> Limits:
        """As the sink's upkeep asks for them."""
        with closing(consumer(self.properties, "g")) as client:
            committed = log_bounds.committed(client, places, deadline)
            starts = log_bounds.starts(client, committed, deadline)
        return {place: (starts[place], offset) for place, offset in committed.items()}


def run_on_apache(count: int) -> bool:
    """Transactions of one record on a real broker; whether the bars of the snapshot and of the cold start are kept."""
    gaps.MANY = count // 10
    with ApacheBroker({"ledger": 1, "orders": 1}) as broker:
        properties = {"bootstrap.servers": broker.bootstrap_servers, "log_level": 0}
        source = Transactions(properties, "orders", [])
        begun = time.perf_counter()
        source.fill(count)
        print(f"{count:,} transactions written in {time.perf_counter() - begun:.0f} s")
        size = max(1, len(source.there) // (10 * INSTANCES))
        logs = [KafkaLog(properties, "ledger") for _ in range(INSTANCES)]
        delivering = Delivering(
            lambda number: {source.place: source.there[number * size : (number + 1) * size]},
            logs,
            KafkaOriginals(properties, "g"),
            source.limits,
            source.commit,
        )
        delivering.begin()
        for number in range(10):
            delivering.round(number)
        cold = KafkaLog(properties, "ledger")
        begun = time.perf_counter()
        state = LogLedger(cold).read(soon())
        seconds = time.perf_counter() - begun
        left = sum(len(settled) - 1 for settled in state.settled.values())
        kept = [told(max(delivering.sizes), SNAPSHOT_BYTES, "B"), told(seconds, COLD_SECONDS, "s")]
        for log in (*logs, cold):
            log.close()
    print(f"snapshot {kept[0][0]}; cold start {kept[1][0]}; {left:,} of {count:,} gaps are left")
    return all(fine for _, fine in kept)


def main() -> int:
    """Print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, default=1_000, help="of each scenario")
    parser.add_argument("--records", type=int, default=10_000, help="of each batch, 200 or more")
    parser.add_argument("--only", default="", help="scenarios whose name begins so")
    parser.add_argument("--apache", type=int, metavar="N", help="N transactions on a real broker instead")
    options = parser.parse_args()
    if options.apache:
        return 0 if run_on_apache(options.apache) else 1
    print(f"{INSTANCES} instances side by side, {options.records:,} records a batch")
    print("| a record at | batches | largest snapshot | longest cold start | cost late : early | CPU a batch |")
    print("|---|---|---|---|---|---|")
    patterns = [
        *(every(step, options.records) for step in (2, 3, 10)),
        *(at_random(3, options.records, spread) for spread in (1, 200)),
    ]
    kept = [run(pattern, options.batches) for pattern in patterns if pattern.name.startswith(options.only)]
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
