"""The embedded DuckDB: one database in memory or in a file, a cursor for each operation, transactions as a block."""

from __future__ import annotations

import contextlib
import os
import tempfile
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from local_emulator.maxcompute.errors import DatabaseBusyError

if TYPE_CHECKING:
    from collections.abc import Iterator

FILE_NAME = "maxcompute.duckdb"
# Rows above this go to the disk, those of a database in memory too, so that a table may be larger than the machine's
# memory. It is enough for 32 commits of 200,000 rows of 300 bytes at once, and to sort and join 8 million rows
# (measured); each of DuckDB's threads needs a share of it.
MEMORY_LIMIT = "1GiB"
MOST_THREADS = 4
# DuckDB divides decimals as doubles. `decimal_quotient` divides them digit by digit, six at a time, to 18 places, the
# last one rounded half up: exact, or DuckDB's overflow error. `digits` is 18 + the divisor's scale - the dividend's.
_MACROS = """
CREATE OR REPLACE MACRO unscaled(v) AS CAST(replace(CAST(v AS VARCHAR), '.', '') AS HUGEINT);
CREATE OR REPLACE MACRO long_division(a, b, digits) AS list_reduce(
    list_transform(
        range((digits + 5) // 6),
        lambda i: [[10, 100, 1000, 10000, 100000, 1000000][least(6, digits - 6 * i)]::HUGEINT, 0]
    ),
    lambda done, step: [done[1] * step[1] + (done[2] * step[1]) // b, (done[2] * step[1]) % b],
    [a // b, a % b]
);
CREATE OR REPLACE MACRO rounded(division, a, b) AS
    division[1] + CASE WHEN 2 * abs(division[2]) >= abs(b) THEN sign(a) * sign(b) ELSE 0 END;
CREATE OR REPLACE MACRO decimal_quotient(a, b, digits) AS
    CAST(
        rounded(long_division(unscaled(a), nullif(unscaled(b), 0), digits), unscaled(a), unscaled(b)) AS DECIMAL(38,0)
    ) * 0.000000000000000001::DECIMAL(18,18);
"""


class Database:
    """Cursors of it may be used in several threads at once, each in one."""

    def __init__(self, data_dir: Path | None = None) -> None:
        # DuckDB makes the directory to spill to when it needs it, and takes it away when it's closed.
        if data_dir is None:
            path, spill = ":memory:", Path(tempfile.gettempdir(), f"maxcompute-{uuid.uuid4().hex}")
        else:
            data_dir.mkdir(parents=True, exist_ok=True)
            path, spill = str(data_dir / FILE_NAME), data_dir / "spill"
        settings: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": MEMORY_LIMIT,
            "threads": min(MOST_THREADS, os.cpu_count() or 1),
            "temp_directory": str(spill),
        }
        try:
            self._connection = duckdb.connect(path, config=settings)
        except duckdb.IOException as error:
            if "lock" not in str(error):
                raise
            raise DatabaseBusyError(
                f"{data_dir} is in use by another emulator; end that one, or name another directory with --data-dir"
            ) from error
        # Compressing costs a commit of a million rows a second more than writing them (measured: 1.6 s, then 0.6 s).
        self._connection.execute("PRAGMA force_compression='uncompressed'")
        self._connection.execute(_MACROS)

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
