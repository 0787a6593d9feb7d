"""`pip install .` gives the command `kafka-maxcompute`, which works in any folder with what the wheel carries."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kafka_maxcompute import __version__
from tests.lock_files import pins
from tests.project_copy import copy_known

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
START_SECONDS = 60
DELETED = ("deployment/gone.py", "local_emulator/gone.py", "local_emulator/carried/functions/sink/gone.py")
"""Modules that an earlier build in the checkout left in build/lib, and that the sources don't have any more."""


@dataclass(frozen=True)
class Installed:
    """A fresh environment that has the wheel, and a folder that is no checkout."""

    program: Path
    folder: Path
    state: Path
    wheel: frozenset[str]
    """The names of the wheel's files."""

    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("CONNECTOR_", "PYTHON"))}
        return {**kept, "XDG_STATE_HOME": str(self.state.parent), "BATCH_SECONDS": "0"}

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.program, *words],
            cwd=self.folder,
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    """Built and installed without a network; the dependencies are those of this environment."""
    top = tmp_path_factory.mktemp("installed")
    copy_known(top / "clone")
    for name in DELETED:
        (top / "clone/build/lib" / name).parent.mkdir(parents=True, exist_ok=True)
        (top / "clone/build/lib" / name).touch()
    offline = ["--no-index", "--no-deps"]
    subprocess.run([*PIP, "wheel", *offline, "--no-build-isolation", "-w", top / "dist", top / "clone"], check=True)
    shutil.rmtree(top / "clone")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", top / "venv"], check=True)
    python = top / "venv/bin/python"
    asked: list[str | Path] = [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    packages = Path(subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip())
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    (wheel,) = (top / "dist").iterdir()
    subprocess.run([*PIP, "--python", python, "install", *offline, wheel], check=True)
    with zipfile.ZipFile(wheel) as archive:
        contents = frozenset(archive.namelist())
    (top / "elsewhere").mkdir()
    yield Installed(top / "venv/bin/kafka-maxcompute", top / "elsewhere", top / "state/kafka-maxcompute", contents)
    shutil.rmtree(top)


def test_the_wheel_has_no_module_that_the_sources_dont_have(installed: Installed) -> None:
    assert {"deployment/variables.py", "local_emulator/carried/functions/sink/index.py"} <= installed.wheel
    assert set(DELETED) & installed.wheel == set()


def test_version_help_and_completion(installed: Installed) -> None:
    assert installed.run("--version").stdout == f"kafka-maxcompute {__version__}\n"
    told = installed.run("--help").stdout
    assert told.startswith("usage: kafka-maxcompute ")
    assert str(installed.state) in re.sub(r"\s", "", told)
    completion = installed.run("completion", "bash").stdout
    asked = "COMP_WORDS=(kafka-maxcompute re); COMP_CWORD=1; $(complete -p kafka-maxcompute | grep -o '_shtab[a-z_]*')"
    checked = subprocess.run(
        ["bash", "-c", f'source /dev/stdin; {asked} kafka-maxcompute re; echo "${{COMPREPLY[@]}}"'],
        input=completion,
        capture_output=True,
        text=True,
        check=True,
    )
    assert sorted(checked.stdout.split()) == ["record", "redrive", "replay"]


def test_without_a_running_cloud_it_says_how_to_start_one(installed: Installed) -> None:
    ran = installed.run("sql", "show tables")
    assert ran.returncode == 1
    assert f"there is no {installed.state}/cloud.json" in ran.stderr
    assert "start one in another terminal: kafka-maxcompute up" in ran.stderr


def test_a_cloud_runs_outside_of_a_checkout(installed: Installed) -> None:
    output = installed.folder.parent / "up.txt"
    with output.open("w", encoding="utf-8") as file:
        up = subprocess.Popen(
            [installed.program, "up"],
            cwd=installed.folder,
            env=installed.environment(),
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + START_SECONDS
        while "Ready" not in output.read_text(encoding="utf-8"):
            assert up.poll() is None, output.read_text(encoding="utf-8")
            assert time.monotonic() < deadline, output.read_text(encoding="utf-8")
            time.sleep(0.1)
        sent = installed.run("send", "--key", "1", "--value", "hello")
        assert sent.returncode == 0, sent.stderr
        asked = installed.run("sql", "select value from test_kafka")
        while "hello" not in asked.stdout:
            assert (asked.returncode, asked.stderr) == (0, "")
            assert time.monotonic() < deadline, output.read_text(encoding="utf-8")
            asked = installed.run("sql", "select value from test_kafka")
    finally:
        up.send_signal(signal.SIGINT)
        try:
            ended = up.wait(60)
        finally:
            up.kill()
    assert ended == 130
    assert list(installed.folder.iterdir()) == []
    assert (installed.state / "logs").is_dir()
    assert not (installed.state / "cloud.json").exists()
    assert str(installed.state / "logs") in output.read_text(encoding="utf-8")


def test_the_functions_see_their_dependencies_and_nothing_else_of_the_environment(installed: Installed) -> None:
    installed.run("policy")
    (project,) = (installed.state / "projects").iterdir()
    layer = project / "build/layers/dependencies/python"
    names = {path.name for path in layer.iterdir()}
    assert {"odps", "pyarrow", "requests"} <= names
    assert {"duckdb", "aiohttp", "rich", "local_emulator", "pytest"} & names == set()
    pinned = pins((ROOT / "layers/dependencies/requirements.txt").read_text(encoding="utf-8"))
    there = {name.partition("-")[0].replace("_", "-").lower() for name in names if name.endswith(".dist-info")}
    assert there <= {pin.name for pin in pinned}
    assert all(path.exists() for path in layer.iterdir())
