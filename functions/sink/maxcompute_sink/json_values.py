r"""Undoes in `Json` values the escapes that the stream's serializer makes of signs which HTML gives a meaning.

The stream parses a value and prints it again, and then `=`, `&`, `<`, `>`, `'` are `\u003d`, `\u0026` and so on. In
JSON both are the same character of a string, and nothing but a string has a backslash, so no value changes.
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
    """Whether a batch may hold such an escape; costs a batch without a backslash one search for a byte."""
    return b"\\" in payload and _HTML.search(payload) is not None


def undo_escapes(records: Iterable[JsonRecord]) -> None:
    """Put the signs into the values of records."""
    for record in records:
        text = bytes(record.value)
        if b"\\u00" in text:
            record.value = msgspec.Raw(_undone(text))


def _undone(text: bytes) -> bytes:
    if b"\\\\" in text:
        # Two backslashes are one character, after which a `u` is no escape: only reading from the left tells.
        return _ESCAPE.sub(_sign, text)
    for code, sign in _ESCAPED.items():
        text = text.replace(b"\\u" + code, sign)
    return text


def _sign(escape: re.Match[bytes]) -> bytes:
    return escape[0] if escape[1] is None else _ESCAPED[escape[1]]
