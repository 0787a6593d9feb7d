"""Every fault at every step of a delivery: each fires, and in the end each record is in the right place once.

A cell's batch has records of two topic-partitions and two hours, and two that can't be written. Its fault hits the
first request of its kind; then the batch is delivered until it's written, once more by the same instance, and once
more, together with new records, by a new one. An audit and the rows themselves say what came of it.

No cell may end with an error that a redelivery doesn't mend. Cells mostly wait, so those that were asked for run side
by side, each with a connector, a proxy and a MaxCompute of its own; the broker is one.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from kafka_maxcompute import brokers, service
from local_emulator.maxcompute import server
from local_emulator.maxcompute.faults import FAULTS, Fault
from tests.faults.delivering_connector import PROJECT, Connector
from tests.faults.kafka_proxy import KafkaProxy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Future

    from local_emulator.kafka.apache import ApacheBroker

PATIENCE_SECONDS = 2.0
"""How long a client waits for an answer here; a function's waits for a minute, or 20 s."""
RECORDS = 6
"""Of each topic-partition in a batch."""

HTTP_FAULTS: dict[str, dict[str, Any]] = {
    "429": {"answer": "status", "status": 429},
    "500": {"answer": "status", "status": 500},
    "503": {"answer": "status", "status": 503},
    "reset": {"answer": "reset"},
    "timeout": {"answer": "reset", "delay_seconds": 2 * PATIENCE_SECONDS},
    "lost": {"answer": "reset", "applied": True},
    "truncated": {"answer": "truncate"},
}
HTTP_STEPS = {"open": "upload.create", "block": "upload.block", "status": "upload.status", "commit": "upload.commit"}
KAFKA_FAULTS: dict[str, dict[str, Any]] = {
    # What of a broker's errors comes closest to HTTP's 429, 500 and 503.
    "429": {"what": "error", "error": "THROTTLING_QUOTA_EXCEEDED"},
    "500": {"what": "error", "error": "UNKNOWN_SERVER_ERROR"},
    "503": {"what": "error", "error": "NOT_ENOUGH_REPLICAS"},
    "reset": {"what": "reset"},
    "timeout": {"what": "silence"},
    "lost": {"what": "lost"},
    "truncated": {"what": "truncated"},
}
KAFKA_STEPS = {
    "ledger append": ("Produce", "offset_topic"),
    "ledger read": ("Fetch", "offset_topic"),
    "ledger end": ("ListOffsets", "offset_topic"),
    "original read": ("Fetch", "source_topic"),
    "error-topic append": ("Produce", "error_topic"),
}
STEPS = (*HTTP_STEPS, *KAFKA_STEPS)
FAULTS_OF_A_STEP = tuple(HTTP_FAULTS)
AT_ONCE = 8


@pytest.fixture(scope="module")
def ended(request: pytest.FixtureRequest, apache_kafka: ApacheBroker) -> Iterator[dict[tuple[str, str], Future[None]]]:
    """How each cell has ended that is to be tested here."""
    cells = [
        (str(item.callspec.params["step"]), str(item.callspec.params["fault"]))
        for item in request.session.items
        if isinstance(item, pytest.Function) and item.path == request.path and hasattr(item, "callspec")
    ]
    with ThreadPoolExecutor(AT_ONCE) as pool, pytest.MonkeyPatch.context() as patch:
        patch.setattr(service, "READ_SECONDS", PATIENCE_SECONDS)
        patch.setattr(brokers, "REQUEST_MILLISECONDS", int(PATIENCE_SECONDS * 1000))
        yield {cell: pool.submit(run, *cell, apache_kafka) for cell in cells}


def run(step: str, fault: str, broker: ApacheBroker) -> None:
    """One cell."""
    with server.start(PROJECT, insecure=True) as tables, KafkaProxy(broker.bootstrap_servers) as proxy:
        connector = Connector.made(broker, proxy, tables.endpoint)
        if step in HTTP_STEPS:
            armed = tables.app[FAULTS].set(Fault(operation=HTTP_STEPS[step], **HTTP_FAULTS[fault]))
            proven(connector, lambda: armed.fired)
            assert armed.applied == (fault in {"lost", "truncated"})
        else:
            api, topic = KAFKA_STEPS[step]
            set_fault = proxy.arm(api=api, topic=getattr(connector.settings, topic), **KAFKA_FAULTS[fault])
            proven(connector, lambda: set_fault.fired)


def proven(connector: Connector, fired: Callable[[], int]) -> None:
    """Deliver, with the fault that is set, and once the fault has fired see that everything is there once."""
    instance = connector.instance()
    first = connector.send(RECORDS)
    connector.deliver(instance, first)
    assert fired() == 1
    connector.deliver(instance, first)
    instance.close()
    another = connector.instance()
    both = json.dumps([*json.loads(first), *json.loads(connector.send(RECORDS))]).encode()
    connector.deliver(another, both)
    another.close()
    connector.assert_complete(RECORDS)


@pytest.mark.java
@pytest.mark.xdist_group("apache_kafka")
@pytest.mark.parametrize("fault", FAULTS_OF_A_STEP)
@pytest.mark.parametrize("step", STEPS)
def test_what_a_fault_leaves_is_written_once(ended: dict[tuple[str, str], Future[None]], step: str, fault: str) -> None:
    ended[step, fault].result()


@pytest.mark.java
@pytest.mark.xdist_group("apache_kafka")
def test_the_proof_fails_without_a_ledger(apache_kafka: ApacheBroker) -> None:
    with server.start(PROJECT, insecure=True) as tables, KafkaProxy(apache_kafka.bootstrap_servers) as proxy:
        connector = Connector.made(apache_kafka, proxy, tables.endpoint, delivery="at-least-once")
        armed = tables.app[FAULTS].set(Fault(operation="upload.commit", answer="reset", applied=True))
        with pytest.raises(AssertionError, match="duplicate"):
            proven(connector, lambda: armed.fired)
