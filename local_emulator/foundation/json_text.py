"""Names what isn't JSON in words, where a JSON parser would report a position or an early end."""

from __future__ import annotations

import codecs


def obstacle(text: bytes) -> str:
    """Return why no JSON parser reads a text that is empty or begins with a byte order mark; "" otherwise."""
    if text.startswith(codecs.BOM_UTF8):
        return "a byte order mark before the text; save the input as UTF-8 without one"
    return "" if text.strip() else "an empty line"
