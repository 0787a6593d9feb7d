"""Work whose processes all end with it, however it ends: by itself, by a signal, or by a kill that nobody can catch.

The work runs in a child, in a session of its own. Both processes adopt their orphans (PR_SET_CHILD_SUBREAPER), so that
what has left its parent or its session is still below them. If the child is killed, the parent ends what is left; if
the parent is killed, the child is told by a signal (PR_SET_PDEATHSIG) and does so. Linux only.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from collections.abc import Set as AbstractSet

ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# linux/prctl.h
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_END_SECONDS = 10.0


class Stopped(BaseException):
    """A signal asks the work to end. Not an Exception: no handler of the work's own errors catches it."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def guarded(work: Callable[[], int], stopped: Callable[[int], None]) -> int:
    """Run `work` in a child and answer with its exit code; 128 + the signal's number if a signal ended it.

    A signal of ENDINGS that was ignored when this process began stays ignored, as nohup and a shell's `&` want it;
    the work and what it starts have the default for all of them. `stopped` is called in the child, with the signal's
    number, once all processes are gone.
    """
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    parent = os.getpid()
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ENDINGS)
    child = os.fork()
    if child == 0:
        _work(parent, blocked, work, stopped)
    for number in ENDINGS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda number, _: _send(child, number))
    signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    code = _reaped(child)
    end_descendants()
    return code if code >= 0 else 128 - code


def _work(parent: int, mask: AbstractSet[int], work: Callable[[], int], stopped: Callable[[int], None]) -> None:
    """The child's life; it never returns."""
    code = 1
    try:
        os.setsid()
        _prctl(_PR_SET_CHILD_SUBREAPER, 1)
        for number in ENDINGS:
            signal.signal(number, _stop)
        _prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask - set(ENDINGS))
        if os.getppid() != parent:
            _stop(signal.SIGTERM)
        code = work()
    except Stopped as end:
        code = 128 + end.number
        end_descendants()
        stopped(end.number)
    except BaseException:  # noqa: BLE001 # nobody else is there to show it
        sys.excepthook(*sys.exc_info())
    finally:
        end_descendants()
        with contextlib.suppress(OSError):  # the terminal may be gone
            sys.stdout.flush()
        os._exit(code)


def _stop(number: int, *_: object) -> None:
    """Raise Stopped, once."""
    for each in ENDINGS:
        signal.signal(each, lambda *_: None)
    raise Stopped(number)


def run(command: list[str], folder: Path) -> int:
    """Run a command to its end; its exit code, negative if a signal ended it. Its orphans are reaped meanwhile."""
    process = subprocess.Popen(command, cwd=folder)
    process.returncode = _reaped(process.pid)
    return process.returncode


def descendants() -> dict[int, str]:
    """The process ids below this process, and their command lines."""
    parents: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has just ended
            after_name = stat.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
            parents[int(stat.parent.name)] = int(after_name[1])
    found = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return {pid: _command_line(pid) for pid in found - {os.getpid()}}


def end_descendants() -> None:
    """Kill all that is below this process, whatever sessions it has made for itself, and wait for its end."""
    deadline = time.monotonic() + _END_SECONDS
    while time.monotonic() < deadline:
        _reap_ended()
        left = descendants()
        if not left:
            return
        for pid in left:
            _send(pid, signal.SIGKILL)
        time.sleep(0.02)


def left_behind(seconds: float) -> list[str]:
    """What is below this process still after so many seconds: command lines."""
    deadline = time.monotonic() + seconds
    while True:
        _reap_ended()
        left = descendants()
        if not left or time.monotonic() > deadline:
            return sorted(left.values())
        time.sleep(0.1)


def _reaped(pid: int) -> int:
    """Wait for one child, and for every orphan that ends before it; its exit code, as subprocess has it."""
    while True:
        ended, status = os.wait()
        if ended == pid:
            return os.waitstatus_to_exitcode(status)


def _reap_ended() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _command_line(pid: int) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").split(b"\0")
    except OSError:
        return f"{pid}"
    return f"{pid} {b' '.join(words).decode(errors='replace')[:200]}"


def _send(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _prctl(option: int, argument: int) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(option, argument, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl failed")
