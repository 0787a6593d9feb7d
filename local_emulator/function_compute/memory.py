"""Measures the memory of an instance: its process and the processes that it started, from /proc.

On systems without /proc nothing is measured.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

_RESET_PEAK = "5"  # proc_pid_clear_refs(5)


def reset_peak(process: int) -> None:
    """Let the peak of `used` begin now."""
    with contextlib.suppress(OSError):
        Path(f"/proc/{process}/clear_refs").write_text(_RESET_PEAK, encoding="ascii")


def used(process: int, *, with_children: bool) -> float:
    """Return the peak of a process since `reset_peak`, and what its descendants hold now, in MB; 0 if unknown.

    Descendants whose parent has ended aren't found.
    """
    total = _size(process, "VmHWM")
    for child in _descendants(process) if with_children else ():
        total += _size(child, "VmRSS")
    return total / 1024


def _size(process: int, field: str) -> int:
    """Return a size of a process in KB."""
    try:
        status = Path(f"/proc/{process}/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0
    _, found, rest = status.partition(f"\n{field}:")
    return int(rest.split(maxsplit=1)[0]) if found else 0


def _descendants(process: int) -> list[int]:
    children: list[int] = []
    for listed in Path(f"/proc/{process}/task").glob("*/children"):
        with contextlib.suppress(OSError):  # the thread has ended
            children += map(int, listed.read_text(encoding="ascii").split())
    return children + [each for child in children for each in _descendants(child)]
