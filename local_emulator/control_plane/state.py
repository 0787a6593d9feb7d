"""What the control plane remembers: a part for each product, in memory or also in a file."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, TypeVar

import msgspec

from local_emulator.control_plane.errors import StateError

if TYPE_CHECKING:
    from pathlib import Path

_Part = TypeVar("_Part", bound=msgspec.Struct)
_Decoded = TypeVar("_Decoded")
FILE_NAME = "control_plane.json"


class AccountState:
    """The parts, each a msgspec Struct whose fields all have defaults, found by its class.

    ``lock`` is held by whoever reads or changes a part: handlers of actions run under it, so that calls come one after
    another.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.lock = threading.RLock()
        self._file = folder / FILE_NAME if folder else None
        self._parts: dict[str, msgspec.Struct] = {}
        self._stored: dict[str, msgspec.Raw] = {}
        self._written = b""
        if folder and self._file and self._file.exists():
            self._written = self._file.read_bytes()
            self._stored = _decode(self._written, dict[str, msgspec.Raw], self._file)
        elif folder:
            folder.mkdir(parents=True, exist_ok=True)

    def part(self, kind: type[_Part]) -> _Part:
        """A product's part; what the file holds of it at first, else an empty one."""
        name = kind.__name__
        with self.lock:
            if name not in self._parts:
                raw = self._stored.get(name)
                self._parts[name] = kind() if raw is None else _decode(bytes(raw), kind, self._file)
            found = self._parts[name]
        if not isinstance(found, kind):
            raise TypeError(f"two parts of the state are called {name}: {kind!r} and {type(found)!r}")
        return found

    def save(self) -> None:
        """Write the file again if anything has changed; it has secrets, so it's for its owner only."""
        if self._file is None:
            return
        with self.lock:
            text = msgspec.json.format(msgspec.json.encode({**self._stored, **self._parts}), indent=1)
            if text != self._written:
                draft = self._file.with_suffix(".new")
                draft.touch(0o600)
                draft.write_bytes(text)
                draft.replace(self._file)
                self._written = text


def _decode(text: bytes, kind: type[_Decoded], file: Path | None) -> _Decoded:
    try:
        return msgspec.json.decode(text, type=kind)
    except msgspec.DecodeError as error:
        raise StateError(
            f"expected the control plane's state in {file}, found something else ({error}); "
            "remove the file to start with an empty account"
        ) from None
