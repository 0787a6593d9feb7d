"""Runs a script, statement by statement, until one fails."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING

from sqlglot import exp

from local_emulator.maxcompute.errors import ServiceError
from local_emulator.maxcompute.sql.alter import alter_table, drop_table, truncate_table
from local_emulator.maxcompute.sql.context import Context, Outcome, parse_assignment
from local_emulator.maxcompute.sql.definitions import create_table
from local_emulator.maxcompute.sql.dialect import parse_query
from local_emulator.maxcompute.sql.errors import ddl_error, parse_error
from local_emulator.maxcompute.sql.insert import insert
from local_emulator.maxcompute.sql.script import Reader, Statement, split
from local_emulator.maxcompute.sql.show import describe, explain, show
from local_emulator.maxcompute.sql.views import alter_view, create_view, drop_view

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SUBMIT_MODE = "odps.sql.submit.mode"
# The service's words, as users of its JDBC driver report them (aliyun/aliyun-odps-jdbc, issue 108).
ONE_STATEMENT = 'Please add put { "odps.sql.submit.mode" : "script"} for multi-statement query in settings.'
_COMMANDS: Mapping[tuple[str, ...], Callable[[Context, Reader], Outcome]] = MappingProxyType(
    {
        ("CREATE", "TABLE"): create_table,
        ("CREATE", "VIEW"): create_view,
        ("CREATE", "OR", "REPLACE", "VIEW"): partial(create_view, replacing=True),
        ("DROP", "TABLE"): drop_table,
        ("DROP", "VIEW"): drop_view,
        ("ALTER", "TABLE"): alter_table,
        ("ALTER", "VIEW"): alter_view,
        ("TRUNCATE",): truncate_table,
        ("SHOW",): show,
        ("DESC",): describe,
        ("DESCRIBE",): describe,
        ("EXPLAIN",): explain,
    }
)


def run(context: Context, script: str) -> Outcome:
    """Run a job's text; SqlError for the first failing statement, while the statements before stay in effect.

    As on the service, a job has one statement besides SETs; several statements need the setting for script mode.

    Returns:
        The rows of the last query, or without a query the texts of all statements; and the written rows of all.
    """
    texts, result, written = [], Outcome(), Counter[str]()
    statements = list(split(script))
    if not statements:
        raise parse_error("expect a statement, found none", None)
    if context.settings.get(SUBMIT_MODE) != "script" and sum(map(_is_no_set, statements)) > 1:
        raise parse_error(ONE_STATEMENT, None)
    for statement in statements:
        outcome = run_statement(context, statement)
        texts.append(outcome.text)
        result = outcome if outcome.rows is not None else result
        written.update(dict(outcome.written))
    text = "" if result.rows is not None else "".join(texts)
    return replace(result, text=text, written=tuple(written.items()))


def _is_no_set(statement: Statement) -> bool:
    return not Reader(statement).accept("SET")


def run_statement(context: Context, statement: Statement) -> Outcome:
    """Run one statement."""
    reader = Reader(statement)
    for words, command in _COMMANDS.items():
        if reader.accept(*words):
            try:
                return command(context, reader)
            except ServiceError as error:
                raise ddl_error(error.message) from error
    for word in ("CREATE", "DROP", "ALTER"):
        if reader.accept(word):
            raise reader.unexpected("TABLE or VIEW")
    if reader.accept("SET"):
        context.settings.update(parse_assignment(statement.text[len("SET") :]))
        return Outcome()
    tree = parse_query(statement.script, statement.tokens)
    translator = context.translator(statement.script)
    if isinstance(tree, exp.Insert):
        return insert(context, translator, tree)
    query = translator.query(tree)
    return Outcome(columns=query.result_columns, rows=context.run(query), zone=context.time_zone)
