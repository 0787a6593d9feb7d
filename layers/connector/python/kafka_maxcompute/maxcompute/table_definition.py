"""Reads the definition of a table from MaxCompute."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, TypeVar

import msgspec

from kafka_maxcompute.errors import UnavailableError
from kafka_maxcompute.maxcompute.column import Column
from kafka_maxcompute.maxcompute.table import TableDefinition
from kafka_maxcompute.retrying import until

if TYPE_CHECKING:
    from fc_powertools import Deadline
    from kafka_maxcompute.maxcompute.service import Service

_Shape = TypeVar("_Shape")


class _Column(msgspec.Struct):
    name: str
    type: str
    nullable: bool = msgspec.field(name="isNullable", default=True)


class _Schema(msgspec.Struct):
    """The JSON document in the answer's element Schema, as far as it's needed."""

    columns: list[_Column]
    partition_columns: list[_Column] = msgspec.field(name="partitionKeys", default_factory=list)


class _Extended(msgspec.Struct):
    """The element Schema in the answer to `extended`; `reserved` is the text of another JSON document."""

    reserved: str = msgspec.field(name="Reserved", default="")


class _Reserved(msgspec.Struct):
    """The document in Reserved, as far as it's needed (PyODPS 0.13.2, odps/models/table.py)."""

    primary_key: list[str] | None = msgspec.field(name="PrimaryKey", default=None)


def look(service: Service, table: str, deadline: Deadline) -> TableDefinition:
    """Return the definition of a table; asks again until the deadline if the service can't answer.

    Raises `RefusedError` (such as NoSuchTable) and `UnavailableError`.
    """
    path, doing = f"/tables/{table}", f"read table {table}"
    for attempt in until(deadline):
        with attempt:
            answer = service.request("GET", path, doing=doing, deadline=deadline)
            document, schema = _parsed(answer, _Schema, doing)
            answer = service.request("GET", path, params={"extended": ""}, doing=doing, deadline=deadline)
            _, extended = _parsed(answer, _Extended, doing)
    return TableDefinition(
        _columns(schema.columns),
        _columns(schema.partition_columns),
        _milliseconds(document.findtext("CreationTime") or ""),
        _primary_key(extended, doing),
    )


def _parsed(answer: bytes, shape: type[_Shape], doing: str) -> tuple[ET.Element, _Shape]:
    """Return the XML of an answer about a table, and the JSON document in its element Schema."""
    try:
        document = ET.fromstring(answer)  # noqa: S314 # the service that gets our data
        return document, msgspec.json.decode(document.findtext("Schema") or "", type=shape)
    except (ET.ParseError, msgspec.DecodeError):
        message = f"could not {doing}: expected XML with a schema, found {len(answer)} bytes of another form"
        raise UnavailableError(message) from None


def _primary_key(extended: _Extended, doing: str) -> tuple[str, ...]:
    try:
        return tuple(msgspec.json.decode(extended.reserved or "{}", type=_Reserved).primary_key or ())
    except msgspec.DecodeError:
        text = f"{len(extended.reserved)} characters of another form"
        raise UnavailableError(f"could not {doing}: expected a JSON document in Reserved, found {text}") from None


def _milliseconds(time: str) -> int | None:
    """Return a time of HTTP, such as "Tue, 17 Nov 2020 06:20:00 GMT", in epoch milliseconds; None for another text."""
    try:
        return round(parsedate_to_datetime(time).timestamp() * 1_000)
    except ValueError:
        return None


def _columns(columns: list[_Column]) -> tuple[Column, ...]:
    return tuple(Column(column.name, column.type.upper(), column.nullable) for column in columns)
