"""The action `test` on the local cloud, whose functions are processes: a message, its row, and the probe."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING, Any

import pytest

from kafka_maxcompute.probe_records import ProbeMark
from local_emulator import cloud
from local_emulator.cli import sql_answers
from local_emulator.provisioner import invoke

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from local_emulator.cloud import Cloud

ENVIRONMENT = {"BATCH_SECONDS": "1"}


@pytest.fixture
def running(project_copy: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    """A cloud whose connector is provisioned and runs."""
    monkeypatch.chdir(project_copy)
    with cloud.start("embedded", ENVIRONMENT) as started:
        assert ask(started, "apply", create_table=True)["state"] == "applied"
        yield started


def ask(running: Cloud, action: str, settings: dict[str, str] | None = None, **fields: Any) -> dict[str, Any]:
    reply: dict[str, Any] = invoke(running.endpoints, {"action": action, "settings": settings or {}, **fields})
    return reply


def rows(running: Cloud, columns: str) -> list[list[str]]:
    owner = sql_answers.connect(running.endpoints)
    with owner.execute_sql(f"select {columns} from test_kafka order by `offset` limit 100").open_reader() as reader:  # noqa: S608
        return [list(map(str, row.values)) for row in reader]


def test_a_message_is_in_the_table_when_the_reply_says_so(running: Cloud) -> None:
    reply = ask(running, "test", topic_partition=3)
    assert (reply["state"], reply["faults"]) == ("arrived", [])
    assert (reply["topic_partition"], reply["offset"]) == (3, 0)
    assert rows(running, "`partition`, `offset`, key, value, pt") == [
        ["3", "0", "demo", '{"key": "test"}', reply["partition"]]
    ]
    own = ask(running, "test", key="k", value="v 世界", topic_partition=3)
    assert (own["state"], own["offset"]) == ("arrived", 1)
    assert rows(running, "key, value")[1] == ["k", "v 世界"]
    by_key = [ask(running, "test", key="same")["topic_partition"] for _ in range(2)]
    assert by_key[0] == by_key[1]


def test_the_readmes_program_shows_it(running: Cloud, project_copy: Path) -> None:
    """What the walk through production says to look with."""
    reply = ask(running, "test")
    readme = (project_copy / "README.md").read_text(encoding="utf-8")
    program = re.search(r"^ *```python\n(.*?)^ *```", readme, re.DOTALL | re.MULTILINE)
    assert program is not None
    at = running.endpoints
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program[1])],
        env={
            "PATH": os.environ["PATH"],
            "ALIBABA_CLOUD_ACCESS_KEY_ID": at.access_id,
            "ALIBABA_CLOUD_ACCESS_KEY_SECRET": at.access_key,
            "CONNECTOR_PROJECT": at.project,
            "CONNECTOR_ENDPOINT": at.maxcompute,
            "CONNECTOR_TABLE": "test_kafka",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ran.returncode == 0, ran.stderr
    name, row = ran.stdout.splitlines()
    assert name == f"pt='{reply['partition']}'"
    assert row.startswith(f"['maxcompute-test-input', {reply['topic_partition']}, 0, 'demo', '{{\"key\": \"test\"}}'")


def test_nothing_is_sent_where_nothing_would_come_of_it(running: Cloud) -> None:
    ask(running, "pause")
    for probe in (False, True):
        reply = ask(running, "test", probe=probe)
        assert reply["state"] == "blocked"
        assert "is paused; resume starts it; nothing was sent" in reply["faults"][0]
    ask(running, "resume")
    reply = ask(running, "test", topic_partition=99)
    assert "expected 0 to 5, the topic-partitions of maxcompute-test-input, found 99" in reply["faults"][0]
    reply = ask(running, "test", stream="event_stream")
    assert "event stream connect-kafka-maxcompute-sink doesn't exist" in reply["faults"][0]
    assert all(one["end"] == 0 for one in ask(running, "status")["lag"]["topic_partitions"])


def test_a_message_that_doesnt_arrive_is_looked_for(running: Cloud) -> None:
    """The table is gone: the function fails, and says so where it can be read."""
    for statement in ("drop table test_kafka;", "create table other(a string);"):
        sql_answers.connect(running.endpoints).execute_sql(statement)
    reply = ask(running, "test", wait_seconds=10, topic_partition=0)
    assert (reply["state"], reply["topic_partition"], reply["offset"]) == ("missing", 0, 0)
    first, *rest = reply["faults"]
    assert first.startswith("maxcompute-test-input-0-0 was sent, but the table can't be read")
    assert "Table not found" in first
    assert any("the stream hasn't delivered it" in line or "committed nothing" in line for line in rest), rest


def test_the_probe_sees_a_batch_come_again_and_what_unusual_records_become(running: Cloud) -> None:
    reply = ask(running, "test", probe=True, wait_seconds=120)
    assert (reply["state"], reply["faults"]) == ("redelivered", []), reply
    seen = reply["redelivery"]
    assert seen["failures"] >= 1
    assert seen["first_after_seconds"] < seen["back_after_seconds"]
    # As docs/EMULATOR.md says that they are assumed to be.
    observed = reply["observed"]
    timestamp = observed.pop("timestamp of failure")
    assert json.loads(timestamp) > 1_700_000_000_000
    assert observed == {
        "elements": "object",
        "value of tombstone": "absent",
        "value of empty-value": '""',
        "value of bytes-value": '"\\ufffd\\u0000\\ufffd"',
        "key of no-key": "absent",
        "key of bytes-key": '"\\ufffd\\u0000\\ufffd"',
        "headers of headers": json.dumps(
            {
                "headers": [
                    {"key": "text", "value": [97]},
                    {"key": "bytes", "value": [-1, 0, -2]},
                    {"key": "none", "value": None},
                    {"key": "text", "value": [97, 103, 97, 105, 110]},
                ],
                "isReadOnly": False,
            }
        ),
    }
    assert rows(running, "key") == []
    assert ask(running, "test")["state"] == "arrived"
    assert rows(running, "key") == [["demo"]]
    # A mark that somebody else wrote makes no probe: its record is a row as any other.
    foreign = str(ProbeMark("f" * 32, "failure", 10**13 - 1))
    assert ask(running, "test", key=foreign)["state"] == "arrived"
    assert sorted(rows(running, "key")) == [["demo"], [foreign]]
    # Nothing is missing: these records were never meant to be in the table.
    audited = ask(running, "audit")
    assert (audited["state"], audited["faults"]) == ("sound", []), audited
