"""The file .env: variables are added whole or not at all, and nothing that somebody set is touched."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from provisioning.variables_file import HEADER, add

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.quick

VARIABLES = {"CONNECTOR_VPC_ID": "vpc-a", "VSWITCH_IDS": '["vsw-a"]'}
LINES = f"{HEADER}\nCONNECTOR_VPC_ID=vpc-a\nVSWITCH_IDS='[\"vsw-a\"]'\n"


def test_a_new_file_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    written = add(path, VARIABLES, {})
    assert (written.added, written.kept) == (VARIABLES, {})
    assert path.read_text(encoding="utf-8") == LINES
    assert path.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in tmp_path.iterdir()] == [".env"]


@pytest.mark.parametrize("before", ["A=1\n", "A=1"])
def test_what_is_there_stays_as_it_is(tmp_path: Path, before: str) -> None:
    path = tmp_path / ".env"
    path.write_text(before, encoding="utf-8")
    path.chmod(0o640)
    add(path, VARIABLES, {})
    assert path.read_text(encoding="utf-8") == f"A=1\n\n{LINES}"
    assert path.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize(
    "line", ["CONNECTOR_VPC_ID=vpc-mine", "  export CONNECTOR_VPC_ID = vpc-mine", "CONNECTOR_VPC_ID="]
)
def test_a_variable_of_the_file_is_kept_even_an_empty_one(tmp_path: Path, line: str) -> None:
    path = tmp_path / ".env"
    path.write_text(f"{line}\n# VSWITCH_IDS=old\n", encoding="utf-8")
    written = add(path, VARIABLES, {"CONNECTOR_VPC_ID": "vpc-mine"})
    assert written.kept == {"CONNECTOR_VPC_ID": "vpc-mine"}
    assert written.added == {"VSWITCH_IDS": '["vsw-a"]'}
    before, after = path.read_text(encoding="utf-8"), add(path, VARIABLES, {})
    assert after.added == {}
    assert path.read_text(encoding="utf-8") == before
    assert before.startswith(f"{line}\n")


def test_an_exported_variable_is_kept(tmp_path: Path) -> None:
    assert add(tmp_path / ".env", VARIABLES, dict.fromkeys(VARIABLES, "")).added == {}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("value", ["it's", "two\nlines", "back\\slash 1", "$HOME"])
def test_a_value_that_readers_could_take_differently_changes_nothing(tmp_path: Path, value: str) -> None:
    path = tmp_path / ".env"
    path.write_text("A=1\n", encoding="utf-8")
    with pytest.raises(ValueError, match="B: expected a value without quotes"):
        add(path, {"C": "1", "B": value}, {})
    assert path.read_text(encoding="utf-8") == "A=1\n"
    assert [one.name for one in tmp_path.iterdir()] == [".env"]


def test_a_shell_reads_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    values = {"A": "a:9092,b-1.c/d", "B": '["x", "`id` #"]', "C": ""}
    add(path, values, {})
    read = subprocess.run(
        ["sh", "-c", 'set -a; . ./.env; printf "%s\\n" "$A" "$B" "$C"'],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert read.stdout.splitlines() == list(values.values())


def test_a_link_leads_to_the_file_that_is_changed(tmp_path: Path) -> None:
    target = tmp_path / "shared.env"
    target.write_text("A=1\n", encoding="utf-8")
    (tmp_path / ".env").symlink_to(target)
    add(tmp_path / ".env", VARIABLES, {})
    assert (tmp_path / ".env").is_symlink()
    assert target.read_text(encoding="utf-8").endswith(LINES)
