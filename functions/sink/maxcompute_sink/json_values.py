r"""Undoes the escapes that the stream's serializer writes into `Json` values for characters with a meaning in HTML.

The stream parses a value and prints it again, with `=`, `&`, `<`, `>`, `'` as `\u003d`, `\u0026` and so on. In JSON
the escape and the character mean the same, and only strings have backslashes, so undoing the escapes changes no value.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable

    from maxcompute_sink.records import JsonRecord

_ESCAPED = {
    code: bytes([int(code, 16)]) for code in (b"0026", b"0027", b"003c", b"003C", b"003d", b"003D", b"003e", b"003E")
}
_HTML = re.compile(rb"\\u00(?:2[67]|3[c-eC-E])")
_ESCAPE = re.compile(rb"\\(?:u(00(?:2[67]|3[c-eC-E]))|.)", re.DOTALL)


def could_hold_escapes(payload: bytes) -> bool:
    """Return whether a batch may have such an escape; a batch without a backslash costs one search for a byte."""
    return b"\\" in payload and _HTML.search(payload) is not None


def undo_escapes(records: Iterable[JsonRecord]) -> None:
    """Replace the escapes in the values of records with their characters."""
    for record in records:
        text = bytes(record.value)
        if b"\\u00" in text:
            record.value = msgspec.Raw(_without_escapes(text))


def _without_escapes(text: bytes) -> bytes:
    if b"\\\\" in text:
        # Two backslashes are one character, and a `u` after them isn't an escape, so the text is read from the left.
        return _ESCAPE.sub(_character, text)
    for code, character in _ESCAPED.items():
        text = text.replace(b"\\u" + code, character)
    return text


def _character(escape: re.Match[bytes]) -> bytes:
    return escape[0] if escape[1] is None else _ESCAPED[escape[1]]
