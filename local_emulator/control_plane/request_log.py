"""The log of received calls, in order, so that a test or a person can see what a program requested."""

from __future__ import annotations

import json
import re
import threading
from collections import deque
from datetime import datetime  # noqa: TC003 - msgspec reads the annotations when it encodes
from typing import TYPE_CHECKING, Any

import msgspec

from local_emulator.control_plane.documents import parse_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

KEPT = 10_000
_SECRET = re.compile(r"password|secret|token|access_?key|signature|sasl.*user|zip_?file", re.IGNORECASE)
_HIDDEN = "***"


class Entry(msgspec.Struct, frozen=True):
    """One call: ``parameters`` without secrets, ``principal`` an ARN or empty, ``code`` empty if the call succeeded."""

    time: datetime
    principal: str
    product: str
    action: str
    parameters: dict[str, str]
    status: int
    code: str = ""


class RequestLog:
    """The last `KEPT` calls, oldest first."""

    def __init__(self) -> None:
        self._entries: deque[Entry] = deque(maxlen=KEPT)
        self._lock = threading.Lock()

    def add(self, entry: Entry) -> None:
        """Append a call."""
        with self._lock:
            self._entries.append(entry)

    def clear(self) -> None:
        """Remove all calls."""
        with self._lock:
            self._entries.clear()

    def __iter__(self) -> Iterator[Entry]:
        with self._lock:
            return iter(list(self._entries))

    def actions(self) -> list[str]:
        """Return the names of the called actions, oldest first."""
        return [entry.action for entry in self]


def without_secrets(parameters: Mapping[str, str]) -> dict[str, str]:
    """Return a copy with ``***`` in place of values that look like secrets, also inside JSON texts."""
    return {name: _HIDDEN if _SECRET.search(name) else _hide_inside(value) for name, value in parameters.items()}


def _hide_inside(text: str) -> str:
    if not text.startswith(("{", "[")) or not _SECRET.search(text):
        return text
    try:
        return json.dumps(_hide(parse_json(text)))
    except ValueError:
        return _HIDDEN


def _hide(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _HIDDEN if _SECRET.search(name) else _hide(inner) for name, inner in value.items()}
    return [_hide(inner) for inner in value] if isinstance(value, list) else value
