"""Zip archives of code and layers: pack a folder, always to the same bytes; unpack an upload without trusting it."""

from __future__ import annotations

import shutil
import stat
import zipfile
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MOST_ENTRIES = 100_000
MOST_UNPACKED_BYTES = 2 * 1024**3
"""Bounds of this emulator, so that a small upload can't fill the disk; the service publishes none."""
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip can hold
_ENCRYPTED = 1
_LONGEST_TARGET = 4096
_LEFT_OUT = ("__pycache__", ".pyc", ".stamp")


class ArchiveError(Exception):
    """An upload that isn't a zip, or that can't be unpacked safely; the message says which entry and why."""


def pack(folder: Path, file: IO[bytes]) -> None:
    """Write a folder's files as a zip: sorted, without times, uncompressed, and without compiled modules."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for path in sorted(_files(folder)):
            entry = zipfile.ZipInfo(path.relative_to(folder).as_posix(), _EPOCH)
            mode = 0o755 if path.stat().st_mode & stat.S_IXUSR else 0o644
            entry.external_attr = (stat.S_IFREG | mode) << 16
            with path.open("rb") as source, archive.open(entry, "w") as target:
                shutil.copyfileobj(source, target)


def unpack(file: Path, folder: Path) -> None:
    """Unpack a zip into an empty folder; ArchiveError if it isn't a zip, is too large, or would leave the folder.

    After an error the folder may hold a part of the entries.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
            _check(entries)
            links = [entry for entry in entries if stat.S_ISLNK(_mode(entry))]
            for entry in entries:
                if entry not in links:
                    _write(_extract, archive, entry, folder)
            for entry in links:
                _write(_link, archive, entry, folder)
    except (zipfile.BadZipFile, NotImplementedError, EOFError, ValueError) as error:
        raise ArchiveError(f"expected a zip archive, found something else ({error})") from error
    except RuntimeError as error:  # zipfile's error for an encrypted entry
        raise ArchiveError(str(error)) from error
    for entry in links:
        _check_target(folder / entry.filename, folder)


def _files(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        if path.is_file() and not any(part.endswith(_LEFT_OUT) for part in path.relative_to(folder).parts):
            yield path


def _check(entries: list[zipfile.ZipInfo]) -> None:
    """Check everything that the archive's directory says, before anything is written."""
    if len(entries) > MOST_ENTRIES:
        raise ArchiveError(f"expected at most {MOST_ENTRIES} entries, found {len(entries)}")
    size = sum(entry.file_size for entry in entries)
    if size > MOST_UNPACKED_BYTES:
        raise ArchiveError(f"expected at most {MOST_UNPACKED_BYTES} bytes after unpacking, found {size}")
    kinds: dict[PurePosixPath, bool] = {}
    for entry in entries:
        _check_entry(entry)
        path = PurePosixPath(entry.filename)
        if path in kinds:
            raise ArchiveError(f"{entry.filename}: expected each name once, found it twice")
        kinds[path] = entry.is_dir()
    for path in kinds:
        for parent in path.parents:
            if not kinds.get(parent, True):
                raise ArchiveError(f"{path}: expected a folder as its parent, found the file or link {parent}")


def _check_entry(entry: zipfile.ZipInfo) -> None:
    name = entry.filename
    parts = name.rstrip("/").split("/")
    if not name.strip("/") or name.startswith("/") or "\\" in name or {"", ".."} & set(parts):
        raise ArchiveError(f"{name!r}: expected a relative path without '..' and '\\', found another name")
    if entry.flag_bits & _ENCRYPTED:
        raise ArchiveError(f"{name}: expected a plain entry, found an encrypted one")
    kind = stat.S_IFMT(_mode(entry))
    if kind not in {0, stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK}:
        raise ArchiveError(f"{name}: expected a file, a folder or a link, found a device, pipe or socket")


def _mode(entry: zipfile.ZipInfo) -> int:
    return entry.external_attr >> 16


def _write(
    how: Callable[[zipfile.ZipFile, zipfile.ZipInfo, Path], None],
    archive: zipfile.ZipFile,
    entry: zipfile.ZipInfo,
    folder: Path,
) -> None:
    try:
        how(archive, entry, folder / entry.filename)
    except OSError as error:  # such as a name that is too long for this machine's file system, or a full disk
        raise ArchiveError(f"{entry.filename}: can't be unpacked: {error.strerror}") from error


def _extract(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, target: Path) -> None:
    if entry.is_dir():
        target.mkdir(parents=True, exist_ok=True)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    # zipfile reads no more than the size that the directory says, and checks the content's CRC.
    with archive.open(entry) as source, target.open("xb") as file:
        shutil.copyfileobj(source, file)
    target.chmod(0o755 if _mode(entry) & stat.S_IXUSR else 0o644)


def _link(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, link: Path) -> None:
    if entry.file_size > _LONGEST_TARGET:
        raise ArchiveError(f"{entry.filename}: expected a link's target of at most {_LONGEST_TARGET} bytes")
    target = archive.read(entry).decode("utf-8")
    if target.startswith("/"):
        raise ArchiveError(f"{entry.filename}: expected a link to a relative path, found {target}")
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(target)


def _check_target(link: Path, folder: Path) -> None:
    """Check where a link leads through all other links."""
    try:
        link.stat()  # `resolve` raises for a loop before Python 3.13 only
    except FileNotFoundError:
        pass  # a link may lead to a file that isn't there
    except OSError as error:
        raise ArchiveError(f"{link.relative_to(folder)}: expected a link with an end, found a loop") from error
    if not link.resolve().is_relative_to(folder.resolve()):
        raise ArchiveError(f"{link.relative_to(folder)}: expected a link inside of the archive, found another one")
