"""The embedded DuckDB: one database in memory or in a file, a cursor for each operation, transactions as a block."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import duckdb

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FILE_NAME = "maxcompute.duckdb"


class DatabaseBusyError(Exception):
    """Another process has the data directory's database open."""


class Database:
    """Cursors of it may be used in several threads at once, each in one."""

    def __init__(self, data_dir: Path | None = None) -> None:
        if data_dir is not None:
            data_dir.mkdir(parents=True, exist_ok=True)
        try:
            self._connection = duckdb.connect(":memory:" if data_dir is None else str(data_dir / FILE_NAME))
        except duckdb.IOException as error:
            if "lock" not in str(error):
                raise
            raise DatabaseBusyError(
                f"{data_dir} is in use by another emulator; end that one, or name another directory with --data-dir"
            ) from error

    @contextlib.contextmanager
    def cursor(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection of its own to the same database, closed at the end of the block."""
        cursor = self._connection.cursor()
        try:
            yield cursor
        finally:
            cursor.close()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A cursor in a transaction, committed (to the file, if any) when the block ends without an exception."""
        with self.cursor() as cursor:
            cursor.execute("BEGIN")
            try:
                yield cursor
            except BaseException:
                cursor.execute("ROLLBACK")
                raise
            cursor.execute("COMMIT")

    def close(self) -> None:
        """Write everything out and let go of the file."""
        self._connection.close()
