"""The code of functions and layers on disk: each upload once, as its zip and unpacked, named by the zip's hash."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from fastcrc import crc64

from local_emulator.function_compute import archive
from local_emulator.function_compute.keeper import KEEPER

if TYPE_CHECKING:
    from collections.abc import Collection

MOST_BYTES = 500 * 1024**2
"""The largest zip, by the service's quota for uploads through OSS in its main regions."""
_CHUNK = 1 << 20
_UNPACKED, _ZIP = "code", "code.zip"
_UNFINISHED = "unpacking-"
_SPARED_SECONDS = 60.0
"""How long a content that no function has is kept, because a request may be about to use it."""


class Content(msgspec.Struct, frozen=True):
    """One zip that was uploaded, or a folder of this machine that is used in place.

    Fields:
        name: the zip's name in the store, or the folder's absolute path.
        checksum, size: of the zip; empty and 0 for a folder (see `ContentStore.measured`).
    """

    name: str
    checksum: str = ""
    size: int = 0

    @property
    def in_place(self) -> bool:
        """Whether the content is a folder of this machine."""
        return self.name.startswith("/")


class ContentStore:
    """The contents, in the folder that `keep_in` names, or else in a temporary one that `close` removes."""

    def __init__(self) -> None:
        self._kept: Path | None = None
        self._temporary: Path | None = None
        self._measured: dict[str, Content] = {}
        self._added: dict[str, float] = {}
        self._lock = threading.Lock()

    def keep_in(self, folder: Path) -> None:
        """Use this folder; call this before any content is added."""
        folder.mkdir(parents=True, exist_ok=True)
        self._kept = folder

    def add(self, zip_file: Path) -> Content:
        """Take a zip into the store and unpack it; ArchiveError if it is none or isn't safe."""
        digest, checksum, size = _digests(zip_file)
        content = Content(digest[:32], checksum, size)
        with self._lock:
            self._added[content.name] = time.monotonic()
            if not self.folder(content).is_dir():
                scratch = Path(tempfile.mkdtemp(dir=self._folder, prefix=_UNFINISHED))
                try:
                    (scratch / _UNPACKED).mkdir()
                    archive.unpack(zip_file, scratch / _UNPACKED)
                    shutil.copyfile(zip_file, scratch / _ZIP)
                    scratch.rename(self._folder / content.name)
                except BaseException:
                    shutil.rmtree(scratch, ignore_errors=True)
                    raise
        return content

    def add_bytes(self, data: bytes) -> Content:
        """Take a zip into the store; see `add`."""
        with tempfile.NamedTemporaryFile(dir=self._folder) as file:
            file.write(data)
            file.flush()
            return self.add(Path(file.name))

    def add_folder(self, folder: Path) -> Content:
        """Pack a folder, and take the zip into the store; see `add`."""
        with tempfile.NamedTemporaryFile(dir=self._folder) as file:
            archive.pack(folder, file)
            file.flush()
            return self.add(Path(file.name))

    def folder(self, content: Content) -> Path:
        """Return the folder with a content's files."""
        return Path(content.name) if content.in_place else self._folder / content.name / _UNPACKED

    def zip_file(self, name: str) -> Path:
        """Return the zip of a content that isn't in place, by the content's name."""
        return self._folder / name / _ZIP

    def measured(self, content: Content) -> Content:
        """Return a content with its checksum and size; of a folder, these of the zip that `archive.pack` makes."""
        if not content.in_place:
            return content
        with self._lock:
            if content.name not in self._measured:
                with tempfile.NamedTemporaryFile(dir=self._folder) as file:
                    archive.pack(Path(content.name), file)
                    file.flush()
                    _, checksum, size = _digests(Path(file.name))
                self._measured[content.name] = Content(content.name, checksum, size)
            return self._measured[content.name]

    def keep(self, names: Collection[str]) -> None:
        """Remove the contents whose names aren't among these, but not those that were added a moment ago."""
        with self._lock:
            since = time.monotonic() - _SPARED_SECONDS
            for path in self._folder.iterdir():
                if path.is_dir() and path.name not in names and self._added.get(path.name, since) <= since:
                    shutil.rmtree(path)

    def close(self) -> None:
        """Remove the temporary folder, if there is one."""
        if self._temporary:
            shutil.rmtree(self._temporary, ignore_errors=True)
            KEEPER.forget(self._temporary)

    @property
    def _folder(self) -> Path:
        if self._kept:
            return self._kept
        if self._temporary is None:
            self._temporary = Path(tempfile.mkdtemp(prefix="fc-code-"))
            KEEPER.keep(self._temporary)
        return self._temporary


def checksum_of(file: Path) -> str:
    """Return a zip's checksum as the service shows it."""
    return _digests(file)[1]


def _digests(file: Path) -> tuple[str, str, int]:
    """Return a file's SHA-256 in hex, its CRC-64 (ECMA-182, reflected, as OSS and xz have it) in decimal, its size."""
    sha256, crc, size = hashlib.sha256(), 0, 0
    with file.open("rb") as source:
        while chunk := source.read(_CHUNK):
            sha256.update(chunk)
            crc = crc64.xz(chunk, crc)
            size += len(chunk)
    return sha256.hexdigest(), str(crc), size
