"""Makes a program end when its standard input closes, which happens when the process that started it dies."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

# The shell's exit code is the program's. The program gets no standard input.
_WATCH = """\
exec 3<&0
"$@" 3<&- & program=$!
(read -r _ <&3; kill -KILL $program) 2>/dev/null & watch=$!
wait $program; code=$?
kill $watch
exit $code
"""


def watched(command: Sequence[str]) -> list[str]:
    """Return a command that runs `command` in this way; its standard input has to be a pipe without data."""
    return ["/bin/sh", "-c", _WATCH, "sh", *command]
