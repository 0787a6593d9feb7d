"""How each type travels in Tunnel's record stream, and between the wire's values and the emulator's Arrow types.

A column's *raw* array holds what the wire carries: int64 for integers, dates (days) and times (milliseconds for
datetime, nanoseconds for timestamps), bytes for texts and JSON. Arrow's own checked casts lead from there to
the table's types: they refuse numbers out of range, texts that aren't UTF-8 and decimals that don't fit.
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
LOW_BITS, MORE = 0x7F, 0x80  # of a varint's byte: its part of the number, and the mark that another one follows
NANOSECONDS = 1_000_000_000
_BILLION, _ZERO = pa.scalar(NANOSECONDS, pa.int64()), pa.scalar(0, pa.int64())

# How a value is written: signed varint, boolean varint, fixed words, length and bytes, or seconds and nanoseconds.
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
    """How a value of the type is written (the names above)."""
    return _FORM[type_.name]


def tag(index: int, type_: DataType) -> bytes:
    """The varint before a value of the column number ``index``, counted from 1."""
    return varint(index << 3 | _WIRE_TYPE[form(type_)])


def varint(value: int) -> bytes:
    """Protobuf's varint of a number from 0 on."""
    found = bytearray()
    while value >= MORE:
        found.append(value & LOW_BITS | MORE)
        value >>= 7
    found.append(value)
    return bytes(found)


def raw_type(type_: DataType) -> pa.DataType:
    """The Arrow type of what the wire carries."""
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
    """The table's values of a raw array; ServiceError MalformedDataStream if one doesn't fit the column's type."""
    try:
        if column.type.name == "decimal" and pa.types.is_binary(raw.type):
            raw = raw.cast(pa.string())
        return raw.cast(_tree(column.type, _middle)).cast(column.type.arrow_type())
    except pa.ArrowException as error:
        raise malformed(f"Column '{column.name}' of type {column.type}: {error}.") from None


def to_raw(values: pa.Array, type_: DataType) -> pa.Array:
    """The raw array of a table's values."""
    return values.cast(_tree(type_, _middle)).cast(raw_type(type_))


def decimal_texts(values: pa.Array) -> pa.BinaryArray:
    """Decimals as text without an exponent, which Arrow writes for small ones."""
    texts = values.cast(pa.string())
    if pc.any(pc.match_substring(texts, "E")).as_py():
        texts = pa.array([None if value is None else format(value, "f") for value in values.to_pylist()], pa.string())
    return texts.cast(pa.binary())


def split_seconds(nanoseconds: pa.Int64Array) -> tuple[pa.Int64Array, pa.Int64Array]:
    """Whole seconds, rounded down, and the nanoseconds behind them."""
    seconds = pc.divide(nanoseconds, _BILLION)
    borrows = pc.less(pc.subtract(nanoseconds, pc.multiply(seconds, _BILLION)), _ZERO).cast(pa.int64())
    seconds = pc.subtract(seconds, borrows)
    return seconds, pc.subtract(nanoseconds, pc.multiply(seconds, _BILLION))
