"""`deploy` into a running cloud: nothing twice, changes without a loss, and a second connector beside the first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from local_emulator import cloud, connectors, deployer, local_template, provisioner
from local_emulator.cli import sql_answers
from local_emulator.kafka.producer import produce
from local_emulator.kafka.record import Record
from local_emulator.management import ManagementClient, ManagementError
from tests.stream_clients import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from local_emulator.cloud import Cloud

SECOND = {"CONNECTOR_NAME": "payments", "CONNECTOR_SOURCE_TOPIC": "payments", "CONNECTOR_TABLE": "payments"}


@pytest.fixture
def running(project_copy: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    monkeypatch.chdir(project_copy)
    with cloud.start("embedded", {"BATCH_SECONDS": "1"}) as started:
        yield started


def deploy(running: Cloud, *resources: str, **variables: str) -> list[str]:
    """What `deploy` prints, with these variables in the shell."""
    given = {"BATCH_SECONDS": "1", **variables}
    template = local_template.template(local_template.variables(given, running.endpoints.variables))
    lines: list[str] = []
    deployer.deploy(ManagementClient(running.endpoints), template, list(resources), lines.append)
    return lines


def send(running: Cloud, topic: str, value: bytes) -> None:
    produce(running.endpoints.kafka, topic, [Record(None, None, b"k", value)])


def values(running: Cloud, table: str) -> list[Any]:
    statement = f"select value from {table}"  # noqa: S608 - a test's name
    with sql_answers.connect(running.endpoints).execute_sql(statement).open_reader(tunnel=True) as reader:
        return sorted(record[0] for record in reader)


def test_a_running_cloud_takes_changes_and_a_second_connector(running: Cloud) -> None:
    at, sink = running.endpoints, running.endpoints.function
    assert provisioner.invoke(at, {"action": "apply", "create_table": True})["state"] == "applied"
    send(running, at.topic, b"first")
    assert eventually(lambda: values(running, at.table) == ["first"])

    assert all(line.endswith((", unchanged", ": unchanged")) for line in deploy(running))
    changed = deploy(running, "sink", MEMORY_SIZE="2048")
    assert f"function {sink}: changed" in changed
    assert ManagementClient(at).function_compute("GET", f"functions/{sink}")["memorySize"] == 2048
    send(running, at.topic, b"second")
    assert eventually(lambda: values(running, at.table) == ["first", "second"])

    lines = deploy(running, "sink", **SECOND, STREAM_ENABLED="false")
    assert lines[-3:] == [
        "function maxcompute-sink-payments: created, code uploaded",
        "topic payments: created with 6 topic-partitions",
        "trigger maxcompute-sink-payments/kafka-stream: created, switched off",
    ]
    settings = {"name": "payments", "source_topic": "payments", "table": "payments"}
    applied = provisioner.invoke(at, {"action": "apply", "create_table": True, "settings": settings})
    assert applied["state"] == "applied", applied
    send(running, "payments", b"third")
    assert eventually(lambda: values(running, "payments") == ["third"])
    assert values(running, at.table) == ["first", "second"]

    second = connectors.select(at, "payments")
    assert (second.function, second.topic, second.group) == ("maxcompute-sink-payments", "payments", "connect-payments")
    assert (second.table, second.settings) == ("payments", {**settings, "group": "connect-payments"})
    assert provisioner.invoke(second, {"action": "status"})["state"] == "running"
    assert connectors.select(at, at.connector) == at
    with pytest.raises(connectors.ConnectorError, match="expected one of kafka-maxcompute-sink, payments, found other"):
        connectors.select(at, "other")

    with pytest.raises(deployer.DeploymentError, match=r"\(sink, provisioner\), found other"):
        deploy(running, "other")
    with pytest.raises(ManagementError, match=r"PUT /2023-03-30/functions/none: 404 FunctionNotFound"):
        ManagementClient(at).function_compute("PUT", "functions/none", {"timeout": 1})
