"""Measure a ledger on topics whose offsets have gaps everywhere: `python benchmarks/ledger.py`.

Six instances deliver side by side, each with its own ledger over one log, and its own upkeep. The source topic and the
log are in memory, and times are CPU seconds, so they measure only the code. A scenario is a pattern of offsets: a
record at every second offset (transactions of one record: a marker follows each), at every third, at every tenth, at a
random third of all offsets, and the same in 200 topic-partitions. Each figure is printed beside its limit. The exit
code is 1 if a limit isn't kept.

With --apache N the log, the source topic and its group are in a real Apache Kafka, with N transactions of one record, a
tenth of them aborted; the upkeep then tolerates N / 10 gaps.
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
"""The limits. Growth is the cost of a batch in the last fifth of a run divided by the cost in the second fifth."""
COMPACT_EVERY = 20
"""The number of rounds between two compactions of the log."""
RECORD = Original(key=b"k", value=b"v" * 300)


def soon() -> Deadline:
    """Return a deadline that only a failure misses."""
    return Deadline.after(60.0)


@dataclass(frozen=True, slots=True)
class Pattern:
    """A source topic: a batch's offsets in one topic-partition, and the span from one batch to the next.

    A batch has the same number of records in each of its `spread` topic-partitions.
    """

    name: str
    offsets: Sequence[int]
    span: int
    spread: int = 1

    def batch(self, number: int) -> dict[TopicPartition, list[int]]:
        """Return the offsets of a batch."""
        return {
            ("orders", place): [number * self.span + offset for offset in self.offsets] for place in range(self.spread)
        }


def every(step: int, records: int) -> Pattern:
    """Return the pattern with a record at every `step`-th offset."""
    return Pattern(f"every {step}", range(0, records * step, step), records * step)


def at_random(share: int, records: int, spread: int = 1) -> Pattern:
    """Return a pattern with a record at one of `share` offsets on average, at random; it is the same in each batch."""
    drawn = random.Random(share)  # noqa: S311 - nothing is secret here
    steps = [drawn.randrange(1, 2 * share) for _ in range(records // spread)]
    offsets = [0, *accumulate(steps)]
    return Pattern(f"random {share}, {spread} topic-partitions", offsets[:-1], offsets[-1], spread)


@dataclass(frozen=True, slots=True)
class PatternTopic(MemoryOriginals):
    """The source topic of a pattern; its records are computed, so it needs no memory."""

    pattern: Pattern

    def passed(
        self,
        wanted: Wanted,
        deadline: Deadline,  # noqa: ARG002 # reading never waits
        *,
        committed: bool,  # noqa: ARG002 # the topic has no transactions
    ) -> Iterator[tuple[TopicPartition, int, Original | None]]:
        """Yield the records of one topic-partition after the other."""
        offsets, span = self.pattern.offsets, self.pattern.span
        for place, windows in wanted.items():
            for first, last in windows:
                for number in range(first // span, last // span + 1):
                    begin = number * span
                    for index in range(bisect_left(offsets, first - begin), bisect_left(offsets, last - begin + 1)):
                        yield place, begin + offsets[index], RECORD
            yield place, windows[-1][1] + 1, None


@dataclass(slots=True)
class Deliveries:
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
        """Write the ledger's beginning, and create the instances."""
        self.ledgers = [LogLedger(log) for log in self.logs]
        self.ledgers[0].append(genesis("c", "p.t", 1, {}), soon())
        self.searches = [Gaps(ledger, self.originals, self.limits) for ledger in self.ledgers]

    def round(self, number: int) -> None:
        """Deliver a batch by each instance: all claim, then all settle, then each does its upkeep and acknowledges."""
        begun = time.process_time()
        batches = [self.batch(number * len(self.ledgers) + index) for index in range(len(self.ledgers))]
        states = [self._claim(*pair) for pair in zip(self.ledgers, batches, strict=True)]
        size = len(encode(Snapshot(state=self.ledgers[0].read(soon())))) if number % 5 == 0 else 0
        for ledger, (name, state) in zip(self.ledgers, states, strict=True):
            if name not in state.pending:
                raise SystemExit(
                    "expected each claim to be accepted, because no two claims share offsets; found one refused"
                )
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
        """Claim a batch as a delivery does; return the claim's id, and the state read back."""
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
        """Return the CPU seconds until a new instance has read the state."""
        begun = time.process_time()
        LogLedger(self.logs[0]).read(soon())
        return time.process_time() - begun


def in_memory(pattern: Pattern, log: MemoryLog) -> Deliveries:
    """Return instances over a log in memory."""
    committed: dict[TopicPartition, int] = {}

    def acknowledge(batch: dict[TopicPartition, list[int]]) -> None:
        committed.update({place: offsets[-1] + 1 for place, offsets in batch.items()})

    def limits(places: Iterable[TopicPartition], _: Deadline) -> Limits:
        return {place: (0, committed[place]) for place in places if place in committed}

    return Deliveries(pattern.batch, [log] * INSTANCES, PatternTopic(pattern), limits, acknowledge)


def run(pattern: Pattern, batches: int) -> bool:
    """Run and print one scenario; return whether it keeps all limits."""
    log = MemoryLog()
    deliveries = in_memory(pattern, log)
    deliveries.begin()
    rounds, colds = max(10, batches // INSTANCES), list[float]()
    for number in range(rounds):
        deliveries.round(number)
        if number % COMPACT_EVERY == COMPACT_EVERY - 1:
            colds.append(deliveries.cold())
            log.compact(tombstones=True)
    colds.append(deliveries.cold())
    fifth = max(1, rounds // 5)
    early, late = (statistics.fmean(deliveries.costs[part : part + fifth]) for part in (fifth, rounds - fifth))
    results = [
        judged(max(deliveries.sizes), SNAPSHOT_BYTES, "B"),
        judged(max(colds), COLD_SECONDS, "s"),
        judged(late / early, GROWTH, "x"),
    ]
    figures = " | ".join(text for text, _ in results)
    print(f"| {pattern.name} | {rounds * INSTANCES:,} | {figures} | {late * 1e3:.0f} ms |", flush=True)
    return all(kept for _, kept in results)


def judged(figure: float, limit: float, unit: str) -> tuple[str, bool]:
    """Return a text with a figure and its limit, and whether the figure keeps the limit."""
    text = f"{figure:,.0f} < {limit:,.0f}" if unit == "B" else f"{figure:.2f} < {limit:.1f}"
    return f"{text} {unit}{'' if figure < limit else ', MISSED'}", figure < limit


@dataclass(frozen=True, slots=True)
class Transactions:
    """A topic of a real broker, written in transactions of one record, with its group."""

    properties: dict[str, Any]
    topic: str
    offsets: list[int]

    @property
    def place(self) -> TopicPartition:
        """The topic's only topic-partition."""
        return self.topic, 0

    def fill(self, count: int) -> None:
        """Write so many transactions, and abort a tenth of them; `offsets` gets the offsets of the others."""
        writer = Producer({**self.properties, "transactional.id": self.topic, "linger.ms": 0})
        writer.init_transactions(30)
        for number in range(count):
            writer.begin_transaction()
            writer.produce(self.topic, b"v" * 300, b"k", 0)
            writer.flush(30)
            (writer.abort_transaction if number % 10 == 9 else writer.commit_transaction)(30)
        logs = KafkaOriginals(self.properties, "reads", committed=True)
        self.offsets.extend(offset for _, offset, _ in logs.stream({self.place: ((0, 10**12),)}, Deadline.after(60)))

    def commit(self, batch: dict[TopicPartition, list[int]]) -> None:
        """Commit the group's offset after a batch, as the stream does."""
        with closing(Consumer({**self.properties, "group.id": "g"})) as group:
            group.commit(offsets=[Place(*self.place, batch[self.place][-1] + 1)], asynchronous=False)

    def limits(self, places: Iterable[TopicPartition], deadline: Deadline) -> Limits:
        """Return the topic-partitions' limits, as the sink's upkeep reads them."""
        with closing(consumer(self.properties, "g")) as client:
            committed = log_bounds.committed(client, places, deadline)
            starts = log_bounds.starts(client, committed, deadline)
        return {place: (starts[place], offset) for place, offset in committed.items()}


def run_on_apache(count: int) -> bool:
    """Run transactions of one record on a real broker; return whether snapshot and cold start keep their limits."""
    gaps.MANY = count // 10
    with ApacheBroker({"ledger": 1, "orders": 1}) as broker:
        properties = {"bootstrap.servers": broker.bootstrap_servers, "log_level": 0}
        source = Transactions(properties, "orders", [])
        begun = time.perf_counter()
        source.fill(count)
        print(f"{count:,} transactions written in {time.perf_counter() - begun:.0f} s")
        size = max(1, len(source.offsets) // (10 * INSTANCES))
        logs = [KafkaLog(properties, "ledger") for _ in range(INSTANCES)]
        deliveries = Deliveries(
            lambda number: {source.place: source.offsets[number * size : (number + 1) * size]},
            logs,
            KafkaOriginals(properties, "g"),
            source.limits,
            source.commit,
        )
        deliveries.begin()
        for number in range(10):
            deliveries.round(number)
        cold = KafkaLog(properties, "ledger")
        begun = time.perf_counter()
        state = LogLedger(cold).read(soon())
        seconds = time.perf_counter() - begun
        gap_count = sum(len(settled) - 1 for settled in state.settled.values())
        results = [judged(max(deliveries.sizes), SNAPSHOT_BYTES, "B"), judged(seconds, COLD_SECONDS, "s")]
        for log in (*logs, cold):
            log.close()
    print(f"snapshot {results[0][0]}; cold start {results[1][0]}; {gap_count:,} of {count:,} gaps remain")
    return all(kept for _, kept in results)


def main() -> int:
    """Measure and print; return 1 if a limit isn't kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, default=1_000, help="batches in each scenario (%(default)s)")
    parser.add_argument("--records", type=int, default=10_000, help="records in each batch, 200 or more (%(default)s)")
    parser.add_argument("--only", default="", help="run only scenarios whose names begin with this text")
    parser.add_argument("--apache", type=int, metavar="N", help="run N transactions on a real broker instead")
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
