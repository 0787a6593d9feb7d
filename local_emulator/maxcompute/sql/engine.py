"""Runs a script, statement by statement, until one fails."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
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

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SUBMIT_MODE = "odps.sql.submit.mode"
# The service's own words, as users of its JDBC driver report them (aliyun/aliyun-odps-jdbc, issue 108).
ONE_STATEMENT = 'Please add put { "odps.sql.submit.mode" : "script"} for multi-statement query in settings.'
_COMMANDS: Mapping[str, Callable[[Context, Reader], Outcome]] = MappingProxyType(
    {
        "CREATE": create_table,
        "DROP": drop_table,
        "ALTER": alter_table,
        "TRUNCATE": truncate_table,
        "SHOW": show,
        "DESC": describe,
        "DESCRIBE": describe,
        "EXPLAIN": explain,
    }
)


def run(context: Context, script: str) -> Outcome:
    """Run a job's text; SqlError for the first statement that fails, those before it stay done.

    As on the service, a job holds one statement besides SETs, or several only if its settings ask for script mode.

    Returns:
        The rows of the last query if there is one, else the texts of all statements together; what all have written.
    """
    texts, found, written = [], Outcome(), Counter[str]()
    statements = list(split(script))
    if not statements:
        raise parse_error("expect a statement, found none", None)
    if context.settings.get(SUBMIT_MODE) != "script" and sum(map(_does_something, statements)) > 1:
        raise parse_error(ONE_STATEMENT, None)
    for statement in statements:
        outcome = run_statement(context, statement)
        texts.append(outcome.text)
        found = outcome if outcome.rows is not None else found
        written.update(dict(outcome.written))
    text = "" if found.rows is not None else "".join(texts)
    return replace(found, text=text, written=tuple(written.items()))


def _does_something(statement: Statement) -> bool:
    return not Reader(statement).accept("SET")


def run_statement(context: Context, statement: Statement) -> Outcome:
    """Run one statement."""
    reader = Reader(statement)
    for word, command in _COMMANDS.items():
        if reader.accept(word):
            try:
                return command(context, reader)
            except ServiceError as error:
                raise ddl_error(error.message) from error
    if reader.accept("SET"):
        context.settings.update(parse_assignment(statement.text[len("SET") :]))
        return Outcome()
    tree = parse_query(statement.script, statement.tokens)
    translator = context.translator(statement.script)
    if isinstance(tree, exp.Insert):
        return insert(context, translator, tree)
    query = translator.query(tree)
    return Outcome(columns=query.result_columns, rows=context.run(query), zone=context.time_zone)
