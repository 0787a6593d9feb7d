"""A real Apache Kafka in a JVM, and a broker that somebody else runs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from local_emulator.kafka import jars
from local_emulator.kafka.apache import ApacheBroker
from local_emulator.kafka.broker import open_broker
from local_emulator.kafka.errors import BrokerError
from local_emulator.kafka.producer import produce
from local_emulator.kafka.record import Record
from local_emulator.kafka.topics import await_broker, count_partitions
from tests.stream_clients import eventually

ROOT = Path(__file__).parents[2]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8").split()]


@pytest.mark.java
@pytest.mark.xdist_group("apache_kafka")
def test_topics_are_made_once_and_kept(apache_kafka: ApacheBroker) -> None:
    name = f"made-{uuid.uuid4().hex}"
    apache_kafka.create_topic(name, 6)
    with open_broker(apache_kafka.bootstrap_servers, {name: 2, f"{name}-2": 2}) as own:
        assert count_partitions(own.bootstrap_servers, name) == 6
        assert count_partitions(own.bootstrap_servers, f"{name}-2") == 2
    assert count_partitions(apache_kafka.bootstrap_servers, name) == 6  # the user's broker is left alone


@pytest.mark.java
@pytest.mark.xdist_group("apache_kafka")
def test_a_folder_keeps_topics_and_records_from_one_broker_to_the_next(tmp_path: Path) -> None:
    with open_broker("apache", {"kept": 2}, tmp_path) as first:
        produce(first.bootstrap_servers, "kept", [Record(1, 7, b"k", b"v")])
    with open_broker("apache", {"kept": 2}, tmp_path) as second:
        assert count_partitions(second.bootstrap_servers, "kept") == 2
        sent = produce(second.bootstrap_servers, "kept", [Record(1, 8, b"k", b"v")])
        assert (sent[1].first, sent[1].count) == (1, 1)


@pytest.mark.java
@pytest.mark.xdist_group("apache_kafka")
def test_a_topic_that_isn_t_there_is_named(apache_kafka: ApacheBroker) -> None:
    with pytest.raises(BrokerError, match="there is no topic nowhere at "):
        count_partitions(apache_kafka.bootstrap_servers, "nowhere")
    with pytest.raises(BrokerError, match="refused to create topic no/name"):
        apache_kafka.create_topic("no/name", 1)


@pytest.mark.java
@pytest.mark.xdist_group("apache_kafka")
def test_produce_says_where_records_went(apache_kafka: ApacheBroker) -> None:
    name = f"sent-{uuid.uuid4().hex}"
    apache_kafka.create_topic(name, 2)
    first = produce(apache_kafka.bootstrap_servers, name, [Record(1, 1, b"k", b"v")] * 5)
    again = produce(apache_kafka.bootstrap_servers, name, [Record(1, 1, None, None)])
    assert (first[1].count, first[1].first, first[1].last) == (5, 0, 4)
    assert (again[1].count, again[1].first, again[1].last) == (1, 5, 5)


@pytest.mark.java
@pytest.mark.xdist_group("apache_kafka")
@pytest.mark.parametrize("ending", ["stop", "kill"])
def test_nothing_is_left_of_it(tmp_path: Path, ending: str) -> None:
    """Neither when it is stopped, nor when the process that started it is killed."""
    source = (
        "import sys; from local_emulator.kafka.apache import ApacheBroker\n"
        "with ApacheBroker() as broker:\n"
        "    print(broker._process.pid, flush=True); sys.stdin.read()\n"
    )
    starter = subprocess.Popen(
        [sys.executable, "-c", source],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert starter.stdin
    assert starter.stdout
    shell = int(starter.stdout.readline())
    jvm = children(shell)[0]
    assert alive(jvm)
    if ending == "kill":
        starter.send_signal(signal.SIGKILL)
    starter.stdin.close()
    starter.wait(30)
    starter.stdout.close()
    assert eventually(lambda: not alive(jvm) and not alive(shell))
    if ending == "stop":
        assert list(tmp_path.iterdir()) == []


def test_without_java_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BrokerError, match=r"needs the program java.*apt-get install.*KAFKA=embedded"):
        ApacheBroker()
    with pytest.raises(BrokerError, match="needs the program mvn"):
        jars.class_path(tmp_path)


def test_when_maven_fails_its_words_are_shown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    maven = tmp_path / "mvn"
    maven.write_text("#!/bin/sh\necho no such artifact\nexit 3\n", encoding="utf-8")
    maven.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(BrokerError, match=r"exit code 3\):\nno such artifact"):
        jars.class_path(tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_maven_that_still_fetches_ends_with_the_process_that_started_it(
    tmp_path: Path, number: signal.Signals
) -> None:
    maven, written = tmp_path / "mvn", tmp_path / "pid"
    maven.write_text(
        f"#!/bin/sh\necho $$ >{written}.part\nmv {written}.part {written}\nexec sleep 600\n", encoding="utf-8"
    )
    maven.chmod(0o755)
    source = (
        f"from pathlib import Path; from local_emulator.kafka import jars; jars.class_path(Path({str(tmp_path)!r}))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", source],
        cwd=ROOT,
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        stderr=subprocess.DEVNULL,
    ) as starter:
        assert eventually(written.exists)
        pid = int(written.read_text(encoding="ascii"))
        assert alive(pid)
        starter.send_signal(number)
        starter.wait(30)
    assert eventually(lambda: not alive(pid))


def test_a_broker_that_doesn_t_answer_is_named() -> None:
    with pytest.raises(BrokerError, match=r"no Kafka broker answered at 127.0.0.1:1 within 0 s"):
        await_broker("127.0.0.1:1", 0.2)
