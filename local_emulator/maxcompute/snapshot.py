"""Reading rows: a consistent view of a table while it is open."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from local_emulator.maxcompute.types import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import TracebackType

    import duckdb
    from typing_extensions import Self

    from local_emulator.maxcompute.database import Database
    from local_emulator.maxcompute.entities import Column, Table

BATCH_ROWS = 65_536
FILE = quoted("file of the row")
"""The column behind a table's own columns: the number of the file that the row came in, as the service stores rows."""


def physical_schema(project: str) -> str:
    """Return the quoted DuckDB schema that holds a project's rows."""
    return quoted(f"project_{project}")


def physical_name(table: Table) -> str:
    """Return the quoted DuckDB table that holds a table's rows; by id, since a later table may have the same name."""
    return f"{physical_schema(table.project)}.{quoted(table.id)}"


def conform(rows: pa.Table | pa.RecordBatch, columns: Sequence[Column]) -> pa.Table | pa.RecordBatch:
    """Return DuckDB's rows in the emulator's inner Arrow types; DuckDB's time zones and units differ."""
    schema = pa.schema([(column.name, column.type.arrow_type()) for column in columns])
    return rows if rows.schema.equals(schema) else rows.rename_columns(schema.names).cast(schema, safe=False)


class Snapshot:
    """The state of a table at the snapshot's opening, whatever is written or dropped later.

    A context manager. Close it soon, since the database keeps old rows until then. Several threads may use a snapshot;
    they take turns.
    """

    def __init__(self, database: Database, table: Table) -> None:
        self.table = table
        self._lock = threading.Lock()
        self._stack = ExitStack()
        self._cursor: duckdb.DuckDBPyConnection = self._stack.enter_context(database.cursor())
        self._cursor.execute("BEGIN")
        # DuckDB fixes the view at the first read, not at BEGIN.
        self._cursor.execute(f"SELECT NULL FROM {physical_name(table)} LIMIT 0").fetchall()  # noqa: S608 - quoted name

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release the view."""
        with self._lock:
            self._stack.close()

    def count(self, spec: tuple[str, ...] | None = None) -> int:
        """Return the number of rows of a partition, or of the whole table."""
        condition, values = self._condition(spec)
        with self._lock:
            ((rows,),) = self._cursor.execute(
                f"SELECT count(*) FROM {physical_name(self.table)}{condition}",  # noqa: S608 - quoted names
                values,
            ).fetchall()
        return int(rows)

    def read(
        self,
        spec: tuple[str, ...] | None = None,
        columns: Sequence[str] | None = None,
        start: int = 0,
        count: int | None = None,
    ) -> pa.Table:
        """Return rows in the order of writing: ``count`` rows from index ``start`` on.

        Args:
            spec: one partition, or None for the whole table.
            columns: names, also of partition columns; None: the columns without the partition columns.
            start: index of the first row, from 0.
            count: number of rows; None: to the end.
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
        """Yield the rows of `read` in batches, so that memory holds few of them."""
        wanted = self._wanted(columns)
        for batch in self._query(wanted, spec, start, count, ()):
            yield conform(batch, wanted)

    def files(
        self, spec: tuple[str, ...] | None, columns: Sequence[str], start: int, count: int
    ) -> Iterator[pa.RecordBatch]:
        """Yield the rows of `batches`, where a batch never has rows of two files.

        Each commit, and each block of an upload, is a file.
        """
        wanted = self._wanted(columns)
        for batch in self._query(wanted, spec, start, count, (FILE,)):
            files = batch.column(len(wanted))
            rows = conform(batch.select(range(len(wanted))), wanted)
            first = 0
            for end in pc.run_end_encode(files).run_ends.to_pylist():
                yield rows.slice(first, end - first)
                first = end

    def _query(
        self,
        wanted: Sequence[Column],
        spec: tuple[str, ...] | None,
        start: int,
        count: int | None,
        further: Sequence[str],
    ) -> Iterator[pa.RecordBatch]:
        """Yield DuckDB's batches of the wanted columns and of ``further`` expressions behind them."""
        partition_names = {column.name for column in self.table.partition_columns}
        outputs = [
            f"CAST({quoted(column.name)} AS {column.type.duckdb_type()})"
            if column.name in partition_names
            else quoted(column.name)
            for column in wanted
        ]
        condition, values = self._condition(spec)
        limit = "" if count is None else f" LIMIT {int(count)}"
        listed = ", ".join([*outputs, *further]) or "NULL"
        query = f"SELECT {listed} FROM {physical_name(self.table)}{condition}{limit} OFFSET {int(start)}"  # noqa: S608 - quoted names
        with self._lock:
            relation = self._cursor.sql(query, params=values)
            yield from relation.to_arrow_reader(BATCH_ROWS)

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
