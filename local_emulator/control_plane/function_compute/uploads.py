"""Zips on their way to a function or a layer: the objects of the temporary OSS bucket that Function Compute offers."""

from __future__ import annotations

import shutil
import tempfile
from collections import OrderedDict
from pathlib import Path

from local_emulator.function_compute.keeper import KEEPER

_KEPT = 16
"""How many objects are kept; clients use an object right after its upload."""


class Uploads:
    """The last uploaded objects, in a temporary folder."""

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._objects: OrderedDict[tuple[str, str], Path] = OrderedDict()

    def new_file(self) -> Path:
        """Return an empty file for an object that is being received."""
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="fc-uploads-"))
            KEEPER.keep(self._folder)
        with tempfile.NamedTemporaryFile(dir=self._folder, delete=False) as file:
            return Path(file.name)

    def add(self, bucket: str, name: str, file: Path) -> None:
        """Take a received file as an object; an earlier object of the same name is replaced."""
        before = self._objects.pop((bucket, name), None)
        self._objects[bucket, name] = file
        if before:
            before.unlink()
        if len(self._objects) > _KEPT:
            self._objects.popitem(last=False)[1].unlink()

    def discard(self, file: Path) -> None:
        """Remove a file that `new_file` returned, because its object wasn't received completely."""
        file.unlink()

    def find(self, bucket: str, name: str) -> Path | None:
        """Return the file of an object."""
        return self._objects.get((bucket, name))

    def close(self) -> None:
        """Remove all objects."""
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)
            KEEPER.forget(self._folder)
