"""The emulator's state: projects, tables, partitions and rows, in one DuckDB database. Safe to use from many threads.

Every write is one transaction, and the writes to a table run one after the other. So readers, also after a crash, see a
write completely or not at all. Reads never wait: they see the last commit.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from local_emulator.maxcompute.database import Database
from local_emulator.maxcompute.entities import DEFAULT_SCHEMA, Partition, Project, Table
from local_emulator.maxcompute.errors import ServiceError, invalid, missing_partition, missing_project, missing_table
from local_emulator.maxcompute.limits import Limits
from local_emulator.maxcompute.metadata import Change, Metadata
from local_emulator.maxcompute.rows import delete as delete_rows
from local_emulator.maxcompute.rows import insert as insert_rows
from local_emulator.maxcompute.rows import merge, upserts
from local_emulator.maxcompute.rows import move as move_rows
from local_emulator.maxcompute.snapshot import FILE, Snapshot, physical_name, physical_schema
from local_emulator.maxcompute.types import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime
    from pathlib import Path

    import pyarrow as pa

VALUE_BYTES = 256
"""The longest partition value in bytes, as in the service."""

Alteration = Callable[[Table], tuple[Table, Sequence[str]]]
"""Returns a table's new definition, and the DuckDB statements that change the stored rows accordingly."""


class Store:
    """The state of one emulator (see the module); ``now`` returns the time in UTC, with its time zone."""

    def __init__(self, now: Callable[[], datetime], data_dir: Path | None = None, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self._now = now
        self.database = Database(data_dir)
        with self.database.transaction() as cursor:
            self._metadata = Metadata(cursor)
            for table in filter(_has_rows, self._metadata.all_tables()):
                # A data directory of an earlier version has no such column.
                cursor.execute(f"ALTER TABLE {physical_name(table)} ADD COLUMN IF NOT EXISTS {FILE} INTEGER DEFAULT 0")
        self._names_lock = threading.Lock()
        self._table_locks: dict[str, threading.Lock] = {}

    def close(self) -> None:
        """Write all data to the file, and unlock the data directory."""
        self.database.close()

    # Projects

    def projects(self) -> list[Project]:
        """Return all projects, sorted by name."""
        return self._metadata.projects()

    def project(self, name: str) -> Project:
        """Return a project; ServiceError NoSuchProject if it doesn't exist."""
        project = self._metadata.project(name)
        if project is None:
            raise missing_project(name)
        return project

    def ensure_project(self, name: str, owner: str) -> Project:
        """Return a project; create a missing project with this owner."""
        with self._names_lock:
            existing = self._metadata.project(name)
            if existing is not None:
                return existing
            now = self._now()
            project = Project(name.lower(), owner, now, now)
            with self._change() as change:
                change.cursor.execute(f"CREATE SCHEMA {physical_schema(project.name)}")
                change.put_project(project)
            return project

    # Tables

    def tables(self, project: str, schema: str = DEFAULT_SCHEMA) -> list[Table]:
        """Return a schema's tables, sorted by name."""
        return self._metadata.tables(self.project(project).name, schema)

    def table(self, project: str, schema: str, name: str) -> Table:
        """Return the current state of a table; ServiceError NoSuchTable if it doesn't exist."""
        table = self._metadata.table(self.project(project).name, schema or DEFAULT_SCHEMA, name)
        if table is None:
            raise missing_table(project, name)
        return table

    def has_table(self, project: str, schema: str, name: str) -> bool:
        """Return whether the table exists."""
        return self._metadata.table(project, schema or DEFAULT_SCHEMA, name) is not None

    def current(self, table: Table) -> Table:
        """Return the current state of the table with this id.

        Raises:
            ServiceError: NoSuchTable if the table was dropped, even if another table has its name now.
        """
        current = self._metadata.table_by_id(table.id)
        if current is None:
            raise missing_table(table.project, table.name)
        return current

    def table_by_id(self, table_id: str) -> Table | None:
        """Return the current state of the table with this id, or None if the table was dropped."""
        return self._metadata.table_by_id(table_id)

    def create_table(self, table: Table) -> Table:
        """Create a table or view with this name and these columns; return it with its id and times.

        Raises:
            ServiceError: ObjectAlreadyExists if a table or view has this name.
        """
        now = self._now()
        table = replace(table, id=uuid.uuid4().hex, created=now, modified=now, altered=now)
        columns = [f"{quoted(column.name)} {column.type.duckdb_type()}" for column in table.columns]
        columns += [f"{quoted(column.name)} VARCHAR" for column in table.partition_columns]
        columns.append(f"{FILE} INTEGER")
        with self._names_lock:
            if self.has_table(table.project, table.schema, table.name):
                raise ServiceError(
                    409, "ObjectAlreadyExists", f"Table or view already exists - {table.project}.{table.name}"
                )
            with self._change() as change:
                if _has_rows(table):
                    change.cursor.execute(f"CREATE TABLE {physical_name(table)} ({', '.join(columns)})")
                change.put_table(table)
        return table

    def drop_table(self, table: Table) -> None:
        """Remove a table and its rows, or a view."""
        with self._names_lock, self._table_change(table) as (change, current):
            if _has_rows(current):
                change.cursor.execute(f"DROP TABLE {physical_name(current)}")
            change.drop_table(current)

    def alter_table(self, table: Table, alteration: Alteration) -> Table:
        """Apply an alteration to the current state of a table, and return the altered table."""
        with self._table_change(table) as (change, current):
            altered, statements = alteration(current)
            self.limits.check_shape(altered)
            altered = replace(altered, altered=self._now())
            for statement in statements:
                change.cursor.execute(statement)
            change.put_table(altered)
            return altered

    def rename_table(self, table: Table, name: str) -> Table:
        """Give a table another name; ServiceError ObjectAlreadyExists if a table has this name."""
        with self._names_lock:
            if self.has_table(table.project, table.schema, name):
                raise ServiceError(409, "ObjectAlreadyExists", f"Table or view already exists - {name}")
            return self.alter_table(table, lambda current: (replace(current, name=name.lower()), ()))

    def counts(self, table: Table) -> dict[tuple[str, ...], int]:
        """Return the number of rows of each partition that has rows."""
        if not table.partition_columns:
            return {}
        names = ", ".join(quoted(column.name) for column in table.partition_columns)
        query = f"SELECT count(*), {names} FROM {physical_name(table)} GROUP BY ALL"  # noqa: S608 - quoted names
        with self.database.cursor() as cursor:
            return {tuple(spec): int(count) for count, *spec in cursor.execute(query).fetchall()}

    # Partitions

    def partitions(self, table: Table) -> list[Partition]:
        """Return a table's partitions, including empty partitions, sorted by their values."""
        return self._metadata.partitions(table.id)

    def partition(self, table: Table, spec: tuple[str, ...]) -> Partition:
        """Return a partition; ServiceError NoSuchPartition if it doesn't exist."""
        partition = self._metadata.partition(table.id, spec)
        if partition is None:
            raise missing_partition(table.describe(spec))
        return partition

    def has_partition(self, table: Table, spec: tuple[str, ...]) -> bool:
        """Return whether the partition exists."""
        return self._metadata.partition(table.id, spec) is not None

    def add_partition(self, table: Table, spec: tuple[str, ...], *, if_not_exists: bool = False) -> Partition:
        """Create an empty partition and return it.

        Raises:
            ServiceError: ObjectAlreadyExists if the partition exists and ``if_not_exists`` is False.
        """
        if not if_not_exists or not self.has_partition(table, spec):
            self.add_partitions(table, [spec], if_not_exists=if_not_exists)
        return self.partition(table, spec)

    def add_partitions(self, table: Table, specs: Sequence[tuple[str, ...]], *, if_not_exists: bool = False) -> None:
        """Create several empty partitions, or none if one of them fails; see `add_partition`."""
        for spec in specs:
            _check_spec(table, spec)
        with self._table_change(table) as (change, current):
            new = [spec for spec in dict.fromkeys(specs) if self._metadata.partition(table.id, spec) is None]
            if len(new) < len(specs) and not if_not_exists:
                taken = next(spec for spec in specs if spec not in new or specs.count(spec) > 1)
                raise ServiceError(409, "ObjectAlreadyExists", f"Partition already exists - {current.describe(taken)}")
            self.limits.check_partitions(self._metadata.partition_count(table.id) + len(new))
            change.add_partitions(current, new, self._now())

    def drop_partition(self, table: Table, spec: tuple[str, ...]) -> None:
        """Remove a partition and its rows; ServiceError NoSuchPartition if it doesn't exist."""
        with self._table_change(table) as (change, current):
            dropped = self.partition(current, spec)
            delete_rows(change.cursor, current, spec)
            change.drop_partition(current, spec)
            change.put_table(replace(current, modified=self._now(), size=current.size - dropped.size))

    def move_partitions(self, table: Table, sources: Sequence[tuple[str, ...]], target: tuple[str, ...]) -> None:
        """Move the rows of the source partitions to the target partition, and drop the sources.

        Earlier rows of the target are removed, unless the target is one of the sources.
        """
        _check_spec(table, target)
        with self._table_change(table) as (change, current):
            now = self._now()
            merged = self._metadata.partition(table.id, target) or Partition(target, now, now, now)
            size = sum(self.partition(current, spec).size for spec in sources)
            if target not in sources:
                delete_rows(change.cursor, current, target)
            for spec in sources:
                move_rows(change.cursor, current, spec, target)
                change.drop_partition(current, spec)
            change.put_partition(current, replace(merged, modified=now, altered=now, size=size))

    # Rows

    def truncate(self, table: Table, specs: Sequence[tuple[str, ...]] | None = None) -> None:
        """Remove the rows of partitions (None: of the table); the partitions stay."""
        with self._table_change(table) as (change, current):
            now, size = self._now(), current.size
            for spec in [()] if specs is None else specs:
                if spec:
                    partition = self.partition(current, spec)
                    change.put_partition(current, replace(partition, modified=now, size=0))
                    size -= partition.size
                delete_rows(change.cursor, current, spec)
            if specs is None:
                size = 0
                for partition in self.partitions(current):
                    change.put_partition(current, replace(partition, modified=now, size=0))
            change.put_table(replace(current, modified=now, size=size))

    def snapshot(self, table: Table) -> Snapshot:
        """Return an open, consistent view of a table's rows; the caller has to close it soon."""
        return Snapshot(self.database, self.current(table))

    def read(self, table: Table, spec: tuple[str, ...] | None = None, columns: Sequence[str] | None = None) -> pa.Table:
        """Return the rows of a partition (None: of the table) in the order of writing; see `Snapshot.read`."""
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
        """Add all rows to a partition (with an empty ``spec``: to a table without partitions), or after an error none.

        Args:
            table: the caller's state of the table; its columns must still be the current ones.
            spec: an existing partition, else ServiceError NoSuchPartition.
            batches: of the schema `Table.arrow_schema`; strings must be valid UTF-8, since DuckDB stores nothing else.
            overwrite: remove the partition's earlier rows.

        Returns:
            The number of added rows.
        """
        return self.append_parts(table, [(spec, [batches])], overwrite=overwrite)

    def append_parts(
        self,
        table: Table,
        parts: Iterable[tuple[tuple[str, ...], Iterable[Iterable[pa.RecordBatch]]]],
        *,
        overwrite: bool = False,
        create: bool = False,
        mark: str = "",
    ) -> int:
        """Add files of rows to several partitions in one transaction; return the number of added rows (see `append`).

        With ``create``, missing partitions are created. The transaction also stores ``mark``: `has_mark` reports, even
        after a crash, whether the transaction was committed.
        """
        rows = created = 0
        with self._table_change(table) as (change, current):
            _check_shape(table, current)
            now, size, number = self._now(), current.size, current.files
            for spec, files in parts:
                if create and not self.has_partition(current, spec):
                    created += 1
                    self.limits.check_partitions(self._metadata.partition_count(table.id) + created)
                partition = self._target(current, spec, create=create) if current.partition_columns or spec else None
                if overwrite:
                    size -= partition.size if partition else size
                    delete_rows(change.cursor, current, spec)
                written = 0
                for batches in files:
                    number += 1
                    if current.primary_key:
                        added, added_bytes = merge(change.cursor, current, spec, upserts(batches), file=number)
                    else:
                        added, added_bytes = insert_rows(change.cursor, current, spec, batches, file=number)
                    rows, written = rows + added, written + added_bytes
                size += written
                if partition is not None:
                    before = 0 if overwrite else partition.size
                    change.put_partition(current, replace(partition, modified=now, size=before + written))
            if mark:
                change.put_mark(mark)
            change.put_table(replace(current, modified=now, size=size, files=number))
        return rows

    def has_mark(self, name: str) -> bool:
        """Return whether a transaction with this mark was committed."""
        return self._metadata.has_mark(name)

    def drop_mark(self, name: str) -> None:
        """Delete a mark."""
        with self._change() as change:
            change.drop_mark(name)

    def upsert(self, table: Table, spec: tuple[str, ...], batches: Iterable[pa.RecordBatch], *, mark: str = "") -> int:
        """Write and delete rows of a table with a primary key in one transaction; return the number of changes.

        Args:
            table: the caller's state of the table; its columns must still be the current ones.
            spec: an existing partition, or empty for a table without partitions.
            batches: see `rows.merge`; of several changes of a key, the last is applied.
            mark: see `append_parts`.
        """
        with self._table_change(table) as (change, current):
            _check_shape(table, current)
            now = self._now()
            rows, size = merge(change.cursor, current, spec, batches, file=current.files + 1)
            if spec:
                partition = self.partition(current, spec)
                change.put_partition(current, replace(partition, modified=now, size=partition.size + size))
            if mark:
                change.put_mark(mark)
            change.put_table(replace(current, modified=now, size=current.size + size, files=current.files + 1))
        return rows

    def _target(self, table: Table, spec: tuple[str, ...], *, create: bool) -> Partition:
        """Return the partition to write rows into; with ``create``, a new partition if this one doesn't exist."""
        if not create or self.has_partition(table, spec):
            return self.partition(table, spec)
        _check_spec(table, spec)
        now = self._now()
        return Partition(spec, now, now, now)

    @contextmanager
    def _change(self) -> Iterator[Change]:
        """Yield a change, and commit it at the end; after an error nothing is changed."""
        with self.database.transaction() as cursor:
            change = Change(self._metadata, cursor)
            yield change
        change.show()

    @contextmanager
    def _table_change(self, table: Table) -> Iterator[tuple[Change, Table]]:
        """Yield a change and the table's current state. Until it ends, other changes to this table wait."""
        with self._table_locks.setdefault(table.id, threading.Lock()), self._change() as change:
            yield change, self.current(table)


def _has_rows(table: Table) -> bool:
    return table.view is None


def _check_shape(known: Table, current: Table) -> None:
    if current.schema_version != known.schema_version:
        raise ServiceError(400, "TableModified", f"The table's columns have changed since - {current.name}")


def _check_spec(table: Table, spec: tuple[str, ...]) -> None:
    if len(spec) != len(table.partition_columns):
        names = ", ".join(column.name for column in table.partition_columns) or "none"
        raise invalid(
            f"expected a value for each partition column ({names}), found {len(spec)}", "InvalidPartitionSpec"
        )
    for column, value in zip(table.partition_columns, spec, strict=True):
        if not 0 < len(value.encode()) <= VALUE_BYTES:
            raise invalid(f"a value of {column.name} has to have 1 to {VALUE_BYTES} bytes", "InvalidPartitionSpec")
