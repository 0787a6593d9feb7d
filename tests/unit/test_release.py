"""The version is in one place; whatever else tells it reads it there, and the changelog has it."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

from kafka_maxcompute import __version__
from local_emulator.__main__ import main

pytestmark = pytest.mark.quick

ROOT = Path(__file__).resolve().parents[2]
CHANGELOG = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_no_other_file_has_the_version() -> None:
    assert 'dynamic = ["version"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    sources = [path for folder in ("functions", "layers", "local_emulator") for path in (ROOT / folder).rglob("*.py")]
    assert len(sources) > 100
    found = [path.name for path in sources if f'"{__version__}"' in path.read_text(encoding="utf-8")]
    assert found == ["__init__.py"]


def test_the_changelog_begins_with_what_is_unreleased_and_then_has_this_version() -> None:
    first, second = re.findall(r"^## \[(.*)\](.*)$", CHANGELOG, re.MULTILINE)[:2]
    assert first == ("Unreleased", "")
    assert second[0] == __version__
    assert re.fullmatch(r" - \d{4}-\d{2}-\d{2}", second[1])


def test_the_local_cloud_tells_it(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"kafka-maxcompute {__version__}\n"


def test_layers_are_published_with_it() -> None:
    build = runpy.run_path(str(ROOT / "layers/build.py"))
    layers = [build["Layer"](name, "python3.10") for name in ("powertools", "connector", "dependencies")]
    commands = [line for line in build["next_steps"](layers).splitlines() if " layer publish " in line]
    assert len(commands) == 3
    assert all(f" --description kafka-maxcompute-{__version__} " in command for command in commands)
