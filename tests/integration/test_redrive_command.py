"""`python -m local_emulator redrive` on a running cloud: a table of what would happen, and rows where it's done."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from fc_powertools import Deadline
from kafka_maxcompute.brokers.appending import Appender
from kafka_maxcompute.brokers.originals import Original
from kafka_maxcompute.dead_letters.dead_letter import DeadLetter
from kafka_maxcompute.dead_letters.kafka_dead_letters import KafkaDeadLetters
from local_emulator import endpoints
from local_emulator.__main__ import parser
from local_emulator.cli.redrive_command import event, lines
from tests.kafka_events import HOUR_14, element
from tests.local_cloud import await_rows, client, command, up

if TYPE_CHECKING:
    from pathlib import Path

LETTER = DeadLetter(
    connector="kafka-maxcompute-sink",
    request_id="1-5f",
    reason="not-utf-8",
    message="expected UTF-8, found bytes that aren't",
    path="$.data.value",
    record=Original(key=b"k1", value=b"sent again", timestamp=HOUR_14),
    topic="maxcompute-test-input",
    partition=1,
    offset=41,
)


def test_letters_are_shown_and_sent_and_their_rows_arrive_once(
    project_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project_copy)
    with up(project_copy):
        topic = "connect-error-kafka-maxcompute-sink"
        configuration = {"bootstrap.servers": endpoints.read().kafka, "log_level": 0}
        assert client(project_copy, "redrive") == "no dead letters, or none that match\n"
        writer = KafkaDeadLetters(Appender(configuration), error_topic=topic, dead_letter_topic=topic)
        writer.write([LETTER, replace(LETTER, offset=42, form="as-delivered")], Deadline.after(30))

        shown = client(project_copy, "redrive", "--reason", "not-utf-8")
        row = next(line for line in shown.splitlines() if line.startswith("| redrive"))
        assert [cell.strip() for cell in row.split("|")[2:7]] == [
            "not-utf-8",
            "maxcompute-test-input-1",
            "original",
            "1",
            "41",
        ]
        assert shown.endswith("dead letters that would be sent: 1; none was sent; to send them, add --go\n")
        assert client(project_copy, "redrive", "--go").endswith("dead letters sent to the source topic again: 1\n")
        assert "sent again" in await_rows(project_copy, "sent again")
        listed = client(project_copy, "letters", "--payload", "--topic-partition", "1", "--offset", "41")
        assert f"{topic}-1-0: not-utf-8, redriven\n" in listed
        assert "\n  value      sent again\n" in listed
        again = json.loads(client(project_copy, "redrive", "--go", "--json"))
        assert (again["state"], [row["do"] for row in again["letters"]]) == ("unchanged", ["skip", "skip"])

        body = project_copy / "message.json"
        body.write_text(json.dumps([element(7, topic=LETTER.topic, partition=0, key="k1", value="given up")]))
        words = ("--messages", str(body), "--allow", "as-delivered", "--topic-partition", "0", "--go")
        assert "given up" not in await_rows(project_copy, "sent again")
        assert client(project_copy, "redrive", *words).endswith("dead letters sent to the source topic again: 1\n")
        assert "given up" in await_rows(project_copy, "given up")

        refused = command(project_copy, "redrive", "--since", "yesterday")
        assert refused.returncode == 1
        assert "fault: letters.since: expected an ISO date or time" in refused.stdout


@pytest.mark.quick
def test_options_become_the_event_and_those_not_given_leave_nothing(tmp_path: Path) -> None:
    body = tmp_path / "body.txt"
    body.write_text("[]")
    words = [
        *("--reason", "a", "--reason", "b", "--topic-partition", "3", "--since", "2026-11-01", "--until", "2026-11-02"),
        *("--allow", "truncated", "--queue-topic", "q", "--messages", str(body), "--go"),
    ]

    assert event(parser().parse_args(["redrive"])) == {"action": "redrive", "dry_run": True, "letters": {}}
    # An empty variable of the shell: the function refuses the value, rather than select all dead letters.
    assert event(parser().parse_args(["redrive", "--since", ""]))["letters"] == {"since": ""}
    assert event(parser().parse_args(["redrive", *words])) == {
        "action": "redrive",
        "dry_run": False,
        "letters": {
            "reasons": ["a", "b"],
            "topic_partitions": [3],
            "since": "2026-11-01",
            "until": "2026-11-02",
            "allow": ["truncated"],
            "queue_topic": "q",
            "messages": ["[]"],
        },
    }


@pytest.mark.quick
def test_what_could_not_be_done_is_told() -> None:
    reply = {"state": "incomplete", "faults": ["the time is up"], "unreadable": 2, "redriven": 0, "letters": []}

    assert list(lines(reply)) == [
        "records of the error topics that aren't dead letters of this version: 2",
        "fault: the time is up",
        "dead letters sent to the source topic again: 0",
    ]
