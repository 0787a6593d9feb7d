"""Writes row batches as the body of a Tunnel block: Arrow messages in checked chunks, compressed as a whole.

The format, from PyODPS 0.13.2 (odps/tunnel/io/writer.py and reader.py): a 4-byte big-endian chunk size; then the data,
cut into chunks of that size, each followed by its CRC32C; the last chunk, shorter and possibly empty, is followed by
the CRC32C of all data instead. The data are the IPC messages of record batches, with no schema before and no end mark
after them. The header Content-Encoding names the compression.

The body isn't written by PyODPS, because PyODPS's Arrow writers need pandas, spend half of the sink's CPU time on
checksums, and cut compressed streams short (0.13.2). A test reads every body back with PyODPS.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import google_crc32c
import pyarrow as pa
from isal import isal_zlib

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

CHUNK_BYTES = 65_536
"""The size that both of the service's SDKs send."""

ENCODINGS: dict[str, str | None] = {"deflate": "deflate", "lz4": "x-odps-lz4-frame", "zstd": "zstd", "none": None}
"""The setting `compression` to the Content-Encoding of Arrow blocks."""

# Level 1 of isal packs like level 1 of zlib, which every SDK uses, in a quarter of the time.
_DEFLATE_LEVEL = 1


class _Compressor(Protocol):
    def write(self, data: bytes | memoryview) -> object: ...

    def finish(self) -> bytes:
        """Return all written data, compressed."""


def block_body(batches: Iterable[pa.RecordBatch], compression: str) -> bytes:
    """Return the body of a PUT of one block with `arrow` and the Content-Encoding `ENCODINGS[compression]`.

    Batches are read one at a time, so only one of them has to be in memory.
    """
    out = _COMPRESSORS[compression]()
    out.write(CHUNK_BYTES.to_bytes(4, "big"))
    checksum, rest = 0, b""
    for batch in batches:
        data = memoryview(rest + memoryview(batch.serialize()))
        whole = len(data) - len(data) % CHUNK_BYTES
        for start in range(0, whole, CHUNK_BYTES):
            chunk = bytes(data[start : start + CHUNK_BYTES])
            out.write(chunk)
            out.write(google_crc32c.value(chunk).to_bytes(4, "big"))
            checksum = google_crc32c.extend(checksum, chunk)
        rest = bytes(data[whole:])
    checksum = google_crc32c.extend(checksum, rest)
    out.write(rest)
    out.write(checksum.to_bytes(4, "big"))
    return out.finish()


def empty_body(encoding: str | None) -> bytes:
    """Return the body of a block without rows, with a Content-Encoding of `ENCODINGS`."""
    return next(block_body([], compression) for compression, known in ENCODINGS.items() if known == encoding)


class _Plain:
    """No compression."""

    def __init__(self) -> None:
        self._parts: list[bytes | memoryview] = []
        self.write = self._parts.append

    def finish(self) -> bytes:
        return b"".join(self._parts)


class _Deflate:
    """The zlib container, written by Intel's library."""

    def __init__(self) -> None:
        self._packer = isal_zlib.compressobj(_DEFLATE_LEVEL)
        self._parts: list[bytes] = []

    def write(self, data: bytes | memoryview) -> None:
        self._parts.append(self._packer.compress(data))

    def finish(self) -> bytes:
        return b"".join((*self._parts, self._packer.flush()))


class _Framed:
    """An LZ4 or Zstandard frame, written by pyarrow's codecs."""

    def __init__(self, codec: str) -> None:
        self._sink = pa.BufferOutputStream()
        self._packer = pa.CompressedOutputStream(self._sink, codec)
        self.write = self._packer.write

    def finish(self) -> bytes:
        self._packer.close()
        return self._sink.getvalue().to_pybytes()  # type: ignore[no-any-return] # pyarrow has no types


_COMPRESSORS: dict[str, Callable[[], _Compressor]] = {
    "deflate": _Deflate,
    "lz4": lambda: _Framed("lz4"),
    "zstd": lambda: _Framed("zstd"),
    "none": _Plain,
}
