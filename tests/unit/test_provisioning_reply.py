"""Replies of the provisioning function as a person reads them, and its log while it works."""

from __future__ import annotations

import json
import os
import threading
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import pytest

from local_emulator import provisioner
from local_emulator.cli.provisioning_reply import lines
from local_emulator.endpoints import Endpoints
from local_emulator.foundation import installation

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.quick

STEPS = [
    {"resource": "role r", "do": "keep"},
    {
        "resource": "trigger t",
        "do": "blocked",
        "differences": [
            {"field": "enabled", "found": "false", "wanted": "true"},
            {"field": "runOptions.errorsTolerance", "found": "ALL", "wanted": "NONE"},
        ],
        "why": ["runOptions.errorsTolerance: ALL -> NONE; fix template.yml"],
    },
]


def test_a_plan_has_a_row_a_difference_and_says_what_blocks_it() -> None:
    reply = {"action": "plan", "connector": "c", "state": "blocked", "faults": ["no topic"], "warnings": ["idle"]}
    assert list(lines({**reply, "steps": STEPS})) == [
        "  +-----------+---------+----------------------------------------+",
        "  | resource  | step    | what                                   |",
        "  +-----------+---------+----------------------------------------+",
        "  | role r    | keep    |                                        |",
        "  | trigger t | blocked | enabled: false → true                  |",
        "  |           |         | runOptions.errorsTolerance: ALL → NONE |",
        "  +-----------+---------+----------------------------------------+",
        "  blocked: trigger t: runOptions.errorsTolerance: ALL -> NONE; fix template.yml",
        "  fault: no topic",
        "  warning: idle",
        "  blocked",
    ]


def test_the_steps_of_what_was_done_are_not_shown_again() -> None:
    assert list(lines({"action": "apply", "state": "applied", "steps": STEPS, "done": ["role r"]})) == ["  applied"]
    blocked = list(lines({"action": "apply", "state": "blocked", "steps": STEPS, "done": []}))
    assert "  | role r    | keep    |                                        |" in blocked


def test_a_test_message_has_a_topic_partition_and_a_partition_value() -> None:
    sent = {"state": "arrived", "topic_partition": 0, "partition": "11-30-2026 23"}
    assert list(lines(sent))[:2] == ["  topic-partition: 0", "  partition value: 11-30-2026 23"]


def test_a_status_shows_offsets_and_drift() -> None:
    offsets = {"topic": "orders", "partition": 3, "end": 12, "committed": None, "lag": None}
    reply = {"action": "status", "state": "running", "lag": {"records": 0, "topic_partitions": [offsets]}, "drift": []}
    assert list(lines(reply))[3:] == [
        "  | orders | 3          | 12         | NULL      | NULL |",
        "  +--------+------------+------------+-----------+------+",
        "  running",
    ]
    assert "  | role r    | keep    |" in "\n".join(lines({**reply, "drift": STEPS}))


def test_what_is_not_known_is_shown_too() -> None:
    reply = {"state": "done", "removed": ["topic a"], "offsets_found": {"a": 1}, "probe": 7, "kept": []}
    assert list(lines(reply)) == ["  removed: topic a", "  offsets found a: 1", "  probe: 7", "  done"]


def test_lists_of_objects_are_tables() -> None:
    places = [{"topic": "a", "settled": 7, "gaps": [[1, 2]]}, {"topic": "b", "settled": None, "rolled_forward": True}]
    assert list(
        lines({"state": "running", "ledger": {"generation": 2, "topic_partitions": places, "pending": []}})
    ) == [
        "  ledger generation: 2",
        "  ledger topic partitions:",
        "  +-------+------------+----------+----------------+",
        "  | topic | settled    | gaps     | rolled forward |",
        "  +-------+------------+----------+----------------+",
        "  | a     | 7          | [[1, 2]] |                |",
        "  | b     |            |          | True           |",
        "  +-------+------------+----------+----------------+",
        "  running",
    ]


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ({"state": "applied", "faults": []}, False),
        ({"state": "running", "faults": ["lag unknown"]}, True),
        ({"state": "incomplete"}, True),
    ],
)
def test_what_counts_as_failed(reply: dict[str, Any], expected: bool) -> None:  # a parameter of a test
    assert provisioner.has_failed(reply) is expected


def test_resources_are_shown_when_the_log_has_their_whole_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    needed: dict[str, Any] = {"pid": os.getpid(), "provisioner": "p", "trigger": {}}
    at = Endpoints(**dict.fromkeys((field.name for field in fields(Endpoints)), "") | needed)
    log = installation.logs() / "p.log"
    log.parent.mkdir(parents=True)
    log.write_text(line("of an earlier call", "create"), encoding="utf-8")
    shown: list[str] = []
    seen = threading.Event()

    def show(text: str) -> None:
        shown.append(text)
        seen.set()

    with provisioner.progress(at, show), log.open("a", encoding="utf-8") as file:
        file.write("FC Invoke Start\n" + line("topic a", "create") + line("topic b", "change")[:20])
        file.flush()
        assert seen.wait(30)
        assert shown == ["topic a: created"]
        file.write(line("topic b", "change")[20:] + line("trigger", "wait"))
    assert shown == ["topic a: created", "topic b: changed", "trigger: ready"]


def line(resource: str, do: str) -> str:
    return json.dumps({"level": "INFO", "message": "resource done", "resource": resource, "do": do}) + "\n"
