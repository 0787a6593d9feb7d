"""Hypothesis strategies for tables of any MaxCompute type, and their rows as record batches."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from hypothesis import strategies as st

from local_emulator.maxcompute.entities import Column
from local_emulator.maxcompute.types import DataType, simple

if TYPE_CHECKING:
    from collections.abc import Sequence

_WHOLE = {"tinyint": 8, "smallint": 16, "int": 32, "bigint": 64}
# Days and times that Arrow can hold in its types: dates of the years 1 to 9999, nanoseconds of 1678 to 2261.
_DAYS = st.integers(-719_162, 2_932_896)
_MILLISECONDS = st.integers(-62_135_596_800_000, 253_402_300_799_999)
_NANOSECONDS = st.integers(-(1 << 63) + 1_000_000_000, (1 << 63) - 1)
# Now and then the bytes that end a record, which a reader must not take for an end within a value.
_END = b"\x80\xc0\xff\x7f"
_BYTES = st.one_of(st.binary(max_size=40), st.just(_END), st.binary(max_size=4).map(lambda some: some + _END + some))
_TEXT = st.one_of(st.text(max_size=30), st.just("中文 ✓"))

_PLAIN = "tinyint smallint int bigint float double boolean string binary json date datetime timestamp timestamp_ntz"
FLAT = st.one_of(
    st.sampled_from(_PLAIN.split()).map(simple),
    st.tuples(st.integers(1, 38), st.integers(0, 18))
    .filter(lambda pair: pair[0] >= pair[1])
    .map(lambda pair: DataType("decimal", pair)),
    st.integers(1, 65535).map(lambda most: DataType("varchar", (most,))),
)
KEYS = st.sampled_from(["string", "bigint", "int", "boolean", "date"]).map(simple)


def _nested(inner: st.SearchStrategy[DataType]) -> st.SearchStrategy[DataType]:
    structs = st.lists(inner, min_size=1, max_size=3).map(
        lambda found: DataType("struct", elements=tuple(found), fields=tuple("abc"[: len(found)]))
    )
    return st.one_of(
        inner.map(lambda element: DataType("array", elements=(element,))),
        st.tuples(KEYS, inner).map(lambda pair: DataType("map", elements=pair)),
        structs,
    )


ANY = st.recursive(FLAT, _nested, max_leaves=4)


def values(type_: DataType) -> st.SearchStrategy[Any]:
    """Values as `array_of` takes them: integers for dates and times, pairs for maps, dicts for structs."""
    name = type_.name
    if name in _WHOLE:
        bits = _WHOLE[name]
        return st.one_of(st.integers(-(1 << bits - 1), (1 << bits - 1) - 1), st.integers(-100, 100))
    if name == "decimal":
        precision, scale = type_.arguments
        return st.integers(-(10**precision) + 1, 10**precision - 1).map(lambda number: _decimal(number, scale))
    if name == "array":
        return st.lists(st.none() | values(type_.elements[0]), max_size=4)
    if name == "map":
        key, item = type_.elements
        return st.dictionaries(values(key), st.none() | values(item), max_size=4).map(lambda found: list(found.items()))
    if name == "struct":
        return st.fixed_dictionaries(
            {field: st.none() | values(element) for field, element in zip(type_.fields, type_.elements, strict=True)}
        )
    return _SCALARS[name]


_SCALARS: dict[str, st.SearchStrategy[Any]] = {
    "float": st.floats(width=32, allow_nan=False),
    "double": st.floats(allow_nan=False),
    "boolean": st.booleans(),
    "string": _TEXT,
    "varchar": st.text(max_size=1),
    "json": st.sampled_from(['{"a": 1}', "[]", '"中"']),
    "binary": _BYTES,
    "date": _DAYS,
    "datetime": _MILLISECONDS,
    "timestamp": _NANOSECONDS,
    "timestamp_ntz": _NANOSECONDS,
}


def _decimal(number: int, scale: int) -> Decimal:
    return Decimal((int(number < 0), tuple(map(int, str(abs(number)))), -scale))


def array_of(found: Sequence[Any], type_: DataType) -> pa.Array:
    """A column of such values in the emulator's Arrow type."""
    return pa.array(found, _raw(type_, dates=pa.int32())).cast(type_.arrow_type())


def _raw(type_: DataType, dates: pa.DataType) -> pa.DataType:
    if type_.name == "array":
        return pa.list_(_raw(type_.elements[0], dates))
    if type_.name == "map":
        return pa.map_(*(_raw(element, dates) for element in type_.elements))
    if type_.name == "struct":
        inner = [_raw(element, dates) for element in type_.elements]
        return pa.struct(list(zip(type_.fields, inner, strict=True)))
    special = {"date": dates, "datetime": pa.int64(), "timestamp": pa.int64()}
    return {**special, "timestamp_ntz": pa.int64()}.get(type_.name) or type_.arrow_type()


@st.composite
def tables(
    draw: st.DrawFn, types: st.SearchStrategy[DataType] = ANY, most_rows: int = 30
) -> tuple[tuple[Column, ...], pa.RecordBatch]:
    """Some columns and a batch of rows, with nulls."""
    found = draw(st.lists(types, min_size=1, max_size=5))
    columns = tuple(Column(f"c{index}", type_) for index, type_ in enumerate(found))
    count = draw(st.integers(0, most_rows))
    arrays = [
        array_of(draw(st.lists(st.none() | values(column.type), min_size=count, max_size=count)), column.type)
        for column in columns
    ]
    return columns, pa.RecordBatch.from_arrays(arrays, names=[column.name for column in columns])
