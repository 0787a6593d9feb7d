"""`send` on a broker: one record, lines of a file or a pipe, and what is printed about them."""

from __future__ import annotations

import io
import json
import os
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
from confluent_kafka import Consumer, TopicPartition

from local_emulator.__main__ import main
from local_emulator.endpoints import Endpoints
from tests.stream_settings import trigger

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from local_emulator.kafka.embedded import EmbeddedBroker

PARTITIONS = 2


@pytest.fixture
def servers(embedded_kafka: EmbeddedBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A broker with two topics, in the file of addresses that the commands read."""
    for topic in ("orders", "other"):
        embedded_kafka.create_topic(topic, PARTITIONS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    known: dict[str, Any] = {
        **dict.fromkeys(Endpoints.__dataclass_fields__, ""),
        "pid": os.getpid(),
        "kafka": embedded_kafka.bootstrap_servers,
        "topic": "orders",
        "group": "connect-orders",
        "retention_bytes": embedded_kafka.retention_bytes,
        "trigger": trigger(),
    }
    with Endpoints(**known).published():
        yield embedded_kafka.bootstrap_servers


def piped(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))


def log(servers: str, topic: str = "orders") -> list[tuple[bytes | None, bytes | None, Any, int]]:
    """The key, value, headers and time of each record of a topic."""
    consumer = Consumer({"bootstrap.servers": servers, "group.id": "reader", "enable.auto.commit": False})
    places = [TopicPartition(topic, number, 0) for number in range(PARTITIONS)]
    wanted = sum(consumer.get_watermark_offsets(place)[1] for place in places)
    consumer.assign(places)
    found: list[tuple[bytes | None, bytes | None, Any, int]] = []
    while len(found) < wanted:
        message = consumer.poll(10)
        assert message is not None
        assert message.error() is None
        found.append((message.key(), message.value(), message.headers(), message.timestamp()[1]))
    consumer.close()
    return found


def test_one_record_has_everything_that_the_options_say(servers: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--key", "k", "--value", "v", "--header", "h=a=b", "--header", "h=\udcff", "--partition", "1"]
    assert main(["send", "--topic", "other", *words, "--timestamp", "2026-11-01"]) == 0
    assert log(servers, "other") == [(b"k", b"v", [("h", b"a=b"), ("h", b"\xff")], 1_793_491_200_000)]
    assert capsys.readouterr().out == "sent to other, topic-partition 1, offset 0\n"


def test_lines_of_a_pipe_are_values_whatever_bytes_they_have(
    servers: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    piped(monkeypatch, b"a\n\n\xff\x00\r\nlast")
    assert main(["send", "--lines", "--partition", "0", "--json"]) == 0
    assert [value for _, value, _, _ in log(servers)] == [b"a", b"", b"\xff\x00\r", b"last"]
    result = json.loads(capsys.readouterr().out)
    assert (result["sent"], result["window_seconds"]) == (4, 10)
    assert result["topic_partitions"] == [{"partition": 0, "records": 4, "first": 0, "last": 3}]


def test_a_broken_line_is_named_and_nothing_after_it_is_sent(
    servers: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "lines"
    file.write_bytes(b'{"id": "a", "n": 1}\n{"n": 2}\n{"id": "c"}\n')
    assert main(["send", "--file", str(file), "--key-field", "id"]) == 1
    output = capsys.readouterr()
    assert output.out.startswith("sent to orders, topic-partition ")
    assert "error: line 2: expected a JSON object with the field 'id', found none" in output.err
    assert [key for key, _, _, _ in log(servers)] == [b"a"]

    assert main(["send", "--file", str(file), "--key-field", "id", "--skip-bad", "--json"]) == 0
    output = capsys.readouterr()
    assert (json.loads(output.out)["sent"], json.loads(output.out)["left_out"]) == (2, 1)
    assert "left out: line 2: " in output.err
    assert sorted(key or b"" for key, _, _, _ in log(servers)) == [b"a", b"a", b"c"]


def test_lines_of_json_describe_records(servers: str, monkeypatch: pytest.MonkeyPatch) -> None:
    piped(monkeypatch, b'{"key": "k", "value": {"a": 1}, "timestamp": 7, "partition": 0}\n{"value_hex": "ff"}\n')
    assert main(["send", "--json-lines", "--timestamp", "9", "--header", "h=1"]) == 0
    assert sorted(log(servers), key=lambda record: record[3]) == [
        (b"k", b'{"a": 1}', [("h", b"1")], 7),
        (None, b"\xff", [("h", b"1")], 9),
    ]


def test_a_topic_partition_that_does_not_exist_is_a_broken_line(
    servers: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = b'{"value": "a"}\n{"value": "b", "partition": 9}\n{"value": "c"}\n'
    piped(monkeypatch, text)
    assert main(["send", "--json-lines"]) == 1
    assert "error: line 2: partition: expected a number from 0 to 1, found 9; nothing after" in capsys.readouterr().err
    assert [value for _, value, _, _ in log(servers)] == [b"a"]
    piped(monkeypatch, text)
    assert main(["send", "--json-lines", "--skip-bad"]) == 0
    assert sorted(value or b"" for _, value, _, _ in log(servers)) == [b"a", b"a", b"c"]
    assert main(["send", "--value", "x", "--partition", "2"]) == 1
    assert "error: --partition: expected a number from 0 to 1, found 2: orders has 2 " in capsys.readouterr().err


def test_a_rate_is_kept(servers: str, monkeypatch: pytest.MonkeyPatch) -> None:
    piped(monkeypatch, b"x\n" * 11)
    begun = time.monotonic()
    assert main(["send", "--lines", "--rate", "20"]) == 0
    assert time.monotonic() - begun >= 0.5
    assert len(log(servers)) == 11


def test_a_topic_that_does_not_exist_is_not_created(servers: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["send", "--topic", "ordres", "--value", "x", "--json"]) == 1
    output = capsys.readouterr()
    message = f"there is no topic ordres at {servers}; create it, or check its name"
    assert json.loads(output.out) == {"error": message}
    assert message in output.err


@pytest.mark.parametrize(
    "words",
    [
        ["--orders", "3", "--value", "x"],
        ["--orders", "3", "--file", "x"],
        ["--lines", "--value", "x"],
        ["--json-lines", "--key-field", "x"],
        ["--lines", "--key-field", "x", "--key", "y"],
        ["--lines", "--json-lines"],
        ["--timestamp", "0"],
        ["--timestamp", "yesterday"],
        ["--header", "x"],
        ["--rate", "0"],
        [],
        ["--topic", "other", "--json"],
    ],
)
def test_options_that_exclude_one_another_are_refused(words: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["send", *words])
    assert ended.value.code == 2
