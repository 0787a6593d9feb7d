"""Draws tables as MaxCompute's command line client does; the connector document shows its rows in this form."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

LAST_BYTE = 0xFF
NUMBER_WIDTH = 10  # the client's least width of a column of numbers
LONGEST_SHOWN = 60  # the most columns of a terminal that one value may take
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_SHORT = {"\r": "\\r", "\n": "\\n", "\t": "\\t"}


def printable(text: str) -> str:
    """Return text without characters that a terminal obeys, such as escape sequences."""
    return _UNPRINTABLE.sub(lambda match: _SHORT.get(match[0]) or _escaped(ord(match[0])), text)


def _escaped(code: int) -> str:
    return f"\\x{code:02x}" if code <= LAST_BYTE else f"\\u{code:04x}"


def draw(names: Sequence[str], rows: Sequence[Sequence[object]], longest: int = LONGEST_SHOWN) -> Iterator[str]:
    """Yield the lines of a framed table; None is `NULL`, a value above `longest` is cut and shows its length."""
    cells = [[_text(value, longest) for value in row] for row in rows]
    widths = [
        max([_width(name), *(_width(row[index]) for row in cells), *_number_width(rows, index)])
        for index, name in enumerate(names)
    ]
    frame = "+" + "+".join("-" * (width + 2) for width in widths) + "+"
    yield frame
    yield _line(names, widths)
    yield frame
    for row in cells:
        yield _line(row, widths)
    yield frame


def _number_width(rows: Sequence[Sequence[object]], index: int) -> list[int]:
    return [NUMBER_WIDTH] if any(isinstance(row[index], (int, float)) for row in rows) else []


def _text(value: object, longest: int) -> str:
    if value is None:
        return "NULL"
    text = printable(value.hex() if isinstance(value, bytes) else str(value))
    return text if len(text) <= longest else f"{text[: longest - 20]}... ({len(text):,} in all)"


def _width(text: str) -> int:
    """Return how many columns of a terminal a text takes: a Chinese character takes two."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = (cell + " " * (width - _width(cell)) for cell, width in zip(cells, widths, strict=True))
    return "| " + " | ".join(padded) + " |"
