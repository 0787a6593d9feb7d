"""Ends the instances of an emulator that has ended without doing so, as after `kill -9`.

Frozen instances are stopped processes, which can't notice the end of the emulator. A process of its own does: the
keeper runs this file as `python -I -S keeper.py`, so the file imports only the standard library. Its standard input
carries a line of JSON for each instance that starts or ends: [process group, folder], or [process group, null].
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


class Keeper:
    """The keeper's process, started with the first instance; safe to use from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._kept: dict[int, str] = {}

    @property
    def process(self) -> int | None:
        """The id of the keeper's process, if there has been an instance."""
        return self._process.pid if self._process else None

    def keep(self, group: int, folder: Path) -> None:
        """From now on, if this process ends: kill the process group and remove the folder."""
        with self._lock:
            self._kept[group] = str(folder)
            if self._process is None or self._process.poll() is not None:
                self._start()
            else:
                self._tell(group, str(folder))

    def forget(self, group: int) -> None:
        """Keep a group no longer, because it has ended."""
        with self._lock:
            del self._kept[group]
            self._tell(group, None)

    def _start(self) -> None:
        """Start the process; if another one has been killed, the new one gets all instances."""
        if self._process is None:
            atexit.register(self._stop)
        else:
            self._stop()
        self._process = subprocess.Popen(  # noqa: S603 # this interpreter, and this file
            [sys.executable, "-I", "-S", __file__],
            stdin=subprocess.PIPE,
            text=True,
            env={},
            start_new_session=True,  # neither Ctrl-C nor the end of the terminal reaches it
        )
        for group, folder in self._kept.items():
            self._tell(group, folder)

    def _tell(self, group: int, folder: str | None) -> None:
        if self._process and self._process.stdin:
            with contextlib.suppress(BrokenPipeError):  # it was killed; `keep` starts another one
                self._process.stdin.write(json.dumps([group, folder]) + "\n")
                self._process.stdin.flush()

    def _stop(self) -> None:
        if self._process and self._process.stdin:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
            self._process.wait()


def _wait(lines: Iterable[str]) -> None:
    """Follow which instances there are, and end those that are left at the end of the lines."""
    kept: dict[int, str] = {}
    for line in lines:
        group, folder = json.loads(line)
        if folder is None:
            kept.pop(group, None)
        else:
            kept[group] = folder
    for group, folder in kept.items():
        if _is_instance(group, folder):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(group, signal.SIGKILL)
        shutil.rmtree(folder, ignore_errors=True)


def _is_instance(process: int, folder: str) -> bool:
    """Whether a process is the instance with this folder, and not a later process with the same number.

    A process that has ended, whose group may still have others, has no environment; neither does one without /proc.
    """
    try:
        with open(f"/proc/{process}/environ", "rb") as variables:  # noqa: PTH123
            content = variables.read()
    except OSError:
        return True
    return not content or f"TMPDIR={folder}".encode() in content.split(b"\0")


if __name__ == "__main__":
    _wait(sys.stdin)
