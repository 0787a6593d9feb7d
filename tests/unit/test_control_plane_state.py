"""What the control plane keeps in its file."""

from __future__ import annotations

import json
import stat
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

import msgspec
import pytest

from local_emulator.control_plane.errors import StateError
from local_emulator.control_plane.identity import AccessKeys, RamPrincipal
from local_emulator.control_plane.state import FILE_NAME, AccountState

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.quick

ROLE = RamPrincipal("AssumedRoleUser", "1", "2", "Runner", "job")
NOON = datetime(2026, 11, 22, 12, tzinfo=timezone.utc)


class Counters(msgspec.Struct):
    counts: dict[str, int] = {}


def test_a_part_is_kept(tmp_path: Path) -> None:
    first = AccountState(tmp_path / "new")
    first.part(Counters).counts["a"] = 1
    first.save()
    second = AccountState(tmp_path / "new")
    assert second.part(Counters).counts == {"a": 1}
    assert second.part(Counters) is second.part(Counters)


def test_a_part_that_was_not_asked_for_stays_in_the_file(tmp_path: Path) -> None:
    first = AccountState(tmp_path)
    first.part(Counters).counts["a"] = 1
    first.save()
    second = AccountState(tmp_path)
    second.part(AccessKeys).issue(ROLE)
    second.save()
    assert AccountState(tmp_path).part(Counters).counts == {"a": 1}


def test_the_file_is_for_its_owner_only(tmp_path: Path) -> None:
    state = AccountState(tmp_path)
    state.part(AccessKeys).issue(ROLE)
    state.save()
    assert stat.S_IMODE((tmp_path / FILE_NAME).stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]


def test_nothing_is_written_when_nothing_has_changed(tmp_path: Path) -> None:
    state = AccountState(tmp_path)
    state.part(Counters)
    state.save()
    (tmp_path / FILE_NAME).unlink()
    state.save()
    assert not (tmp_path / FILE_NAME).exists()


def test_without_a_folder_nothing_is_written() -> None:
    state = AccountState()
    state.part(Counters).counts["a"] = 1
    state.save()
    assert AccountState().part(Counters).counts == {}


@pytest.mark.parametrize("text", ["", "[]", '{"Counters": ', "x"])
def test_a_file_that_is_something_else(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE_NAME).write_text(text)
    with pytest.raises(StateError, match=rf"{FILE_NAME}.*remove the file"):
        AccountState(tmp_path)


def test_a_part_that_is_something_else(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text(json.dumps({"Counters": {"counts": {"a": "one"}}}))
    with pytest.raises(StateError, match=r"\$\.counts"):
        AccountState(tmp_path).part(Counters)


def test_keys_do_not_show_their_secrets() -> None:
    key_id, key = AccessKeys().issue_temporary(ROLE, NOON, timedelta(hours=1))
    assert key.secret not in repr(key)
    assert key.token not in repr(key)
    assert key_id.startswith("STS.")


def test_keys_that_ended_long_ago_are_forgotten() -> None:
    keys = AccessKeys()
    lasting, _ = keys.issue(ROLE)
    old, _ = keys.issue_temporary(ROLE, NOON, timedelta(hours=1))
    ended, _ = keys.issue_temporary(ROLE, NOON + timedelta(hours=24), timedelta(hours=1))
    assert set(keys.keys) == {lasting, old, ended}
    new, _ = keys.issue_temporary(ROLE, NOON + timedelta(hours=26), timedelta(hours=1))
    assert set(keys.keys) == {lasting, ended, new}
