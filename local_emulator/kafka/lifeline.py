"""A program that ends when its standard input closes, which happens when the process that started it dies."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

# Its exit code is the program's. The program gets no standard input.
_WATCH = """\
exec 3<&0
"$@" 3<&- & program=$!
(read -r _ <&3; kill -KILL $program) 2>/dev/null & watch=$!
wait $program; code=$?
kill $watch
exit $code
"""


def watched(command: Sequence[str]) -> list[str]:
    """The command that runs a command in this way; its standard input has to be a pipe that nothing is written to."""
    return ["/bin/sh", "-c", _WATCH, "sh", *command]
