"""The table as it is, read from MaxCompute."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
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


@dataclass(frozen=True, slots=True)
class TableDefinition:
    """A table's columns, its partition columns, and when it was made: epoch milliseconds, None where it isn't told."""

    columns: tuple[Column, ...]
    partition_columns: tuple[Column, ...]
    created: int | None


def read(service: Service, table: str, deadline: Deadline) -> tuple[tuple[Column, ...], tuple[Column, ...]]:
    """A table's columns and partition columns; raises as `look` does."""
    found = look(service, table, deadline)
    return found.columns, found.partition_columns


def look(service: Service, table: str, deadline: Deadline) -> TableDefinition:
    """A table as it is now; asked again until the deadline where the service can't answer.

    Raises `RefusedError` (such as NoSuchTable) and `UnavailableError`.
    """
    for attempt in until(deadline):
        with attempt:
            answer = service.request("GET", f"/tables/{table}", doing=f"read table {table}", deadline=deadline)
            found = _definition(answer, table)
    return found


def _definition(answer: bytes, table: str) -> TableDefinition:
    try:
        document = ET.fromstring(answer)  # noqa: S314 # the service that gets our data
        schema = msgspec.json.decode(document.findtext("Schema") or "", type=_Schema)
    except (ET.ParseError, msgspec.DecodeError):
        message = f"could not read table {table}: expected XML with a schema, found {len(answer)} bytes that aren't"
        raise UnavailableError(message) from None
    created = _milliseconds(document.findtext("CreationTime") or "")
    return TableDefinition(_columns(schema.columns), _columns(schema.partition_columns), created)


def _milliseconds(time: str) -> int | None:
    """A time of HTTP, such as "Tue, 17 Nov 2020 06:20:00 GMT", in epoch milliseconds; None where it's none."""
    try:
        return round(parsedate_to_datetime(time).timestamp() * 1_000)
    except ValueError:
        return None


def _columns(found: list[_Column]) -> tuple[Column, ...]:
    return tuple(Column(column.name, column.type.upper(), column.nullable) for column in found)
