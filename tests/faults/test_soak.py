"""Two instances, overlapping batches, random faults: a minute in `make test`, three in CI, half an hour in `make soak`.

Both deliver the same topic-partitions side by side, cut again each time; an instance is replaced now and then, and
beside them one process after the other is killed in the middle of a delivery. At the end it has to be seen that faults
really happened; then an audit, the rows and the ledger's log say what came of it.
"""

from __future__ import annotations

import json
import os
import random
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from kafka_maxcompute.brokers import clients
from kafka_maxcompute.errors import ConnectorError
from kafka_maxcompute.ledger.kafka_log import KafkaLog
from kafka_maxcompute.ledger.ledger import LogLedger
from kafka_maxcompute.maxcompute import service
from kafka_maxcompute.maxcompute.jobs import select
from kafka_maxcompute.maxcompute.sql import Statement
from local_emulator.foundation.faults import FAULTS, Fault
from local_emulator.maxcompute import server
from tests.deadlines import soon
from tests.faults.delivering_connector import PROJECT, TOPIC_PARTITIONS, Connector
from tests.faults.function_process import function
from tests.faults.kafka_proxy import KafkaProxy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fc_powertools import Deadline
    from kafka_maxcompute.ledger.log import LogRecord
    from local_emulator.kafka.apache import ApacheBroker
    from local_emulator.maxcompute.server import MaxComputeServer

SECONDS = float(os.environ.get("SOAK_SECONDS", "180" if "CI" in os.environ else "60"))
SEED = int(os.environ.get("SOAK_SEED", time.time()))
RECORDS = 50
"""Of each topic-partition that are sent together; the last one of each can't be written."""
WINDOW = 3 * RECORDS * TOPIC_PARTITIONS
"""The most elements of a batch: some that are settled, some that another delivery has, some that are new."""
FAULTS_APART_SECONDS = 0.3
LIFE_SECONDS = (0.8, 2.5)
"""Of a process that is killed: its imports take half a second, then it delivers."""
PATIENCE_SECONDS = 2.0
COLD_RECORDS = 2_000
"""The most that a cold ledger reads, whatever the history."""
COLD_SECONDS = 0.3

HTTP_OPERATIONS = (
    *("upload.create", "upload.block", "upload.status", "upload.commit", "sql"),
    *("table.get", "table.extended", "tunnel.get"),
)
HTTP_FAULTS: tuple[dict[str, Any], ...] = (
    {"answer": "status", "status": 429},
    {"answer": "status", "status": 500},
    {"answer": "status", "status": 503},
    {"answer": "reset"},
    {"answer": "reset", "applied": True},
    {"answer": "truncate"},
    {"answer": "delay", "delay_seconds": 0.5, "applied": True},
)
KAFKA_FAULTS: tuple[dict[str, Any], ...] = (
    {"what": "error", "error": "NOT_ENOUGH_REPLICAS"},
    {"what": "reset"},
    {"what": "lost"},
    {"what": "truncated"},
    {"what": "silence"},
    {"what": "delay", "seconds": 0.5},
)


def say(line: str) -> None:
    """Show something, in `make soak` at once."""
    print(line, flush=True)  # noqa: T201 - pytest shows it where the test fails


class Traffic:
    """What the topic has so far, as a stream would cut it."""

    def __init__(self, connector: Connector) -> None:
        self._connector = connector
        self._lock = threading.Lock()
        self.elements: list[dict[str, Any]] = []

    def batch(self, chance: random.Random) -> bytes:
        """New records and some before them, or any that were delivered before."""
        with self._lock:
            new = json.loads(self._connector.send(RECORDS))
            self.elements += new
            behind = chance.randrange(len(self.elements)) if chance.random() < 0.2 else 0
            end = len(self.elements) - behind
            return json.dumps(self.elements[max(0, end - chance.randint(1, WINDOW)) : end]).encode()

    def all(self) -> list[bytes]:
        """Everything once more."""
        size = 20 * WINDOW
        return [
            json.dumps(self.elements[start : start + size]).encode() for start in range(0, len(self.elements), size)
        ]


def work(connector: Connector, traffic: Traffic, end: float, seed: int, ended: Counter[str]) -> None:
    """One instance of the function after the other."""
    chance = random.Random(seed)  # noqa: S311 - to be repeated
    instance = connector.instance()
    while time.monotonic() < end:
        try:
            connector.invoke(instance, traffic.batch(chance))
            ended["delivered"] += 1
        except ConnectorError as error:
            if not error.retryable:
                raise
            ended["failed"] += 1
        if chance.random() < 0.05:
            instance.close()
            instance = connector.instance()
    instance.close()


def die(connector: Connector, traffic: Traffic, end: float, seed: int, ended: Counter[str]) -> None:
    """Processes that are killed at any moment of their delivery."""
    chance = random.Random(seed)  # noqa: S311 - to be repeated
    while time.monotonic() < end:
        with function(connector, traffic.batch(chance)):
            time.sleep(chance.uniform(*LIFE_SECONDS))
        ended["killed"] += 1


def disturb(connector: Connector, tables: MaxComputeServer, proxy: KafkaProxy, end: float, fired: Counter[str]) -> None:
    """Set one fault after the other; each hits the next request that it's for."""
    chance = random.Random(SEED)  # noqa: S311 - to be repeated
    settings = connector.settings
    places = [
        ("Produce", settings.offset_topic),
        ("Fetch", settings.offset_topic),
        ("ListOffsets", settings.offset_topic),
    ]
    places += [
        ("Produce", settings.error_topic),
        ("Fetch", settings.source_topic),
        ("ListOffsets", settings.source_topic),
    ]
    while time.monotonic() < end:
        if chance.random() < 0.5:
            operation = chance.choice(HTTP_OPERATIONS)
            http = tables.app[FAULTS].set(Fault(operation=operation, **chance.choice(HTTP_FAULTS)))
            time.sleep(FAULTS_APART_SECONDS)
            fired[operation] += http.fired
            tables.app[FAULTS].clear()
        else:
            api, topic = chance.choice(places)
            kafka = proxy.arm(api=api, topic=topic, **chance.choice(KAFKA_FAULTS))  # type: ignore[arg-type] # KAFKA_FAULTS has fields of Fault
            time.sleep(FAULTS_APART_SECONDS)
            fired[f"{api} {topic.partition('-')[0]}"] += kafka.fired
            proxy.clear()


class Counted(KafkaLog):
    """A log that counts what is read of it."""

    read = 0

    def records(self, start: int, deadline: Deadline) -> tuple[Sequence[LogRecord], int]:
        """As the log has it."""
        found, position = super().records(start, deadline)
        self.read += len(found)
        return found, position


def cold(connector: Connector) -> tuple[int, float]:
    """How many records a cold ledger reads, and how long it takes; the best of three."""
    results = []
    for _ in range(3):
        log = Counted({"bootstrap.servers": connector.broker.bootstrap_servers}, connector.settings.offset_topic)
        log.end(soon())  # connected, as an instance is by its initializer
        begun = time.monotonic()
        LogLedger(log).read(soon())
        results.append((log.read, time.monotonic() - begun))
        log.close()
    return min(results, key=lambda result: result[1])


@pytest.mark.java
@pytest.mark.xdist_group("apache_kafka")
@pytest.mark.timeout(SECONDS * 2 + 240)
def test_two_instances_under_random_faults(apache_kafka: ApacheBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    say(f"seed {SEED}")
    monkeypatch.setattr(service, "READ_SECONDS", PATIENCE_SECONDS)
    monkeypatch.setattr(clients, "REQUEST_MILLISECONDS", int(PATIENCE_SECONDS * 1000))
    ended: Counter[str] = Counter()
    fired: Counter[str] = Counter()
    with server.start(PROJECT, insecure=True) as tables, KafkaProxy(apache_kafka.bootstrap_servers) as proxy:
        connector = Connector.made(apache_kafka, proxy, tables.endpoint)
        traffic = Traffic(connector)
        end = time.monotonic() + SECONDS
        failures: list[BaseException] = []

        def guarded(function: Any, *arguments: Any) -> None:
            try:
                function(*arguments)
            except BaseException as error:  # noqa: BLE001 - it's raised below
                failures.append(error)

        threads = [
            threading.Thread(target=guarded, args=(work, connector, traffic, end, SEED + number, ended))
            for number in range(2)
        ]
        threads.append(threading.Thread(target=guarded, args=(die, connector, traffic, end, SEED, ended)))
        threads.append(threading.Thread(target=guarded, args=(disturb, connector, tables, proxy, end, fired)))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failures:
            raise failures[0]
        tables.app[FAULTS].clear()
        proxy.clear()
        say(f"deliveries {dict(ended)}, faults {dict(fired)}, records {len(connector.sent)}")
        assert ended["delivered"] > SECONDS / 10
        assert ended["killed"] > SECONDS / 10
        assert len(+fired) >= 8

        last = connector.instance()
        for batch in traffic.all():
            connector.deliver(last, batch)
        last.close()
        report = connector.audit()
        assert report.findings == ()
        assert report.pending == ()
        assert [one.waiting for one in report.topic_partitions] == [0] * TOPIC_PARTITIONS
        (row,) = select(connector.service, Statement(f"SELECT COUNT(*) AS n FROM {connector.settings.table};"), soon())  # noqa: S608
        assert int(row["n"] or 0) == len(connector.sent) * (RECORDS - 1) // RECORDS
        read, seconds = cold(connector)
        say(f"cold start: {read} records, {seconds * 1000:.0f} ms")
        assert read < COLD_RECORDS
        if "SOAK_SECONDS" in os.environ:
            assert seconds < COLD_SECONDS
