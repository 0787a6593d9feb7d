"""The form of each type in Tunnel's record stream, and the conversion from the stream's values to Arrow types.

A column's *raw* array holds the stream's values: int64 for integers, dates (days) and times (milliseconds for
datetime, nanoseconds for timestamps), bytes for texts and JSON. Arrow's checked casts convert raw arrays to the
table's types; they refuse numbers out of range, texts that aren't UTF-8 and decimals that don't fit.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from local_emulator.maxcompute.tunnel.errors import malformed

if TYPE_CHECKING:
    from collections.abc import Callable

    from local_emulator.maxcompute.entities import Column
    from local_emulator.maxcompute.types import DataType

VARINT, FIXED_64, DELIMITED, FIXED_32 = 0, 1, 2, 5
END_RECORD, META_COUNT, META_CHECKSUM = 33553408, 33554430, 33554431
LOW_BITS, MORE = 0x7F, 0x80  # a varint's byte: the bits of the number, and the bit that says another byte follows
NANOSECONDS = 1_000_000_000
_BILLION, _ZERO = pa.scalar(NANOSECONDS, pa.int64()), pa.scalar(0, pa.int64())

# The forms of values: signed varint, boolean varint, fixed words, seconds and nanoseconds, or length and bytes.
SIGNED, BOOLEAN, FLOAT, DOUBLE, SECONDS = "signed", "boolean", "float", "double", "seconds"
BYTES, DECIMAL, NESTED = "bytes", "decimal", "nested"
_FORM = MappingProxyType(
    {
        **dict.fromkeys(("tinyint", "smallint", "int", "bigint", "date", "datetime"), SIGNED),
        **dict.fromkeys(("string", "char", "varchar", "binary", "json"), BYTES),
        **dict.fromkeys(("timestamp", "timestamp_ntz"), SECONDS),
        **dict.fromkeys(("array", "map", "struct"), NESTED),
        "boolean": BOOLEAN,
        "decimal": DECIMAL,
        "float": FLOAT,
        "double": DOUBLE,
    }
)
_WIRE_TYPE = MappingProxyType(
    {
        SIGNED: VARINT,
        BOOLEAN: VARINT,
        FLOAT: FIXED_32,
        DOUBLE: FIXED_64,
        BYTES: DELIMITED,
        DECIMAL: DELIMITED,
        SECONDS: DELIMITED,
        NESTED: DELIMITED,
    }
)
_RAW = MappingProxyType(
    {
        SIGNED: pa.int64(),
        BOOLEAN: pa.bool_(),
        FLOAT: pa.float32(),
        DOUBLE: pa.float64(),
        BYTES: pa.binary(),
        SECONDS: pa.int64(),
    }
)


def form(type_: DataType) -> str:
    """Return the form of a type's values, a name from above."""
    return _FORM[type_.name]


def tag(index: int, type_: DataType) -> bytes:
    """Return the varint before a value of the column number ``index``, counted from 1."""
    return varint(index << 3 | _WIRE_TYPE[form(type_)])


def varint(value: int) -> bytes:
    """Return protobuf's varint of a number that isn't negative."""
    data = bytearray()
    while value >= MORE:
        data.append(value & LOW_BITS | MORE)
        value >>= 7
    data.append(value)
    return bytes(data)


def raw_type(type_: DataType) -> pa.DataType:
    """Return the Arrow type of a type's raw array."""
    return _tree(type_, lambda leaf: _RAW.get(form(leaf)) or leaf.arrow_type())


def _tree(type_: DataType, leaf: Callable[[DataType], pa.DataType]) -> pa.DataType:
    if type_.name == "array":
        return pa.list_(_tree(type_.elements[0], leaf))
    if type_.name == "map":
        return pa.map_(*(_tree(element, leaf) for element in type_.elements))
    if type_.name == "struct":
        inner = (_tree(element, leaf) for element in type_.elements)
        return pa.struct(list(zip(type_.fields, inner, strict=True)))
    return leaf(type_)


def _middle(leaf: DataType) -> pa.DataType:
    # Arrow has no cast between int64 and date32.
    return pa.int32() if leaf.name == "date" else leaf.arrow_type()


def from_raw(raw: pa.Array, column: Column) -> pa.Array:
    """Convert a raw array to the column's type; ServiceError MalformedDataStream if a value doesn't fit the type."""
    try:
        if column.type.name == "decimal" and pa.types.is_binary(raw.type):
            raw = raw.cast(pa.string())
        return raw.cast(_tree(column.type, _middle)).cast(column.type.arrow_type())
    except pa.ArrowException as error:
        raise malformed(f"Column '{column.name}' of type {column.type}: {error}.") from None


def to_raw(values: pa.Array, type_: DataType) -> pa.Array:
    """Convert a column's values to a raw array."""
    return values.cast(_tree(type_, _middle)).cast(raw_type(type_))


def decimal_texts(values: pa.Array) -> pa.BinaryArray:
    """Return decimals as text without an exponent, which Arrow writes for small numbers."""
    texts = values.cast(pa.string())
    if pc.any(pc.match_substring(texts, "E")).as_py():
        texts = pa.array([None if value is None else format(value, "f") for value in values.to_pylist()], pa.string())
    return texts.cast(pa.binary())


def split_seconds(nanoseconds: pa.Int64Array) -> tuple[pa.Int64Array, pa.Int64Array]:
    """Split nanoseconds into whole seconds, rounded down, and the remaining nanoseconds."""
    seconds = pc.divide(nanoseconds, _BILLION)
    borrows = pc.less(pc.subtract(nanoseconds, pc.multiply(seconds, _BILLION)), _ZERO).cast(pa.int64())
    seconds = pc.subtract(seconds, borrows)
    return seconds, pc.subtract(nanoseconds, pc.multiply(seconds, _BILLION))
