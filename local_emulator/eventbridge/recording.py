"""Recordings: deliveries of event streams as files of JSON lines, in gzip if the name ends in .gz; and lone batches.

The first line names the format; each other line is a `RecordedDelivery`. A lone batch is the JSON array of one
invocation.
"""

from __future__ import annotations

import gzip
import itertools
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import IO, TYPE_CHECKING

import msgspec

from local_emulator.eventbridge import elements
from local_emulator.eventbridge.deliveries import RecordedDelivery
from local_emulator.eventbridge.errors import RecordingError
from local_emulator.eventbridge.window import BODY_BYTES
from local_emulator.foundation.json_text import obstacle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

FORMAT, VERSION = "kafka-maxcompute deliveries", 1
LINE_BYTES = 2 * BODY_BYTES + 1024 * 1024
"""The longest line: the largest batch as JSON text, in which each quote is escaped, and the reply."""
MOST_BYTES = 4 * 1024**3
"""The most that is read of a file, uncompressed: a small file of gzip can hold any amount."""


class Header(msgspec.Struct, frozen=True):
    """The first line of a recording."""

    format: str
    version: int
    created: datetime


@dataclass(frozen=True, slots=True)
class _Source:
    """An open file and its name for messages."""

    path: Path
    file: IO[bytes]

    def lines(self) -> Iterator[tuple[int, bytes]]:
        """Yield the lines with their numbers from 1 on; RecordingError beyond the limits."""
        size = number = 0
        while line := self._readline(number + 1):
            number += 1
            size += len(line)
            if len(line) > LINE_BYTES:
                raise RecordingError(f"{self.path} line {number}: expected at most {LINE_BYTES:,} bytes, found more")
            if size > MOST_BYTES:
                raise RecordingError(f"{self.path}: expected at most {MOST_BYTES:,} bytes uncompressed, found more")
            yield number, line

    def _readline(self, number: int) -> bytes:
        try:
            return self.file.readline(LINE_BYTES + 1)
        except EOFError as error:
            raise RecordingError(
                f"{self.path} line {number}: the gzip file is cut off; record or copy it again"
            ) from error
        except (zlib.error, gzip.BadGzipFile) as error:
            raise RecordingError(
                f"{self.path} line {number}: expected gzip, as the name's end says, found other or damaged data"
            ) from error


@contextmanager
def writer(path: Path) -> Iterator[Callable[[RecordedDelivery], None]]:
    """Yield a function that writes a delivery; the file is complete at the end, and appears only then.

    Raises RecordingError if the file can't be written.
    """
    scratch = _scratch(path)
    try:
        with gzip.open(scratch, "wb") if path.suffix == ".gz" else scratch.open("wb") as file:
            encode = msgspec.json.Encoder().encode
            file.write(encode(Header(FORMAT, VERSION, datetime.now(timezone.utc))) + b"\n")

            def write_one(delivery: RecordedDelivery) -> None:
                file.write(encode(delivery) + b"\n")

            try:
                yield write_one
            finally:
                file.close()
                scratch.replace(path)
    except (OSError, ValueError) as error:
        raise _unwritable(path, error) from error


def write(path: Path, body: bytes) -> None:
    """Write a lone batch; a reader never sees half a file. Raises RecordingError if this isn't possible."""
    try:
        scratch = _scratch(path)
        scratch.write_bytes(body)
        scratch.replace(path)
    except (OSError, ValueError) as error:
        raise _unwritable(path, error) from error


def read(path: Path) -> Iterator[RecordedDelivery]:
    """Yield the deliveries of a recording, or a lone batch as a delivery without an outcome (number 0, status 0).

    Raises RecordingError if the file is neither, is damaged, or exceeds the limits.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            yield from _deliveries(_Source(path, file))  # type: ignore[arg-type] # GzipFile reads bytes, too
    except OSError as error:
        raise RecordingError(f"{path} can't be read: {error.strerror or error}") from error


def _deliveries(source: _Source) -> Iterator[RecordedDelivery]:
    lines = source.lines()
    _, first = next(lines, (1, b""))
    try:
        header = msgspec.json.decode(first, type=Header)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        yield _lone(source.path, _joined(source.path, first, lines))
        return
    if (header.format, header.version) != (FORMAT, VERSION):
        raise RecordingError(
            f"{source.path}: expected the format {FORMAT!r}, version {VERSION}; "
            f"found {header.format!r:.60}, version {header.version}"
        )
    for number, line in lines:
        yield _delivery(source.path, number, line)


def _delivery(path: Path, number: int, line: bytes) -> RecordedDelivery:
    try:
        return msgspec.json.decode(line, type=RecordedDelivery)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        end = "" if line.endswith(b"\n") else "; the line isn't whole"
        found = obstacle(line) or f"{error}{end}"
        raise RecordingError(f"{path} line {number}: expected a delivery, found: {found}") from error


def _joined(path: Path, first: bytes, lines: Iterator[tuple[int, bytes]]) -> bytes:
    """Return the lines of a lone batch as one."""
    body = bytearray()
    for line in itertools.chain([first], (line for _, line in lines)):
        body += line
        if len(body) > BODY_BYTES:
            raise RecordingError(f"{path}: expected a batch of at most {BODY_BYTES:,} bytes, found more")
    return bytes(body)


def _lone(path: Path, body: bytes) -> RecordedDelivery:
    """Return a lone batch as a delivery."""
    expected = f"{path} holds no batch, which is a JSON array of events, and no recording"
    if found := "an empty file" if not body else obstacle(body):
        raise RecordingError(f"{expected}, found {found}")
    try:
        events = elements.split(body)
        text = body.decode()
    except RecursionError:
        raise RecordingError(f"{expected}: it nests too deeply to be read") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RecordingError(f"{expected}: {error}") from error
    batch = elements.batch(events)
    now = datetime.now(timezone.utc)
    return RecordedDelivery(number=0, time=now, events=batch.count, records=batch.records, body=text)


def _scratch(path: Path) -> Path:
    if not path.name:
        raise RecordingError(f"expected the name of a file, found {str(path)!r}, which is a folder")
    return path.with_name(f"{path.name}.part")


def _unwritable(path: Path, error: Exception) -> RecordingError:
    return RecordingError(f"{path} can't be written: {error}; name a file in a folder that's there")
