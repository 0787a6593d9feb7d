"""A command's results, as JSON or as lines for a person; keeps order if an output is closed, full or a closed pipe."""

from __future__ import annotations

import io
import json
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from local_emulator.cli.progress import CONSOLE, ERRORS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_STYLES = (
    (re.compile(r"\s*(fault|error|blocked)\b|.*\bWRONG\b|\s*THE CHECK FAILED"), "red"),
    (re.compile(r"\s*(warning|doubt)\b"), "yellow"),
)
"""Colours of lines, by how a line begins; a pipe and a user with NO_COLOR get none."""


def prepare() -> None:
    """Let both streams take any text: escape characters that their encoding lacks; /dev/null replaces a closed one."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 # open to the end
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def print_lines(lines: Iterable[str]) -> None:
    """Print lines for a person; on a terminal, faults and warnings have a colour."""
    for line in lines:
        CONSOLE.print(line, style=next((style for pattern, style in _STYLES if pattern.match(line)), None))


def print_error(message: str) -> None:
    """Print an error on standard error."""
    ERRORS.print(f"error: {message}", style="red")


def print_json(document: object) -> None:
    """Print a command's result as a JSON document."""
    _write_json(document, indent=2)


def print_json_line(document: object) -> None:
    """Print one of several results as a line of JSON."""
    _write_json(document, indent=None)
    sys.stdout.flush()


def _write_json(document: object, indent: int | None) -> None:
    # Other encodings would escape characters in a form that JSON doesn't have.
    is_utf_8 = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    sys.stdout.write(json.dumps(document, indent=indent, ensure_ascii=not is_utf_8) + "\n")


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
