"""The catalog of projects, tables and partitions: in memory for reading, and in the database for the next start.

A `Change` writes in the caller's transaction, and updates the memory after the commit. So the memory never shows
anything that the database doesn't have.
"""

from __future__ import annotations

import json
import threading
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from local_emulator.maxcompute.entities import Partition, Project, Table, table_from_json, table_to_json

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import duckdb

_SCRIPT = """
CREATE SCHEMA IF NOT EXISTS emulator;
CREATE TABLE IF NOT EXISTS emulator.projects (name VARCHAR, owner VARCHAR, created VARCHAR, modified VARCHAR);
CREATE TABLE IF NOT EXISTS emulator.tables (id VARCHAR, definition VARCHAR);
CREATE TABLE IF NOT EXISTS emulator.partitions
    (table_id VARCHAR, spec VARCHAR[], created VARCHAR, modified VARCHAR, altered VARCHAR, size BIGINT);
CREATE TABLE IF NOT EXISTS emulator.marks (name VARCHAR);
"""


class Metadata:
    """The catalog in memory; its lock makes each call atomic, and the store's locks order the calls for a table."""

    def __init__(self, cursor: duckdb.DuckDBPyConnection) -> None:
        cursor.execute(_SCRIPT)
        self._lock = threading.Lock()
        self._projects: dict[str, Project] = {}
        self._tables: dict[str, Table] = {}
        self._names: dict[tuple[str, str, str], str] = {}
        self._partitions: dict[str, dict[tuple[str, ...], Partition]] = {}
        self._marks = {name for (name,) in cursor.execute("FROM emulator.marks").fetchall()}
        for name, owner, created, modified in cursor.execute("FROM emulator.projects").fetchall():
            self.show_project(Project(name, owner, *map(datetime.fromisoformat, (created, modified))))
        for (definition,) in cursor.execute("SELECT definition FROM emulator.tables").fetchall():
            self.show_table(table_from_json(json.loads(definition)))
        for table_id, spec, *texts, size in cursor.execute("FROM emulator.partitions").fetchall():
            created, modified, altered = map(datetime.fromisoformat, texts)
            partition = Partition(tuple(spec), created, modified, altered, size)
            self._partitions[table_id][partition.spec] = partition

    def projects(self) -> list[Project]:
        """Return all projects, sorted by name."""
        with self._lock:
            return sorted(self._projects.values(), key=lambda project: project.name)

    def project(self, name: str) -> Project | None:
        """Return the project of this name (in any case), or None."""
        return self._projects.get(name.lower())

    def tables(self, project: str, schema: str) -> list[Table]:
        """Return a schema's tables, sorted by name."""
        with self._lock:
            tables = [table for table in self._tables.values() if (table.project, table.schema) == (project, schema)]
        return sorted(tables, key=lambda table: table.name)

    def all_tables(self) -> list[Table]:
        """Return the tables of all projects."""
        with self._lock:
            return list(self._tables.values())

    def table(self, project: str, schema: str, name: str) -> Table | None:
        """Return the table of this name (in any case), or None."""
        with self._lock:
            return self._tables.get(self._names.get((project.lower(), schema.lower(), name.lower()), ""))

    def table_by_id(self, table_id: str) -> Table | None:
        """Return the current state of a table, or None if the table was dropped."""
        return self._tables.get(table_id)

    def partitions(self, table_id: str) -> list[Partition]:
        """Return a table's partitions, sorted by their values."""
        with self._lock:
            partitions = list(self._partitions.get(table_id, {}).values())
        return sorted(partitions, key=lambda partition: partition.spec)

    def partition_count(self, table_id: str) -> int:
        """Return the number of a table's partitions."""
        return len(self._partitions.get(table_id, {}))

    def partition(self, table_id: str, spec: tuple[str, ...]) -> Partition | None:
        """Return a partition, or None."""
        return self._partitions.get(table_id, {}).get(spec)

    def has_mark(self, name: str) -> bool:
        """Return whether a committed transaction stored this mark."""
        return name in self._marks

    def show_mark(self, name: str) -> None:
        """Add a mark to the memory."""
        self._marks.add(name)

    def hide_mark(self, name: str) -> None:
        """Remove a mark from the memory."""
        self._marks.discard(name)

    def show_project(self, project: Project) -> None:
        """Add a project to the memory."""
        with self._lock:
            self._projects[project.name] = project

    def show_table(self, table: Table) -> None:
        """Add a table to the memory, or replace its definition."""
        with self._lock:
            before = self._tables.get(table.id)
            if before is not None:
                del self._names[before.project, before.schema, before.name]
            self._tables[table.id] = table
            self._names[table.project, table.schema, table.name] = table.id
            self._partitions.setdefault(table.id, {})

    def hide_table(self, table: Table) -> None:
        """Remove a table from the memory."""
        with self._lock:
            del self._names[table.project, table.schema, table.name]
            del self._tables[table.id]
            del self._partitions[table.id]

    def show_partition(self, table_id: str, partition: Partition) -> None:
        """Add a partition to the memory, or replace its times."""
        with self._lock:
            self._partitions[table_id][partition.spec] = partition

    def hide_partition(self, table_id: str, spec: tuple[str, ...]) -> None:
        """Remove a partition from the memory."""
        with self._lock:
            self._partitions[table_id].pop(spec, None)


class Change:
    """The changes of one transaction to the catalog; call `show` after the transaction's commit."""

    def __init__(self, metadata: Metadata, cursor: duckdb.DuckDBPyConnection) -> None:
        self._metadata = metadata
        self._steps: list[Callable[[], None]] = []
        self.cursor = cursor

    def show(self) -> None:
        """Apply the changes to the memory."""
        for step in self._steps:
            step()

    def put_mark(self, name: str) -> None:
        """Store a mark, which shows that this transaction was committed."""
        self.cursor.execute("INSERT INTO emulator.marks VALUES (?)", [name])
        self._steps.append(partial(self._metadata.show_mark, name))

    def drop_mark(self, name: str) -> None:
        """Delete a mark that is no longer needed."""
        self.cursor.execute("DELETE FROM emulator.marks WHERE name = ?", [name])
        self._steps.append(partial(self._metadata.hide_mark, name))

    def put_project(self, project: Project) -> None:
        """Add a project."""
        self.cursor.execute(
            "INSERT INTO emulator.projects VALUES (?, ?, ?, ?)",
            [project.name, project.owner, project.created.isoformat(), project.modified.isoformat()],
        )
        self._steps.append(partial(self._metadata.show_project, project))

    def put_table(self, table: Table) -> None:
        """Add a table or replace its definition."""
        self.cursor.execute("DELETE FROM emulator.tables WHERE id = ?", [table.id])
        self.cursor.execute("INSERT INTO emulator.tables VALUES (?, ?)", [table.id, json.dumps(table_to_json(table))])
        self._steps.append(partial(self._metadata.show_table, table))

    def drop_table(self, table: Table) -> None:
        """Delete a table's definition and partition list."""
        self.cursor.execute("DELETE FROM emulator.tables WHERE id = ?", [table.id])
        self.cursor.execute("DELETE FROM emulator.partitions WHERE table_id = ?", [table.id])
        self._steps.append(partial(self._metadata.hide_table, table))

    def add_partitions(self, table: Table, specs: Sequence[tuple[str, ...]], now: datetime) -> None:
        """Add empty partitions that don't exist yet."""
        self.cursor.execute(
            "INSERT INTO emulator.partitions SELECT ?, unnest(?::VARCHAR[][]), t, t, t, 0 FROM (SELECT ? AS t)",
            [table.id, list(map(list, specs)), now.isoformat()],
        )
        for spec in specs:
            self._steps.append(partial(self._metadata.show_partition, table.id, Partition(spec, now, now, now)))

    def put_partition(self, table: Table, partition: Partition) -> None:
        """Add a partition or replace its times."""
        times = (partition.created, partition.modified, partition.altered)
        self._erase_partition(table, partition.spec)
        self.cursor.execute(
            "INSERT INTO emulator.partitions VALUES (?, ?, ?, ?, ?, ?)",
            [table.id, list(partition.spec), *(time.isoformat() for time in times), partition.size],
        )
        self._steps.append(partial(self._metadata.show_partition, table.id, partition))

    def drop_partition(self, table: Table, spec: tuple[str, ...]) -> None:
        """Delete a partition from the list."""
        self._erase_partition(table, spec)
        self._steps.append(partial(self._metadata.hide_partition, table.id, spec))

    def _erase_partition(self, table: Table, spec: tuple[str, ...]) -> None:
        self.cursor.execute("DELETE FROM emulator.partitions WHERE table_id = ? AND spec = ?", [table.id, list(spec)])
