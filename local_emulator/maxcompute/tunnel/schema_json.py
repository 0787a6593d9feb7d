"""A table's columns in a session's JSON, for PyODPS (isNullable) and the Java SDK (nullable, column_id)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from local_emulator.maxcompute.entities import Column, Table


def table_schema(table: Table) -> dict[str, Any]:
    """Return the ``Schema`` of a session on a table."""
    return {
        "columns": columns_json(table.columns),
        "partitionKeys": columns_json(table.partition_columns),
        "IsVirtualView": False,
    }


def columns_json(columns: Sequence[Column]) -> list[dict[str, Any]]:
    """Return the JSON of columns, in their order."""
    return [
        {
            "column_id": str(index),
            "comment": column.comment,
            "isNullable": column.nullable,
            "name": column.name,
            "nullable": column.nullable,
            "type": str(column.type),
        }
        for index, column in enumerate(columns)
    ]
