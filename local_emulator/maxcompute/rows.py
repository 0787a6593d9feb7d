"""Writing rows: the statements that insert, move, merge and delete rows in a table's DuckDB table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from local_emulator.maxcompute.errors import invalid
from local_emulator.maxcompute.snapshot import FILE, physical_name
from local_emulator.maxcompute.types import BIGINT_RANGE, quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from local_emulator.maxcompute.entities import Table

# The column behind the table's own columns that says whether a change by key deletes the row.
DELETED = "__deleted"


def delete(cursor: duckdb.DuckDBPyConnection, table: Table, spec: tuple[str, ...]) -> None:
    """Delete a partition's rows; with an empty spec, the table's rows."""
    condition = _equal(table, " AND ") if spec else "TRUE"
    cursor.execute(f"DELETE FROM {physical_name(table)} WHERE {condition}", list(spec))  # noqa: S608 - quoted names


def move(cursor: duckdb.DuckDBPyConnection, table: Table, source: tuple[str, ...], target: tuple[str, ...]) -> None:
    """Move a partition's rows into another partition."""
    update = f"UPDATE {physical_name(table)} SET {_equal(table, ', ')} WHERE {_equal(table, ' AND ')}"  # noqa: S608 - quoted names
    cursor.execute(update, [*target, *source])


def _equal(table: Table, separator: str) -> str:
    return separator.join(f"{quoted(column.name)} = ?" for column in table.partition_columns)


def insert(
    cursor: duckdb.DuckDBPyConnection,
    table: Table,
    spec: tuple[str, ...],
    batches: Iterable[pa.RecordBatch],
    *,
    file: int,
) -> tuple[int, int]:
    """Add rows as a file of this number; return how many rows came, and of how many bytes."""
    incoming = Incoming(table, table.arrow_schema(), batches)
    # By name, since a column that was added later stands behind the partition columns.
    names = ", ".join(quoted(column.name) for column in table.all_columns)
    values = "".join(", ?" for _ in spec)
    query = f"INSERT INTO {physical_name(table)} ({names}, {FILE}) SELECT *{values}, {file} FROM incoming"  # noqa: S608 - quoted name
    return incoming.take(cursor, query, list(spec)), incoming.bytes


def merge(
    cursor: duckdb.DuckDBPyConnection,
    table: Table,
    spec: tuple[str, ...],
    batches: Iterable[pa.RecordBatch],
    *,
    file: int,
) -> tuple[int, int]:
    """Write rows by the table's primary key: the last change of each key counts, and deletes the row if `DELETED`.

    Args:
        cursor: in a transaction.
        table: a table with a primary key.
        spec: the partition that the keys belong to.
        batches: of the table's schema with the boolean column `DELETED` behind it.
        file: the number of the file that the rows are written as.

    Returns:
        How many rows came, and of how many bytes.
    """
    incoming = Incoming(table, table.arrow_schema().append(pa.field(DELETED, pa.bool_())), batches)
    rows = incoming.take(cursor, "CREATE TEMP TABLE changes AS SELECT *, row_number() OVER () AS __place FROM incoming")
    keys = [quoted(name) for name in table.primary_key]
    same = " AND ".join([f"t.{key} = c.{key}" for key in keys])
    here = "".join(f" AND t.{quoted(column.name)} = ?" for column in table.partition_columns)
    target = physical_name(table)
    cursor.execute(f"DELETE FROM {target} AS t USING changes AS c WHERE {same}{here}", list(spec))  # noqa: S608 - quoted
    names = ", ".join(quoted(column.name) for column in table.all_columns)
    own = ", ".join(quoted(column.name) for column in table.columns)
    latest = f"row_number() OVER (PARTITION BY {', '.join(keys)} ORDER BY __place DESC) = 1"
    cursor.execute(
        f"INSERT INTO {target} ({names}, {FILE}) SELECT {own}{''.join(', ?' for _ in spec)}, {file} FROM "  # noqa: S608 - quoted names
        f"(SELECT * FROM changes QUALIFY {latest}) WHERE NOT {DELETED} ORDER BY __place",
        list(spec),
    )
    cursor.execute("DROP TABLE changes")
    return rows, incoming.bytes


def upserts(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Yield rows as changes by key without deletions, for `merge`."""
    for batch in batches:
        yield batch.append_column(DELETED, pa.array([False]).take(pa.array([0] * batch.num_rows)))


class Incoming:
    """Rows on their way into a table: checks and counts them, and keeps the exception of a failure."""

    def __init__(self, table: Table, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> None:
        self.schema = schema
        self.bytes = 0
        self.failure: Exception | None = None
        self._table = table
        self._batches = batches

    def take(self, cursor: duckdb.DuckDBPyConnection, query: str, values: Sequence[str] = ()) -> int:
        """Run a statement that reads the rows as the table ``incoming``; return how many rows it wrote."""
        cursor.register("incoming", pa.RecordBatchReader.from_batches(self.schema, self._checked()))
        try:
            taken = cursor.execute(query, list(values)).fetchone()
        except duckdb.Error:
            # DuckDB reports an exception of the batches' iterator as its own error, with the text only.
            if self.failure is not None:
                raise self.failure from None
            raise
        cursor.unregister("incoming")
        return int(taken[0]) if taken else 0

    def _checked(self) -> Iterator[pa.RecordBatch]:
        columns = list(enumerate(self._table.columns))
        required = [(index, column.name) for index, column in columns if not column.nullable]
        whole = [(index, column.name) for index, column in columns if column.type.name == "bigint"]
        try:
            for batch in self._batches:
                self._check(batch, required)
                self._check_range(batch, whole)
                self.bytes += batch.nbytes
                yield batch
        except Exception as error:
            self.failure = error
            raise

    def _check(self, batch: pa.RecordBatch, required: Sequence[tuple[int, str]]) -> None:
        if not batch.schema.equals(self.schema):
            raise ValueError(f"expected batches of {self.schema}, found {batch.schema}")
        for index, name in required:
            values = batch.column(index)
            if values.null_count and not self._only_deleted(batch, values, name):
                raise invalid(f"column {name} of {self._table.name} is NOT NULL, found a NULL in it")

    def _check_range(self, batch: pa.RecordBatch, whole: Sequence[tuple[int, str]]) -> None:
        """Refuse -2**63, which DuckDB's BIGINT has and a query may have computed."""
        for index, name in whole:
            least = pc.min(batch.column(index)).as_py()
            if least is not None and least < BIGINT_RANGE[0]:
                raise invalid(f"column {name} of {self._table.name} is BIGINT, found {least} in it, which is no BIGINT")

    def _only_deleted(self, batch: pa.RecordBatch, values: pa.Array, name: str) -> bool:
        """Return whether a column is NULL only in deletions, which have values for the key alone."""
        if self.schema.names[-1] != DELETED or name in self._table.primary_key:
            return False
        return not pc.any(pc.and_not(values.is_null(), batch.column(DELETED))).as_py()
