"""Rows as the service's CSV: the body of ``?result``, and of a table's ``?data`` preview."""

from __future__ import annotations

from ctypes import c_float
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from local_emulator.maxcompute.calendar_range import local_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import tzinfo
    from decimal import Decimal

    from local_emulator.maxcompute.entities import Column
    from local_emulator.maxcompute.types import DataType

NULL = "\\N"
_TEXTS = frozenset({"string", "varchar", "char", "json", "binary"})
_NANOSECONDS = 1_000_000_000


def csv_text(columns: Sequence[Column], rows: pa.Table, zone: tzinfo) -> str:
    r"""Return a header and a line for each row: texts in double quotes, NULL as ``\N``, times in a zone."""
    header = ",".join(_quoted(column.name) for column in columns)
    formats = [_format(column.type, zone) for column in columns]
    values = [_plain(column) for column in rows.columns]
    lines = (
        ",".join(NULL if value is None else form(value) for value, form in zip(row, formats, strict=True))
        for row in zip(*values, strict=True)
    )
    return "\n".join([header, *lines]) + "\n"


def _plain(column: pa.ChunkedArray) -> list[Any]:
    """Return Python's values, with times as integers in UTC, also inside other values.

    Python's own times have no nanoseconds, and can't show the first and last hours of the calendar in every zone.
    """
    return list(column.cast(_counted(column.type)).to_pylist())


def _counted(type_: pa.DataType) -> pa.DataType:
    if pa.types.is_timestamp(type_):
        return pa.int64()
    if pa.types.is_map(type_):
        return pa.map_(_counted(type_.key_type), _counted(type_.item_type))
    if pa.types.is_list(type_):
        return pa.list_(_counted(type_.value_type))
    if pa.types.is_struct(type_):
        return pa.struct([(type_.field(n).name, _counted(type_.field(n).type)) for n in range(type_.num_fields)])
    return type_


def _format(type_: DataType, zone: tzinfo) -> Callable[[Any], str]:
    if type_.elements:
        return lambda value: _quoted(_inner(value, type_, zone))
    if type_.name in _TEXTS:
        return lambda value: _quoted(_scalar(value, type_, zone))
    return lambda value: _scalar(value, type_, zone)


def _scalar(value: Any, type_: DataType, zone: tzinfo) -> str:
    if type_.name == "datetime":
        return local_text(value // 1_000, zone)
    if type_.name in ("timestamp", "timestamp_ntz"):
        return _nanoseconds(value, zone if type_.name == "timestamp" else None)
    return _SCALARS.get(type_.name, str)(value)


def _boolean_text(value: bool) -> str:
    return "true" if value else "false"


def _binary_text(value: bytes) -> str:
    """Return bytes as the service's client shows them: other bytes than printable ASCII as =XX."""
    return "".join(chr(byte) if 0x20 <= byte < 0x7F and byte != 0x3D else f"={byte:02X}" for byte in value)  # noqa: PLR2004


def _float_text(value: float) -> str:
    """Return the shortest text that is this value among the FLOATs, as a CAST to STRING gives."""
    texts = (float(f"{value:.{digits}g}") for digits in range(1, 10))
    return repr(next((text for text in texts if c_float(text).value == value), value))


def decimal_text(value: Decimal) -> str:
    """Return a decimal's text without zeros at the end."""
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


_SCALARS: Mapping[str, Callable[[Any], str]] = MappingProxyType(
    {"boolean": _boolean_text, "decimal": decimal_text, "float": _float_text, "binary": _binary_text}
)


def _nanoseconds(value: int, zone: tzinfo | None) -> str:
    seconds, nanoseconds = divmod(value, _NANOSECONDS)
    text = local_text(seconds, zone)
    return text if not nanoseconds else f"{text}.{nanoseconds:09d}".rstrip("0")


def _inner(value: Any, type_: DataType, zone: tzinfo) -> str:
    if value is None:
        return NULL
    if type_.name == "array":
        return _array(value, type_, zone)
    if type_.name == "map":
        return _map(value, type_, zone)
    if type_.name == "struct":
        return _struct(value, type_, zone)
    text = _scalar(value, type_, zone)
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"' if type_.name in _TEXTS else text


def _array(value: Sequence[Any], type_: DataType, zone: tzinfo) -> str:
    return "[" + ", ".join(_inner(item, type_.elements[0], zone) for item in value) + "]"


def _map(value: Sequence[tuple[Any, Any]], type_: DataType, zone: tzinfo) -> str:
    key, item = type_.elements
    return "{" + ", ".join(f"{_inner(k, key, zone)}:{_inner(v, item, zone)}" for k, v in value) + "}"


def _struct(value: dict[str, Any], type_: DataType, zone: tzinfo) -> str:
    pairs = zip(type_.fields, type_.elements, strict=True)
    return "{" + ", ".join(f"{name}:{_inner(value[name], inner, zone)}" for name, inner in pairs) + "}"


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'
