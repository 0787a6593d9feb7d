"""The blocks of upload sessions as files: decoded at their arrival, and read by the commit without a copy.

A block is written under a temporary name first, so that it exists whole or not at all. If blocks outlive the emulator,
a block is on the disk before its request is answered.
"""

from __future__ import annotations

import os
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Block:
    """A block that was received as a whole."""

    path: Path


def write_block(path: Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch], *, durable: bool) -> Block:
    """Write a block's rows into a file with a temporary name; remove the file if ``batches`` raises."""
    part = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
    try:
        with part.open("wb", buffering=0) as file:
            with pa.ipc.new_stream(pa.PythonFile(file, "w"), schema) as writer:
                for batch in batches:
                    writer.write_batch(batch)
            if durable:
                os.fsync(file.fileno())
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    return Block(part)


def keep_block(block: Block, path: Path, *, durable: bool) -> Block:
    """Give a written block its name, and replace an older block."""
    block.path.replace(path)
    if durable:
        sync_directory(path.parent)
    return Block(path)


def read_block(path: Path) -> Iterator[pa.RecordBatch]:
    """Yield a block's rows from the mapped file, without a copy."""
    with pa.memory_map(str(path)) as source, pa.ipc.open_stream(source) as reader:
        yield from reader


def sync_directory(path: Path) -> None:
    """Sync a directory, so that its files' names last."""
    directory = os.open(path, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
