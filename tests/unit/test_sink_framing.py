"""framing: block bodies are what PyODPS's own reader reads back, whatever their size and compression."""

from __future__ import annotations

import io
import zlib
from typing import Any

import google_crc32c
import pyarrow as pa
import pytest
from odps.models import TableSchema
from odps.tunnel.io.reader import TunnelArrowReader

from maxcompute_sink.framing import CHUNK_BYTES, ENCODINGS, block_body

pytestmark = pytest.mark.quick

SCHEMA = pa.schema([("topic", pa.utf8()), ("offset", pa.int64()), ("value", pa.binary())])
ODPS_SCHEMA = TableSchema.from_lists(["topic", "offset", "value"], ["string", "bigint", "binary"])


def batch(rows: list[tuple[Any, ...]]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([dict(zip(SCHEMA.names, row, strict=True)) for row in rows], SCHEMA)


def unpacked(body: bytes | pa.Buffer, compression: str) -> bytes:
    """The framed stream by another decompressor than the one that packed it."""
    if compression == "none":
        return bytes(body)
    if compression == "deflate":
        return zlib.decompress(body)
    return pa.input_stream(pa.py_buffer(body), compression=compression).read()  # type: ignore[no-any-return] # pyarrow has no types


def read(stream: bytes) -> list[tuple[Any, ...]]:
    reader = TunnelArrowReader(ODPS_SCHEMA, lambda _: io.BytesIO(stream))
    table = reader.read()
    return [] if table is None else [tuple(row.values()) for row in table.to_pylist()]


ROWS: list[tuple[Any, ...]] = [("orders", 1, b"\x00\xff"), ("订单", None, None), ("", 2**63 - 1, b"")]


@pytest.mark.parametrize("compression", list(ENCODINGS))
@pytest.mark.parametrize("sizes", [(1,), (3, 1, 2), (CHUNK_BYTES, 5), (200_000,), (70_000, 130_000, 1)])
def test_pyodps_reads_back_what_was_framed(compression: str, sizes: tuple[int, ...]) -> None:
    batches = [[*ROWS, ("t", number, bytes([number]) * size)] for number, size in enumerate(sizes)]
    body = block_body((batch(rows) for rows in batches), compression)
    assert read(unpacked(body, compression)) == [row for rows in batches for row in rows]


def test_a_stream_that_ends_with_a_whole_chunk_has_an_empty_last_one() -> None:
    """The reader knows the last chunk by its being shorter."""
    fill = next(
        size
        for size in range(CHUNK_BYTES - 2048, CHUNK_BYTES)
        if len(batch([("t", 0, b"x" * size)]).serialize()) == CHUNK_BYTES
    )
    row = ("t", 0, b"x" * fill)
    stream = bytes(block_body([batch([row])], "none"))
    assert len(stream) == 4 + CHUNK_BYTES + 4 + 4
    assert read(stream) == [row]


def test_no_batches_make_an_empty_stream() -> None:
    assert bytes(block_body([], "none")) == CHUNK_BYTES.to_bytes(4, "big") + bytes(4)


@pytest.mark.parametrize("position", [4, 100, CHUNK_BYTES + 6, -5, -1])
def test_pyodps_finds_any_changed_byte(position: int) -> None:
    stream = bytearray(block_body([batch([("t", 0, b"x" * 100_000)])], "none"))
    stream[position] ^= 1
    with pytest.raises(Exception, match="Checksum invalid"):
        read(bytes(stream))


def test_checksums_are_made_by_the_processor() -> None:
    assert google_crc32c.implementation == "c"
