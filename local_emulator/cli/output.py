"""Keeps a command in order if standard output or error is a closed pipe, a full disk, or closed."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def prepare() -> None:
    """Let both streams take any text: escape characters that their encoding lacks; /dev/null replaces a closed one."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 # open to the end
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def run_and_flush(run: Callable[[], int]) -> int:
    """Call `run`, flush standard output and return the exit code of `run`; 1 if the output can't be written."""
    try:
        try:
            return run()
        finally:
            sys.stdout.flush()
    except OSError as error:
        # The interpreter flushes again when it exits, and would fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            print(f"error: standard output can't be written: {error.strerror}", file=sys.stderr)
        return 1


def has_other_than_utf_8(values: object) -> bool:
    """Whether a text, or a text in a list, holds bytes of the command line that aren't UTF-8."""
    return any("\ud800" <= character <= "\udfff" for text in _texts(values) for character in text)


def _texts(values: object) -> Iterator[str]:
    if isinstance(values, str):
        yield values
    elif isinstance(values, (list, tuple)):
        for value in values:
            yield from _texts(value)
