"""What commands print: tables that fit a terminal, colours only where somebody sees them, and JSON in any encoding."""

from __future__ import annotations

import io
import json
import sys

import pytest
from rich.console import Console

from local_emulator.cli import output
from local_emulator.cli.text_table import draw, printable

pytestmark = pytest.mark.quick

LONG = "a message of several words that is wider than the terminal"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def drawn(monkeypatch: pytest.MonkeyPatch, stream: io.StringIO, *rows: list[object]) -> list[str]:
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setenv("COLUMNS", "40")
    return list(draw(["key", "message"], rows))


def test_a_table_that_is_too_wide_for_the_terminal_is_wrapped_at_blanks(monkeypatch: pytest.MonkeyPatch) -> None:
    assert drawn(monkeypatch, Terminal(), ["k", LONG], ["l", "\u4e2d" * 20]) == [
        "+-----+------------------------------+",
        "| key | message                      |",
        "+-----+------------------------------+",
        "| k   | a message of several words   |",
        "|     | that is wider than the       |",
        "|     | terminal                     |",
        "| l   | " + "\u4e2d" * 14 + " |",
        "|     | " + "\u4e2d" * 6 + " " * 16 + " |",
        "+-----+------------------------------+",
    ]


def test_in_a_pipe_a_table_is_as_wide_as_its_values(monkeypatch: pytest.MonkeyPatch) -> None:
    assert f"| k   | {LONG} |" in drawn(monkeypatch, io.StringIO(), ["k", LONG])


@pytest.mark.parametrize(
    ("environment", "is_terminal", "coloured"),
    [({}, True, True), ({"NO_COLOR": "1"}, True, False), ({}, False, False), ({"FORCE_COLOR": "1"}, False, True)],
)
def test_faults_have_a_colour_where_a_person_sees_it(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], *, is_terminal: bool, coloured: bool
) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"TERM": "xterm", **environment}.items():
        monkeypatch.setenv(name, value)
    stream = Terminal() if is_terminal else io.StringIO()
    monkeypatch.setattr(output, "CONSOLE", Console(file=stream, highlight=False, soft_wrap=True, markup=False))
    output.print_lines(["  fault: no topic", "applied"])
    assert ("\x1b[31m" in stream.getvalue()) is coloured
    assert stream.getvalue().endswith("applied\n")


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1"])
def test_json_is_json_in_any_encoding(monkeypatch: pytest.MonkeyPatch, encoding: str) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="backslashreplace")
    monkeypatch.setattr(sys, "stdout", stream)
    document = {"text": "caf\u00e9 \u4e2d \U0001f642", "bytes": "\udcff"}
    output.print_json(document)
    stream.flush()
    assert json.loads(stream.buffer.getvalue().decode(encoding)) == document


def test_no_character_that_a_terminal_obeys_is_shown() -> None:
    assert printable("a\x1b[2J\r\n\t\u202e\x9b\u4e2d") == "a\\x1b[2J\\r\\n\\t\\u202e\\x9b\u4e2d"
