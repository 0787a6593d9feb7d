"""The project that the installed command deploys: links to the files of its own installation."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from local_emulator import project
from local_emulator.foundation import installation

pytestmark = pytest.mark.quick

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The template of a first installation, outside of a checkout."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(installation, "PROJECT", ROOT)
    return project.template()


def targets(template: Path) -> dict[Path, Path]:
    return {path: path.readlink() for path in template.parent.rglob("*") if path.is_symlink()}


def test_it_is_linked_once(first: Path) -> None:
    before = targets(first)
    assert {path.name for path in before} >= {"template.yml", "functions", "layers", "odps"}
    assert first.resolve() == ROOT / "template.yml"
    assert project.template() == first
    assert targets(first) == before


def test_a_second_installation_leaves_the_links_of_the_first(
    first: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = targets(first)
    second = tmp_path / "second"
    (second / "layers/dependencies").mkdir(parents=True)
    (second / "functions").mkdir()
    (second / "template.yml").touch()
    shutil.copy(ROOT / project.LAYER, second / project.LAYER)
    monkeypatch.setattr(installation, "PROJECT", second)
    assert project.template().resolve() == second / "template.yml"
    assert targets(first) == before


def test_another_environment_with_the_same_project_has_its_own_links(
    first: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As two environments with an editable installation of one checkout: their dependencies may differ."""
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "venv"))
    assert project.template().parent != first.parent
