"""The sessions' directories: each has the session's description and its rows in Arrow files.

With a data directory they outlive the emulator; otherwise the emulator deletes them at its end.
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
    """The directories of a kind's sessions, in a directory of this name; ``durable``: they outlive the emulator."""

    def __init__(self, kind: str, data_dir: Path | None) -> None:
        self.durable = data_dir is not None
        self._root = Path(tempfile.mkdtemp(prefix=f"{kind}-")) if data_dir is None else data_dir / kind
        self._root.mkdir(parents=True, exist_ok=True)

    def close(self) -> None:
        """Delete the directories, unless they outlive the emulator."""
        if not self.durable:
            delete(self._root)

    def make(self, session_id: str) -> Path:
        """Create the directory of a new session; the directory outlives the emulator only with a description."""
        directory = self._root / session_id
        directory.mkdir()
        return directory

    def describe(self, directory: Path, description: Mapping[str, Any]) -> None:
        """Write, or replace, the description from which a session is restored; only if durable."""
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

    def saved_sessions(self) -> Iterator[tuple[Path, dict[str, Any]]]:
        """Yield the directory and description of each session of an earlier emulator on the same data directory."""
        for directory in self._root.iterdir():
            try:
                description = json.loads((directory / _DESCRIPTION).read_text("utf-8"))
            except (OSError, ValueError):
                # The emulator ended before it answered with the session's id.
                delete(directory)
                continue
            for path in directory.iterdir():
                if path.suffix != ".arrow" and path.name != _DESCRIPTION:
                    path.unlink()  # an incomplete file: the emulator ended while it wrote the file
            yield directory, description


def delete_rows(directory: Path) -> None:
    """Delete the rows of an ended session; a writer at work is refused, and deletes its own file."""
    for path in directory.glob("*.arrow"):
        path.unlink(missing_ok=True)


def delete(directory: Path) -> None:
    """Delete a directory with its files."""
    shutil.rmtree(directory, ignore_errors=True)
