"""Tunnel's record stream in bulk: from a window of records to columns and back, for tables without nested types.

All records of a window are read together, column by column, each at its own position. If a record doesn't end exactly
at its end tag, IrregularError leaves the window to the reader of single rows.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from local_emulator.maxcompute.tunnel import varints
from local_emulator.maxcompute.tunnel.record_columns import (
    BOOLEAN,
    BYTES,
    DECIMAL,
    DOUBLE,
    END_RECORD,
    FLOAT,
    NANOSECONDS,
    SECONDS,
    SIGNED,
    VARINT,
    decimal_texts,
    form,
    from_raw,
    split_seconds,
    tag,
    to_raw,
    varint,
)
from local_emulator.maxcompute.tunnel.varints import IrregularError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from local_emulator.maxcompute.entities import Column

END_TAG = varint(END_RECORD << 3 | VARINT)
# Behind a record's last position, a kernel may read a tag, a length and two varints that don't exist.
PADDING = bytes(32)
_I64, _U64 = pa.int64(), pa.uint64()
_TAG_SIZE = pa.scalar(len(END_TAG), _I64)
_BILLION, _ZERO, _ONE = pa.scalar(NANOSECONDS, _I64), pa.scalar(0, _I64), pa.scalar(1, _I64)
_NO_BYTES, _NOTHING = pa.scalar(None, pa.binary()), pa.scalar(b"", pa.binary())
# A column's raw values, the bytes that its checksums cover, and the positions behind it.
_Read: TypeAlias = tuple[pa.Array, list[pa.Array], pa.Int64Array]
# A column's bytes, and the bytes that its checksums cover.
_Written: TypeAlias = tuple[list[pa.Array], list[pa.Array]]


def read_window(window: bytes, columns: Sequence[Column]) -> tuple[list[pa.Array], pa.UInt32Array]:
    """Return the columns and the verified checksums of a window's records; the window ends behind a record's checksum.

    IrregularError if the records differ from those of all known writers, or if a checksum is wrong.
    """
    buffer = pa.py_buffer(window + PADDING)
    data = pa.Array.from_buffers(pa.uint8(), len(window) + len(PADDING), [None, buffer])
    start, stop, expected = _boundaries(window, data)
    raws: list[pa.Array | None] = []
    pieces: list[pa.Array | pa.Scalar] = []
    at = start
    for index, column in enumerate(columns, 1):
        has, at = _tagged(data, at, tag(index, column.type))
        if has is not None and not pc.any(has).as_py():
            raws.append(None)
            continue
        raw, checked, after = _READ[form(column.type)](data, buffer, at, has)
        prefix = pa.scalar(struct.pack("<i", index), pa.binary())
        if has is None:
            pieces += [prefix, *checked]
            at = after
        else:
            pieces += [pc.if_else(has, piece, _NO_BYTES) for piece in (prefix, *checked)]
            raw = pc.if_else(has, raw, pa.scalar(None, raw.type))
            at = pc.if_else(has, after, at)
        if not pc.all(pc.less_equal(at, stop)).as_py():
            raise IrregularError
        raws.append(raw)
    if not at.equals(stop) or not varints.checksums(_joined(pieces, len(stop))).equals(expected):
        raise IrregularError
    arrays = [
        pa.nulls(len(stop), column.type.arrow_type()) if raw is None else from_raw(raw, column)
        for raw, column in zip(raws, columns, strict=True)
    ]
    return arrays, expected


def _boundaries(window: bytes, data: pa.UInt8Array) -> tuple[pa.Int64Array, pa.Int64Array, pa.UInt32Array]:
    """Return the start of each record, the position of its end tag, and its checksum."""
    offsets = pa.py_buffer(struct.pack("<qq", 0, len(window)))
    whole = pa.Array.from_buffers(pa.large_binary(), 1, [None, offsets, data.buffers()[1]])
    sizes = pc.binary_length(pc.split_pattern(whole, END_TAG).values)
    ends = pc.cumulative_sum(pc.add(sizes, _TAG_SIZE)).cast(_I64)
    ends = ends.slice(0, len(ends) - 1)
    words, after = varints.read(data, ends, None)
    start = pa.concat_arrays([pa.array([0], _I64), after.slice(0, len(after) - 1)])
    if not len(after) or after[-1].as_py() != len(window):
        raise IrregularError
    return start, pc.subtract(ends, _TAG_SIZE), varints.low_32_bits(words)


def _tagged(data: pa.UInt8Array, at: pa.Int64Array, mark: bytes) -> tuple[pa.BooleanArray | None, pa.Int64Array]:
    """Return which records have the tag at their position (None: all), and the positions behind the tag."""
    matching = None
    for byte in mark:
        same = pc.equal(pc.take(data, at, boundscheck=False), pa.scalar(byte, pa.uint8()))
        matching = same if matching is None else pc.and_(matching, same)
        at = pc.add(at, _ONE)
    if pc.all(matching).as_py():
        return None, at
    return matching, pc.if_else(matching, at, pc.subtract(at, pa.scalar(len(mark), _I64)))


def _joined(pieces: list[pa.Array | pa.Scalar], count: int) -> pa.BinaryArray:
    """Return the joined pieces of each row, without nulls."""
    if not any(isinstance(piece, pa.Array) for piece in pieces):
        return pa.array([b"".join(piece.as_py() for piece in pieces)] * count, pa.binary())
    # Arrow omits a row whose pieces are all null, so each row gets empty pieces, too.
    return pc.binary_join_element_wise(_NOTHING, *pieces, _NOTHING, null_handling="skip")


def _read_signed(data: pa.Array, _: pa.Buffer, at: pa.Array, has: pa.Array | None) -> _Read:
    words, after = varints.read(data, at, has)
    raw = varints.unzigzag(words)
    return raw, [varints.raw_bytes(raw, 8)], after


def _read_boolean(data: pa.Array, _: pa.Buffer, at: pa.Array, has: pa.Array | None) -> _Read:
    words, after = varints.read(data, at, has)
    wrong = pc.greater(words, pa.scalar(1, _U64))
    if pc.any(wrong if has is None else pc.and_(wrong, has)).as_py():
        raise IrregularError
    return words.cast(pa.bool_()), [varints.raw_bytes(words.cast(pa.uint8(), safe=False), 1)], after


def _read_float(data: pa.Array, _: pa.Buffer, at: pa.Array, __: pa.Array | None) -> _Read:
    words = varints.read_fixed(data, at, 4).cast(pa.uint32())
    return words.view(pa.float32()), [varints.raw_bytes(words, 4)], pc.add(at, pa.scalar(4, _I64))


def _read_double(data: pa.Array, _: pa.Buffer, at: pa.Array, __: pa.Array | None) -> _Read:
    words = varints.read_fixed(data, at, 8)
    return words.view(pa.float64()), [varints.raw_bytes(words, 8)], pc.add(at, pa.scalar(8, _I64))


def _read_bytes(data: pa.Array, buffer: pa.Buffer, at: pa.Array, has: pa.Array | None) -> _Read:
    words, start = varints.read(data, at, has)
    if has is not None:
        words = pc.if_else(has, words, pa.scalar(0, _U64))
        start = pc.if_else(has, start, at)
    if pc.max(words).as_py() > len(data):
        raise IrregularError
    after = pc.add(start, words.view(_I64))
    if pc.any(pc.greater(after.slice(0, len(after) - 1), at.slice(1))).as_py() or after[-1].as_py() > len(data):
        raise IrregularError
    raw = varints.slices(buffer, start, after)
    return raw, [raw], after


def _read_seconds(data: pa.Array, _: pa.Buffer, at: pa.Array, has: pa.Array | None) -> _Read:
    second_words, middle = varints.read(data, at, has)
    nano_words, after = varints.read(data, middle, has)
    seconds, nanos = varints.unzigzag(second_words), varints.unzigzag(nano_words)
    if has is not None:
        seconds, nanos = pc.if_else(has, seconds, _ZERO), pc.if_else(has, nanos, _ZERO)
    try:
        nanos_32 = nanos.cast(pa.int32())
        raw = pc.add_checked(pc.multiply_checked(seconds, _BILLION), nanos)
    except pa.ArrowInvalid:
        raise IrregularError from None
    return raw, [varints.raw_bytes(seconds, 8), varints.raw_bytes(nanos_32, 4)], after


_READ = {
    SIGNED: _read_signed,
    BOOLEAN: _read_boolean,
    FLOAT: _read_float,
    DOUBLE: _read_double,
    BYTES: _read_bytes,
    DECIMAL: _read_bytes,
    SECONDS: _read_seconds,
}


def write_window(arrays: Sequence[pa.Array], columns: Sequence[Column], count: int) -> tuple[bytes, pa.UInt32Array]:
    """Return the records of ``count`` rows as bytes, and the checksum of each record."""
    written: list[pa.Array | pa.Scalar] = []
    checked: list[pa.Array | pa.Scalar] = []
    for index, (values, column) in enumerate(zip(arrays, columns, strict=True), 1):
        if values.null_count == count:
            continue
        payload, sums = _WRITE[form(column.type)](to_raw(values, column.type))
        mark, prefix = tag(index, column.type), struct.pack("<i", index)
        valid = values.is_valid() if values.null_count else None
        written += [_where(valid, mark), *payload]
        checked += [_where(valid, prefix), *sums]
    checksums = varints.checksums(_joined(checked, count))
    records = _joined([*written, pa.scalar(END_TAG, pa.binary()), varints.write(checksums.cast(_U64))], count)
    _, offsets, data = records.buffers()
    last = struct.unpack_from("<i", offsets, 4 * (records.offset + count))[0]
    return data.slice(0, last).to_pybytes(), checksums


def _where(valid: pa.BooleanArray | None, mark: bytes) -> pa.Array | pa.Scalar:
    scalar = pa.scalar(mark, pa.binary())
    return scalar if valid is None else pc.if_else(valid, scalar, _NO_BYTES)


def _write_signed(raw: pa.Array) -> _Written:
    return [varints.write(varints.zigzag(raw))], [varints.raw_bytes(raw, 8)]


def _write_boolean(raw: pa.Array) -> _Written:
    byte = varints.raw_bytes(raw.cast(pa.uint8()), 1)
    return [byte], [byte]


def _write_float(raw: pa.Array) -> _Written:
    data = varints.raw_bytes(raw, 4)
    return [data], [data]


def _write_double(raw: pa.Array) -> _Written:
    data = varints.raw_bytes(raw, 8)
    return [data], [data]


def _write_bytes(raw: pa.Array) -> _Written:
    return [varints.write(pc.binary_length(raw).cast(_U64)), raw], [raw]


def _write_seconds(raw: pa.Array) -> _Written:
    seconds, nanos = split_seconds(raw)
    payload = [varints.write(varints.zigzag(seconds)), varints.write(varints.zigzag(nanos))]
    return payload, [varints.raw_bytes(seconds, 8), varints.raw_bytes(nanos.cast(pa.int32()), 4)]


_WRITE = {
    SIGNED: _write_signed,
    BOOLEAN: _write_boolean,
    FLOAT: _write_float,
    DOUBLE: _write_double,
    BYTES: _write_bytes,
    DECIMAL: lambda raw: _write_bytes(decimal_texts(raw)),
    SECONDS: _write_seconds,
}
