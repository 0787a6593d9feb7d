"""Batches as files: the JSON array of one invocation, byte for byte, to read and to replay."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import msgspec

from local_emulator.eventbridge.errors import RecordingError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from local_emulator.eventbridge.window import Batch


def recorder(folder: Path) -> Callable[[Batch], None]:
    """Return a function that writes each batch into a file, named by number, topic-partition and first offset."""
    numbers = itertools.count(1)
    folder.mkdir(parents=True, exist_ok=True)

    def write_next(batch: Batch) -> None:
        (topic, partition), (first, _) = min(batch.ranges.items())
        write(folder / f"{next(numbers):06d}-{topic}-{partition}-{first}.json", batch)

    return write_next


def write(path: Path, batch: Batch) -> None:
    """Write a batch into a file; a reader never sees half a file. Raises RecordingError if this isn't possible."""
    if not path.name:
        raise RecordingError(f"expected the name of a file, found {str(path)!r}, which is a folder")
    try:
        scratch = path.with_name(f"{path.stem}.part")
        scratch.write_bytes(batch.body)
        scratch.replace(path)
    except (OSError, ValueError) as error:
        raise RecordingError(f"{path} can't be written: {error}; name a file in a folder that's there") from error


def count(body: bytes) -> int:
    """Return the number of elements of a batch, which can be of any type."""
    return len(msgspec.json.decode(body, type=list[msgspec.Raw]))


def read(path: Path) -> bytes:
    """Read a batch from a file; raises RecordingError if the file isn't a JSON array."""
    try:
        body = path.read_bytes()
        msgspec.json.decode(body, type=list[msgspec.Raw])
    except OSError as error:
        raise RecordingError(f"{path} can't be read: {error.strerror}") from error
    except RecursionError:
        raise RecordingError(f"{path} holds no batch, but JSON that nests too deeply to be read") from None
    except msgspec.DecodeError as error:
        raise RecordingError(f"{path} holds no batch, which is a JSON array of events: {error}") from error
    return body
