"""Sets of rows of text, in memory for reading, and in the database for the next start."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from local_emulator.maxcompute.types import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from local_emulator.maxcompute.database import Database

Row = tuple[str, ...]


class StoredRelation:
    """A set of rows; readers never wait, and see a change after its commit."""

    def __init__(self, database: Database, name: str, columns: Sequence[str]) -> None:
        self._database = database
        self._table = f"emulator.{quoted(name)}"
        self._condition = " AND ".join(f"{quoted(column)} = ?" for column in columns)
        self._values = ", ".join("?" for _ in columns)
        self._lock = threading.Lock()
        with database.transaction() as cursor:
            definitions = ", ".join(f"{quoted(column)} VARCHAR" for column in columns)
            cursor.execute("CREATE SCHEMA IF NOT EXISTS emulator")
            cursor.execute(f"CREATE TABLE IF NOT EXISTS {self._table} ({definitions})")
            self._rows: frozenset[Row] = frozenset(cursor.execute(f"FROM {self._table}").fetchall())

    def __contains__(self, row: Row) -> bool:
        return row in self._rows

    def __iter__(self) -> Iterator[Row]:
        return iter(sorted(self._rows))

    def change(self, *, add: Iterable[Row] = (), remove: Iterable[Row] = ()) -> None:
        """Remove and add rows in one transaction; absent rows to remove and present rows to add have no effect."""
        with self._lock:
            removed = self._rows & frozenset(remove)
            added = frozenset(add) - (self._rows - removed)
            with self._database.transaction() as cursor:
                for row in removed:
                    cursor.execute(f"DELETE FROM {self._table} WHERE {self._condition}", list(row))  # noqa: S608 - quoted names
                for row in added:
                    cursor.execute(f"INSERT INTO {self._table} VALUES ({self._values})", list(row))  # noqa: S608 - quoted name
            self._rows = (self._rows - removed) | added
