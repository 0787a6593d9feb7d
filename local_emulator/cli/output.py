"""Standard output and error of a command, wherever they lead: a pipe that nobody reads, a full disk, nowhere."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def prepare() -> None:
    """Let both take any text: what their encoding lacks is escaped, and a closed one takes all and keeps none."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 # open to the end
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def written(run: Callable[[], int]) -> int:
    """The exit code of what `run` does, once its output is written; 1 if that can't be."""
    try:
        try:
            return run()
        finally:
            sys.stdout.flush()
    except OSError as error:
        # The interpreter flushes once more at its end, and would fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            print(f"error: standard output can't be written: {error.strerror}", file=sys.stderr)
        return 1


def not_utf_8(values: object) -> bool:
    """Whether a text, or one in a list of them, is of bytes of the command line that aren't UTF-8."""
    return any("\ud800" <= character <= "\udfff" for text in _texts(values) for character in text)


def _texts(values: object) -> Iterator[str]:
    if isinstance(values, str):
        yield values
    elif isinstance(values, (list, tuple)):
        for value in values:
            yield from _texts(value)
