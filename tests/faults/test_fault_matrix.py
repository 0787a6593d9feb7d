"""Every fault at every step of a delivery: each fires, and in the end each record is in the right place once.

A cell's batch has records of two topic-partitions and two hours, and two that can't be written. Its fault hits the
first request of its kind, or all of them until the invocation has failed; then the batch is delivered until it's
written, once more by the same instance, and once more, together with new records, by a new one. An audit and the rows
themselves say what came of it. A step that only a later batch comes to has its fault then.

No cell may end with an error that a redelivery doesn't overcome. Cells mostly wait, so those that were asked for run
side by side, each with a connector, a proxy and a MaxCompute of its own; the broker is one.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from kafka_maxcompute.brokers import clients
from kafka_maxcompute.errors import ConnectorError
from kafka_maxcompute.maxcompute import service
from local_emulator.foundation.faults import FAULTS, Fault
from local_emulator.maxcompute import server
from maxcompute_sink import exactly_once
from tests.faults.delivering_connector import PROJECT, Connector
from tests.faults.kafka_proxy import KafkaProxy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future

    from local_emulator.kafka.apache import ApacheBroker
    from maxcompute_sink.instance import Instance
    from tests.faults.kafka_messages import Api

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
HTTP_STEPS = {
    "definition": "table.get",
    "extended definition": "table.extended",
    "project zone": "project.get",
    "open": "upload.create",
    "block": "upload.block",
    "status": "upload.status",
    "commit": "upload.commit",
}
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
KAFKA_STEPS: dict[str, tuple[Api, str]] = {
    "ledger append": ("Produce", "offset_topic"),
    "ledger read": ("Fetch", "offset_topic"),
    "ledger end": ("ListOffsets", "offset_topic"),
    "announcement read": ("Fetch", "config_topic"),
    "mark end": ("ListOffsets", "source_topic"),
    "mark read": ("Fetch", "source_topic"),
    "original read": ("Fetch", "source_topic"),
    "error-topic append": ("Produce", "error_topic"),
    "end before dropping": ("ListOffsets", "source_topic"),
    "read before dropping": ("Fetch", "source_topic"),
}
STEPS = (*HTTP_STEPS, *KAFKA_STEPS)
FAULTS_OF_A_STEP = tuple(HTTP_FAULTS)
MADE: dict[str, dict[str, Any]] = {
    "project zone": {"format": "CSV", "mode": "VALUE"},
    "announcement read": {"marked": True},
}
"""What a connector needs to come to a step: a column for times, or records with marks."""
AFTER_ANOTHER_BATCH = {"original read"}
"""Steps that are the first of their kind only if the ledger has marks already."""
REDELIVERED = {"end before dropping", "read before dropping"}
"""Steps of a batch that is settled."""
OVERCOME = {("commit", "lost"), ("commit", "truncated"), *(("announcement read", fault) for fault in HTTP_FAULTS)}
"""Outages that don't even fail the invocation: the session's status says that its commit took place, and a marked
record is an ordinary one if nobody can say that it's a probe's."""
AT_ONCE = 10
FOR_EVER = 1_000_000_000


OUTAGE_SECONDS = (3, 15, 60)
"""What an invocation has during an outage: more if a slow machine didn't come as far as to the fault."""
KEPT_SECONDS = {"COMMIT_SECONDS": 0.8, "CLAIM_SECONDS": 0.4, "SETTLE_SECONDS": 0.2}
"""What it keeps of that for its last steps; a function has minutes."""


@pytest.fixture(scope="module")
def ended(request: pytest.FixtureRequest, apache_kafka: ApacheBroker) -> Iterator[dict[Cell, Future[None]]]:
    """How each cell has ended that is to be tested here."""
    asked = [item for item in request.session.items if isinstance(item, pytest.Function) and item.path == request.path]
    given: list[dict[str, Any]] = [item.callspec.params for item in asked if hasattr(item, "callspec")]
    cells = [Cell(**params) for params in given]
    with ThreadPoolExecutor(AT_ONCE) as pool, pytest.MonkeyPatch.context() as patch:
        patch.setattr(service, "READ_SECONDS", PATIENCE_SECONDS)
        patch.setattr(clients, "REQUEST_MILLISECONDS", int(PATIENCE_SECONDS * 1000))
        for name, seconds in KEPT_SECONDS.items():
            patch.setattr(exactly_once, name, seconds)
        yield {cell: pool.submit(run, cell, apache_kafka) for cell in cells}


class Cell(NamedTuple):
    """One of the matrix."""

    step: str
    fault: str
    lasting: str


def run(cell: Cell, broker: ApacheBroker) -> None:
    """Prove one cell."""
    step, fault, once = cell.step, cell.fault, cell.lasting == "once"
    with server.start(PROJECT, insecure=True) as tables, KafkaProxy(broker.bootstrap_servers) as proxy:
        connector = Connector.made(broker, proxy, tables.endpoint, **MADE.get(step, {}))
        instance, batch = connector.instance(), connector.send(RECORDS)
        if step in AFTER_ANOTHER_BATCH | REDELIVERED:
            connector.deliver(instance, batch)
        if step in AFTER_ANOTHER_BATCH:
            batch = connector.send(RECORDS)
        if step in HTTP_STEPS:
            wanted = Fault(operation=HTTP_STEPS[step], times=1 if once else None, **HTTP_FAULTS[fault])
            armed: Any = tables.app[FAULTS].set(wanted)
        else:
            api, topic = KAFKA_STEPS[step]
            topic = getattr(connector.settings, topic)
            armed = proxy.arm(api=api, topic=topic, times=1 if once else FOR_EVER, **KAFKA_FAULTS[fault])
        if not once:
            for seconds in OUTAGE_SECONDS:
                outage(connector, instance, batch, seconds, overcome=(step, fault) in OVERCOME)
                if armed.fired:
                    break
            assert armed.fired
            tables.app[FAULTS].clear()
            proxy.clear()
        proven(connector, instance, batch)
        assert armed.fired == 1 or not once


def outage(connector: Connector, instance: Instance, batch: bytes, seconds: int, *, overcome: bool) -> None:
    """One invocation while the fault lasts; what it raises has to be an error that passes."""
    if overcome:
        connector.deliver(instance, batch)
        return
    with pytest.raises(ConnectorError) as caught:
        connector.invoke(instance, batch, seconds)
    assert caught.value.retryable, caught.value


def proven(connector: Connector, instance: Instance, batch: bytes) -> None:
    """Deliver until it's done, deliver again in other ways, and see that everything is there once."""
    connector.deliver(instance, batch)
    connector.deliver(instance, batch)
    instance.close()
    another = connector.instance()
    both = json.dumps([*json.loads(batch), *json.loads(connector.send(RECORDS))]).encode()
    connector.deliver(another, both)
    another.close()
    connector.assert_complete(RECORDS)


@pytest.mark.java
@pytest.mark.xdist_group("apache_kafka")
@pytest.mark.parametrize("lasting", ["once", "outage"])
@pytest.mark.parametrize("fault", FAULTS_OF_A_STEP)
@pytest.mark.parametrize("step", STEPS)
def test_what_a_fault_leaves_is_written_once(
    ended: dict[Cell, Future[None]], step: str, fault: str, lasting: str
) -> None:
    ended[Cell(step, fault, lasting)].result()


@pytest.mark.java
@pytest.mark.xdist_group("apache_kafka")
def test_the_proof_fails_without_a_ledger(apache_kafka: ApacheBroker) -> None:
    with server.start(PROJECT, insecure=True) as tables, KafkaProxy(apache_kafka.bootstrap_servers) as proxy:
        connector = Connector.made(apache_kafka, proxy, tables.endpoint, delivery="at-least-once")
        with pytest.raises(AssertionError):
            proven(connector, connector.instance(), connector.send(RECORDS))
        assert "duplicate" in {finding.kind for finding in connector.audit().findings}
