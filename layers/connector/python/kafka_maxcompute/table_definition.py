"""The table as it is, read from MaxCompute."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

import msgspec

from kafka_maxcompute.errors import UnavailableError
from kafka_maxcompute.retrying import until
from kafka_maxcompute.table import Column

if TYPE_CHECKING:
    from fc_powertools import Deadline
    from kafka_maxcompute.service import Service


class _Column(msgspec.Struct):
    name: str
    type: str
    nullable: bool = msgspec.field(name="isNullable", default=True)


class _Schema(msgspec.Struct):
    """The JSON document in the answer's element Schema, as far as it's needed."""

    columns: list[_Column]
    partition_columns: list[_Column] = msgspec.field(name="partitionKeys", default_factory=list)


def read(service: Service, table: str, deadline: Deadline) -> tuple[tuple[Column, ...], tuple[Column, ...]]:
    """A table's columns and partition columns; asked again until the deadline where the service can't answer.

    Raises `RefusedError` (such as NoSuchTable) and `UnavailableError`.
    """
    for attempt in until(deadline):
        with attempt:
            answer = service.request("GET", f"/tables/{table}", doing=f"read table {table}", deadline=deadline)
            schema = _schema(answer, table)
    return _columns(schema.columns), _columns(schema.partition_columns)


def _schema(answer: bytes, table: str) -> _Schema:
    try:
        text = ET.fromstring(answer).findtext("Schema") or ""  # noqa: S314 # the service that gets our data
        return msgspec.json.decode(text, type=_Schema)
    except (ET.ParseError, msgspec.DecodeError):
        message = f"could not read table {table}: expected XML with a schema, found {len(answer)} bytes that aren't"
        raise UnavailableError(message) from None


def _columns(found: list[_Column]) -> tuple[Column, ...]:
    return tuple(Column(column.name, column.type.upper(), column.nullable) for column in found)
