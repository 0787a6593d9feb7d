"""Compares a value that the stream delivered with a value in a log: are they certainly different?

A stream delivers a value as text, in base64, or as JSON that it has parsed and printed again. How it prints JSON isn't
documented. So a difference counts only if no printing explains it. These parts of a document are equal to anything:
strings with U+FFFD or half a surrogate pair, which a decoder or encoder puts for something else; numbers beyond a
double's range, the values of repeated members, and NaN. Numbers are compared as doubles. A member that is null is equal
to an absent one.
"""

from __future__ import annotations

import base64
import json
import math
import re
from typing import TYPE_CHECKING

from kafka_maxcompute.brokers import documents

if TYPE_CHECKING:
    from collections.abc import Iterable

_RUN = re.compile("\ufffd+")
_DOUBTFUL = re.compile("[\ufffd\ud800-\udfff]")
_MARK = "\ufeff"
"""The byte order mark, which some producers write before a text, and some readers leave out."""
_AROUND = f" \t\r\n'\"{_MARK}"
"""The characters around a text that a lenient reader of JSON leaves out."""
_ANY = object()
"""A part of a document that can't be compared."""


def can_be_one(logged: bytes, delivered: bytes) -> bool:
    """Return whether a value in a log can have been delivered like this; b"" is an empty or absent value."""
    if not {delivered, _text(delivered)}.isdisjoint({logged, base64.b64encode(logged)}):
        return True
    if not delivered:
        return _decoded(logged).strip(_AROUND) in {"", "null"}
    return _is_one_text(logged, delivered) or _is_one_document(logged, delivered) or _can_be_printed(logged, delivered)


def _text(value: bytes) -> bytes:
    """Return the text of a JSON string, which `Json` makes of a value that isn't JSON; any other value unchanged."""
    try:
        return documents.read(value, str).encode()
    except documents.DocumentError:
        return value


def _is_one_text(logged: bytes, delivered: bytes) -> bool:
    """Return whether two texts are the same; decoders replace the same invalid bytes by other numbers of U+FFFD."""
    text = _plain(logged)
    return text in {_plain(delivered), _plain(_text(delivered))}


def _plain(value: bytes) -> str:
    return _RUN.sub("\ufffd", _decoded(value))


def _decoded(value: bytes) -> str:
    return value.decode("utf-8", "replace").removeprefix(_MARK)


def _is_one_document(logged: bytes, delivered: bytes) -> bool:
    """Return whether two texts are the same JSON document in every detail; costs less than `_can_be_printed`."""
    try:
        return bool(documents.read(logged, object) == documents.read(delivered, object))
    except documents.DocumentError:
        return False


def _can_be_printed(logged: bytes, delivered: bytes) -> bool:
    """Return whether a stream that parses the log's text and prints it again can have delivered this JSON."""
    try:
        printed = _parsed(delivered)
    except ValueError:
        return False
    except RecursionError:
        return True
    try:
        return _can_be_equal(_parsed(logged), printed)
    except ValueError:
        return _can_be_read(_decoded(logged).strip(_AROUND), printed, _decoded(delivered).strip(_AROUND))
    except RecursionError:
        return True


def _can_be_read(text: str, printed: object, delivered: str) -> bool:
    """Return whether a lenient reader can make a document of a text that isn't JSON; `delivered` is its text."""
    if isinstance(printed, str):
        return "\\" in text or text == printed.strip(_AROUND)
    return text.lower().startswith(("/", "#", ")", delivered[:1]))


def _parsed(value: bytes) -> object:
    """Return a JSON document; raises `ValueError` if it isn't one, `RecursionError` if it nests too deeply."""
    return json.loads(
        _decoded(value),
        strict=False,
        object_pairs_hook=_members,
        parse_float=_number,
        parse_int=_number,
        parse_constant=lambda _: _ANY,
    )


def _number(digits: str) -> object:
    number = float(digits)
    return number if math.isfinite(number) else _ANY


def _members(pairs: Iterable[tuple[str, object]]) -> object:
    members: dict[str, object] = {}
    for name, value in pairs:
        if _DOUBTFUL.search(name):
            return _ANY
        members[name] = _ANY if name in members else value
    return members


def _can_be_equal(left: object, right: object) -> bool:
    if left is _ANY or right is _ANY:
        return True
    if isinstance(left, dict) and isinstance(right, dict):
        return all(_can_be_equal(left.get(name), right.get(name)) for name in left.keys() | right.keys())
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_can_be_equal, left, right))
    if isinstance(left, str) and isinstance(right, str):
        return left == right or bool(_DOUBTFUL.search(left) or _DOUBTFUL.search(right))
    return type(left) is type(right) and left == right
