"""Zips of code: packed always to the same bytes, and unpacked only inside of their folder and within bounds."""

from __future__ import annotations

import io
import stat
import zipfile
from typing import TYPE_CHECKING

import pytest

from local_emulator.function_compute import archive
from local_emulator.function_compute.archive import ArchiveError, unpack
from local_emulator.function_compute.content import ContentStore

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.quick
LINK, DEVICE, PIPE = stat.S_IFLNK | 0o777, stat.S_IFCHR | 0o666, stat.S_IFIFO | 0o666


def zipped(*entries: tuple[str, bytes, int]) -> bytes:
    """A zip of entries: name, content, mode."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content, mode in entries:
            entry = zipfile.ZipInfo(name)
            entry.external_attr = mode << 16
            made.writestr(entry, content)
    return file.getvalue()


def unpacked(folder: Path, data: bytes) -> Path:
    (folder / "upload.zip").write_bytes(data)
    (folder / "in/code").mkdir(parents=True)
    unpack(folder / "upload.zip", folder / "in/code")
    return folder / "in/code"


def test_files_folders_links_and_modes(tmp_path: Path) -> None:
    data = zipped(
        ("./", b"", 0),
        ("./index.py", b"x", 0o644),
        ("bin/", b"", 0),
        ("bin/run", b"y", 0o755),
        ("lib/again.py", b"../index.py", LINK),
    )
    code = unpacked(tmp_path, data)
    assert (code / "lib/again.py").read_bytes() == b"x"
    assert (code / "bin/run").stat().st_mode & 0o777 == 0o755
    assert (code / "index.py").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize(
    ("entries", "says"),
    [
        ([("../out", b"", 0)], "relative path"),
        ([("a/../../out", b"", 0)], "relative path"),
        ([("/out", b"", 0)], "relative path"),
        ([("a//b", b"", 0)], "relative path"),
        ([("a\\..\\b", b"", 0)], "relative path"),
        ([("twice", b"a", 0), ("twice", b"b", 0)], "found it twice"),
        ([("twice", b"a", 0), ("twice/", b"", 0)], "found it twice"),
        ([("twice", b"a", 0), ("./twice", b"b", 0)], "found it twice"),
        ([("file", b"a", 0), ("file/below", b"b", 0)], "expected a folder as its parent"),
        ([("out", b"..", LINK), ("out/below", b"b", 0)], "expected a folder as its parent"),
        ([("out", b"/etc", LINK)], "expected a link to a relative path"),
        ([("out", b"../..", LINK)], "expected a link inside"),
        ([("a/same", b".", LINK), ("out", b"a/same/../../..", LINK)], "expected a link inside"),
        ([("a", b"b", LINK), ("b", b"a", LINK)], "found a loop"),
        ([("null", b"", DEVICE)], "found a device"),
        ([("a/" + "b" * 256, b"", 0)], "a/b{256}: can't be unpacked: File name too long"),
        ([("a" * 256, b"b", LINK)], "a{256}: can't be unpacked: File name too long"),
        ([("pipe", b"", PIPE)], "found a device"),
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_an_entry_that_would_leave_or_replace_is_refused(
    tmp_path: Path, entries: list[tuple[str, bytes, int]], says: str
) -> None:
    with pytest.raises(ArchiveError, match=says):
        unpacked(tmp_path, zipped(*entries))
    assert {path.name for path in tmp_path.iterdir()} == {"upload.zip", "in"}
    assert {path.name for path in (tmp_path / "in").iterdir()} == {"code"}


def test_other_files_are_refused(tmp_path: Path) -> None:
    for number, data in enumerate((b"", b"no zip", zipped(("a", b"x" * 100, 0))[:-30])):
        (tmp_path / str(number)).mkdir()
        with pytest.raises(ArchiveError, match="expected a zip archive"):
            unpacked(tmp_path / str(number), data)


def test_size_and_number_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = zipped(("a", b"x" * 600, 0), ("b", b"x" * 600, 0))
    monkeypatch.setattr(archive, "MOST_UNPACKED_BYTES", 1000)
    with pytest.raises(ArchiveError, match="at most 1000 bytes after unpacking, found 1200"):
        unpacked(tmp_path, data)
    monkeypatch.setattr(archive, "MOST_ENTRIES", 1)
    (tmp_path / "b").mkdir()
    with pytest.raises(ArchiveError, match="at most 1 entries, found 2"):
        unpacked(tmp_path / "b", data)


def test_a_content_is_stored_once_and_has_the_services_checksum(tmp_path: Path) -> None:
    store = ContentStore()
    store.keep_in(tmp_path / "store")
    content = store.add_bytes(zipped(("index.py", b"x", 0o644)))
    assert store.add_bytes(store.zip_file(content.name).read_bytes()) == content
    assert (store.folder(content) / "index.py").read_bytes() == b"x"
    # CRC-64 of xz, by a table-free computation bit by bit.
    crc = 2**64 - 1
    for byte in store.zip_file(content.name).read_bytes():
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xC96C5795D7870F42 if crc & 1 else 0)
    assert content.checksum == str(crc ^ (2**64 - 1))
    with pytest.raises(ArchiveError):
        store.add_bytes(b"no zip")
    assert [path.name for path in (tmp_path / "store").iterdir()] == [content.name]


def test_a_folder_is_always_packed_to_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        for file in ("b/c.py", "a.py") if name == "one" else ("a.py", "b/c.py"):
            path = tmp_path / name / "code" / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(file, encoding="utf-8")
        (tmp_path / name / "code/b/__pycache__").mkdir()
        (tmp_path / name / "code/b/__pycache__/c.pyc").write_bytes(name.encode())
    store = ContentStore()
    store.keep_in(tmp_path / "store")
    one, two = (store.add_folder(tmp_path / name / "code") for name in ("one", "two"))
    assert one == two
    assert not (store.folder(one) / "b/__pycache__").exists()
