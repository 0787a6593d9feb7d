"""Tunnel's record stream row by row: for nested types, any order of fields, and the exact reason of a refusal."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeAlias

import pyarrow as pa
from google_crc32c import value as crc32c

from local_emulator.maxcompute.errors import ServiceError
from local_emulator.maxcompute.tunnel.errors import corrupted, malformed
from local_emulator.maxcompute.tunnel.record_columns import (
    BOOLEAN,
    BYTES,
    DECIMAL,
    DOUBLE,
    END_RECORD,
    FLOAT,
    LOW_BITS,
    META_COUNT,
    MORE,
    NANOSECONDS,
    SECONDS,
    SIGNED,
    VARINT,
    form,
    from_raw,
    raw_type,
    tag,
    to_raw,
    varint,
)

if TYPE_CHECKING:
    from local_emulator.maxcompute.entities import Column
    from local_emulator.maxcompute.types import DataType

_MASK_32, _MASK_64 = 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF
_LAST_SHIFT = 63
_END, _COUNT = END_RECORD << 3 | VARINT, META_COUNT << 3 | VARINT
# A reader of values: from data and position to value and next position; appends the checksummed bytes to the list.
_Reader: TypeAlias = Callable[[bytes, int, list[bytes]], tuple[Any, int]]
# A writer of values: appends the stream's bytes to the first list, the checksummed bytes to the second.
_Writer: TypeAlias = Callable[[Any, list[bytes], list[bytes]], None]


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    """Return the varint at a position, and the position behind it; IndexError at the end of the data."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & LOW_BITS) << shift
        if byte < MORE:
            return value & _MASK_64, at
        shift += 7
        if shift > _LAST_SHIFT:
            raise malformed(f"A number at byte {at} has more than 10 bytes.")


def read_rows(data: bytes, at: int, columns: Sequence[Column], most: int) -> tuple[list[pa.Array], list[int], int]:
    """Read up to ``most`` records at a position; return their columns and checksums, and the position behind them.

    ServiceError CorruptedDataStream or MalformedDataStream, with the place of the fault (byte and column).
    """
    readers = [_reader(column.type) for column in columns]
    tags = {_number(tag(index, column.type)): index - 1 for index, column in enumerate(columns, 1)}
    rows: list[list[Any]] = []
    checksums: list[int] = []
    while len(rows) < most:
        number, behind = _before_end(read_varint, data, at)
        if number == _COUNT:
            break
        row: list[Any] = [None] * len(columns)
        seen: set[int] = set()
        covered: list[bytes] = []
        while number != _END:
            index = tags.get(number)
            if index is None or index in seen:
                raise malformed(
                    f"Byte {at}: field {number >> 3} of wire type {number & 7} isn't expected there; "
                    f"the table has {len(columns)} columns."
                )
            seen.add(index)
            covered.append(struct.pack("<i", index + 1))
            row[index], at = _value(readers[index], data, behind, covered, columns[index])
            number, behind = _before_end(read_varint, data, at)
        checksum, at = _before_end(read_checksum, data, behind)
        expected = crc32c(b"".join(covered))
        if checksum != expected:
            raise corrupted(f"The record before byte {at} carries checksum {checksum}; its fields have {expected}.")
        rows.append(row)
        checksums.append(expected)
    return _columns(rows, columns), checksums, at


def _before_end(read: Callable[[bytes, int], tuple[int, int]], data: bytes, at: int) -> tuple[int, int]:
    try:
        return read(data, at)
    except IndexError:
        raise malformed(f"It ends at byte {len(data)} within a record or before the count that ends it.") from None


def read_checksum(data: bytes, at: int) -> tuple[int, int]:
    """Read a checksum in either form (see `varints.low_32_bits`); IndexError at the end of the data."""
    word, at = read_varint(data, at)
    if word >> 31 not in {0, 1, (1 << 33) - 1}:
        raise corrupted(f"The checksum before byte {at} has more than 32 bits.")
    return word & _MASK_32, at


def _number(mark: bytes) -> int:
    return read_varint(mark, 0)[0]


def _value(reader: _Reader, data: bytes, at: int, covered: list[bytes], column: Column) -> tuple[Any, int]:
    try:
        return reader(data, at, covered)
    except (IndexError, struct.error):
        raise malformed(f"It ends at byte {len(data)} within a value of column '{column.name}'.") from None
    except ServiceError as error:
        raise ServiceError(error.status, error.code, f"{error.message} Column '{column.name}'.") from None


def _columns(rows: list[list[Any]], columns: Sequence[Column]) -> list[pa.Array]:
    arrays = []
    for values, column in zip(zip(*rows, strict=True) if rows else ([] for _ in columns), columns, strict=True):
        try:
            raw = pa.array(values, raw_type(column.type))
        except (pa.ArrowException, OverflowError) as error:
            raise malformed(f"Column '{column.name}' of type {column.type}: {error}.") from None
        arrays.append(from_raw(raw, column))
    return arrays


def _reader(type_: DataType) -> _Reader:
    if type_.name == "array":
        return _list_reader(_reader(type_.elements[0]))
    if type_.name == "map":
        return _map_reader(*(_list_reader(_reader(element)) for element in type_.elements))
    if type_.name == "struct":
        return _struct_reader(type_.fields, [_reader(element) for element in type_.elements])
    return _READERS[form(type_)]


def _read_signed(data: bytes, at: int, covered: list[bytes]) -> tuple[int, int]:
    word, at = read_varint(data, at)
    value = (word >> 1) ^ -(word & 1)
    covered.append(struct.pack("<q", value))
    return value, at


def _read_boolean(data: bytes, at: int, covered: list[bytes]) -> tuple[bool, int]:
    word, at = read_varint(data, at)
    if word > 1:
        raise malformed(f"A boolean before byte {at} is {word}; expected 0 or 1.")
    covered.append(bytes([word]))
    return bool(word), at


def _fixed_reader(shape: str, size: int) -> _Reader:
    def read(data: bytes, at: int, covered: list[bytes]) -> tuple[float, int]:
        value = struct.unpack_from(shape, data, at)[0]
        covered.append(data[at : at + size])
        return value, at + size

    return read


def _read_bytes(data: bytes, at: int, covered: list[bytes]) -> tuple[bytes, int]:
    size, at = read_varint(data, at)
    if size > len(data) - at:
        raise IndexError
    value = data[at : at + size]
    covered.append(value)
    return value, at + size


def _read_decimal(data: bytes, at: int, covered: list[bytes]) -> tuple[Decimal, int]:
    text, at = _read_bytes(data, at, covered)
    try:
        value = Decimal(text.decode("ascii"))
    except (ArithmeticError, UnicodeDecodeError):
        value = Decimal("NaN")
    if not value.is_finite():
        raise malformed(f"The {len(text)} bytes before byte {at} aren't a decimal number.")
    return value, at


def _read_seconds(data: bytes, at: int, covered: list[bytes]) -> tuple[int, int]:
    seconds, at = _read_signed(data, at, covered)
    word, at = read_varint(data, at)
    nanos = (word >> 1) ^ -(word & 1)
    if not -NANOSECONDS < nanos < NANOSECONDS:
        raise malformed(f"A timestamp before byte {at} has {nanos} nanoseconds; expected less than a second.")
    covered.append(struct.pack("<i", nanos))
    return seconds * NANOSECONDS + nanos, at


_READERS: dict[str, _Reader] = {
    SIGNED: _read_signed,
    BOOLEAN: _read_boolean,
    FLOAT: _fixed_reader("<f", 4),
    DOUBLE: _fixed_reader("<d", 8),
    BYTES: _read_bytes,
    DECIMAL: _read_decimal,
    SECONDS: _read_seconds,
}


def _list_reader(element: _Reader) -> _Reader:
    def read(data: bytes, at: int, covered: list[bytes]) -> tuple[list[Any], int]:
        size, at = read_varint(data, at)
        if size > len(data) - at:
            raise IndexError
        values: list[Any] = []
        for _ in range(size):
            value, at = _nullable(element, data, at, covered)
            values.append(value)
        return values, at

    return read


def _map_reader(keys: _Reader, values: _Reader) -> _Reader:
    def read(data: bytes, at: int, covered: list[bytes]) -> tuple[list[tuple[Any, Any]], int]:
        key_list, at = keys(data, at, covered)
        value_list, at = values(data, at, covered)
        if len(key_list) != len(value_list) or None in key_list:
            raise malformed(f"A map before byte {at} has keys that are null, or not one value for each key.")
        return list(zip(key_list, value_list, strict=True)), at

    return read


def _struct_reader(names: tuple[str, ...], elements: list[_Reader]) -> _Reader:
    def read(data: bytes, at: int, covered: list[bytes]) -> tuple[dict[str, Any], int]:
        fields = {}
        for name, element in zip(names, elements, strict=True):
            fields[name], at = _nullable(element, data, at, covered)
        return fields, at

    return read


def _nullable(element: _Reader, data: bytes, at: int, covered: list[bytes]) -> tuple[Any, int]:
    is_null, at = read_varint(data, at)
    if is_null > 1:
        raise malformed(f"A mark of null before byte {at} is {is_null}; expected 0 or 1.")
    return (None, at) if is_null else element(data, at, covered)


def write_rows(arrays: Sequence[pa.Array], columns: Sequence[Column], count: int) -> tuple[bytes, list[int]]:
    """Return the records of ``count`` rows as bytes, and the checksum of each record."""
    writers = [(tag(index, c.type), struct.pack("<i", index), _writer(c.type)) for index, c in enumerate(columns, 1)]
    values = [_python_values(array, column.type) for array, column in zip(arrays, columns, strict=True)]
    end = varint(_END)
    written: list[bytes] = []
    checksums: list[int] = []
    for row in zip(*values, strict=True) if values else ((),) * count:
        covered: list[bytes] = []
        for value, (mark, prefix, write) in zip(row, writers, strict=True):
            if value is not None:
                written.append(mark)
                covered.append(prefix)
                write(value, written, covered)
        checksum = crc32c(b"".join(covered))
        written += (end, varint(checksum))
        checksums.append(checksum)
    return b"".join(written), checksums


def _python_values(array: pa.Array, type_: DataType) -> list[Any]:
    values: list[Any] = to_raw(array, type_).to_pylist()
    return values


def _writer(type_: DataType) -> _Writer:
    if type_.name == "array":
        return _list_writer(_writer(type_.elements[0]))
    if type_.name == "map":
        keys, values = (_list_writer(_writer(element)) for element in type_.elements)

        def write_map(pairs: list[tuple[Any, Any]], written: list[bytes], covered: list[bytes]) -> None:
            keys([key for key, _ in pairs], written, covered)
            values([value for _, value in pairs], written, covered)

        return write_map
    if type_.name == "struct":
        fields = list(zip(type_.fields, map(_writer, type_.elements), strict=True))

        def write_struct(value: dict[str, Any], written: list[bytes], covered: list[bytes]) -> None:
            for name, write in fields:
                _write_nullable(write, value[name], written, covered)

        return write_struct
    return _WRITERS[form(type_)]


def _list_writer(element: _Writer) -> _Writer:
    def write(values: list[Any], written: list[bytes], covered: list[bytes]) -> None:
        written.append(varint(len(values)))
        for value in values:
            _write_nullable(element, value, written, covered)

    return write


def _write_nullable(write: _Writer, value: Any, written: list[bytes], covered: list[bytes]) -> None:
    written.append(b"\x01" if value is None else b"\x00")
    if value is not None:
        write(value, written, covered)


def _zigzag(value: int) -> bytes:
    return varint((value << 1 ^ value >> 63) & _MASK_64)


def _write_signed(value: int, written: list[bytes], covered: list[bytes]) -> None:
    written.append(_zigzag(value))
    covered.append(struct.pack("<q", value))


def _write_boolean(value: bool, written: list[bytes], covered: list[bytes]) -> None:
    written.append(bytes([value]))
    covered.append(bytes([value]))


def _fixed_writer(shape: str) -> _Writer:
    def write(value: float, written: list[bytes], covered: list[bytes]) -> None:
        data = struct.pack(shape, value)
        written.append(data)
        covered.append(data)

    return write


def _write_bytes(value: bytes, written: list[bytes], covered: list[bytes]) -> None:
    written += (varint(len(value)), value)
    covered.append(value)


def _write_decimal(value: Decimal, written: list[bytes], covered: list[bytes]) -> None:
    _write_bytes(f"{value:f}".encode("ascii"), written, covered)


def _write_seconds(value: int, written: list[bytes], covered: list[bytes]) -> None:
    seconds, nanos = divmod(value, NANOSECONDS)
    written += (_zigzag(seconds), _zigzag(nanos))
    covered += (struct.pack("<q", seconds), struct.pack("<i", nanos))


_WRITERS: dict[str, _Writer] = {
    SIGNED: _write_signed,
    BOOLEAN: _write_boolean,
    FLOAT: _fixed_writer("<f"),
    DOUBLE: _fixed_writer("<d"),
    BYTES: _write_bytes,
    DECIMAL: _write_decimal,
    SECONDS: _write_seconds,
}
