"""The context of a script: its owner, project, settings and time; and the run of its queries."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Protocol
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from local_emulator.maxcompute.calendar_range import PROJECT_ZONE
from local_emulator.maxcompute.entities import DEFAULT_SCHEMA, Column, Project, Table
from local_emulator.maxcompute.errors import ServiceError
from local_emulator.maxcompute.snapshot import conform
from local_emulator.maxcompute.sql.dialect import parse_query, tokenize
from local_emulator.maxcompute.sql.errors import (
    Position,
    SqlError,
    invalid_view,
    overflow,
    runtime_error,
    semantic_error,
    table_not_found,
)
from local_emulator.maxcompute.sql.query import Query, Translator, renamed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from local_emulator.maxcompute.store import Store

CELL_BYTES = 8 << 20  # the service's own limit
BY_SCHEMA = "odps.namespace.schema"
"""The setting with which a name of two parts is ``schema.table``."""


class Rights(Protocol):
    """What identities may do."""

    def require(self, identity: str, action: str, target: Table | Project) -> None:
        """Check an action on a table, view or project; SqlError ODPS-0130013 if the identity may not do this."""

    def require_new_owner(self, identity: str, project: Project, owner: str) -> None:
        """Check that an identity may give objects to another owner, a user of the project; SqlError if not."""


class AllRights:
    """Everybody may do everything."""

    def require(self, identity: str, action: str, target: Table | Project) -> None:
        """Allow every action."""

    def require_new_owner(self, identity: str, project: Project, owner: str) -> None:
        """Allow every owner."""


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
        rights: checks the actions of ``owner``, and of the owners of views.
    """

    store: Store
    project: str
    schema: str
    owner: str
    now: datetime
    settings: dict[str, str] = field(default_factory=dict)
    on_cursor: Callable[[duckdb.DuckDBPyConnection | None], None] = lambda _: None
    rights: Rights = field(default_factory=AllRights)

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
            if self.settings.get(BY_SCHEMA, "").lower() == "true":
                return self.project, names[0], names[1]
            return names[0], DEFAULT_SCHEMA, names[1]
        defaults = [self.project, self.schema]
        project, schema, name = [*defaults[: 3 - len(names)], *names]
        return project, schema, name

    def require(self, action: str, target: Table | Project) -> None:
        """Check an action of the script's owner; SqlError ODPS-0130013 if it isn't allowed."""
        self.rights.require(self.owner, action, target)

    def table(self, parts: list[str], position: Position | None, action: str) -> Table:
        """Return a table for an action that views don't allow; see `find`."""
        table = self.find(parts, position, action)
        if table.view:
            raise semantic_error(f"expect a table, found the view {table.project}.{table.name}", position)
        return table

    def find(self, parts: list[str], position: Position | None = None, action: str = "Select") -> Table:
        """Return a table or view for an action.

        SqlError ODPS-0130131 if it doesn't exist, ODPS-0130013 if the action isn't allowed.
        """
        project, schema, name = self.resolve(parts)
        try:
            table = self.store.table(project, schema, name)
        except ServiceError as error:
            raise table_not_found(f"{project}.{name}", position) from error
        self.require(action, table)
        return table

    def translator(self, script: str, path: tuple[str, ...] = ()) -> Translator:
        """Return a translator of the script's queries; ``path`` has the ids of views that they must not read."""
        now = self.now.astimezone(timezone.utc).isoformat(sep=" ")
        return Translator(script, now, self.find, lambda table, place: self._view_query(table, place, path))

    def _view_query(self, table: Table, position: Position | None, path: tuple[str, ...]) -> Query:
        """Return a view's query. The view's owner reads the tables in it: a reader of the view needs no right on them.

        SqlError, with the view's name, if the query isn't valid any more or the owner may not read a table.
        """
        name, view = f"{table.project}.{table.name}", table.view
        if view is None:
            raise ValueError(f"expected a view, found the table {name}")
        if table.id in path:
            raise invalid_view(f"the view {name} reads itself", position)
        settings = {key: value for key, value in self.settings.items() if key != BY_SCHEMA}
        context = replace(
            self,
            project=view.project,
            schema=view.schema,
            owner=table.owner,
            settings={**settings, **view.settings},
        )
        try:
            tree = parse_query(view.text, tokenize(view.text))
            query = context.translator(view.text, (*path, table.id)).query(tree)
        except SqlError as error:
            raise error.in_view(name, position) from error
        names = [column.name for column in query.columns]
        # As at the creation, also if * gives more columns now.
        chosen = [names.index(output) for output in view.outputs if names.count(output) == 1]
        if tuple(names) == view.outputs:
            chosen = list(range(len(names)))
        elif len(chosen) < len(view.outputs):
            lost = ", ".join(output for output in view.outputs if names.count(output) != 1)
            raise invalid_view(f"the query of {name} has no column {lost} any more", position)
        return renamed(query, chosen, [column.name for column in table.columns])

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
