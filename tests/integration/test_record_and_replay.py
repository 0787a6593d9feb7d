"""`record` writes what a stream delivered, `replay` sends it again and compares the outcomes."""

from __future__ import annotations

import gzip
import json
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from local_emulator import endpoints
from local_emulator.__main__ import main
from local_emulator.eventbridge import recording
from tests.event_streams import NAME, make_roles, new, reaches, start, started
from tests.fake_function import FAILED, Answer, FakeFunction
from tests.stream_clients import event_bridge, eventually, send

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from local_emulator.eventbridge.deliveries import RecordedDelivery
    from local_emulator.kafka.embedded import EmbeddedBroker


@pytest.fixture
def function() -> Iterator[FakeFunction]:
    """A sink that fails at first, and then writes each record."""
    with FakeFunction() as fake:
        fake.answer = lambda body: (
            FAILED if len(fake.bodies) == 1 else Answer(body=json.dumps({"records": len(json.loads(body))}).encode())
        )
        yield fake


@pytest.fixture
def cloud(embedded_kafka: EmbeddedBroker, function: FakeFunction, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A stream that has delivered five records in three batches, the first after a retry."""
    embedded_kafka.create_topic("orders", 1)
    with started(embedded_kafka, function, time_scale=0.0001) as plane:
        make_roles(plane)
        run = {"BatchWindow": {"CountBasedWindow": 2, "TimeBasedWindow": 1}, "MaximumTasks": 1}
        event_bridge(plane).create_event_streaming(new(run=run, sink={"Concurrency": {"Value": "1"}}))
        start(plane)
        assert reaches(plane, "RUNNING")
        send(embedded_kafka, "orders", 5, partitions=1)
        assert eventually(lambda: len(function.bodies) == 4)
        at = SimpleNamespace(control=plane.url, access_id="ak", access_key="sk", function="sink")
        monkeypatch.setattr(endpoints, "read", lambda: at)
        yield


def recorded(path: Path) -> list[RecordedDelivery]:
    return list(recording.read(path))


@pytest.mark.usefixtures("cloud")
def test_deliveries_are_recorded_with_their_outcomes(
    function: FakeFunction, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "deliveries.jsonl.gz"
    assert main(["record", str(file), "--seconds", "1"]) == 0
    said = capsys.readouterr().out
    assert "4 deliveries of 7 events" in said
    assert '"value"' not in said
    assert gzip.decompress(file.read_bytes()).count(b"\n") == 5
    tries = recorded(file)
    assert [(one.number, one.attempt, one.events, one.records) for one in tries] == [
        (1, 1, 2, "orders-0 offsets 0 to 1"),
        (2, 2, 2, "orders-0 offsets 0 to 1"),
        (3, 1, 2, "orders-0 offsets 2 to 3"),
        (4, 1, 1, "orders-0 offsets 4 to 4"),
    ]
    assert [one.body.encode() for one in tries] == function.bodies
    assert [(one.status, one.error_type, one.reply) for one in tries[:2]] == [
        (200, "RefusedError", ""),
        (200, "", '{"records": 2}'),
    ]
    assert {(one.stream, one.request_id, one.asynchronous) for one in tries} == {(NAME, "a-request", False)}
    assert main(["record", str(file), "--count", "2"]) == 0
    assert [one.number for one in recorded(file)] == [1, 2]
    assert main(["record", str(tmp_path / "none.jsonl"), "--seconds", "1", "--stream", "another"]) == 1
    assert not (tmp_path / "none.jsonl").exists()
