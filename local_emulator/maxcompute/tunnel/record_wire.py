"""Tunnel's record stream: records like protobuf's, each with a checksum, then their count and a checksum of checksums.

Arrow's kernels process windows of some megabytes (record_kernels). Tables with nested types, and windows with unusual
data, are read row by row (record_rows). PyODPS's compiled reader is no alternative: with the conversion to columns it
takes 2.9 microseconds for a record of 5 columns (measured), needs pandas for timestamps, and accepts a stream without
an end. As PyODPS also writes the clients' bodies, its reader would not detect its writer's faults.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import pyarrow as pa
from google_crc32c import extend

from local_emulator.maxcompute.tunnel.arrow_wire import slices
from local_emulator.maxcompute.tunnel.errors import corrupted, malformed
from local_emulator.maxcompute.tunnel.record_columns import (
    META_CHECKSUM,
    META_COUNT,
    NESTED,
    VARINT,
    form,
    varint,
)
from local_emulator.maxcompute.tunnel.record_kernels import END_TAG, read_window, write_window
from local_emulator.maxcompute.tunnel.record_rows import read_checksum, read_rows, read_varint, write_rows
from local_emulator.maxcompute.tunnel.varints import IrregularError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from local_emulator.maxcompute.entities import Column

# Small enough for the processor's cache, and large enough to divide the cost of a kernel's call by thousands of rows.
_WINDOW_BYTES = 2 << 20
_ROWS_AT_A_TIME = 4096
_COUNT_TAG, _CHECKSUM_TAG = varint(META_COUNT << 3 | VARINT), varint(META_CHECKSUM << 3 | VARINT)


def decode(body: bytes, columns: Sequence[Column]) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a whole stream in the table's Arrow types; they are valid only if the last batch is reached.

    ServiceError MalformedDataStream or CorruptedDataStream.
    """
    schema = pa.schema([(column.name, column.type.arrow_type()) for column in columns])
    regular = not any(form(column.type) == NESTED for column in columns)
    at = count = checksum = 0
    while not body.startswith(_COUNT_TAG, at):
        arrays, checksums, at = _next_records(body, at, columns, regular=regular)
        if not len(checksums):
            raise malformed(f"Byte {at}: the count of records is expected there, as varint with a tag of 4 bytes.")
        count += len(checksums)
        checksum = extend(checksum, _bytes(checksums))
        yield pa.RecordBatch.from_arrays(arrays, schema=schema) if arrays else _empty(schema, len(checksums))
    _check_end(body, at + len(_COUNT_TAG), count, checksum)


def _next_records(
    body: bytes, at: int, columns: Sequence[Column], *, regular: bool
) -> tuple[list[pa.Array], pa.UInt32Array, int]:
    """Return the columns and checksums of some records, and the position behind them."""
    window = _window(body, at) if regular else b""
    if window:
        with suppress(IrregularError):
            return *read_window(window, columns), at + len(window)
    arrays, checksums, at = read_rows(body, at, columns, _ROWS_AT_A_TIME)
    return arrays, pa.array(checksums, pa.uint32()), at


def _window(body: bytes, at: int) -> bytes:
    """Return whole records from a position on; empty if the first record doesn't end within a window."""
    last = body.rfind(END_TAG, at, at + _WINDOW_BYTES)
    if last < 0:
        return b""
    try:
        _, end = read_varint(body, last + len(END_TAG))
    except IndexError:
        return b""
    return body[at:end]


def _check_end(body: bytes, at: int, count: int, checksum: int) -> None:
    try:
        word, at = read_varint(body, at)
        marked = body.startswith(_CHECKSUM_TAG, at)
        carried, at = read_checksum(body, at + len(_CHECKSUM_TAG)) if marked else (0, at)
    except IndexError:
        raise malformed(f"It ends at byte {len(body)} within its last two fields.") from None
    if not marked:
        raise malformed(f"Byte {at}: the checksum of checksums is expected behind the count.")
    stated = (word >> 1) ^ -(word & 1)
    if stated != count:
        raise malformed(f"It says that it has {stated} records; {count} were found.")
    if carried != checksum:
        raise corrupted(f"Its checksum of checksums is {carried}; the records have {checksum}.")
    if at != len(body):
        raise malformed(f"It goes on behind its end: {len(body) - at} bytes more.")


def _bytes(checksums: pa.UInt32Array) -> bytes:
    data: bytes = checksums.buffers()[1].slice(4 * checksums.offset, 4 * len(checksums)).to_pybytes()
    return data


def _empty(schema: pa.Schema, count: int) -> pa.RecordBatch:
    if count:
        raise malformed(f"It has {count} records; the table has no columns to hold them.")
    return pa.RecordBatch.from_pylist([], schema=schema)


def encode(batches: Iterable[pa.RecordBatch], columns: Sequence[Column]) -> Iterator[bytes]:
    """Yield a whole stream of the rows of some batches, in pieces of some megabytes."""
    regular = not any(form(column.type) == NESTED for column in columns)
    count = checksum = 0
    for batch in batches:
        for piece in slices(batch, _WINDOW_BYTES):
            if regular:
                data, checksums = write_window(piece.columns, columns, piece.num_rows)
            else:
                data, row_checksums = write_rows(piece.columns, columns, piece.num_rows)
                checksums = pa.array(row_checksums, pa.uint32())
            count += piece.num_rows
            checksum = extend(checksum, _bytes(checksums))
            yield data
    yield _COUNT_TAG + varint(count << 1) + _CHECKSUM_TAG + varint(checksum)
