"""The recorded batches are what the stream produces today."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from local_emulator.batches import making

if TYPE_CHECKING:
    from pathlib import Path

FILES = ["orders.json", "test_message.json"]


def without_ids(path: Path) -> list[dict[str, Any]]:
    """The events in the order of their offsets: topic-partitions may come in any order, and ids are random."""
    events: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    assert len({event.pop("id") for event in events}) == len(events)
    return sorted(events, key=lambda event: (event["data"]["partition"], event["data"]["offset"]))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("batches")
    making.make(folder)
    return folder


@pytest.mark.parametrize("name", FILES)
def test_a_new_recording_equals_the_one_that_is_kept(made: Path, name: str) -> None:
    assert without_ids(made / name) == without_ids(making.FOLDER / name)


def test_these_batches_are_recorded(made: Path) -> None:
    assert sorted(path.name for path in made.iterdir()) == FILES


def test_the_orders_hold_null_keys_tombstones_and_chinese_text() -> None:
    text = (making.FOLDER / "orders.json").read_text(encoding="utf-8")
    events = without_ids(making.FOLDER / "orders.json")
    assert len(events) == 200
    assert sum("key" not in event["data"] for event in events) == 20
    assert sum("value" not in event["data"] for event in events) == 2
    assert "杭州" in text
    assert len(text.encode()) < 200_000
