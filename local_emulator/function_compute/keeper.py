"""Ends the instances of an emulator that has ended without doing so, as after `kill -9`, and removes its folders.

Frozen instances are stopped processes, which can't notice the end of the emulator. A process of its own does: the
keeper runs this file as `python -I -S keeper.py`, so the file imports only the standard library. Its standard input
carries a line of JSON for each folder that begins or ends: [folder, process group, instance id] of an instance,
[folder, null, null] of a folder without processes, [folder] at the end of either.
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
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_END_SECONDS = 5.0  # the longest that killed processes may take to end
_MARK = "FC_INSTANCE_ID"  # the service's variable; only an instance and what it started have an instance's id


class Keeper:
    """The keeper's process, started with the first folder; safe to use from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._kept: dict[str, tuple[int | None, str | None]] = {}

    @property
    def process(self) -> int | None:
        """The id of the keeper's process, if there has been a folder."""
        return self._process.pid if self._process else None

    def keep(self, folder: Path, group: int | None = None, instance: str | None = None) -> None:
        """From now on, if this process ends: kill the instance with this process group and id, remove the folder."""
        with self._lock:
            self._kept[str(folder)] = group, instance
            if self._process is None or self._process.poll() is not None:
                self._start()
            else:
                self._tell(str(folder), group, instance)

    def forget(self, folder: Path) -> None:
        """Keep a folder no longer, because it is removed and its instance has ended."""
        with self._lock:
            if self._kept.pop(str(folder), None):
                self._tell(str(folder))

    def _start(self) -> None:
        """Start the process; if another one has been killed, the new one gets all folders."""
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
        for folder, process in self._kept.items():
            self._tell(folder, *process)

    def _tell(self, *line: str | int | None) -> None:
        if self._process and self._process.stdin:
            with contextlib.suppress(BrokenPipeError):  # it was killed; `keep` starts another one
                self._process.stdin.write(json.dumps(line) + "\n")
                self._process.stdin.flush()

    def _stop(self) -> None:
        if self._process and self._process.stdin:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
            self._process.wait()


KEEPER = Keeper()


def kill_all(instance: str) -> None:
    """Kill the processes that have an instance's id in their environment, also in sessions of their own.

    A process that has changed its environment isn't found, and none is found on a system without /proc.
    """
    deadline = time.monotonic() + _END_SECONDS
    # A process may start another one before it is killed, so look again until there is none.
    while sum(_kill(process, instance) for process in _all_processes()) and time.monotonic() < deadline:
        time.sleep(0.01)


def _all_processes() -> list[int]:
    return [int(path.name) for path in Path("/proc").glob("[0-9]*")]


def _kill(process: int, instance: str) -> bool:
    """Kill a process if it is the instance's; return whether it was. It can't be a later one with the same number."""
    if not _is_of(process, instance):
        return False
    try:
        descriptor = os.pidfd_open(process)
    except OSError:  # it has ended
        return False
    try:
        if _is_of(process, instance):
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)
            return True
    except OSError:  # it has ended, or is another user's
        pass
    finally:
        os.close(descriptor)
    return False


def _is_of(process: int, instance: str) -> bool:
    return _mark(instance) in _environment(process)


def _mark(instance: str) -> bytes:
    return f"{_MARK}={instance}".encode()


def _environment(process: int) -> list[bytes]:
    """Return a process's variables; none of a process that has ended, or on a system without /proc."""
    try:
        return Path(f"/proc/{process}/environ").read_bytes().split(b"\0")
    except OSError:
        return []


def _wait(lines: Iterable[str]) -> None:
    """Follow which folders there are; at the end of the lines, end their instances and remove them."""
    kept: dict[str, tuple[int | None, str | None]] = {}
    for line in lines:
        folder, *process = json.loads(line)
        if process:
            kept[folder] = process[0], process[1]
        else:
            kept.pop(folder, None)
    for folder, (group, instance) in kept.items():
        if group and instance:
            _kill_group(group, instance)
            kill_all(instance)
        shutil.rmtree(folder, ignore_errors=True)


def _kill_group(group: int, instance: str) -> None:
    """Kill a process group, but not a later one with the same number.

    A leader that has ended, whose group may still have others, has no environment; neither does one without /proc.
    """
    variables = _environment(group)
    if not any(variables) or _mark(instance) in variables:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    _wait(sys.stdin)
