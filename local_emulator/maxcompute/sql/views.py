"""CREATE VIEW, ALTER VIEW and DROP VIEW, with the codes of the service's page of SQL errors."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from local_emulator.maxcompute.entities import View
from local_emulator.maxcompute.errors import ServiceError
from local_emulator.maxcompute.sql.context import BY_SCHEMA, Context, Outcome
from local_emulator.maxcompute.sql.definitions import Parts, check_name, new_table, table_name
from local_emulator.maxcompute.sql.dialect import parse_query
from local_emulator.maxcompute.sql.errors import (
    INVALID_VIEW,
    TABLE_NOT_FOUND,
    SqlError,
    already_exists,
    ddl_error,
    semantic_error,
    unsupported,
    view_creation_error,
    view_not_found,
)

if TYPE_CHECKING:
    from local_emulator.maxcompute.entities import Table
    from local_emulator.maxcompute.sql.errors import Position
    from local_emulator.maxcompute.sql.query import Query
    from local_emulator.maxcompute.sql.script import Reader, Statement


def create_view(context: Context, reader: Reader, *, replacing: bool = False) -> Outcome:
    """CREATE [OR REPLACE] VIEW [IF NOT EXISTS] name [(column [COMMENT '...'], ...)] [COMMENT '...'] AS query.

    A replaced view keeps its owner and the grants on it. With both OR REPLACE and IF NOT EXISTS the view is replaced.
    """
    if_not_exists = reader.accept("IF", "NOT", "EXISTS")
    place = reader.place
    name = context.resolve(table_name(reader))
    named = _columns(reader)
    comment = reader.string() if reader.accept("COMMENT") else ""
    reader.expect("AS")
    statement = reader.rest()
    existing = context.store.table(*name) if context.store.has_table(*name) else None
    if existing and not replacing and if_not_exists:
        return Outcome()
    if existing and (not replacing or not existing.view):
        kind = "view" if existing.view else "table"
        raise already_exists(f"{kind} {existing.project}.{existing.name} already exists", place)
    query = _query(context, statement, existing, place)
    parts = Parts(columns=list(query.result_columns), comment=comment)
    if named:
        if len(named) != len(parts.columns):
            detail = f"expect {len(parts.columns)} column names, one for each column of the query, found {len(named)}"
            raise view_creation_error(detail, place)
        parts.columns = [
            replace(column, name=own_name, comment=own_comment)
            for column, (own_name, own_comment) in zip(parts.columns, named, strict=True)
        ]
    view = View(
        statement.text,
        context.project,
        context.schema,
        MappingProxyType({key: value for key, value in context.settings.items() if key == BY_SCHEMA}),
        tuple(column.name for column in query.columns),
    )
    new = replace(new_table(context, parts, name), view=view)
    if existing:
        _replace(context, existing, new)
        return Outcome()
    try:
        context.store.create_table(new)
    except ServiceError as error:
        if not if_not_exists or error.code != "ObjectAlreadyExists":
            raise
    return Outcome()


def _columns(reader: Reader) -> list[tuple[str, str]]:
    """Read the names and comments of columns, if any."""
    if not reader.accept("("):
        return []
    columns = reader.listed(lambda: (reader.name(), reader.string() if reader.accept("COMMENT") else ""))
    reader.expect(")")
    return columns


def _query(context: Context, statement: Statement, existing: Table | None, place: Position) -> Query:
    """Translate a view's query; SqlError if it would read the view itself, directly or through other views."""
    translator = context.translator(statement.script, (existing.id,) if existing else ())
    try:
        return translator.query(parse_query(statement.script, statement.tokens))
    except SqlError as error:
        if error.code == INVALID_VIEW and existing:
            raise view_creation_error(
                f"the query of {existing.project}.{existing.name} is invalid: {error}", place
            ) from error
        raise


def _replace(context: Context, existing: Table, new: Table) -> None:
    context.require("Alter", existing)
    context.store.alter_table(
        existing,
        lambda current: (
            replace(
                current,
                columns=new.columns,
                comment=new.comment,
                view=new.view,
                schema_version=current.schema_version + 1,
            ),
            (),
        ),
    )


def drop_view(context: Context, reader: Reader) -> Outcome:
    """DROP VIEW [IF EXISTS] name."""
    if_exists = reader.accept("IF", "EXISTS")
    place, name = reader.place, table_name(reader)
    reader.end()
    if if_exists and not context.store.has_table(*context.resolve(name)):
        return Outcome()
    context.store.drop_table(_view(context, name, place, "Drop"))
    return Outcome()


def alter_view(context: Context, reader: Reader) -> Outcome:
    """ALTER VIEW name RENAME TO name | CHANGEOWNER TO '...' | SET COMMENT '...' | CHANGE COLUMN name COMMENT '...'."""
    place = reader.place
    view = _view(context, table_name(reader), place, "Alter")
    place = reader.place
    if reader.accept("RENAME", "TO"):
        name = reader.name()
        reader.end()
        check_name(name)
        context.store.rename_table(view, name)
    elif reader.accept("CHANGEOWNER", "TO"):
        owner = reader.string()
        reader.end()
        context.rights.require_new_owner(context.owner, context.store.project(view.project), owner)
        context.store.alter_table(view, lambda current: (replace(current, owner=owner), ()))
    elif reader.accept("SET", "COMMENT"):
        comment = reader.string()
        reader.end()
        context.store.alter_table(view, lambda current: (replace(current, comment=comment), ()))
    elif reader.accept("CHANGE"):
        reader.accept("COLUMN")
        _comment_column(context, reader, view)
    else:
        raise unsupported("this ALTER VIEW", place)
    return Outcome()


def _comment_column(context: Context, reader: Reader, view: Table) -> None:
    place, name = reader.place, reader.name()
    reader.expect("COMMENT")
    comment = reader.string()
    reader.end()
    if view.column(name) is None:
        raise semantic_error(f"column {name} cannot be resolved", place)

    def commented(current: Table) -> tuple[Table, tuple[str, ...]]:
        columns = (replace(column, comment=comment) if column.name == name else column for column in current.columns)
        return replace(current, columns=tuple(columns)), ()

    context.store.alter_table(view, commented)


def _view(context: Context, name: list[str], place: Position, action: str) -> Table:
    """Return a view for an action; SqlError ODPS-0130201 if it doesn't exist, ODPS-0110061 if it is a table."""
    try:
        view = context.find(name, place, action)
    except SqlError as error:
        if error.code != TABLE_NOT_FOUND:
            raise
        project, _, own_name = context.resolve(name)
        raise view_not_found(f"{project}.{own_name}", place) from error
    if not view.view:
        raise ddl_error(f"expect a view, found the table {view.project}.{view.name}")
    return view
