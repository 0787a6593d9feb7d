"""Reading rows: one consistent view of a table, as long as it is held open."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pyarrow as pa

from local_emulator.maxcompute.types import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import TracebackType

    import duckdb
    from typing_extensions import Self

    from local_emulator.maxcompute.database import Database
    from local_emulator.maxcompute.entities import Column, Table

BATCH_ROWS = 65_536


def physical_schema(project: str) -> str:
    """The DuckDB schema that holds a project's rows, quoted."""
    return quoted(f"project_{project}")


def physical_name(table: Table) -> str:
    """The DuckDB table that holds a table's rows, quoted; by id, for a successor may have the same name."""
    return f"{physical_schema(table.project)}.{quoted(table.id)}"


def conform(rows: pa.Table | pa.RecordBatch, columns: Sequence[Column]) -> pa.Table | pa.RecordBatch:
    """Rows as DuckDB returned them in the emulator's inner Arrow types (its time zones and units differ)."""
    schema = pa.schema([(column.name, column.type.arrow_type()) for column in columns])
    return rows if rows.schema.equals(schema) else rows.rename_columns(schema.names).cast(schema, safe=False)


class Snapshot:
    """A table as it was when this was opened, whatever is written or dropped since.

    A context manager; close it soon, for the database keeps old rows until then. Several threads may use it; they take
    turns.
    """

    def __init__(self, database: Database, table: Table) -> None:
        self.table = table
        self._lock = threading.Lock()
        self._stack = ExitStack()
        self._cursor: duckdb.DuckDBPyConnection = self._stack.enter_context(database.cursor())
        self._cursor.execute("BEGIN")
        # The view is taken by the first read, not by BEGIN.
        self._cursor.execute(f"SELECT NULL FROM {physical_name(table)} LIMIT 0").fetchall()  # noqa: S608 - quoted name

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the view."""
        with self._lock:
            self._stack.close()

    def count(self, spec: tuple[str, ...] | None = None) -> int:
        """Rows of one partition, or of the whole table."""
        condition, values = self._condition(spec)
        with self._lock:
            found = self._cursor.execute(
                f"SELECT count(*) FROM {physical_name(self.table)}{condition}",  # noqa: S608 - quoted names
                values,
            ).fetchall()
        return int(found[0][0])

    def read(
        self,
        spec: tuple[str, ...] | None = None,
        columns: Sequence[str] | None = None,
        start: int = 0,
        count: int | None = None,
    ) -> pa.Table:
        """Rows in the order they were written: ``count`` from number ``start`` on (0-based; None: to the end).

        Args:
            spec: one partition, or None for all (its values are in the partition columns, where asked for).
            columns: names, partition columns allowed; None: the columns without the partition columns.
            start: first row.
            count: how many rows.
        """
        wanted = self._wanted(columns)
        return pa.Table.from_batches(
            self.batches(spec, columns, start, count),
            schema=pa.schema([(column.name, column.type.arrow_type()) for column in wanted]),
        )

    def batches(
        self,
        spec: tuple[str, ...] | None = None,
        columns: Sequence[str] | None = None,
        start: int = 0,
        count: int | None = None,
    ) -> Iterator[pa.RecordBatch]:
        """As `read`, a batch at a time, so that memory holds few of them."""
        wanted = self._wanted(columns)
        partition_names = {column.name for column in self.table.partition_columns}
        outputs = ", ".join(
            f"CAST({quoted(column.name)} AS {column.type.duckdb_type()})"
            if column.name in partition_names
            else quoted(column.name)
            for column in wanted
        )
        condition, values = self._condition(spec)
        limit = "" if count is None else f" LIMIT {int(count)}"
        query = f"SELECT {outputs or 'NULL'} FROM {physical_name(self.table)}{condition}{limit} OFFSET {int(start)}"  # noqa: S608 - quoted names
        with self._lock:
            relation = self._cursor.sql(query, params=values)
            for batch in relation.to_arrow_reader(BATCH_ROWS):
                yield conform(batch, wanted)

    def _wanted(self, columns: Sequence[str] | None) -> tuple[Column, ...]:
        if columns is None:
            return self.table.columns
        by_name = {column.name: column for column in self.table.all_columns}
        return tuple(by_name[name.lower()] for name in columns)

    def _condition(self, spec: tuple[str, ...] | None) -> tuple[str, list[str]]:
        if not spec:
            return "", []
        names = [quoted(column.name) for column in self.table.partition_columns]
        return " WHERE " + " AND ".join(f"{name} = ?" for name in names), list(spec)
