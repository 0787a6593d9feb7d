"""Reads JSON documents from the records of a topic, which anybody with write access can have written."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

SHOWN_CHARACTERS = 200
"""Most characters of an error's text that are repeated: the text may quote the document."""

FAULTS = (
    msgspec.MsgspecError,
    ValueError,
    ArithmeticError,
    TypeError,
    LookupError,
    AttributeError,
    RecursionError,
)
"""Errors that a document of the wrong form can raise, in msgspec or in Python code that reads its parts."""

DocumentT = TypeVar("DocumentT")


class DocumentError(ValueError):
    """A record's value isn't the expected document; the message says what was found."""


def read(value: bytes | None, shape: type[DocumentT]) -> DocumentT:
    """Return the document in a record's value; raises `DocumentError` for anything else."""
    if not value:
        raise DocumentError("a record without a value")
    try:
        return msgspec.json.decode(value, type=shape)
    except FAULTS as error:
        raise DocumentError(described(error)) from None


def described(error: Exception) -> str:
    """Return a short description of the fault in a document."""
    if isinstance(error, RecursionError):
        return "JSON that nests too deeply to be read"
    if isinstance(error, UnicodeDecodeError):
        return "text that isn't UTF-8"
    return f"{error}"[:SHOWN_CHARACTERS] or type(error).__name__


def number(document: dict[str, Any], name: str) -> int:
    """Return a member that is a whole number; raises `DocumentError` if it's missing or something else."""
    value = document.get(name)
    if type(value) is not int:
        raise DocumentError(f"no number in its member {name!r}")
    return value
