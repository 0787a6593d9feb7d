"""A process is killed at each named step of a delivery, and what it left is brought to its end by the next one.

The function runs in a process of its own, the broker is a real Apache Kafka, MaxCompute is the local one over HTTP. A
fault holds the step's request, so that the kill comes when the step before is done.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from kafka_maxcompute.ledger.kafka_log import KafkaLog
from kafka_maxcompute.ledger.ledger import LogLedger
from local_emulator.foundation.faults import FAULTS, Fault
from local_emulator.kafka.apache import ApacheBroker, free_ports
from local_emulator.maxcompute import server
from tests.deadlines import soon
from tests.emulator_process import emulator_process
from tests.faults.broker_restart import kill_and_start_again
from tests.faults.delivering_connector import PROJECT, Connector
from tests.faults.function_process import function
from tests.faults.kafka_proxy import KafkaProxy

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    from local_emulator.maxcompute.server import MaxComputeServer

pytestmark = [pytest.mark.java, pytest.mark.xdist_group("apache_kafka")]

RECORDS = 6
"""Of each topic-partition in a batch: two partition values, and two records that can't be written."""
HELD_SECONDS = 600.0
STEP_SECONDS = 60.0


def wait(until: Callable[[], bool], process: subprocess.Popen[bytes] | None = None) -> None:
    """Until something is so; a process that ends before is a failure."""
    end = time.monotonic() + STEP_SECONDS
    while not until():
        assert time.monotonic() < end, "it didn't come to the step"
        assert process is None or process.poll() is None, "the function ended before the step"
        time.sleep(0.01)


def answered(process: subprocess.Popen[bytes]) -> None:
    assert process.stdout is not None
    assert b"answered\n" in iter(process.stdout.readline, b"")  # what comes before it are the function's logs


def pending(connector: Connector) -> int:
    """How many claims are pending, read past the proxy."""
    log = KafkaLog({"bootstrap.servers": connector.broker.bootstrap_servers}, connector.settings.offset_topic)
    try:
        return len(LogLedger(log).read(soon()).pending)
    finally:
        log.close()


def there_once(connector: Connector, first: bytes) -> None:
    """Redeliver to a new instance, and see that all is there."""
    instance = connector.instance()
    connector.deliver(instance, first)
    connector.deliver(instance, connector.send(RECORDS))
    instance.close()
    connector.assert_complete(RECORDS)


class Step:
    """Where the function is killed: `hold` makes it stop there, and says whether it has."""

    def __init__(self, tables: MaxComputeServer, proxy: KafkaProxy, connector: Connector) -> None:
        self._tables, self._proxy, self._connector = tables, proxy, connector

    def staged(self) -> Callable[[], bool]:
        """All sessions hold their blocks, nothing is claimed."""
        fault = self._proxy.arm("silence", "Produce", self._connector.settings.offset_topic)
        return lambda: fault.fired == 1

    def claimed(self) -> Callable[[], bool]:
        """Claims are read back, no session is committed."""
        fault = self._commits(applied=False, times=2)
        return lambda: fault() == 2

    def first_of_two_commits(self) -> Callable[[], bool]:
        """One session is committed and settled, the other isn't committed."""
        fault = self._commits(applied=False, times=1)
        return lambda: fault() == 1 and len(self._connector.rows()) > 0

    def committed(self) -> Callable[[], bool]:
        """Both sessions are committed, nothing is settled."""
        self._commits(applied=True, times=2)
        return lambda: len(self._connector.rows()) == 2 * (RECORDS - 1)

    def diverted(self) -> Callable[[], bool]:
        """The bad records are claimed, their letters aren't written."""
        fault = self._proxy.arm("silence", "Produce", self._connector.settings.error_topic)
        return lambda: fault.fired == 1

    def _commits(self, *, applied: bool, times: int) -> Callable[[], int]:
        fault = Fault(
            operation="upload.commit", answer="reset", applied=applied, delay_seconds=HELD_SECONDS, times=times
        )
        armed = self._tables.app[FAULTS].set(fault)
        return lambda: armed.fired


PENDING = {"staged": 0, "claimed": 3, "first_of_two_commits": 1, "committed": 2, "diverted": 1}
"""At least so many claims are left pending by the kill."""


@pytest.mark.parametrize("step", PENDING)
def test_killed_at_a_step(step: str, apache_kafka: ApacheBroker) -> None:
    with server.start(PROJECT, insecure=True) as tables, KafkaProxy(apache_kafka.bootstrap_servers) as proxy:
        connector = Connector.made(apache_kafka, proxy, tables.endpoint)
        batch = connector.send(RECORDS)
        reached: Callable[[], bool] = getattr(Step(tables, proxy, connector), step)()
        with function(connector, batch) as process:
            wait(reached, process)
        proxy.clear()
        assert pending(connector) >= PENDING[step]
        there_once(connector, batch)


def test_killed_when_all_is_settled_and_not_yet_answered(apache_kafka: ApacheBroker) -> None:
    with server.start(PROJECT, insecure=True) as tables, KafkaProxy(apache_kafka.bootstrap_servers) as proxy:
        connector = Connector.made(apache_kafka, proxy, tables.endpoint)
        batch = connector.send(RECORDS)
        with function(connector, batch) as process:
            answered(process)
        assert pending(connector) == 0
        there_once(connector, batch)


def test_maxcompute_is_killed_between_staging_and_commit(apache_kafka: ApacheBroker, tmp_path: Path) -> None:
    (port,) = free_ports(1)
    with KafkaProxy(apache_kafka.bootstrap_servers) as proxy:
        with emulator_process(tmp_path, port) as (_, client):
            connector = Connector.made(apache_kafka, proxy, client.endpoint)
            batch = connector.send(RECORDS)
            held = proxy.arm("silence", "Produce", connector.settings.offset_topic)
            with function(connector, batch) as process:
                wait(lambda: held.fired == 1, process)
        proxy.clear()
        with emulator_process(tmp_path, port):
            there_once(connector, batch)


def test_the_broker_is_killed_between_claim_and_settle() -> None:
    with (
        ApacheBroker() as broker,
        server.start(PROJECT, insecure=True) as tables,
        KafkaProxy(broker.bootstrap_servers) as proxy,
    ):
        connector = Connector.made(broker, proxy, tables.endpoint)
        batch = connector.send(RECORDS)
        claims = tables.app[FAULTS].set(Fault(operation="upload.commit", answer="delay", delay_seconds=1.0, times=2))
        instance = connector.instance()
        failed: list[BaseException] = []

        def deliver() -> None:
            try:
                connector.deliver(instance, batch)
            except Exception as error:  # noqa: BLE001 - it may fail, and is delivered again below
                failed.append(error)

        delivery = threading.Thread(target=deliver)
        delivery.start()
        wait(lambda: claims.fired == 2)
        kill_and_start_again(broker)
        delivery.join(STEP_SECONDS)
        instance.close()
        there_once(connector, batch)
