"""The control plane's state: a part for each product, in memory, and in a file if a folder is given."""

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
    """The parts by their classes; each part is a msgspec Struct whose fields all have defaults.

    Hold ``lock`` to read or change a part. Handlers of actions run under the lock, so calls run one after another.
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
        """Return a product's part: at its first use, as the file has it, else empty."""
        name = kind.__name__
        with self.lock:
            if name not in self._parts:
                raw = self._stored.get(name)
                self._parts[name] = kind() if raw is None else _decode(bytes(raw), kind, self._file)
            part = self._parts[name]
        if not isinstance(part, kind):
            raise TypeError(f"two parts of the state are called {name}: {kind!r} and {type(part)!r}")
        return part

    def save(self) -> None:
        """Write the file if the state has changed; only the file's owner may read it, because it has secrets."""
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
