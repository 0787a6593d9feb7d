"""The README's commands work as printed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
# Started by the test that runs the others, or what this test is run by.
APART = {"make test", "python -m local_emulator up", "source .venv/bin/activate"}


def commands() -> list[str]:
    """The indented lines that are commands, in their order, each once."""
    found = re.findall(r"^    ((?:make|python|source) .*)$", README, re.MULTILINE)
    return list(dict.fromkeys(found))


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("CONNECTOR_", "COV_", "MAKE"))}


def bash(folder: Path, command: str, seconds: float = 240) -> subprocess.CompletedProcess[str]:
    """Run one line as a user would, in the activated environment."""
    return subprocess.run(
        ["bash", "-c", f"source .venv/bin/activate && {command}"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
        env=environment(),
    )


def test_the_two_commands_are_there() -> None:
    assert commands()[:2] == ["make run", "make test"]
    assert "python -m local_emulator up" in commands()


def test_make_run_shows_the_main_job_as_printed(project_copy: Path) -> None:
    """The README shows a run: apart from addresses and speeds, today's has the same lines."""
    ran = bash(project_copy, "make run")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    shown = re.search(r"```console\n\$ make run\n(.*?)```", README, re.DOTALL)
    assert shown is not None
    assert skeleton(shown[1]) == skeleton(ran.stdout)


def skeleton(text: str) -> list[str]:
    """The lines, with what differs between two runs taken out."""
    plain = re.sub(r"\d+ batches", "N batches", re.sub(r"127\.0\.0\.1:\d+", "ADDRESS", text))
    plain = re.sub(r"in [\d.]+ s, [\d,]+ records/s", "in N s", re.sub(r"\([\d.]+ s in all\)", "(N s in all)", plain))
    # Lines of progress come only where a step takes long, or where something wasn't ready yet.
    passing = re.compile(r": [\d,]+ of [\d,]+ records|^  trigger .*: ready$")
    return [line for line in plain.strip().splitlines() if not passing.search(line)]


def test_the_commands_work_on_a_running_cloud_as_printed(project_copy: Path) -> None:
    output = project_copy / "readme-up.txt"
    with output.open("w", encoding="utf-8") as file:
        up = subprocess.Popen(
            ["bash", "-c", "source .venv/bin/activate && exec python -m local_emulator up"],
            cwd=project_copy,
            stdout=file,
            stderr=file,
            start_new_session=True,
            env=environment(),
        )
    try:
        deadline = time.monotonic() + 60
        while "Ready" not in output.read_text(encoding="utf-8"):
            assert up.poll() is None, output.read_text(encoding="utf-8")
            assert time.monotonic() < deadline
            time.sleep(0.1)
        rest = [command for command in commands() if command not in APART and not command.startswith("make ")]
        assert len(rest) >= 6
        for command in rest:
            ran = bash(project_copy, command, 60)
            assert ran.returncode == 0, f"{command}: {ran.stdout}{ran.stderr}"
    finally:
        os.killpg(up.pid, signal.SIGINT)
        try:
            up.wait(60)
        finally:
            up.kill()
