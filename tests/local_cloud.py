"""The local cloud as its user runs it: commands in a copy of the project, and `up` beside them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from typing_extensions import Self


def plain_environment() -> dict[str, str]:
    """This environment, with what would change the demo left out."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("CONNECTOR_", "COV_", "BATCH_"))}


class Running:
    """`up` in a process of its own, with its output in a file."""

    def __init__(self, folder: Path, *options: str) -> None:
        self._output = folder / "up.txt"
        with self._output.open("w", encoding="utf-8") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "local_emulator", "up", *options],
                cwd=folder,
                stdout=output,
                stderr=output,
                start_new_session=True,
                env={**plain_environment(), "BATCH_SECONDS": "1"},
            )

    def said(self) -> str:
        return self._output.read_text(encoding="utf-8")

    def await_ready(self) -> None:
        deadline = time.monotonic() + 60
        while "Ready" not in self.said():
            assert self.process.poll() is None, self.said()
            assert time.monotonic() < deadline, self.said()
            time.sleep(0.1)

    def __enter__(self) -> Self:
        try:
            self.await_ready()
        except BaseException:
            self._kill()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        try:
            os.killpg(self.process.pid, signal.SIGINT)
            assert self.process.wait(60) == 130, self.said()
        finally:
            self._kill()

    def _kill(self) -> None:
        """The end of one that hasn't ended by itself; its functions and brokers end with it."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(30)


def up(folder: Path, *options: str) -> Running:
    return Running(folder, *options)


def command(folder: Path, *words: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run one command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "local_emulator", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**plain_environment(), **(environment or {})},
    )


def client(folder: Path, *words: str) -> str:
    """What a command that succeeds prints."""
    ran = command(folder, *words)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def await_rows(folder: Path, wanted: str) -> str:
    """Ask for the rows until the stream has delivered them."""
    deadline = time.monotonic() + 30
    while True:
        rows = client(folder, "sql", "select key, value from test_kafka where key = 'k1'")
        if wanted in rows or time.monotonic() > deadline:
            return rows
        time.sleep(0.3)


def refused(folder: Path, words: tuple[str, ...], *expected: str, environment: dict[str, str] | None = None) -> None:
    """The command fails, and says so in a message."""
    ran = command(folder, *words, environment=environment)
    assert ran.returncode == 1, ran.stdout + ran.stderr
    assert [text for text in expected if text not in ran.stderr] == []
    assert "Traceback" not in ran.stderr
