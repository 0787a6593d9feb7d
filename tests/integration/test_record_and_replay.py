"""`record` writes what a stream delivered, `replay` sends it again and compares the outcomes."""

from __future__ import annotations

import gzip
import json
from datetime import datetime, timezone
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from local_emulator import endpoints
from local_emulator.__main__ import main
from local_emulator.control_plane import server
from local_emulator.control_plane.function_compute import deployment
from local_emulator.eventbridge import recording
from local_emulator.eventbridge.deliveries import RecordedDelivery
from local_emulator.eventbridge.function_client import AccessKey, FunctionClient, Outcome
from local_emulator.function_compute import template
from tests.event_streams import NAME, make_roles, new, reaches, start, started
from tests.fake_function import FAILED, Answer, FakeFunction
from tests.stream_clients import event_bridge, eventually, send

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

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
    assert main(["record", str(file), "--count", "1", "--stream", NAME]) == 0
    capsys.readouterr()
    assert main(["record", str(tmp_path / "none.jsonl"), "--follow", "--stream", "another"]) == 1
    assert f"--stream: expected one of {NAME}, found another" in capsys.readouterr().err
    assert not (tmp_path / "none.jsonl").exists()


SINK = """
import json

seen = set()

def handler(event, context):
    records = [element["data"] for element in json.loads(event)]
    if any(record["value"] == "poison" for record in records):
        raise ValueError("a record is poisoned")
    offsets = {record["offset"] for record in records}
    new = offsets - seen
    seen.update(new)
    return {"records": len(new), "dropped": len(records) - len(new)}
"""
DEPLOYMENT = {"CONNECTOR_DELIVERY": "exactly-once", "CONNECTOR_SOURCE_TOPIC": "orders"}
KEYS = {"ALIBABA_CLOUD_ACCESS_KEY_ID": "ak", "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "sk"}


@pytest.fixture(scope="module")
def functions(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a local cloud with the functions exactly (like the sink), again and silent."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "code").mkdir()
    (folder / "code/index.py").write_text(SINK, encoding="utf-8")
    deliveries = {"exactly": DEPLOYMENT, "again": {"CONNECTOR_DELIVERY": "at-least-once"}, "silent": {}}
    resources = {
        name: {
            "component": "fc3",
            "props": {
                "region": "cn-hangzhou",
                "functionName": name,
                "runtime": "python3.10",
                "code": "code",
                "handler": "index.handler",
                "timeout": 20,
                "environmentVariables": environment,
            },
        }
        for name, environment in deliveries.items()
    }
    path = folder / "template.yml"
    path.write_text(yaml.safe_dump({"edition": "3.0.0", "resources": resources}), encoding="utf-8")
    with server.start() as plane:
        deployment.deploy(plane, template.load(path, {}))
        yield plane.url


@pytest.fixture
def local(functions: str, monkeypatch: pytest.MonkeyPatch) -> None:
    at = SimpleNamespace(
        control=functions,
        access_id="ak",
        access_key="sk",
        function="exactly",
        connector="first",
        stream="exactly.kafka",
    )
    monkeypatch.setattr(endpoints, "read", lambda: at)


def batch(*offsets: int, value: str = "v", topic: str = "orders") -> str:
    return json.dumps(
        [{"data": {"topic": topic, "partition": 0, "offset": offset, "value": value}} for offset in offsets]
    )


def recording_of(path: Path, *bodies: tuple[str, dict[str, Any]]) -> str:
    with recording.writer(path) as write:
        for number, (body, outcome) in enumerate(bodies, 1):
            time = datetime(2020, 11, 17, 6, 0, number, tzinfo=timezone.utc)
            write(RecordedDelivery(number=number, time=time, events=len(json.loads(body)), body=body, **outcome))
    return str(path)


def wrote(count: int) -> dict[str, Any]:
    return {"status": 200, "reply": json.dumps({"records": count})}


@pytest.mark.usefixtures("local")
def test_a_replay_compares_its_outcomes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = recording_of(tmp_path / "good.jsonl", (batch(0, 1), wrote(2)), (batch(2), wrote(1)))
    assert main(["replay", good]) == 0
    said = capsys.readouterr().out
    assert "2 deliveries of 3 events (orders-0 offsets 0 to 2)" in said
    assert "to the local function exactly at http://127.0.0.1:" in said
    assert "records that its ledger has as settled get no second row" in said
    assert "the outcomes are as recorded" in said
    assert main(["replay", good, "--duplicate", "1", "--order", "shuffled", "--speed", "100"]) == 0, "all dropped"
    said = capsys.readouterr().out
    assert "4 invocations" in said
    assert "dropped, because settled before" in said
    assert main(["replay", good, "--cut", "1"]) == 0

    poisoned = batch(5, 6, value="poison")
    bad = recording_of(
        tmp_path / "bad.jsonl.gz",
        (poisoned, wrote(2)),
        (batch(7), {"status": 200, "error_type": "LedgerError"}),
        (batch(8), wrote(1)),
    )
    assert main(["replay", bad]) == 1
    said = capsys.readouterr().out
    assert "delivery 1 (): recorded success, now ValueError" in said
    assert "delivery 2 (): recorded LedgerError, now success" in said
    assert "delivery 3" not in said
    assert "the outcomes differ from the recorded ones" in said
    assert 'poison"' not in said
    assert main(["replay", bad, "--cut", "2"]) == 1
    capsys.readouterr()
    assert main(["replay", bad, "--json"]) == 1
    [result] = json.loads(capsys.readouterr().out)["replayed"]
    assert (result["differs"], result["now"]["events"]) == (True, {"ValueError": 2, "success": 2})
    assert len(result["differences"]) == 2


@pytest.mark.usefixtures("local")
def test_a_lone_batch_is_sent_and_its_reply_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "batch.json"
    file.write_text(batch(100, 101, topic="others"), encoding="utf-8")
    assert main(["replay", str(file)]) == 0
    said = capsys.readouterr().out
    assert '{"records": 2, "dropped": 0}' in said
    assert "the function's source topic is orders; it writes rows of others as well" in said
    file.write_text(batch(102, value="poison"), encoding="utf-8")
    assert main(["replay", str(file)]) == 1
    assert "ValueError: a record is poisoned" in capsys.readouterr().out


@pytest.mark.usefixtures("local")
@pytest.mark.parametrize(
    ("function", "expected"), [("again", "delivers at-least-once"), ("silent", "doesn't say how it delivers")]
)
def test_a_replay_that_may_double_rows_has_to_be_confirmed(
    function: str, expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = recording_of(tmp_path / "x.jsonl", (batch(200), wrote(1)))
    words = ["replay", file, "--function", function]
    assert main(words) == 1
    assert f"{expected}, so records that are in the table already get a second row" in capsys.readouterr().err
    assert main([*words, "--dry-run"]) == 0
    assert "dry run: nothing was sent" in capsys.readouterr().out
    assert main([*words, "--yes"]) == 0, "neither refused replay has sent it"


@pytest.mark.usefixtures("local")
def test_nothing_of_a_recording_controls_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    escape = "\x1b[2J"
    hostile = {"status": 200, "error_type": escape, "records": escape, "message": escape}
    file = recording_of(tmp_path / "x.jsonl", (batch(500, topic=f"t{escape}"), hostile))
    assert main(["replay", file]) == 1
    said = capsys.readouterr()
    assert "\x1b" not in said.out + said.err
    assert said.out.count("\\x1b[2J") >= 4, "in the records, the foreign topic, the table and the difference"


def test_a_deployed_function_needs_keys_and_a_confirmation(
    functions: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = recording_of(tmp_path / "x.jsonl", (batch(300), wrote(1)))
    words = ["replay", file, "--target", "deployed", "--function", "exactly", "--endpoint", functions]
    for name in KEYS:
        monkeypatch.delenv(name, raising=False)
    assert main(words) == 1
    assert "needs ALIBABA_CLOUD_ACCESS_KEY_ID and ALIBABA_CLOUD_ACCESS_KEY_SECRET" in capsys.readouterr().err
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    assert main(words) == 1
    refusal = capsys.readouterr().err
    assert "the function is deployed, so this writes into a real table" in refusal
    assert "replay only what this topic's own stream delivered" in refusal
    assert main([*words, "--yes"]) == 0
    assert "to the deployed function exactly at http://" in capsys.readouterr().out
    monkeypatch.setenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "another")
    assert main([*words, "--yes"]) == 1
    assert "answered 403 Signature" in capsys.readouterr().err
    assert main([*words[:-1], "http://127.0.0.1:9", "--yes"]) == 1
    assert "gave no answer (ConnectionError)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Answer(200, b'{"records": 1}'), Outcome(200, reply='{"records": 1}')),
        (FAILED, Outcome(200, "RefusedError", "no table")),
        (Answer(200, b"", "UnhandledInvocationError"), Outcome(200, "UnhandledInvocationError")),
        (Answer(429, b'{"Code": "ResourceExhausted", "Message": "busy"}'), Outcome(429, "ResourceExhausted", "busy")),
        (Answer(502, b"<html>"), Outcome(502, "an error without a code")),
        (Answer(301, b""), Outcome(301, "an error without a code")),
        (Answer(400, b"[" * 100_000), Outcome(400, "an error without a code")),
    ],
    ids=lambda given: "" if isinstance(given, Outcome) else str(given.status),
)
def test_whatever_a_deployed_function_answers_is_an_outcome(answer: Answer, expected: Outcome) -> None:
    with FakeFunction(lambda _: answer) as fake:
        client = FunctionClient(f"{fake.endpoint}/", "a b/c", AccessKey("ak", "sk", "a-token"))
        assert client.invoke(b"[]") == expected
    assert fake.paths == ["/2023-03-30/functions/a%20b%2Fc/invocations"]
    [headers] = fake.headers
    assert headers["x-acs-security-token"] == "a-token"
    assert headers["authorization"].startswith("ACS3-HMAC-SHA256 Credential=ak,SignedHeaders=content-type;host;x-acs-")


@pytest.mark.usefixtures("local")
def test_deliveries_of_another_stream_do_not_reach_the_connector(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own, other = {"stream": "exactly.kafka"}, {"stream": "payments.kafka"}
    both = recording_of(tmp_path / "x.jsonl", (batch(600), own | wrote(1)), (batch(601), other | wrote(1)))
    others = recording_of(tmp_path / "y.jsonl", (batch(602), other | wrote(1)))
    mine = recording_of(tmp_path / "z.jsonl", (batch(603), own | wrote(1)))

    assert main(["replay", both, "--yes"]) == 1
    assert "found deliveries of exactly.kafka, payments.kafka; choose one with --stream" in capsys.readouterr().err
    assert main(["replay", mine, others, "--yes"]) == 1
    assert main(["replay", both, "--function", "exactly", "--yes"]) == 1
    capsys.readouterr()
    for words in (["replay", others, "--yes"], ["replay", both, "--stream", "payments.kafka", "--yes"]):
        assert main(words) == 1
        refusal = capsys.readouterr().err
        assert "expected deliveries of exactly.kafka, the stream of the connector first, found payments.k" in refusal
        assert "--connector" in refusal
    assert main(["replay", both, "--stream", "nosuch"]) == 1
    assert "expected one of exactly.kafka, payments.kafka, found nosuch" in capsys.readouterr().err

    assert main(["replay", both, "--stream", "exactly.kafka"]) == 0, "no refused replay has sent it"
    assert "1 deliveries of 1 events (orders-0 offsets 600 to 600)" in capsys.readouterr().out
    assert main(["replay", mine]) == 0
    assert main(["replay", others, "--function", "exactly"]) == 0, "the function is named"


@pytest.mark.usefixtures("local")
def test_nothing_is_sent_of_a_damaged_recording(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = recording_of(tmp_path / "x.jsonl", (batch(400), wrote(1)), (batch(401), wrote(1)))
    path = tmp_path / "x.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole[:-10])
    assert main(["replay", file]) == 1
    assert "x.jsonl line 3: expected a delivery" in capsys.readouterr().err
    path.write_bytes(whole)
    assert main(["replay", file]) == 0, "neither of its records was settled before"
    assert main(["replay", file, "--function", "gone", "--yes"]) == 1
    assert "answered 404 FunctionNotFound" in capsys.readouterr().err
