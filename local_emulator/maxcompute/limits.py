"""The service's limits: the documented values, or others that the user sets.

Sources: the service's pages "Overview of the data transmission service" (sessions, blocks, commits), "MaxCompute SQL
limits" (the others) and "ODPS-0123031" (the answer for too many partitions).
"""

from __future__ import annotations

from dataclasses import astuple, dataclass, fields, replace
from typing import TYPE_CHECKING

from local_emulator.maxcompute.errors import invalid

if TYPE_CHECKING:
    from collections.abc import Iterable

    from local_emulator.maxcompute.entities import Table


@dataclass(frozen=True, slots=True)
class Limits:
    """The largest allowed numbers; None: no limit."""

    sessions: int | None = 500
    """Upload sessions opened on a table in 5 minutes."""
    blocks: int | None = 500
    """Blocks sent to a table in 5 minutes."""
    commits: int | None = 75
    """Commits to a table in 15 seconds."""
    commits_at_once: int | None = 32
    """Commits to a table that run at the same time."""
    slots: int | None = 300
    """Writes to stream and upsert sessions that run at the same time; this is the shared quota of most regions."""
    partitions: int | None = 60_000
    """Partitions of a table."""
    partition_levels: int | None = 6
    """Partition columns of a table."""
    columns: int | None = 1_200
    """Columns of a table, partition columns included."""
    name_bytes: int | None = 128
    """Length of a table's or a column's name."""
    sql_bytes: int | None = 2 << 20
    """Length of a job's SQL text."""

    def describe(self) -> str:
        """Return the limits that differ from the documented ones, as text for a report."""
        if self == Limits():
            return "as documented"
        if self == NO_LIMITS:
            return "off"
        own = zip(NAMES, astuple(self), astuple(Limits()), strict=True)
        return " ".join(f"{name}={'off' if value is None else value}" for name, value, usual in own if value != usual)

    def check_shape(self, table: Table) -> None:
        """Raise ServiceError InvalidArgument if the table has too many columns, or a name that is too long."""
        _at_most(self.partition_levels, len(table.partition_columns), "partition columns")
        _at_most(self.columns, len(table.all_columns), "columns")
        for name in (table.name, *(column.name for column in table.all_columns)):
            if self.name_bytes is not None and len(name.encode()) > self.name_bytes:
                raise invalid(f"expected names of 1 to {self.name_bytes} bytes, found a name of {len(name.encode())}")

    def check_partitions(self, count: int) -> None:
        """Raise ServiceError InvalidArgument if a table can't have this number of partitions."""
        if self.partitions is not None and count > self.partitions:
            raise invalid(f"ODPS-0123031:ODPS partition exception - maximum {self.partitions} partitions allowed")

    def check_sql(self, text: str) -> None:
        """Raise ServiceError InvalidParameter if a job's text is too long."""
        size = len(text.encode())
        if self.sql_bytes is not None and size > self.sql_bytes:
            detail = f"the SQL text has {size} bytes, {self.sql_bytes} are allowed"
            raise invalid(f"ODPS-0420061: Invalid parameter in HTTP request - {detail}", "InvalidParameter")


NO_LIMITS = Limits(*(None for _ in fields(Limits)))
NAMES = tuple(field.name.replace("_", "-") for field in fields(Limits))


def changed(limits: Limits, words: Iterable[str]) -> Limits:
    """Return limits changed by words such as ``blocks=2000`` or ``commits-at-once=off``; ValueError for other words."""
    for word in words:
        name, _, text = word.partition("=")
        if name not in NAMES or not (text == "off" or (text.isdecimal() and int(text) > 0)):
            raise ValueError(f"expected NAME=NUMBER or NAME=off, NAME one of {', '.join(NAMES)}; found {word!r}")
        limits = replace(limits, **{name.replace("-", "_"): None if text == "off" else int(text)})
    return limits


def _at_most(most: int | None, count: int, what: str) -> None:
    if most is not None and count > most:
        raise invalid(f"expected at most {most} {what}, found {count}")
