"""The Arrow stream: chunks, their checksums, and what is refused with which code."""

from __future__ import annotations

import struct

import pyarrow as pa
import pytest
from google_crc32c import value as crc32c

from local_emulator.maxcompute.errors import ServiceError
from local_emulator.maxcompute.tunnel import arrow_wire

pytestmark = pytest.mark.quick

SCHEMA = pa.schema([("name", pa.string()), ("number", pa.int64())])
ROWS = pa.RecordBatch.from_pylist([{"name": "a", "number": 1}, {"name": None, "number": 2}], schema=SCHEMA)
DATA = ROWS.serialize().to_pybytes()


def framed(data: bytes, size: int) -> bytes:
    """A body as the facts describe it: a second implementation, one chunk after the other."""
    body = struct.pack(">I", size)
    for at in range(0, len(data) - size + 1, size):
        body += data[at : at + size] + struct.pack(">I", crc32c(data[at : at + size]))
    return body + data[len(data) - len(data) % size :] + struct.pack(">I", crc32c(data))


def refusal(body: bytes, schema: pa.Schema = SCHEMA) -> ServiceError:
    with pytest.raises(ServiceError) as caught:
        list(arrow_wire.decode(body, schema))
    assert caught.value.status == 400
    return caught.value


@pytest.mark.parametrize("size", [1, 7, 64, len(DATA), len(DATA) - 1, len(DATA) + 1, 65536])
def test_any_chunk_size_is_read(size: int) -> None:
    assert list(arrow_wire.decode(framed(DATA * 2, size), SCHEMA)) == [ROWS, ROWS]


def test_chunks_are_written_as_they_are_described() -> None:
    assert b"".join(arrow_wire.encode([ROWS])) == framed(DATA, arrow_wire.CHUNK_BYTES)
    long = pa.RecordBatch.from_pylist([{"name": "x" * 200_000, "number": 1}], schema=SCHEMA)
    assert b"".join(arrow_wire.encode([long])) == framed(long.serialize().to_pybytes(), arrow_wire.CHUNK_BYTES)


@pytest.mark.parametrize("body", [bytes(4), framed(b"", 65536)])
def test_a_stream_without_rows_is_read_in_both_spellings(body: bytes) -> None:
    assert list(arrow_wire.decode(body, SCHEMA)) == []


@pytest.mark.parametrize("cut", [1, 4, 5, 64, 100])
def test_a_stream_cut_short_is_refused(cut: int) -> None:
    assert refusal(framed(DATA, 64)[:-cut]).code in {"CorruptedDataStream", "MalformedDataStream"}


@pytest.mark.parametrize("body", [b"", b"\0", bytes(5), struct.pack(">II", 1 << 31, 0)])
def test_what_is_no_stream_is_malformed(body: bytes) -> None:
    assert refusal(body).code == "MalformedDataStream"


def test_a_wrong_byte_in_a_chunk_is_told_before_the_rows_are_read() -> None:
    body = bytearray(framed(DATA, 64))
    body[30] ^= 1
    assert refusal(bytes(body)).code == "CorruptedDataStream"


def test_a_wrong_checksum_of_all_data_is_corrupted() -> None:
    body = framed(DATA, 64)
    assert refusal(body[:-1] + bytes([body[-1] ^ 1])).code == "CorruptedDataStream"


def test_bytes_behind_the_end_are_refused() -> None:
    assert refusal(framed(DATA, 64) + b"\0\0\0\0").code in {"CorruptedDataStream", "MalformedDataStream"}


@pytest.mark.parametrize(
    "other",
    [[("name", pa.string())], [("name", pa.int64()), ("number", pa.string())], [*SCHEMA, ("more", pa.string())]],
)
def test_batches_of_another_shape_are_malformed(other: list[pa.Field]) -> None:
    assert refusal(framed(DATA, 65536), pa.schema(other)).code == "MalformedDataStream"


def test_texts_that_arent_utf8_are_malformed() -> None:
    rows = pa.RecordBatch.from_arrays([pa.array([b"\xff"]), pa.array([1], pa.int64())], names=SCHEMA.names)
    assert refusal(framed(rows.serialize().to_pybytes(), 65536)).code == "MalformedDataStream"
