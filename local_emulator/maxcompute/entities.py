"""What the service knows of projects, tables and partitions besides their rows; written to the database as JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from local_emulator.maxcompute.types import DataType, parse_type

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_SCHEMA = "default"


@dataclass(frozen=True, slots=True)
class Project:
    """A project; its owner is an account's display name, such as ``ALIYUN$me@example.com``."""

    name: str
    owner: str
    created: datetime
    modified: datetime


@dataclass(frozen=True, slots=True)
class TruncatedTime:
    """``trunc_time(column, 'unit')``: what a partition column is filled with in a table that is AUTO PARTITIONED."""

    column: str
    unit: str

    def __str__(self) -> str:
        """As SQL has it."""
        return f"trunc_time(`{self.column}`, '{self.unit}')"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table; names are kept in lower case, as the service does."""

    name: str
    type: DataType
    comment: str = ""
    nullable: bool = True
    generated: TruncatedTime | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """A table at one moment.

    ``id`` never changes and is never used again, so it tells a table from its successor of the same name.
    ``schema_version`` grows with every change of columns. Times: ``modified`` of rows, ``altered`` of shape.
    ``size`` is in bytes, as the rows were when they came, uncompressed.
    """

    id: str
    project: str
    schema: str
    name: str
    columns: tuple[Column, ...]
    partition_columns: tuple[Column, ...]
    owner: str
    created: datetime
    modified: datetime
    altered: datetime
    comment: str = ""
    lifecycle: int | None = None
    properties: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    primary_key: tuple[str, ...] = ()
    schema_version: int = 0
    size: int = 0

    @property
    def transactional(self) -> bool:
        """Whether it was made with ``'transactional'='true'``."""
        return self.properties.get("transactional", "").lower() == "true"

    def column(self, name: str) -> Column | None:
        """The column of that name, partition columns included, in any case of letters."""
        return next((column for column in self.all_columns if column.name == name.lower()), None)

    @property
    def all_columns(self) -> tuple[Column, ...]:
        """Columns, then partition columns: the order of ``select *``."""
        return self.columns + self.partition_columns

    def arrow_schema(self) -> pa.Schema:
        """The shape of the record batches that hold its rows: the columns without the partition columns."""
        return pa.schema([(column.name, column.type.arrow_type()) for column in self.columns])

    def describe(self, spec: tuple[str, ...]) -> str:
        """A partition's name as REST, SHOW PARTITIONS and messages write it: ``pt=v`` or ``ds=v/region=w``."""
        return "/".join(f"{column.name}={value}" for column, value in zip(self.partition_columns, spec, strict=True))


@dataclass(frozen=True, slots=True)
class Partition:
    """One partition: its values in the order of the table's partition columns, its times and its size."""

    spec: tuple[str, ...]
    created: datetime
    modified: datetime
    altered: datetime
    size: int = 0


def table_to_json(table: Table) -> dict[str, Any]:
    """A table as plain JSON values; `table_from_json` reads it back."""
    return {
        "id": table.id,
        "project": table.project,
        "schema": table.schema,
        "name": table.name,
        "columns": [_column_to_json(column) for column in table.columns],
        "partition_columns": [_column_to_json(column) for column in table.partition_columns],
        "owner": table.owner,
        "created": table.created.isoformat(),
        "modified": table.modified.isoformat(),
        "altered": table.altered.isoformat(),
        "comment": table.comment,
        "lifecycle": table.lifecycle,
        "properties": dict(table.properties),
        "primary_key": list(table.primary_key),
        "schema_version": table.schema_version,
        "size": table.size,
    }


def table_from_json(value: dict[str, Any]) -> Table:
    """The table that `table_to_json` wrote."""
    return Table(
        **{
            **value,
            "columns": tuple(_column_from_json(column) for column in value["columns"]),
            "partition_columns": tuple(_column_from_json(column) for column in value["partition_columns"]),
            "created": datetime.fromisoformat(value["created"]),
            "modified": datetime.fromisoformat(value["modified"]),
            "altered": datetime.fromisoformat(value["altered"]),
            "properties": MappingProxyType(value["properties"]),
            "primary_key": tuple(value["primary_key"]),
        }
    )


def _column_to_json(column: Column) -> dict[str, Any]:
    return {
        "name": column.name,
        "type": str(column.type),
        "comment": column.comment,
        "nullable": column.nullable,
        "generated": asdict(column.generated) if column.generated else None,
    }


def _column_from_json(value: dict[str, Any]) -> Column:
    generated = value.get("generated")
    return Column(
        **{
            **value,
            "type": parse_type(value["type"]),
            "generated": TruncatedTime(**generated) if generated else None,
        }
    )
