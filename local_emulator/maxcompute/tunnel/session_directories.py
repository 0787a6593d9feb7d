"""The directories of sessions, one each: a session's description, and its rows in Arrow files beside it.

With a data directory they outlive the emulator; without one they are gone when it is closed.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from local_emulator.maxcompute.tunnel.blocks import sync_directory

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_DESCRIPTION = "session.json"


class SessionDirectories:
    """Those of all sessions of a kind, in a directory of that name; ``durable``: they outlive the emulator."""

    def __init__(self, kind: str, data_dir: Path | None) -> None:
        self.durable = data_dir is not None
        self._root = Path(tempfile.mkdtemp(prefix=f"{kind}-")) if data_dir is None else data_dir / kind
        self._root.mkdir(parents=True, exist_ok=True)

    def close(self) -> None:
        """Delete what needn't outlive the emulator."""
        if not self.durable:
            delete(self._root)

    def make(self, session_id: str) -> Path:
        """An empty directory for a new session, which lasts once it has a description."""
        directory = self._root / session_id
        directory.mkdir()
        return directory

    def describe(self, directory: Path, description: Mapping[str, Any]) -> None:
        """Keep, in the place of an older one, what a session is taken up from; nothing is kept unless durable."""
        if not self.durable:
            return
        path = directory / _DESCRIPTION
        part = path.with_suffix(".new")
        with part.open("w", encoding="utf-8") as file:
            json.dump(description, file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        sync_directory(directory)
        sync_directory(self._root)

    def left_behind(self) -> Iterator[tuple[Path, dict[str, Any]]]:
        """Each session's directory and description, as an emulator on the same data directory left them."""
        for directory in self._root.iterdir():
            try:
                description = json.loads((directory / _DESCRIPTION).read_text("utf-8"))
            except (OSError, ValueError):
                # The emulator ended before it had answered with the session's id.
                delete(directory)
                continue
            for path in directory.iterdir():
                if path.suffix != ".arrow" and path.name != _DESCRIPTION:
                    path.unlink()  # half a file: the emulator ended while it was written
            yield directory, description


def delete_rows(directory: Path) -> None:
    """Of a session that is over: what is being written right now is deleted by its writer, who is refused."""
    for path in directory.glob("*.arrow"):
        path.unlink(missing_ok=True)


def delete(directory: Path) -> None:
    """All of a session."""
    shutil.rmtree(directory, ignore_errors=True)
