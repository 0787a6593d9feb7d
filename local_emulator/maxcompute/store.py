"""All that the emulator keeps: projects, tables, partitions and rows, in one DuckDB. Safe to use from many threads.

Every write is one transaction, and the writes to one table take turns, so that a commit is whole or absent, for readers
and after a crash. Reads never wait: they see the last commit.
"""

from __future__ import annotations

import threading
import uuid
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pyarrow as pa

from local_emulator.maxcompute.catalog import DEFAULT_SCHEMA, Partition, Project, Table
from local_emulator.maxcompute.database import Database
from local_emulator.maxcompute.errors import ServiceError, invalid, missing_partition, missing_project, missing_table
from local_emulator.maxcompute.metadata import Change, Metadata
from local_emulator.maxcompute.snapshot import Snapshot, physical_name, physical_schema
from local_emulator.maxcompute.types import quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    import duckdb

# The service's own limits: partitions of a table, bytes of a partition value.
PARTITION_LIMIT = 60_000
VALUE_BYTES = 256


class Store:
    """See the module; ``now`` gives aware UTC times."""

    def __init__(self, now: Callable[[], datetime], data_dir: Path | None = None) -> None:
        self._now = now
        self.database = Database(data_dir)
        with self.database.transaction() as cursor:
            self._metadata = Metadata(cursor)
        self._names_lock = threading.Lock()
        self._table_locks: dict[str, threading.Lock] = {}

    def close(self) -> None:
        """Write everything out and let go of the data directory."""
        self.database.close()

    # Projects

    def projects(self) -> list[Project]:
        """All projects by name."""
        return self._metadata.projects()

    def project(self, name: str) -> Project:
        """A project; ServiceError NoSuchProject if there is none."""
        found = self._metadata.project(name)
        if found is None:
            raise missing_project(name)
        return found

    def ensure_project(self, name: str, owner: str) -> Project:
        """The project, made if it isn't there."""
        with self._names_lock:
            found = self._metadata.project(name)
            if found is not None:
                return found
            now = self._now()
            project = Project(name.lower(), owner, now, now)
            with self._change() as change:
                change.cursor.execute(f"CREATE SCHEMA {physical_schema(project.name)}")
                change.put_project(project)
            return project

    # Tables

    def tables(self, project: str, schema: str = DEFAULT_SCHEMA) -> list[Table]:
        """A schema's tables by name."""
        return self._metadata.tables(self.project(project).name, schema)

    def table(self, project: str, schema: str, name: str) -> Table:
        """A table as it is now; ServiceError NoSuchTable if there is none."""
        found = self._metadata.table(self.project(project).name, schema or DEFAULT_SCHEMA, name)
        if found is None:
            raise missing_table(project, name)
        return found

    def has_table(self, project: str, schema: str, name: str) -> bool:
        """Whether there is such a table."""
        return self._metadata.table(project, schema or DEFAULT_SCHEMA, name) is not None

    def current(self, table: Table) -> Table:
        """The same table as it is now; ServiceError NoSuchTable if it was dropped, even if another has its name now."""
        found = self._metadata.table_by_id(table.id)
        if found is None:
            raise missing_table(table.project, table.name)
        return found

    def create_table(self, table: Table) -> Table:
        """Make a table of this shape, with an id and times of its own; ServiceError if the name is taken."""
        now = self._now()
        table = replace(table, id=uuid.uuid4().hex, created=now, modified=now, altered=now)
        columns = [f"{quoted(column.name)} {column.type.duckdb_type()}" for column in table.columns]
        columns += [f"{quoted(column.name)} VARCHAR" for column in table.partition_columns]
        with self._names_lock:
            if self.has_table(table.project, table.schema, table.name):
                raise ServiceError(
                    409, "ObjectAlreadyExists", f"Table or view already exists - {table.project}.{table.name}"
                )
            with self._change() as change:
                change.cursor.execute(f"CREATE TABLE {physical_name(table)} ({', '.join(columns)})")
                change.put_table(table)
        return table

    def drop_table(self, table: Table) -> None:
        """Remove a table and its rows."""
        with self._names_lock, self._change_of(table) as (change, current):
            change.cursor.execute(f"DROP TABLE {physical_name(current)}")
            change.drop_table(current)

    # Partitions

    def partitions(self, table: Table) -> list[Partition]:
        """A table's partitions by their values, those without rows too."""
        return self._metadata.partitions(table.id)

    def partition(self, table: Table, spec: tuple[str, ...]) -> Partition:
        """One partition; ServiceError NoSuchPartition if it isn't in the list."""
        found = self._metadata.partition(table.id, spec)
        if found is None:
            raise missing_partition(table.describe(spec))
        return found

    def has_partition(self, table: Table, spec: tuple[str, ...]) -> bool:
        """Whether the partition is in the list."""
        return self._metadata.partition(table.id, spec) is not None

    def add_partition(self, table: Table, spec: tuple[str, ...], *, if_not_exists: bool = False) -> Partition:
        """Make an empty partition; ServiceError ObjectAlreadyExists if it's there and ``if_not_exists`` isn't given."""
        _check_spec(table, spec)
        found = self._metadata.partition(table.id, spec)
        if found is not None and if_not_exists:
            return found
        with self._change_of(table) as (change, current):
            found = self._metadata.partition(table.id, spec)
            if found is not None:
                if if_not_exists:
                    return found
                raise ServiceError(409, "ObjectAlreadyExists", f"Partition already exists - {current.describe(spec)}")
            if len(self._metadata.partitions(table.id)) >= PARTITION_LIMIT:
                raise invalid(f"{current.name} has {PARTITION_LIMIT} partitions, which is the most a table may have")
            now = self._now()
            partition = Partition(spec, now, now, now)
            change.put_partition(current, partition)
            return partition

    def drop_partition(self, table: Table, spec: tuple[str, ...]) -> None:
        """Remove a partition and its rows; ServiceError NoSuchPartition if it isn't there."""
        with self._change_of(table) as (change, current):
            self.partition(current, spec)
            _delete(change.cursor, current, spec)
            change.drop_partition(current, spec)

    # Rows

    def snapshot(self, table: Table) -> Snapshot:
        """A consistent view of a table's rows; close it soon."""
        return Snapshot(self.database, self.current(table))

    def read(self, table: Table, spec: tuple[str, ...] | None = None, columns: Sequence[str] | None = None) -> pa.Table:
        """The rows of a partition (None: of all) in the order they were written; see `Snapshot.read`."""
        if spec:
            self.partition(table, spec)
        with self.snapshot(table) as snapshot:
            return snapshot.read(spec, columns)

    def append(
        self,
        table: Table,
        spec: tuple[str, ...],
        batches: Iterable[pa.RecordBatch],
        *,
        overwrite: bool = False,
    ) -> int:
        """Add rows to a partition (or, with an empty ``spec``, to a table without partitions): all of them or none.

        Args:
            table: as the caller knows it; its columns must still be the table's.
            spec: an existing partition, else ServiceError NoSuchPartition.
            batches: of the schema `Table.arrow_schema`; strings must be valid UTF-8, for DuckDB keeps nothing else.
            overwrite: put them in the place of the rows that are there.

        Returns:
            How many rows were added.
        """
        return self.append_parts(table, [(spec, batches)], overwrite=overwrite)

    def append_parts(
        self,
        table: Table,
        parts: Iterable[tuple[tuple[str, ...], Iterable[pa.RecordBatch]]],
        *,
        overwrite: bool = False,
        create: bool = False,
    ) -> int:
        """As `append`, to several partitions in one transaction; ``create`` makes those that aren't there."""
        rows = 0
        with self._change_of(table) as (change, current):
            if current.schema_version != table.schema_version:
                raise ServiceError(400, "TableModified", f"The table's columns have changed since - {current.name}")
            now = self._now()
            for spec, batches in parts:
                if current.partition_columns or spec:
                    found = self._metadata.partition(table.id, spec)
                    if found is None and not create:
                        raise missing_partition(current.describe(spec))
                    _check_spec(current, spec)
                    created = replace(found, modified=now) if found else Partition(spec, now, now, now)
                    change.put_partition(current, created)
                if overwrite:
                    _delete(change.cursor, current, spec)
                rows += _insert(change.cursor, current, spec, batches)
            change.put_table(replace(current, modified=now))
        return rows

    @contextmanager
    def _change(self) -> Iterator[Change]:
        with self.database.transaction() as cursor:
            change = Change(self._metadata, cursor)
            yield change
        change.show()

    @contextmanager
    def _change_of(self, table: Table) -> Iterator[tuple[Change, Table]]:
        """A change to one table and the table as it is now; others wait for their turn."""
        with self._table_locks.setdefault(table.id, threading.Lock()), self._change() as change:
            yield change, self.current(table)


def _check_spec(table: Table, spec: tuple[str, ...]) -> None:
    if len(spec) != len(table.partition_columns):
        names = ", ".join(column.name for column in table.partition_columns) or "none"
        raise invalid(
            f"expected a value for each partition column ({names}), found {len(spec)}", "InvalidPartitionSpec"
        )
    for column, value in zip(table.partition_columns, spec, strict=True):
        if not 0 < len(value.encode()) <= VALUE_BYTES:
            raise invalid(f"a value of {column.name} has to have 1 to {VALUE_BYTES} bytes", "InvalidPartitionSpec")


def _delete(cursor: duckdb.DuckDBPyConnection, table: Table, spec: tuple[str, ...]) -> None:
    names = [quoted(column.name) for column in table.partition_columns]
    condition = " AND ".join(f"{name} = ?" for name in names) or "TRUE"
    cursor.execute(f"DELETE FROM {physical_name(table)} WHERE {condition}", list(spec))  # noqa: S608 - quoted names


def _insert(
    cursor: duckdb.DuckDBPyConnection, table: Table, spec: tuple[str, ...], batches: Iterable[pa.RecordBatch]
) -> int:
    schema = table.arrow_schema()
    cursor.register("incoming", pa.RecordBatchReader.from_batches(schema, _checked(table, schema, batches)))
    values = "".join(", ?" for _ in spec)
    query = f"INSERT INTO {physical_name(table)} SELECT *{values} FROM incoming"  # noqa: S608 - quoted name
    inserted = cursor.execute(query, list(spec)).fetchone()
    cursor.unregister("incoming")
    return int(inserted[0]) if inserted else 0


def _checked(table: Table, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    required = [(index, column.name) for index, column in enumerate(table.columns) if not column.nullable]
    for batch in batches:
        if not batch.schema.equals(schema):
            raise ValueError(f"expected batches of {schema}, found {batch.schema}")
        for index, name in required:
            if batch.column(index).null_count:
                raise invalid(f"column {name} of {table.name} is NOT NULL, found a NULL in it")
        yield batch
