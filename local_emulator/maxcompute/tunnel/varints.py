"""Protobuf's variable-length integers, for many rows at once, with Arrow's compute kernels.

A Python call for each value would cost more than the network; a kernel costs some nanoseconds for each row. Constants
are made once, because the conversion of a Python number into an Arrow scalar costs as much as a kernel over a thousand
rows. Words are read as little-endian bytes, which is the order of all machines with wheels of pyarrow.
"""

from __future__ import annotations

from functools import lru_cache

import pyarrow as pa
import pyarrow.compute as pc
from google_crc32c import value as crc32c

MOST_BYTES = 10
WORD_BITS, PAYLOAD_BITS, _WORD_BYTES = 64, 7, 8
_WORD_BYTES_ONLY = 1 << 56  # the first value whose varint is longer than a word
_U8, _U64, _I64 = pa.uint8(), pa.uint64(), pa.int64()
_LOW_BITS, _MORE = pa.scalar(0x7F, _U8), pa.scalar(0x80, _U8)
_LOW_WORD, _MORE_WORD = pa.scalar(0x7F, _U64), pa.scalar(0x80, _U64)
_ONE, _ZERO = pa.scalar(1, _I64), pa.scalar(0, _I64)
_ONE_WORD, _ZERO_WORD = pa.scalar(1, _U64), pa.scalar(0, _U64)
_OFFSET_BITS, _WORD_SIZE = pa.scalar(32, _I64), pa.scalar(8, _I64)
_SHIFT = [pa.scalar(bits, _U64) for bits in range(WORD_BITS)]
_LIMIT = [pa.scalar(1 << (PAYLOAD_BITS * count), _U64) for count in range(MOST_BYTES)]
_LOW_32, _LOW_33 = pa.scalar((1 << 32) - 1, _U64), pa.scalar((1 << 33) - 1, _U64)


class IrregularError(Exception):
    """The rows can't be read column by column; reading them row by row finds the reason."""


def read(
    data: pa.UInt8Array, at: pa.Int64Array, wanted: pa.BooleanArray | None
) -> tuple[pa.UInt64Array, pa.Int64Array]:
    """Return the varints at some positions, and the positions behind them.

    ``wanted`` selects the rows that have a varint (None: all); the results of the other rows have no meaning. ``data``
    has 10 bytes behind each position.
    """
    byte = pc.take(data, at, boundscheck=False)
    value = pc.bit_wise_and(byte, _LOW_BITS).cast(_U64)
    more = pc.greater_equal(byte, _MORE)
    if wanted is not None:
        more = pc.and_(more, wanted)
    at = pc.add(at, _ONE)
    for count in range(1, MOST_BYTES + 1):
        if not pc.any(more).as_py():
            return value, at
        if count == MOST_BYTES:
            break
        byte = pc.take(data, at, boundscheck=False)
        part = pc.shift_left(pc.bit_wise_and(byte, _LOW_BITS).cast(_U64), _SHIFT[PAYLOAD_BITS * count])
        value = pc.if_else(more, pc.bit_wise_or(value, part), value)
        at = pc.add(at, more.cast(_I64))
        more = pc.and_(more, pc.greater_equal(byte, _MORE))
    raise IrregularError


def read_fixed(data: pa.UInt8Array, at: pa.Int64Array, size: int) -> pa.UInt64Array:
    """Return the little-endian words of ``size`` bytes at some positions."""
    value = None
    for count in range(size):
        part = pc.shift_left(pc.take(data, at, boundscheck=False).cast(_U64), _SHIFT[8 * count])
        value = part if value is None else pc.bit_wise_or(value, part)
        at = pc.add(at, _ONE)
    return value


def unzigzag(words: pa.UInt64Array) -> pa.Int64Array:
    """Return signed numbers from protobuf's zigzag form."""
    sign = pc.subtract(_ZERO, pc.bit_wise_and(words, _ONE_WORD).view(_I64))
    return pc.bit_wise_xor(pc.shift_right(words, _ONE_WORD).view(_I64), sign)


def zigzag(values: pa.Int64Array) -> pa.UInt64Array:
    """Return protobuf's zigzag form of signed numbers."""
    words = values.view(_U64)
    sign = pc.subtract(_ZERO, pc.shift_right(words, _SHIFT[63]).view(_I64)).view(_U64)
    return pc.bit_wise_xor(pc.shift_left(words, _ONE_WORD), sign)


def write(words: pa.UInt64Array) -> pa.BinaryArray:
    """Return the varints of words; the varint of a null is null."""
    if len(words) == words.null_count:
        return pa.nulls(len(words), pa.binary())
    valid = words.is_valid() if words.null_count else None
    words = words.fill_null(_ZERO_WORD)
    largest = pc.max(words).as_py()
    count = min(MOST_BYTES, max(1, -(-largest.bit_length() // PAYLOAD_BITS)))
    packed, size = pc.bit_wise_and(words, _LOW_WORD), pc.add(pc.multiply(words.view(_I64), _ZERO), _ONE)
    for index in range(1, min(count, _WORD_BYTES) + 1):
        reaches = pc.greater_equal(words, _LIMIT[index]).cast(_U64)
        mark = pc.multiply(reaches, pc.shift_left(_MORE_WORD, _SHIFT[8 * (index - 1)]))
        packed = pc.bit_wise_or(packed, mark)
        if index == _WORD_BYTES:
            break
        part = pc.bit_wise_and(pc.shift_right(words, _SHIFT[PAYLOAD_BITS * index]), _LOW_WORD)
        packed = pc.bit_wise_or(packed, pc.shift_left(part, _SHIFT[8 * index]))
        size = pc.add(size, reaches.view(_I64))
    encoded = word_slices(packed, size)
    if largest >= _WORD_BYTES_ONLY:
        encoded = pc.binary_join_element_wise(encoded, _last_bytes(words), b"")
    return encoded if valid is None else pc.if_else(valid, encoded, pa.scalar(None, pa.binary()))


def _last_bytes(words: pa.UInt64Array) -> pa.BinaryArray:
    """Return the bytes 9 and 10 of the words' varints; empty for shorter varints."""
    ninth = pc.shift_right(words, _SHIFT[56])
    tenth = pc.shift_right(words, _SHIFT[63])
    low = pc.bit_wise_or(pc.bit_wise_and(ninth, _LOW_WORD), pc.shift_left(tenth, _SHIFT[7]))
    packed = pc.bit_wise_or(low, pc.shift_left(tenth, _SHIFT[8]))
    size = pc.add(pc.greater(ninth, _ZERO_WORD).cast(_I64), tenth.view(_I64))
    return word_slices(packed, size)


def word_slices(words: pa.Array, size: pa.Int64Array) -> pa.BinaryArray:
    """Return the first ``size`` bytes of each 8-byte word."""
    start = pc.multiply(pa.arange(0, len(words), 1), _WORD_SIZE)
    return slices(words.buffers()[1].slice(8 * words.offset), start, pc.add(start, size))


def slices(data: pa.Buffer, start: pa.Int64Array, stop: pa.Int64Array) -> pa.BinaryArray:
    """Return the pieces of ``data`` (below 2 GiB) from ``start`` to ``stop``, which never decrease from row to row.

    The alternating starts and stops, of 32 bits each, are the offsets of an array of pieces and gaps; every second
    element is a piece.
    """
    count = len(start)
    if not count:
        return pa.array([], pa.binary())
    pairs = pc.bit_wise_or(start, pc.shift_left(stop, _OFFSET_BITS))
    offsets = pa.concat_arrays([pairs, stop.slice(count - 1)]).buffers()[1]
    pieces_and_gaps = pa.Array.from_buffers(pa.binary(), 2 * count, [None, offsets, data])
    return pc.take(pieces_and_gaps, _evens(_rounded_up(count)).slice(0, count), boundscheck=False)


def _rounded_up(count: int) -> int:
    return 1 << max(0, count - 1).bit_length()


@lru_cache(maxsize=24)
def _evens(count: int) -> pa.Int64Array:
    return pa.arange(0, 2 * count, 2)


def raw_bytes(values: pa.Array, width: int) -> pa.BinaryArray:
    """Return the little-endian bytes of fixed-width numbers; the bytes of a null are null."""
    validity, data = values.buffers()
    fixed = pa.Array.from_buffers(pa.binary(width), len(values), [validity, data], offset=values.offset)
    return fixed.cast(pa.binary())


def low_32_bits(words: pa.UInt64Array) -> pa.UInt32Array:
    """Return checksums of 32 bits; PyODPS's compiled writer sends checksums from 2^31 on with 32 additional 1 bits.

    IrregularError if the upper 32 bits have any other value.
    """
    high = pc.shift_right(words, _SHIFT[31])
    plain = pc.less_equal(high, _ONE_WORD)
    if not pc.all(pc.or_(plain, pc.equal(high, _LOW_33))).as_py():
        raise IrregularError
    return pc.bit_wise_and(words, _LOW_32).cast(pa.uint32())


def checksums(pieces: pa.BinaryArray) -> pa.UInt32Array:
    """Return the CRC32C of each piece; the pieces have no nulls."""
    _, offsets_buffer, data_buffer = pieces.buffers()
    if not len(pieces) or data_buffer is None:
        return pa.array([0] * len(pieces), pa.uint32())
    offsets = pa.Array.from_buffers(
        pa.int32(), len(pieces) + 1, [None, offsets_buffer], offset=pieces.offset
    ).to_pylist()
    data = data_buffer.to_pybytes()
    return pa.array(list(map(crc32c, map(data.__getitem__, map(slice, offsets[:-1], offsets[1:])))), pa.uint32())
