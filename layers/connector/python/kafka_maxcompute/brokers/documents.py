"""JSON documents out of the records of a topic: anybody who may write there can have written them."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

SHOWN_CHARACTERS = 200
"""How much of a fault's text is repeated: it may quote a word of the document."""

FAULTS = (
    msgspec.MsgspecError,
    ValueError,
    ArithmeticError,
    TypeError,
    LookupError,
    AttributeError,
    RecursionError,
)
"""What reading a document of the wrong form can raise, in msgspec or in Python code that takes its parts."""

DocumentT = TypeVar("DocumentT")


class DocumentError(ValueError):
    """A record's value isn't the document that was expected; the message says what was found."""


def read(value: bytes | None, shape: type[DocumentT]) -> DocumentT:
    """The document in a record's value; raises `DocumentError` for anything else, whatever it is."""
    if not value:
        raise DocumentError("a record without a value")
    try:
        return msgspec.json.decode(value, type=shape)
    except FAULTS as error:
        raise DocumentError(described(error)) from None


def described(error: Exception) -> str:
    """What was found, in a few words."""
    if isinstance(error, RecursionError):
        return "JSON that nests too deeply to be read"
    if isinstance(error, UnicodeDecodeError):
        return "text that isn't UTF-8"
    return f"{error}"[:SHOWN_CHARACTERS] or type(error).__name__


def number(document: dict[str, Any], name: str) -> int:
    """A member that is a whole number; raises `DocumentError` if there is none."""
    found = document.get(name)
    if type(found) is not int:
        raise DocumentError(f"no number in its member {name!r}")
    return found
