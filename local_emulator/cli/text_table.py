"""Draws tables as MaxCompute's command line client does; the connector document shows its rows in this form."""

from __future__ import annotations

import re
import shutil
import sys
import unicodedata
from itertools import zip_longest
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

LAST_BYTE = 0xFF
NUMBER_WIDTH = 10  # the client's least width of a column of numbers
NARROWEST = 10  # columns of a terminal
INDENT = 2  # the most columns before a table
LONGEST_SHOWN = 60  # the most columns of a terminal that one value may take
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_SHORT = {"\r": "\\r", "\n": "\\n", "\t": "\\t"}


def printable(text: str) -> str:
    """Return text without characters that a terminal obeys, such as escape sequences."""
    return _UNPRINTABLE.sub(lambda match: _SHORT.get(match[0]) or _escaped(ord(match[0])), text)


def _escaped(code: int) -> str:
    return f"\\x{code:02x}" if code <= LAST_BYTE else f"\\u{code:04x}"


def draw(names: Sequence[str], rows: Sequence[Sequence[object]], longest: int = LONGEST_SHOWN) -> Iterator[str]:
    """Yield the lines of a framed table; None is `NULL`, a value above `longest` is cut and shows its length.

    On a terminal, values of a table that is too wide take several lines.
    """
    cells = [[_text(value, longest) for value in row] for row in rows]
    widths = _narrowed(
        [
            max([_width(name), *(_width(row[index]) for row in cells), *_number_width(rows, index)])
            for index, name in enumerate(names)
        ]
    )
    frame = "+" + "+".join("-" * (width + 2) for width in widths) + "+"
    yield frame
    yield from _lines(names, widths)
    yield frame
    for row in cells:
        yield from _lines(row, widths)
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


def _narrowed(widths: list[int]) -> list[int]:
    """Return the widths of columns; on a terminal, the widest ones are narrowed until the table fits."""
    if not sys.stdout.isatty():
        return widths
    room = shutil.get_terminal_size().columns - INDENT - 3 * len(widths) - 1
    while sum(widths) > room and max(widths) > NARROWEST:
        widest = widths.index(max(widths))
        widths[widest] -= 1
    return widths


def _lines(cells: Sequence[str], widths: Sequence[int]) -> Iterator[str]:
    """Yield the lines of a row: one, if each cell fits into its column."""
    pieces = [list(_pieces(cell, width)) for cell, width in zip(cells, widths, strict=True)]
    for line in zip_longest(*pieces, fillvalue=""):
        yield _line(line, widths)


def _pieces(text: str, width: int) -> Iterator[str]:
    """Yield a text in pieces that take at most `width` columns; after a blank, if there is one."""
    while _width(text) > width:
        end = max(1, next(end for end in range(len(text), 0, -1) if _width(text[:end]) <= width or end == 1))
        blank = text.rfind(" ", 0, end + 1)
        end = blank if blank > 0 else end
        yield text[:end]
        text = text[end:].lstrip(" ")
    yield text


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = (cell + " " * (width - _width(cell)) for cell, width in zip(cells, widths, strict=True))
    return "| " + " | ".join(padded) + " |"
