"""The whole line: topic, stream, function, table; as `make run` shows it, and stopped at any moment."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from local_emulator.__main__ import main
from local_emulator.cli import commands
from local_emulator.eventbridge import recording
from local_emulator.maxcompute import server
from tests.local_cloud import await_rows, client, plain_environment, refused, up

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from local_emulator.kafka.apache import ApacheBroker

DEMO = [sys.executable, "-m", "local_emulator", "demo"]
# Starts a command as a script does in its background.
IGNORING = ["sh", "-c", 'trap "" INT; exec "$@"', "sh"]
# The connector document's example, in the form that its client draws.
DOCUMENTS_ROW = "| maxcompute-test-input | 0          | 0          | 1   | 1     | 11-17-2020 14 |"
PAYLOAD_WORDS = ("绿茶", "丝绸围巾", "buyer", "请放门口", "receiver")


def run_demo(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*DEMO, *options], cwd=folder, capture_output=True, text=True, timeout=240, check=False, env=plain_environment()
    )


def held(ran: subprocess.CompletedProcess[str]) -> None:
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "The check holds" in ran.stdout
    assert "WRONG" not in ran.stdout
    assert DOCUMENTS_ROW in ran.stdout
    assert "pt=11-17-2020 14" in ran.stdout.splitlines()
    assert "50,201 records sent, 50,201 rows in the table" in ran.stdout


def logs(folder: Path) -> str:
    found = sorted((folder / ".local/logs").glob("*.log"))
    assert found
    return "\n".join(file.read_text(encoding="utf-8") for file in found)


def test_the_main_job_runs_and_logs_no_payload(project_copy: Path) -> None:
    ran = run_demo(project_copy)
    held(ran)
    written = logs(project_copy)
    assert "batch committed" in written
    said = written + ran.stdout + ran.stderr
    assert [word for word in PAYLOAD_WORDS if word in said] == []
    orders = (project_copy / "local_emulator/batches/orders.json").read_text(encoding="utf-8")
    assert any(word in orders for word in PAYLOAD_WORDS), "the words have to be ones that the payloads hold"


def test_no_log_line_holds_a_secret(project_copy: Path) -> None:
    """`up` writes its keys into a file that its owner alone can read, and nowhere else."""
    with up(project_copy) as cloud:
        client(project_copy, "send", "--key", "a key", "--value", "a value that is secret")
        client(project_copy, "replay", "local_emulator/batches/orders.json")
        file = project_copy / ".local/cloud.json"
        assert file.stat().st_mode & 0o077 == 0
        keys = json.loads(file.read_text(encoding="utf-8"))
        said = logs(project_copy) + cloud.said()
    assert keys["access_key"] not in said
    assert "a value that is secret" not in said
    assert "a key" not in said


def dead_letter_of_the_document(project_copy: Path) -> None:
    """Make, list and redrive a dead letter by the commands in docs/EMULATOR.md."""
    text = (project_copy / "docs/EMULATOR.md").read_text(encoding="utf-8")
    section = text.partition("### A dead letter\n")[2].partition("\n### ")[0]
    words = [shlex.split(line)[3:] for line in section.splitlines() if line.startswith("    python")]
    send, first, listed, go, last = words
    client(project_copy, *send)
    assert "late" in until_printed(project_copy, first, "1 of 1 dead letters (1 timestamp-out-of-range)")
    assert "dead letters that would be sent: 1; none was sent" in client(project_copy, *listed)
    assert "dead letters sent to the source topic again: 1" in client(project_copy, *go)
    assert "timestamp-out-of-range, redriven" in until_printed(project_copy, last, "2 of 2 dead letters")


def until_printed(folder: Path, words: Sequence[str], wanted: str) -> str:
    """Repeat a command until its output has the wanted text, and return the output."""
    deadline = time.monotonic() + 60
    while wanted not in (printed := client(folder, *words)) and time.monotonic() < deadline:
        time.sleep(0.3)
    assert wanted in printed
    return printed


def test_the_commands_work_on_a_running_cloud(project_copy: Path, tmp_path: Path) -> None:
    with up(project_copy, "--eventbridge", "elements=strings", "--eventbridge", "recut=true"):
        sent = client(project_copy, "send", "--key", "k1", "--value", "hello, 世界", "--partition", "3")
        assert "topic-partition 3, offset 0" in sent
        assert "| k1  | hello, 世界 |" in await_rows(project_copy, "hello, 世界")
        assert "200 records" in client(project_copy, "send", "--orders", "200")
        deliveries = tmp_path / "deliveries.jsonl.gz"
        assert "of 201 events" in client(project_copy, "record", str(deliveries), "--seconds", "3")
        batches = [json.loads(delivery.body) for delivery in recording.read(deliveries)]
        assert {type(element) for batch in batches for element in batch} == {str}, "as `up` was asked"
        # The stream has delivered them already, so the ledger has them as settled.
        said = client(project_copy, "replay", str(deliveries))
        assert re.search(r"dropped, because settled before +\| +0 +\| +201 ", said), said
        assert "the outcomes are as recorded" in said
        # The cloud has the topic of the batch that comes with the command, so a second replay drops each record.
        replies = [client(project_copy, "replay") for _ in range(2)]
        assert '"records": 200' in replies[0], replies[0]
        assert '"dropped": 200' in replies[1], replies[1]
        refused(project_copy, ("record", str(tmp_path / "absent" / "batch.json")), "can't be written")
        refused(project_copy, ("send", "--value", "v", "--partition", "99"), "--partition: expected a number from 0 to")
        refused(project_copy, ("up",), "a local cloud is running already")
        dead_letter_of_the_document(project_copy)
        status = client(project_copy, "status")
        assert "| function " in status
        assert "maxcompute-test-input" in status
        assert "connect-kafka-maxcompute-sink" in status


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("sql", "select 1"), "no local cloud is running"),
        (("demo", "--kafka", "nowhere"), "host:port"),
        (("replay", "absent.json"), "no local cloud is running"),
    ],
)
def test_a_wrong_use_says_what_to_do(project_copy: Path, words: tuple[str, ...], expected: str) -> None:
    refused(project_copy, words, expected)


def test_ctrl_c_in_a_callback_of_librdkafkas_ends_it_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: object) -> int:
        raise SystemError("returned a result with an exception set") from KeyboardInterrupt()

    def broken(_: object) -> int:
        raise SystemError("of its own")

    monkeypatch.setattr(commands, "sql", interrupted)
    assert main(["sql", "select 1"]) == 130
    monkeypatch.setattr(commands, "sql", broken)
    with pytest.raises(SystemError, match="of its own"):
        main(["sql", "select 1"])


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("send", "--orders", "0"), "whole number from 1 to 10^18, found '0'"),
        (("send", "--orders", "3", "--key", "k"), "omit the other options"),
        (("send", "--orders", "3", "--partition", "0"), "omit the other options"),
        (
            ("send",),
            "name the record's --value, or a --key for a tombstone; or send each line of the input with --lines",
        ),
        (("send", "--partition", "-1"), "whole number from 0 to 10^18, found '-1'"),
        (("record", "batch.json", "--count", "many"), "whole number from 1 to 10^18, found 'many'"),
    ],
)
def test_wrong_options_are_refused(capsys: pytest.CaptureFixture[str], words: tuple[str, ...], expected: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert expected in capsys.readouterr().err


def test_wrong_settings_are_all_told_before_a_record_is_read(project_copy: Path) -> None:
    names = ("mode", "format", "partition", "time_zone", "compression")
    wrong = {f"CONNECTOR_{name.upper()}": "nonsense" for name in names}
    told = [f"{name}: expected" for name in names]
    refused(project_copy, ("up",), "bootstrap has 5 fault(s)", *told, environment=wrong)


def test_a_folder_of_tables_that_is_in_use_is_named(project_copy: Path, tmp_path: Path) -> None:
    folder = tmp_path / "tables"
    with server.start("connector_test", "ak", "sk", folder):
        refused(project_copy, ("up", "--data-dir", str(folder)), f"{folder} is in use by another emulator")


def processes_below(pid: int) -> set[int]:
    """All descendants of a process, whatever sessions they have made for themselves."""
    parents: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(stat.parent.name)] = int(fields[1])
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def demo_process(folder: Path, *, ignoring: bool) -> subprocess.Popen[str]:
    """`make run`'s command, as a terminal starts it, or as the background of a script does: with SIGINT ignored."""
    return subprocess.Popen(
        [*(IGNORING if ignoring else []), *DEMO],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        env=plain_environment(),
    )


@pytest.fixture
def started(project_copy: Path, request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[str]]:
    process = demo_process(project_copy, ignoring=getattr(request, "param", "") == "SIGINT ignored")
    yield process
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def await_line(process: subprocess.Popen[str], sign: str) -> None:
    assert process.stdout is not None
    assert any(sign in line for line in process.stdout)


def ignored_signals(pid: int) -> int:
    """The mask of the signals that a process ignores."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace")
    return int(status.split("SigIgn:")[1].split()[0], 16)


# Before anything runs, while the parts start, while records are sent, in the middle of the deliveries.
@pytest.mark.parametrize(
    ("sign", "seconds_after"),
    [(None, 0.5), ("MaxCompute", 0.0), ("Function Compute", 0.0), ("From the topic", 1.2), ("sent to Kafka", 0.0)],
)
def test_ctrl_c_at_any_moment_leaves_no_process(
    started: subprocess.Popen[str], sign: str | None, seconds_after: float
) -> None:
    if sign is not None:
        await_line(started, sign)
    time.sleep(seconds_after)
    family = processes_below(started.pid)
    os.killpg(started.pid, signal.SIGINT)
    said, _ = started.communicate(timeout=60)
    assert started.returncode in {130, -signal.SIGINT}, said
    assert sign is None or "Traceback" not in said, said
    time.sleep(0.2)
    assert {pid for pid in family if Path(f"/proc/{pid}").exists()} == set()


@pytest.mark.parametrize(
    "numbers", [(signal.SIGTERM,), (signal.SIGHUP,), (signal.SIGINT, signal.SIGINT, signal.SIGTERM)]
)
def test_each_way_to_end_it_leaves_no_process(
    started: subprocess.Popen[str], numbers: tuple[signal.Signals, ...]
) -> None:
    """A kill, a closed terminal, and an impatient user."""
    await_line(started, "From the topic")
    family = processes_below(started.pid)
    for number in numbers:
        os.killpg(started.pid, number)
        time.sleep(0.1)
    said, _ = started.communicate(timeout=60)
    # A signal more may come once everything has ended but the interpreter.
    assert started.returncode in {130, *(-number for number in numbers[1:])}, said
    assert "stopped" in said
    assert "Traceback" not in said
    assert {pid for pid in family if Path(f"/proc/{pid}").exists()} == set()


@pytest.mark.parametrize("started", ["SIGINT ignored"], indirect=True)
def test_in_the_background_sigterm_ends_it_and_ctrl_c_does_not(started: subprocess.Popen[str]) -> None:
    await_line(started, "From the topic")
    family = processes_below(started.pid) - {started.pid}
    assert family
    interrupts = 1 << (signal.SIGINT - 1)
    assert [pid for pid in family if ignored_signals(pid) & interrupts] == []
    os.killpg(started.pid, signal.SIGINT)
    time.sleep(1)
    assert started.poll() is None
    started.terminate()
    said, _ = started.communicate(timeout=60)
    assert started.returncode == 130, said
    assert "Traceback" not in said
    assert {pid for pid in family if Path(f"/proc/{pid}").exists()} == set()


@pytest.mark.java
@pytest.mark.xdist_group("apache_kafka")
def test_the_main_job_runs_on_apache_kafka(project_copy: Path) -> None:
    held(run_demo(project_copy, "--kafka", "apache"))


@pytest.mark.java
@pytest.mark.xdist_group("apache_kafka")
def test_the_main_job_runs_on_a_broker_of_ones_own(project_copy: Path, apache_kafka: ApacheBroker) -> None:
    apache_kafka.create_topic("maxcompute-test-input", 3)
    held(run_demo(project_copy, "--kafka", apache_kafka.bootstrap_servers))
    # A second run finds the topic and the group's commits of the first.
    shown = run_demo(project_copy, "--kafka", apache_kafka.bootstrap_servers).stdout
    assert "The check holds" in shown, shown
