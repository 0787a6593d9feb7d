"""A store in memory to run MaxCompute SQL on, without a server."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

from local_emulator.maxcompute.entities import DEFAULT_SCHEMA
from local_emulator.maxcompute.sql import engine
from local_emulator.maxcompute.sql.context import Context, Outcome
from local_emulator.maxcompute.store import Store

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2020, 11, 17, 6, 5, 4, 321000, tzinfo=timezone.utc)
PROJECT, OWNER = "connector_test", "ALIYUN$1"
# Word for word as the connector's document has it.
DOCUMENT_TABLE = (
    "CREATE TABLE IF NOT EXISTS test_kafka(topic STRING,partition BIGINT,offset BIGINT,key STRING,value STRING) "
    "PARTITIONED by (pt STRING);"
)
OLD_DUCKDB = int(duckdb.__version__.split(".", maxsplit=1)[0]) < 2
NEEDS_DUCKDB_2 = pytest.mark.skipif(OLD_DUCKDB, reason="TIMESTAMP needs DuckDB 2, which Python 3.10 can't have")
# The types that hold nanoseconds, for tests of what is the same for both.
NANOSECOND_TYPES = [pytest.param("TIMESTAMP", marks=NEEDS_DUCKDB_2), "TIMESTAMP_NTZ"]


class Session:
    """Runs scripts as the owner of a project that starts empty."""

    def __init__(self, data_dir: Path | None = None) -> None:
        self.store = Store(lambda: NOW, data_dir)
        self.store.ensure_project(PROJECT, OWNER)
        self.settings = {engine.SUBMIT_MODE: "script"}

    def run(self, script: str) -> Outcome:
        """A script's outcome; SqlError if a statement fails."""
        return engine.run(Context(self.store, PROJECT, DEFAULT_SCHEMA, OWNER, NOW, dict(self.settings)), script)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """A query's rows as Python's values."""
        rows = self.run(query).rows
        assert rows is not None
        return [tuple(row[index] for index in range(rows.num_columns)) for row in zip(*_columns(rows), strict=True)]

    def value(self, expression: str) -> Any:
        """An expression's value."""
        return self.rows(f"SELECT {expression}")[0][0]

    def type(self, expression: str) -> str:
        """The MaxCompute type of an expression."""
        return str(self.run(f"SELECT {expression}").columns[0].type)


def _columns(rows: Any) -> list[list[Any]]:
    # Nanoseconds as integers: Python's datetime has none.
    return [
        column.cast("int64").to_pylist() if str(column.type).startswith("timestamp[ns") else column.to_pylist()
        for column in rows.columns
    ]
