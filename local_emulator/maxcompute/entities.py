"""Projects, tables and partitions without their rows. A table is stored in the database as JSON."""

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
    """``trunc_time(column, 'unit')``: the expression that fills a partition column of an AUTO PARTITIONED table."""

    column: str
    unit: str

    def __str__(self) -> str:
        """Return the expression in SQL."""
        return f"trunc_time(`{self.column}`, '{self.unit}')"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table; its name is in lower case, as on the service."""

    name: str
    type: DataType
    comment: str = ""
    nullable: bool = True
    generated: TruncatedTime | None = None


@dataclass(frozen=True, slots=True)
class View:
    """What a view shows: a query, and how its names were read when the view was created.

    Attributes:
        text: the SELECT statement, as written.
        project: the project of names without a project.
        schema: the schema of names without a schema.
        settings: the settings that change the meaning of names.
        outputs: the names of the query's columns at that time. The view's own columns may have other names.
    """

    text: str
    project: str
    schema: str
    settings: Mapping[str, str]
    outputs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """The state of a table or view at one moment.

    ``id`` never changes and is never used again, so it distinguishes a table from a later table of the same name.
    ``schema_version`` grows with every change of columns. ``modified`` is the time of the last change of rows,
    ``altered`` that of the last change of the definition. ``size`` counts the uncompressed bytes that were written,
    ``files`` the files of rows. A view is a table with a ``view`` and without rows.
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
    files: int = 0
    view: View | None = None

    @property
    def transactional(self) -> bool:
        """Whether the table was created with ``'transactional'='true'``."""
        return self.properties.get("transactional", "").lower() == "true"

    def column(self, name: str) -> Column | None:
        """Return the column of this name (in any case), or None; partition columns are included."""
        return next((column for column in self.all_columns if column.name == name.lower()), None)

    @property
    def all_columns(self) -> tuple[Column, ...]:
        """The columns, then the partition columns: the order of ``select *``."""
        return self.columns + self.partition_columns

    def arrow_schema(self) -> pa.Schema:
        """Return the schema of the record batches that hold the rows: the columns without the partition columns."""
        return pa.schema([(column.name, column.type.arrow_type()) for column in self.columns])

    def describe(self, spec: tuple[str, ...]) -> str:
        """Return a partition's name as in REST, SHOW PARTITIONS and messages: ``pt=v`` or ``ds=v/region=w``."""
        return "/".join(f"{column.name}={value}" for column, value in zip(self.partition_columns, spec, strict=True))


@dataclass(frozen=True, slots=True)
class Partition:
    """One partition; ``spec`` holds its values in the order of the table's partition columns."""

    spec: tuple[str, ...]
    created: datetime
    modified: datetime
    altered: datetime
    size: int = 0


def table_to_json(table: Table) -> dict[str, Any]:
    """Return a table as plain JSON values, which `table_from_json` reads."""
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
        "files": table.files,
        "view": _view_to_json(table.view) if table.view else None,
    }


def table_from_json(value: dict[str, Any]) -> Table:
    """Return the table that `table_to_json` wrote."""
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
            "view": _view_from_json(value["view"]) if value.get("view") else None,
        }
    )


def _view_to_json(view: View) -> dict[str, Any]:
    return {
        "text": view.text,
        "project": view.project,
        "schema": view.schema,
        "settings": dict(view.settings),
        "outputs": list(view.outputs),
    }


def _view_from_json(value: dict[str, Any]) -> View:
    return View(**{**value, "settings": MappingProxyType(value["settings"]), "outputs": tuple(value["outputs"])})


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
