"""What a stream with tolerance ALL gives up is in its queue: by the emulator's HTTP paths, and by the command."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import requests

from local_emulator import endpoints
from local_emulator.__main__ import main
from tests.event_streams import NAME, make_roles, new, reaches, start, started
from tests.fake_function import FAILED, FakeFunction
from tests.stream_clients import event_bridge, eventually, send

if TYPE_CHECKING:
    from collections.abc import Iterator

    from local_emulator.kafka.embedded import EmbeddedBroker

OWNER = ("ak", "sk")
QUEUE = "acs:mns:cn-hangzhou:188:/queues/lost"
TOPIC = "acs:mq:cn-hangzhou:188:/instances/MQ_INST_188_x/topic/given-up"
GIVES_UP = {
    "ErrorsTolerance": "ALL",
    "RetryStrategy": {"PushRetryStrategy": "BACKOFF_RETRY"},
    "MaximumTasks": 1,
}


@pytest.fixture
def lost(embedded_kafka: EmbeddedBroker) -> Iterator[str]:
    """The address of a control plane with two streams of one topic, whose function fails; each has two dead letters."""
    embedded_kafka.create_topic("orders", 1)
    with FakeFunction(lambda _: FAILED) as function, started(embedded_kafka, function, time_scale=0.0001) as plane:
        make_roles(plane)
        for number, arn in enumerate((QUEUE, TOPIC)):
            run = {**GIVES_UP, "DeadLetterQueue": {"Arn": arn}}
            name = f"{NAME}-{number}"
            event_bridge(plane).create_event_streaming(new(name, group=f"connect-{number}", run=run))
            start(plane, name)
            assert reaches(plane, "RUNNING", name)
        send(embedded_kafka, "orders", 2, partitions=1)
        url = f"{plane.url}/emulator/dead-letters"
        assert eventually(lambda: [queue["messages"] for queue in get(url)["queues"]] == [2, 2])
        yield plane.url


def get(url: str, **query: str) -> Any:
    answer = requests.get(url, params=query, auth=OWNER, timeout=30)
    return answer.json() | ({} if answer.ok else {"status": answer.status_code})


def test_dead_letters_are_listed_and_deleted(
    lost: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"{lost}/emulator/dead-letters"
    first, second = get(url, arn=TOPIC)["messages"]
    assert [json.loads(message["body"])["data"]["value"] for message in (first, second)] == ["0", "1"]
    assert (first["stream"], second["number"]) == (f"{NAME}-1", 2)
    assert "all tries failed, the last: function sink failed with RefusedError: no table" in first["reason"]
    assert get(url, arn=TOPIC, after="1")["messages"] == [second]
    assert get(url, arn="acs:mns:x")["status"] == 404
    assert get(url, arn=TOPIC, after="-1") == {"Message": "after: expected a whole number, found '-1'", "status": 400}
    for keys in (None, ("ak", "another")):
        refused = requests.get(url, auth=keys, timeout=30)
        assert (refused.status_code, "queues" in refused.text) == (401, False)

    at = SimpleNamespace(control=lost, access_id="ak", access_key="sk")
    monkeypatch.setattr(endpoints, "read", lambda: at)
    assert main(["queue"]) == 0
    said = capsys.readouterr().out
    assert QUEUE in said
    assert TOPIC in said
    assert main(["queue", "lost"]) == 0
    said = capsys.readouterr().out
    assert f"{NAME}-0: orders-0 offsets 0 to " in said
    assert '"value"' not in said, "contents are printed on request only"
    assert main(["queue", "lost", "--bodies"]) == 0
    assert '"value":"1"' in capsys.readouterr().out
    assert main(["queue", QUEUE, "--json"]) == 0
    assert [message["number"] for message in json.loads(capsys.readouterr().out)["messages"]] == [1, 2]
    assert main(["queue", "gone"]) == 1
    assert f"found 'gone'; there are {QUEUE}, {TOPIC}" in capsys.readouterr().err
    assert main(["queue", "lost", "--clear"]) == 0
    assert "deleted 2 messages" in capsys.readouterr().out
    assert [queue["messages"] for queue in get(url)["queues"]] == [0, 2]
