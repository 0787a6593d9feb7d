"""A test message that doesn't arrive: the reply says where it stands, for functions that only pretend to write."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from fc_powertools import Deadline
from kafka_maxcompute.brokers.appending import Append, Appender
from kafka_maxcompute.brokers.originals import Original
from kafka_maxcompute.brokers.status_topic import Status, StatusTopic
from kafka_maxcompute.dead_letters.dead_letter import DeadLetter, encode
from local_emulator.control_plane.function_compute import deployment
from local_emulator.eventbridge.errors import InvocationError
from local_emulator.function_compute import template as function_template
from provisioning import probe
from tests.provision_cloud import ACCOUNT, TEMPLATE, Surrounding, running
from tests.stream_clients import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from local_emulator.kafka.embedded import EmbeddedBroker


@pytest.fixture
def around(embedded_kafka: EmbeddedBroker) -> Iterator[Surrounding]:
    with running(embedded_kafka) as started:
        started.settings["bootstrap_servers"] = embedded_kafka.bootstrap_servers
        yield started


def deployed(around: Surrounding, deliver: Callable[[bytes], Any]) -> None:
    """The connector as provisioned, with a function of one's own."""
    environment = {f"CONNECTOR_{name.upper()}": str(value) for name, value in around.settings.items()}
    template = function_template.load(TEMPLATE, {**environment, "BATCH_SECONDS": "0"}, account_id=ACCOUNT)
    deployment.deploy(around.plane, template, lambda _: deliver)
    assert eventually(lambda: around.ask("status")["state"] == "running")
    reply = around.ask("apply", create_table=True)
    assert reply["state"] == "applied", reply
    assert eventually(lambda: around.ask("status")["state"] == "running")


def appender(around: Surrounding) -> Appender:
    return Appender({"bootstrap.servers": around.broker.bootstrap_servers})


def records(batch: bytes) -> list[dict[str, Any]]:
    return [element["data"] for element in json.loads(batch)]


def test_a_function_that_says_that_all_is_well(around: Surrounding) -> None:
    delivered: list[bytes] = []
    deployed(around, delivered.append)
    reply = around.ask("test", topic_partition=2, wait_seconds=6)
    assert (reply["state"], reply["topic_partition"], reply["offset"]) == ("missing", 2, 0)
    first, *rest = reply["faults"]
    assert first == f"no row of orders-in-2-0 in {reply['partition']!r} yet"
    assert rest == ["connect-orders has gone past it, to 1: the function accepted it, and reported no error"]
    assert len(delivered) == 1


def test_a_record_that_was_set_aside(around: Surrounding) -> None:
    def set_aside(batch: bytes) -> None:
        for data in records(batch):
            letter = DeadLetter(
                connector="orders",
                request_id="r",
                reason="not-csv",
                message="expected 3 fields",
                path="$.data.value",
                record=Original(key=b"demo", value=b"v"),
                topic=data["topic"],
                partition=data["partition"],
                offset=data["offset"],
            )
            appends = [Append("connect-error-orders", 0, encode(letter))]
            assert appender(around).append(appends, Deadline.after(20)) != []

    deployed(around, set_aside)
    reply = around.ask("test", wait_seconds=6)
    assert reply["faults"][1] == (
        "it can't be written, and is a dead letter: not-csv: expected 3 fields - at $.data.value"
    )


def test_a_function_that_fails(around: Surrounding) -> None:
    status = Status(connector="orders", state="failing", topic="orders-in", partition=1, error="RefusedError: no table")

    def fail(_: bytes) -> None:
        StatusTopic(appender(around), "connect-status-orders").write([status], Deadline.after(20))
        raise InvocationError("no table", retryable=True)

    deployed(around, fail)
    reply = around.ask("test", topic_partition=1, wait_seconds=6)
    assert reply["state"] == "missing"
    assert reply["faults"][1:] == [
        "connect-orders has committed nothing in orders-in-1",
        "the function's last error there: RefusedError: no table",
    ]


def test_a_probe_that_nobody_tells_of(around: Surrounding, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "WAIT_SECONDS", 0.5)
    delivered: list[bytes] = []
    deployed(around, delivered.append)
    reply = around.ask("test", probe=True, wait_seconds=6, topic_partition=5)
    assert reply["state"] == "missing"
    assert reply["faults"][0] == "the function reported no record of the probe within 6 s"
    assert "connect-orders has gone past it, to 7" in reply["faults"][1]
    assert (reply["topic_partition"], reply["offsets"]) == (5, [0, 6])
    assert set(reply["observed"].values()) == {"not seen"}


def test_a_probe_without_brokers_for_the_function(around: Surrounding) -> None:
    deployed(around, lambda _: None)
    del around.settings["bootstrap_servers"]
    reply = around.ask("test", probe=True)
    assert reply["state"] == "blocked"
    assert "bootstrap_servers isn't set" in reply["faults"][0]
