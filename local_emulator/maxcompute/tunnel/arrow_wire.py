"""Tunnel's Arrow stream: record batch messages, without a schema message, in chunks with checksums.

The stream starts with the chunk size in 4 bytes. Chunks of this size follow, each with its CRC32C. The last chunk is
shorter, often empty, and has the CRC32C of all data. All numbers are big-endian. The emulator's inner Arrow types have
the layout of PyODPS (datetime as milliseconds, timestamps as nanoseconds) and of the Java SDK (datetime as
Date(MILLISECOND)), so no conversion is needed.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pyarrow as pa
from google_crc32c import extend
from google_crc32c import value as crc32c

from local_emulator.maxcompute.tunnel.errors import corrupted, malformed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

CHUNK_BYTES = 65536  # as in both SDKs
_WORD = 4
_LARGEST_CHUNK = 64 << 20
_BATCH_BYTES = 8 << 20


def decode(body: bytes, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """Yield the record batches of a whole stream, after a check of all checksums.

    ServiceError CorruptedDataStream, or MalformedDataStream if the data isn't batches of the schema.
    """
    data = pa.py_buffer(b"".join(_chunks(body)))
    number = 1
    try:
        for message in pa.ipc.MessageReader.open_stream(data):
            yield _read_batch(message, schema)
            number += 1
    except (pa.ArrowException, OSError, struct.error) as error:
        raise malformed(f"Message {number} isn't a record batch of the table's columns: {error}.") from None


def _read_batch(message: pa.ipc.Message, schema: pa.Schema) -> pa.RecordBatch:
    if message.type != "record batch":
        raise pa.ArrowInvalid(f"it is a {message.type}")
    # Arrow reads the schema's columns, and ignores further columns.
    node_count, expected = _count_nodes(message.metadata), sum(map(_count_fields, schema.types))
    if node_count != expected:
        raise pa.ArrowInvalid(f"it has {node_count} columns and inner fields, not {expected}")
    batch = pa.ipc.read_record_batch(message, schema)
    batch.validate(full=True)
    return batch


def _count_nodes(metadata: pa.Buffer) -> int:
    """Return the number of nodes in a record batch's metadata: Message.header (field 2) and in it nodes (field 1)."""
    data = memoryview(metadata)
    header = _follow(data, struct.unpack_from("<I", data, 0)[0], 2)
    count: int = struct.unpack_from("<I", data, _follow(data, header, 1))[0]
    return count


def _follow(data: memoryview, table: int, field: int) -> int:
    """Return the target of the offset in a field of a flatbuffer's table."""
    names = table - struct.unpack_from("<i", data, table)[0]
    at = table + struct.unpack_from("<H", data, names + 4 + 2 * field)[0]
    target: int = at + struct.unpack_from("<I", data, at)[0]
    return target


def _count_fields(type_: pa.DataType) -> int:
    return 1 + sum(_count_fields(type_.field(index).type) for index in range(type_.num_fields))


def _chunks(body: bytes) -> Iterator[pa.Buffer]:
    """Yield the data of a body's chunks."""
    # A writer without rows writes the end of the stream alone: the checksum of no data, which is 0.
    if body == bytes(_WORD):
        return
    if len(body) < 2 * _WORD:
        raise malformed(f"It has {len(body)} bytes; a chunk size and a checksum take {2 * _WORD}.")
    size = _number(body, 0)
    if not 0 < size <= _LARGEST_CHUNK:
        raise malformed(f"Its chunk size is {size}; expected 1 to {_LARGEST_CHUNK} bytes.")
    # Arrow's buffers, because the C function accepts no memoryview.
    view, at, whole = pa.py_buffer(body), _WORD, 0
    while len(body) - at >= size + _WORD:
        data = view.slice(at, size)
        at += size
        _check(_number(body, at), crc32c(data), f"the chunk before byte {at}")
        at += _WORD
        whole = extend(whole, data)
        yield data
    if len(body) - at < _WORD:
        raise malformed(f"It ends at byte {len(body)} within a chunk; the checksum of all data is expected there.")
    data = view.slice(at, len(body) - _WORD - at)
    _check(_number(body, len(body) - _WORD), extend(whole, data), "all data")
    yield data


def _number(body: bytes, at: int) -> int:
    number: int = struct.unpack_from(">I", body, at)[0]
    return number


def _check(carried: int, expected: int, where: str) -> None:
    if carried != expected:
        raise corrupted(f"The checksum of {where} is {carried}; the data has {expected}.")


def encode(batches: Iterable[pa.RecordBatch]) -> Iterator[bytes]:
    """Yield a whole stream of some batches, in pieces of about 8 MB."""
    yield struct.pack(">I", CHUNK_BYTES)
    whole, rest = 0, b""
    for batch in batches:
        for piece in slices(batch, _BATCH_BYTES):
            data = pa.py_buffer(b"".join((rest, piece.serialize())))
            full = data.size - data.size % CHUNK_BYTES
            framed: list[bytes | pa.Buffer] = []
            for at in range(0, full, CHUNK_BYTES):
                chunk = data.slice(at, CHUNK_BYTES)
                framed += (chunk, struct.pack(">I", crc32c(chunk)))
                whole = extend(whole, chunk)
            rest = data.slice(full).to_pybytes()
            yield b"".join(framed)
    yield rest + struct.pack(">I", extend(whole, rest))


def slices(batch: pa.RecordBatch, most_bytes: int) -> Iterator[pa.RecordBatch]:
    """Yield slices of a batch with at most about ``most_bytes`` bytes, but at least one row."""
    rows = max(1, batch.num_rows * most_bytes // max(1, batch.nbytes))
    for start in range(0, batch.num_rows, rows):
        yield batch.slice(start, rows)
