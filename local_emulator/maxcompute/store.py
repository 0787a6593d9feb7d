"""All that the emulator keeps: projects, tables, partitions and rows, in one DuckDB. Safe to use from many threads.

Every write is one transaction, and the writes to one table take turns, so that a commit is whole or absent, for readers
and after a crash. Reads never wait: they see the last commit.
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
from local_emulator.maxcompute.rows import kept, merge
from local_emulator.maxcompute.rows import move as move_rows
from local_emulator.maxcompute.snapshot import Snapshot, physical_name, physical_schema
from local_emulator.maxcompute.types import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime
    from pathlib import Path

    import pyarrow as pa

VALUE_BYTES = 256  # of a partition value; the service's own limit

# Makes a new table of the current one, and the statements that bring the rows into its shape.
Alteration = Callable[[Table], tuple[Table, Sequence[str]]]


class Store:
    """See the module; ``now`` gives aware UTC times."""

    def __init__(self, now: Callable[[], datetime], data_dir: Path | None = None, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
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

    def table_by_id(self, table_id: str) -> Table | None:
        """The table as it is now, whatever its name, or None once it is dropped."""
        return self._metadata.table_by_id(table_id)

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

    def alter_table(self, table: Table, alteration: Alteration) -> Table:
        """Change a table's shape: what `alterations` makes of the table as it is now."""
        with self._change_of(table) as (change, current):
            altered, statements = alteration(current)
            self.limits.check_shape(altered)
            altered = replace(altered, altered=self._now())
            for statement in statements:
                change.cursor.execute(statement)
            change.put_table(altered)
            return altered

    def rename_table(self, table: Table, name: str) -> Table:
        """Give a table another name; ServiceError ObjectAlreadyExists if it's taken."""
        with self._names_lock:
            if self.has_table(table.project, table.schema, name):
                raise ServiceError(409, "ObjectAlreadyExists", f"Table or view already exists - {name}")
            return self.alter_table(table, lambda current: (replace(current, name=name.lower()), ()))

    def counts(self, table: Table) -> dict[tuple[str, ...], int]:
        """How many rows each partition has; those without rows are left out."""
        names = ", ".join(quoted(column.name) for column in table.partition_columns)
        query = f"SELECT count(*), {names} FROM {physical_name(table)} GROUP BY ALL"  # noqa: S608 - quoted names
        with self.database.cursor() as cursor:
            return {tuple(spec): int(count) for count, *spec in cursor.execute(query).fetchall()}

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
        found = self._metadata.partition(table.id, spec)
        if found is None or not if_not_exists:
            self.add_partitions(table, [spec], if_not_exists=if_not_exists)
        return self.partition(table, spec)

    def add_partitions(self, table: Table, specs: Sequence[tuple[str, ...]], *, if_not_exists: bool = False) -> None:
        """Make several empty partitions, or none of them; see `add_partition`."""
        for spec in specs:
            _check_spec(table, spec)
        with self._change_of(table) as (change, current):
            new = [spec for spec in dict.fromkeys(specs) if self._metadata.partition(table.id, spec) is None]
            if len(new) < len(specs) and not if_not_exists:
                there = next(spec for spec in specs if spec not in new or specs.count(spec) > 1)
                raise ServiceError(409, "ObjectAlreadyExists", f"Partition already exists - {current.describe(there)}")
            self.limits.check_partitions(self._metadata.partition_count(table.id) + len(new))
            change.add_partitions(current, new, self._now())

    def drop_partition(self, table: Table, spec: tuple[str, ...]) -> None:
        """Remove a partition and its rows; ServiceError NoSuchPartition if it isn't there."""
        with self._change_of(table) as (change, current):
            dropped = self.partition(current, spec)
            delete_rows(change.cursor, current, spec)
            change.drop_partition(current, spec)
            change.put_table(replace(current, modified=self._now(), size=current.size - dropped.size))

    def move_partitions(self, table: Table, sources: Sequence[tuple[str, ...]], target: tuple[str, ...]) -> None:
        """Put the rows of some partitions into one, and remove those from the list; the target may be among them."""
        _check_spec(table, target)
        with self._change_of(table) as (change, current):
            now = self._now()
            kept = self._metadata.partition(table.id, target) or Partition(target, now, now, now)
            size = sum(self.partition(current, spec).size for spec in sources)
            if target not in sources:
                delete_rows(change.cursor, current, target)
            for spec in sources:
                move_rows(change.cursor, current, spec, target)
                change.drop_partition(current, spec)
            change.put_partition(current, replace(kept, modified=now, altered=now, size=size))

    # Rows

    def truncate(self, table: Table, specs: Sequence[tuple[str, ...]] | None = None) -> None:
        """Remove the rows of some partitions, or of the whole table (its partitions stay)."""
        with self._change_of(table) as (change, current):
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
        mark: str = "",
    ) -> int:
        """As `append`, to several partitions in one transaction; ``create`` makes those that aren't there.

        ``mark`` is kept in the same transaction, so that `has_mark` tells, even after a crash, whether it happened.
        """
        rows = made = 0
        with self._change_of(table) as (change, current):
            _check_shape(table, current)
            now, size = self._now(), current.size
            for spec, batches in parts:
                if create and not self.has_partition(current, spec):
                    made += 1
                    self.limits.check_partitions(self._metadata.partition_count(table.id) + made)
                partition = self._target(current, spec, create=create) if current.partition_columns or spec else None
                if overwrite:
                    size -= partition.size if partition else size
                    delete_rows(change.cursor, current, spec)
                if current.primary_key:
                    added, added_bytes = merge(change.cursor, current, spec, kept(batches))
                else:
                    added, added_bytes = insert_rows(change.cursor, current, spec, batches)
                rows, size = rows + added, size + added_bytes
                if partition is not None:
                    before = 0 if overwrite else partition.size
                    change.put_partition(current, replace(partition, modified=now, size=before + added_bytes))
            if mark:
                change.put_mark(mark)
            change.put_table(replace(current, modified=now, size=size))
        return rows

    def has_mark(self, name: str) -> bool:
        """Whether a transaction with that mark was committed."""
        return self._metadata.has_mark(name)

    def drop_mark(self, name: str) -> None:
        """Forget a mark."""
        with self._change() as change:
            change.drop_mark(name)

    def upsert(self, table: Table, spec: tuple[str, ...], batches: Iterable[pa.RecordBatch], *, mark: str = "") -> int:
        """Write and delete rows of a table with a primary key, in one transaction; how many changes there were.

        Args:
            table: as the caller knows it; its columns must still be the table's.
            spec: an existing partition, or empty for a table without partitions.
            batches: see `rows.merge`; of each key the last change counts.
            mark: as for `append_parts`.
        """
        with self._change_of(table) as (change, current):
            _check_shape(table, current)
            now = self._now()
            rows, size = merge(change.cursor, current, spec, batches)
            if spec:
                partition = self.partition(current, spec)
                change.put_partition(current, replace(partition, modified=now, size=partition.size + size))
            if mark:
                change.put_mark(mark)
            change.put_table(replace(current, modified=now, size=current.size + size))
        return rows

    def _target(self, table: Table, spec: tuple[str, ...], *, create: bool) -> Partition:
        """The partition that rows are put into."""
        if not create or self.has_partition(table, spec):
            return self.partition(table, spec)
        _check_spec(table, spec)
        now = self._now()
        return Partition(spec, now, now, now)

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
