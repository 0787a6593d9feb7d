"""The context of a script: its owner, project, settings and time; and the run of its queries."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from local_emulator.maxcompute.calendar_range import PROJECT_ZONE
from local_emulator.maxcompute.entities import DEFAULT_SCHEMA, Column, Project, Table
from local_emulator.maxcompute.errors import ServiceError
from local_emulator.maxcompute.snapshot import conform
from local_emulator.maxcompute.sql.errors import (
    Position,
    SqlError,
    overflow,
    runtime_error,
    semantic_error,
    table_not_found,
)
from local_emulator.maxcompute.sql.query import Query, Translator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from local_emulator.maxcompute.store import Store

CELL_BYTES = 8 << 20  # the service's own limit


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a statement: a text (of SHOW, DESC, ...; empty for most other statements), or columns and rows.

    ``written``: pairs of ``project.table`` and the number of rows written into this table. ``zone`` is the time zone of
    the times.
    """

    text: str = ""
    columns: tuple[Column, ...] = ()
    rows: pa.Table | None = None
    written: tuple[tuple[str, int], ...] = ()
    zone: ZoneInfo = PROJECT_ZONE


@dataclass(slots=True)
class Context:
    """The context of one script.

    Attributes:
        store: the emulator's state.
        project: the project of names without a project.
        schema: the schema of names without a schema.
        owner: the name of the identity that runs the script, and owns new tables.
        now: the time of the script's start.
        settings: hints and SET statements, such as ``odps.sql.timezone``.
        on_cursor: receives the cursor of each query, so that the query can be interrupted, and None at its end.
        require: checks an action on a table or project; SqlError ODPS-0130013 if ``owner`` may not do this.
    """

    store: Store
    project: str
    schema: str
    owner: str
    now: datetime
    settings: dict[str, str] = field(default_factory=dict)
    on_cursor: Callable[[duckdb.DuckDBPyConnection | None], None] = lambda _: None
    require: Callable[[str, Table | Project], None] = lambda _action, _target: None

    @property
    def time_zone(self) -> ZoneInfo:
        """The time zone of times in texts."""
        return configured_zone(self.settings)

    def resolve(self, parts: list[str]) -> tuple[str, str, str]:
        """Return project, schema and table of a name of one to three parts."""
        names = [part.lower() for part in parts]
        if len(names) > 3:  # noqa: PLR2004
            raise semantic_error(f"expect project.schema.table, found {'.'.join(parts)}")
        if len(names) == 2:  # noqa: PLR2004
            if self.settings.get("odps.namespace.schema", "").lower() == "true":
                return self.project, names[0], names[1]
            return names[0], DEFAULT_SCHEMA, names[1]
        defaults = [self.project, self.schema]
        project, schema, name = [*defaults[: 3 - len(names)], *names]
        return project, schema, name

    def table(self, parts: list[str], position: Position | None = None, action: str = "Select") -> Table:
        """Return a table for an action; SqlError ODPS-0130131 if it doesn't exist, ODPS-0130013 if it isn't allowed."""
        project, schema, name = self.resolve(parts)
        try:
            table = self.store.table(project, schema, name)
        except ServiceError as error:
            raise table_not_found(f"{project}.{name}", position) from error
        self.require(action, table)
        return table

    def translator(self, script: str) -> Translator:
        """Return a translator of the script's queries."""
        return Translator(script, self.now.astimezone(timezone.utc).isoformat(sep=" "), self.table)

    def run(self, query: Query) -> pa.Table:
        """Return a query's rows in the emulator's inner Arrow types; SqlError for values that the query refuses."""
        with self.store.database.cursor() as cursor, _failures():
            cursor.execute(f"SET TimeZone = '{self.time_zone.key}'")
            self.on_cursor(cursor)
            try:
                rows = cursor.sql(query.sql).to_arrow_table()
            finally:
                self.on_cursor(None)
        for name, column in zip(rows.column_names, rows.columns, strict=True):
            _check_cells(name, column)
        return conform(rows, query.result_columns)


def _check_cells(name: str, column: pa.ChunkedArray) -> None:
    if pa.types.is_string(column.type) or pa.types.is_binary(column.type):
        longest = pc.max(pc.binary_length(column)).as_py() or 0
        if longest > CELL_BYTES:
            raise overflow(f"a value of {name} has {longest} bytes, {CELL_BYTES} are allowed")


def configured_zone(settings: Mapping[str, str]) -> ZoneInfo:
    """Return the time zone of times in texts; SqlError if the setting isn't a time zone's name."""
    name = settings.get("odps.sql.timezone")
    try:
        return ZoneInfo(name) if name else PROJECT_ZONE
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise semantic_error(f"odps.sql.timezone: expect an IANA name, found {name}") from error


@contextmanager
def _failures() -> Iterator[None]:
    """Turn DuckDB's errors for a query into the service's."""
    try:
        yield
    except duckdb.InterruptException:
        raise
    except duckdb.Error as error:
        detail = str(error).split("\n", 1)[0]
        detail = detail.split(": ", 1)[-1]
        if isinstance(error, (duckdb.BinderException, duckdb.CatalogException, duckdb.ParserException)):
            raise semantic_error(detail) from error
        if isinstance(error, (duckdb.OutOfRangeException, duckdb.ConversionException)):
            raise overflow(detail) from error
        raise runtime_error(detail) from error


def parse_assignment(text: str) -> Mapping[str, str]:
    """Return the setting in a SET statement's ``key=value``; SqlError if there is no ``=``."""
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise SqlError("0130161", "Parse exception", "expect SET key=value", Position())
    return {key.strip(): value.strip()}
