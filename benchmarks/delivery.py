"""Measure the end-to-end costs of exactly-once delivery against limits: `python benchmarks/delivery.py`.

Two functions of template.yml, one for each `delivery`, are invoked in turns over HTTP, with batches of 10,000 new
records of 823 bytes. The local MaxCompute runs in a process of its own. In each round the hot path alone (from bytes to
block bodies) runs in this process, too. A reported time is the tenth percentile of the rounds, because noise only adds
time; beside it is the median of the ratios of single rounds. CPU time is the kernel's CPU time of the function's
process, with all threads, from the invocation to the answer; for the hot path it is the CPU time of its thread.

Then the exactly-once function gets many small batches, and its memory and its ledger are measured. The source topic has
no records, because nothing reads them unless something fails.

The broker is embedded in this process, or Apache Kafka with --kafka apache. Round trips are always counted with an
embedded broker, which reports the requests that it got. The benchmark needs Linux's /proc. The exit code is 1 if a
limit isn't kept.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import logging
import os
import random
import statistics
import sys
import time
from collections import Counter
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).resolve().parents[1]
PARTS = (".", "functions/sink", "layers/connector/python", "layers/powertools/python")
sys.path[:0] = [str(ROOT / part) for part in PARTS]

from confluent_kafka.admin import AdminClient  # noqa: E402 # after the path is set
from confluent_kafka.cimpl import NewTopic  # noqa: E402

from benchmarks.emulator import PROJECT, Report, running  # noqa: E402
from benchmarks.hot_path import HOUR_14, element, order  # noqa: E402
from fc_powertools import Credentials, Deadline  # noqa: E402
from kafka_maxcompute.ledger.identity import genesis  # noqa: E402
from kafka_maxcompute.ledger.kafka_log import KafkaLog  # noqa: E402
from kafka_maxcompute.ledger.ledger import LogLedger  # noqa: E402
from kafka_maxcompute.maxcompute import table_definition  # noqa: E402
from kafka_maxcompute.maxcompute.jobs import run_sql, select  # noqa: E402
from kafka_maxcompute.maxcompute.service import Service  # noqa: E402
from kafka_maxcompute.maxcompute.sql import Statement  # noqa: E402
from kafka_maxcompute.maxcompute.table import create_statement, expected  # noqa: E402
from kafka_maxcompute.offsets import count  # noqa: E402
from kafka_maxcompute.settings.destinations import TrustedAddress  # noqa: E402
from kafka_maxcompute.settings.settings import Settings  # noqa: E402
from local_emulator.control_plane import server  # noqa: E402
from local_emulator.control_plane.function_compute import deployment  # noqa: E402
from local_emulator.eventbridge.invocation import Invoker  # noqa: E402
from local_emulator.function_compute import surroundings, template  # noqa: E402
from local_emulator.kafka.apache import ApacheBroker  # noqa: E402
from local_emulator.kafka.broker import open_broker  # noqa: E402
from local_emulator.kafka.embedded import EmbeddedBroker  # noqa: E402
from maxcompute_sink.blocks import Preparation  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from kafka_maxcompute.ledger.log import LogRecord
    from local_emulator.kafka.broker import Broker

RECORDS = 10_000
SMALL_BATCH = 500
ROUNDS = 60
WARM_UP = 5
COUNTED = 30
"""Batches whose round trips are counted."""
READS = 5
TOPIC = "orders"
SOURCE_PARTITIONS = 3
"""The topic-partitions of the records from `benchmarks.hot_path.element`."""
TEXTS = 2_000
"""The number of different values, which a batch repeats."""
NO_LIMIT = ("--limit", "sessions=off", "--limit", "blocks=off", "--limit", "commits=off")
"""The service's limits for a table are per minute; the benchmark sends a thousand batches in one or two minutes."""
KEY, SECRET = "ak", "sk"

EXACTLY, AT_LEAST = "exactly-once", "at-least-once"
BAR_THROUGHPUT = 0.85
BAR_ROUND_TRIPS = 3
BAR_CPU = 1.4
BAR_READ_SECONDS, BAR_READ_RECORDS = 0.3, 2_000
BAR_GROWTH_MB = 2.0
"""Above the allocators' noise: a leak of a kilobyte for each batch exceeds it after two thousand batches."""

FETCH = 1
APIS = {0: "Produce", 1: "Fetch", 2: "ListOffsets", 3: "Metadata", 10: "FindCoordinator", 18: "ApiVersions"}
"""Names of requests by their API keys in Kafka's protocol."""


class Batches:
    """Creates batches; the offsets of each follow those of the batch before."""

    def __init__(self) -> None:
        chance = random.Random(20201117)  # noqa: S311 # repeatable data, no secret
        self._texts = [json.dumps(order(chance), ensure_ascii=False) for _ in range(TEXTS)]
        self.sent = 0

    def next(self, records: int) -> bytes:
        """Return the body of one invocation."""
        numbers = range(self.sent, self.sent + records)
        self.sent += records
        elements = [element(number, self._texts[number % TEXTS]) for number in numbers]
        return json.dumps(elements, ensure_ascii=False).encode()


@dataclass(frozen=True, slots=True)
class Spent:
    """Elapsed seconds, and CPU seconds of the function's process."""

    wall: float
    cpu: float


@dataclass(slots=True)
class DeployedFunction:
    """One deployed function with its table; the first batch starts the function's instance."""

    settings: Settings
    service: Service
    invoke: Invoker
    batches: Batches = field(default_factory=Batches)
    _clock: int | None = None
    _pid: int = 0

    def deliver(self, records: int) -> Spent:
        """Deliver one batch; raises if the invocation fails."""
        batch = self.batches.next(records)
        cpu, wall = self._cpu(), time.perf_counter()
        self.invoke(batch)
        spent = time.perf_counter() - wall
        return Spent(spent, self._cpu() - cpu)

    def memory(self) -> float:
        """Return the MB of the process's own memory."""
        status = Path(f"/proc/{self._pid}/status").read_text(encoding="ascii")
        (line,) = (line for line in status.splitlines() if line.startswith("RssAnon"))
        return int(line.split()[1]) / 1024

    def rows(self) -> int:
        """Return the number of the table's rows."""
        answer = select(self.service, Statement(f"SELECT COUNT(*) AS n FROM {self.settings.table};"), soon())  # noqa: S608
        return int(answer[0]["n"] or 0)

    def _cpu(self) -> float:
        """Return the CPU seconds so far, with those of ended threads; 0 before the instance starts."""
        if self._clock is None:
            self._pid = process(f"maxcompute-sink-{self.settings.name}")
            if self._pid:
                clock = ctypes.c_int()
                ctypes.CDLL(None).clock_getcpuclockid(self._pid, ctypes.byref(clock))
                self._clock = clock.value
        return 0.0 if self._clock is None else time.clock_gettime(self._clock)


def process(function: str) -> int:
    """Return the process id of a function's instance, which is a child of this process; 0 if there is none."""
    variable = f"FC_FUNCTION_NAME={function}\0".encode()
    for children in Path("/proc/self/task").glob("*/children"):
        for pid in children.read_text(encoding="ascii").split():
            if variable in Path(f"/proc/{pid}/environ").read_bytes():
                return int(pid)
    return 0


@contextmanager
def deployed(name: str, delivery: str, endpoint: str, broker: Broker | None) -> Iterator[DeployedFunction]:
    """Yield a deployed function with the provisioner's resources: table, topics, and the ledger's beginning."""
    values = {"name": name, "source_topic": TOPIC, "endpoint": endpoint, "project": PROJECT, "delivery": delivery}
    values |= {"table": name.replace("-", "_"), "bootstrap_servers": broker.bootstrap_servers if broker else ""}
    settings = Settings.from_mapping({key: value for key, value in values.items() if value})
    maxcompute = Service(TrustedAddress(endpoint), PROJECT, Credentials(KEY, SECRET))
    run_sql(maxcompute, create_statement(settings), soon())
    if broker:
        create_topics(broker, settings)
        created = table_definition.look(maxcompute, settings.table, soon()).created
        log = KafkaLog({"bootstrap.servers": broker.bootstrap_servers}, settings.offset_topic)
        LogLedger(log).append(genesis(name, f"{PROJECT}.{settings.table}", created, {}), soon())
        log.close()
    loaded = template.load(ROOT / "template.yml", {f"CONNECTOR_{key.upper()}": value for key, value in values.items()})
    function = loaded.functions["sink"]
    sink = template.Template(loaded.path, loaded.account_id, {"sink": function})
    with server.start(access_id=KEY, access_key=SECRET, account_id=sink.account_id) as plane:
        plane.functions.keys = lambda _: surroundings.Credentials(KEY, SECRET)
        deployment.deploy(plane, sink)
        invoker = Invoker(plane.url, function.name, access_key_id=KEY, access_key_secret=SECRET)
        yield DeployedFunction(settings, maxcompute, invoker)


def create_topics(broker: Broker, settings: Settings) -> None:
    """Create the connector's topics; Apache Kafka compacts the ledger's topic."""
    if isinstance(broker, ApacheBroker):
        _create_compacted(broker, settings.offset_topic)
    else:
        broker.create_topic(settings.offset_topic, 1)
    for topic in {settings.status_topic, settings.error_topic, settings.dead_letter_topic}:
        broker.create_topic(topic, 1)


def _create_compacted(broker: Broker, topic: str) -> None:
    new = NewTopic(topic, 1, 1, config={"cleanup.policy": "compact"})
    admin = AdminClient({"bootstrap.servers": broker.bootstrap_servers, "log_level": 0})
    for future in admin.create_topics([new]).values():
        future.result(30)


def measure_speed(report: Report, exactly: DeployedFunction, at_least: DeployedFunction, rounds: int) -> None:
    """Measure throughput and CPU time with full batches."""
    functions = {EXACTLY: exactly, AT_LEAST: at_least}
    costs: dict[str, list[Spent]] = {EXACTLY: [], AT_LEAST: []}
    hot_path_seconds: list[float] = []
    hot_path = Preparation(exactly.settings, expected(exactly.settings))
    batches = Batches()
    for number in range(WARM_UP + rounds):
        round_costs = {name: function.deliver(RECORDS) for name, function in functions.items()}
        payload = batches.next(RECORDS)
        begun = time.thread_time()
        hot_path.blocks(hot_path.decode(payload), now=HOUR_14)
        seconds = time.thread_time() - begun
        if number >= WARM_UP:
            hot_path_seconds.append(seconds)
            for name, cost in round_costs.items():
                costs[name].append(cost)
    for name, function_costs in costs.items():
        middle = statistics.median(cost.wall for cost in function_costs)
        report.line(
            f"{name}: records/s",
            f"{RECORDS / quick(cost.wall for cost in function_costs):,.0f}",
            note=f"median {RECORDS / middle:,.0f}",
        )
    ratio = quick(cost.wall for cost in costs[AT_LEAST]) / quick(cost.wall for cost in costs[EXACTLY])
    round_ratios = [least.wall / exact.wall for least, exact in zip(costs[AT_LEAST], costs[EXACTLY], strict=True)]
    report.line(
        "throughput, exactly-once : at-least-once",
        f"{ratio:.2f}",
        f">= {BAR_THROUGHPUT:g}",
        good=ratio >= BAR_THROUGHPUT,
        note=f"median of the rounds {statistics.median(round_ratios):.2f}",
    )
    report.line("hot path: CPU s per million records", f"{quick(hot_path_seconds) / RECORDS * 1e6:.2f}")
    for name, function_costs in costs.items():
        best = quick(cost.cpu for cost in function_costs)
        ratio = best / quick(hot_path_seconds)
        middle = statistics.median(
            cost.cpu / seconds for cost, seconds in zip(function_costs, hot_path_seconds, strict=True)
        )
        report.line(
            f"CPU of the whole function process : hot path, {name}",
            f"{ratio:.2f}",
            f"<= {BAR_CPU:g}",
            good=ratio <= BAR_CPU,
            note=f"median of the rounds {middle:.2f}; {best / RECORDS * 1e6:.2f} s per million",
        )


def quick(seconds: Iterable[float]) -> float:
    """Return the tenth percentile: on a busy machine, the best round alone is luck."""
    ordered = sorted(seconds)
    return ordered[len(ordered) // 10]


def measure_round_trips(report: Report, endpoint: str) -> None:
    """Measure the round trips to the broker that a batch waits for."""
    with (
        EmbeddedBroker({TOPIC: SOURCE_PARTITIONS}) as broker,
        deployed("counted", EXACTLY, endpoint, broker) as function,
    ):
        function.deliver(SMALL_BATCH)
        requests = Requests(broker)
        counts = []
        for _ in range(COUNTED):
            requests.clear()
            function.deliver(SMALL_BATCH)
            counts.append(requests.counts())
    # A fetch request always waits in the broker for new records: a batch waits for the answer of one fetch.
    waited = [sum(times for api, times in batch.items() if api != FETCH) + 1 for batch in counts]
    total = sum(counts, Counter())
    kinds = ", ".join(
        f"{APIS.get(api, api)} {times / COUNTED:.1f}" for api, times in sorted(total.items()) if api != FETCH
    )
    middle = statistics.median(waited)
    report.line(
        "round trips to the broker that the ledger adds to a batch",
        f"{middle:g}",
        f"<= {BAR_ROUND_TRIPS}",
        good=middle <= BAR_ROUND_TRIPS,
        note=f"most {max(waited)}; on average Fetch 1, {kinds}",
    )


class Requests:
    """The requests that an embedded broker got, counted by API key with librdkafka's functions."""

    def __init__(self, broker: EmbeddedBroker) -> None:
        self._library, self._cluster = broker._library, ctypes.c_void_p(broker._cluster)  # noqa: SLF001 # only this benchmark needs them
        self._library.rd_kafka_mock_get_requests.restype = ctypes.POINTER(ctypes.c_void_p)
        self._library.rd_kafka_mock_request_api_key.restype = ctypes.c_int16
        self._library.rd_kafka_mock_start_request_tracking(self._cluster)

    def clear(self) -> None:
        """Set all counts to 0."""
        self._library.rd_kafka_mock_clear_requests(self._cluster)

    def counts(self) -> Counter[int]:
        """Return the number of requests since `clear`, by API key."""
        length = ctypes.c_size_t()
        array = self._library.rd_kafka_mock_get_requests(self._cluster, ctypes.byref(length))
        requests = [ctypes.c_void_p(array[index]) for index in range(length.value)]
        api_keys = Counter(int(self._library.rd_kafka_mock_request_api_key(request)) for request in requests)
        self._library.rd_kafka_mock_request_destroy_array(array, length)
        return api_keys


def measure_history(report: Report, function: DeployedFunction, batches: int) -> None:
    """Measure the growth of the function's memory over many batches."""
    sizes = []
    begun = time.perf_counter()
    for _ in range(batches):
        function.deliver(SMALL_BATCH)
        sizes.append(function.memory())
    seconds = time.perf_counter() - begun
    tenth = max(1, batches // 10)
    early, late = statistics.median(sizes[tenth : 2 * tenth]), statistics.median(sizes[-tenth:])
    report.line(
        f"memory of the function after {batches:,} batches, MB more than after {2 * tenth:,}",
        f"{late - early:.1f}",
        f"<= {BAR_GROWTH_MB:g}",
        good=late - early <= BAR_GROWTH_MB,
        note=f"{early:.1f} to {late:.1f}, most {max(sizes):.1f}; {seconds / batches * 1_000:.0f} ms a batch",
    )


class CountingLog(KafkaLog):
    """A ledger's log that counts the records that were read."""

    received = 0

    def records(self, start: int, deadline: Deadline) -> tuple[Sequence[LogRecord], int]:
        """Return the log's records, and count them."""
        log_records, position = super().records(start, deadline)
        self.received += len(log_records)
        return log_records, position


def measure_cold_start(report: Report, function: DeployedFunction, broker: Broker) -> None:
    """Measure how a new instance reads the ledger; the time includes the start of its clients."""
    seconds, received = [], 0
    for _ in range(READS):
        begun = time.perf_counter()
        log = CountingLog({"bootstrap.servers": broker.bootstrap_servers}, function.settings.offset_topic)
        state = LogLedger(log).read(soon())
        seconds.append(time.perf_counter() - begun)
        received, end = log.received, log.end(soon())
        log.close()
    settled = sum(map(count, state.settled.values()))
    if settled != function.batches.sent:
        raise RuntimeError(f"expected {function.batches.sent} settled offsets in the ledger, found {settled}")
    report.line(
        "cold start: the ledger read, ms",
        f"{min(seconds) * 1_000:.0f}",
        f"< {BAR_READ_SECONDS * 1_000:g}",
        good=min(seconds) < BAR_READ_SECONDS,
        note=f"median {statistics.median(seconds) * 1_000:.0f}, most {max(seconds) * 1_000:.0f}",
    )
    report.line(
        "cold start: records read of the ledger",
        f"{received:,}",
        f"< {BAR_READ_RECORDS:,}",
        good=received < BAR_READ_RECORDS,
        note=f"its log has reached offset {end:,}",
    )


def soon() -> Deadline:
    """Return a deadline that only a failure misses."""
    return Deadline.after(60)


def main() -> int:
    """Measure and print; return 1 if a limit isn't kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kafka", default="embedded", choices=("embedded", "apache"), help="default: %(default)s")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="batches that are compared (%(default)s)")
    parser.add_argument("--batches", type=int, default=1_000, help="small batches for the memory (%(default)s)")
    arguments = parser.parse_args()
    logging.getLogger("fc2").setLevel(logging.WARNING)
    report = Report()
    with ExitStack() as stack:
        broker = stack.enter_context(open_broker(arguments.kafka, {TOPIC: SOURCE_PARTITIONS}))
        endpoint = stack.enter_context(running(None, *NO_LIMIT)).odps.endpoint
        exactly = stack.enter_context(deployed("exactly", EXACTLY, endpoint, broker))
        at_least = stack.enter_context(deployed("at-least", AT_LEAST, endpoint, None))
        machine = f"{os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}"
        print(f"{machine}; broker {arguments.kafka}; {RECORDS:,} records a batch")
        measure_speed(report, exactly, at_least, arguments.rounds)
        measure_round_trips(report, endpoint)
        measure_history(report, exactly, arguments.batches)
        measure_cold_start(report, exactly, broker)
        for function in (exactly, at_least):
            if (rows := function.rows()) != function.batches.sent:
                raise RuntimeError(
                    f"{function.settings.table}: expected {function.batches.sent} rows, as many as sent records, "
                    f"found {rows}"
                )
    return 0 if report.reached else 1


if __name__ == "__main__":
    sys.exit(main())
