"""Whatever names, types and values are given: a statement is one statement, and its parts are those that were given.

SQL is parsed back with sqlglot, in the dialect that reads texts as MaxCompute does (backslash escapes, back quotes);
statements of access control, for which there is no such parser, by a strict tokenizer of this file's own.
"""

from __future__ import annotations

import ast
import re
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import sqlglot
from hypothesis import example, given
from hypothesis import strategies as st
from sqlglot import exp

from kafka_maxcompute.errors import ConfigurationError
from kafka_maxcompute.maxcompute import column_type, sql
from kafka_maxcompute.maxcompute.column import Column
from kafka_maxcompute.settings.names import MAXCOMPUTE

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.quick
ROOT = Path(__file__).resolve().parents[2]

ATTACK = "DECIMAL(10,2))/**/PARTITIONED/**/BY/**/(`PT`/**/STRING);DROP/**/TABLE/**/PRECIOUS;--"
# What ends a name, a text, a type, a comment or a statement, and what of it survives naive checks.
PIECES = st.sampled_from(
    [
        *("'", '"', "`", "\\", ";", "--", "/*", "*/", "(", ")", ",", "$", ":", "/", "=", "%", "#", "<", ">", ".", "@"),
        *(" ", "\n", "\r", "\t", "\u2028", "\u00a0", "\u2019", "\uff07", "\ufeff", "\x1a", "0", "9", "\u0661"),
        *("a", "drop table precious", "or 1=1", "DECIMAL", "STRING", "DECIMAL(10,2)", "RAM$1:role/r", "t", "pt"),
    ]
)
HOSTILE = st.one_of(st.text(), st.lists(PIECES, max_size=8).map("".join))
NAMES = st.one_of(HOSTILE, st.from_regex(MAXCOMPUTE.pattern, fullmatch=True))
TYPES = st.one_of(HOSTILE, st.sampled_from([*column_type.PARAMETERS, "decimal( 10 , 2 )", "VARCHAR(20)", "char(255)"]))
PRINCIPALS = st.one_of(HOSTILE, st.from_regex(r"RAM\$[0-9]{1,20}:role/[a-z0-9.-]{1,64}", fullmatch=True))
NUMBERS = st.integers(0, 2**63 - 1)
RANGES = st.lists(
    st.tuples(st.tuples(HOSTILE, st.integers(0, 99)), st.tuples(NUMBERS, NUMBERS)), min_size=1, max_size=3
)
TOKEN = re.compile(r"`RAM\$[0-9]+:role/[A-Za-z0-9.-]+`|[A-Za-z][A-Za-z0-9_]*|[,;]|(?P<space> )")


def parsed(statement: sql.Statement) -> exp.Expr:
    """The one statement that this is to a parser."""
    (tree,) = sqlglot.parse(statement.text, read="hive")
    assert tree is not None
    assert not [node for node in tree.walk() if node.comments]
    return tree


def words(statement: sql.Statement) -> list[str]:
    """The tokens of a statement of access control; fails for anything that is none."""
    found, at = [], 0
    while at < len(statement.text):
        match = TOKEN.match(statement.text, at)
        assert match, f"no token at {at}: {statement.text!r}"
        at = match.end()
        if match["space"] is None:
            found.append(match[0])
    assert found[-1] == ";"
    assert found.count(";") == 1
    return found[:-1]


def texts(tree: exp.Expr) -> list[str]:
    return [node.this for node in tree.find_all(exp.Literal) if node.is_string]


@given(NAMES, NAMES, TYPES)
@example("t", "price", ATTACK)
@example("t", "price", "CHAR(1),`EVIL`STRING,`Z`VARCHAR(3)")
@example("t", "price", "DECIMAL(10,2)) PARTITIONED BY (`pt` STRING) LIFECYCLE 1; --")
@example("t`(a STRING); DROP TABLE precious; --", "price", "STRING")
@example("t", "price` STRING); DROP TABLE precious; --", "STRING")
@example("t\n", "price", "STRING")
@example("t", "price", "DECIMAL(\u0661)")
def test_a_table_has_the_name_the_columns_and_the_types_that_were_given(table: str, name: str, kind: str) -> None:
    try:
        made = sql.create_table(table, [Column("topic", "STRING"), Column(name, kind)], [Column("pt", "STRING")])
    except ConfigurationError:
        return
    tree = parsed(made)
    assert isinstance(tree, exp.Create)
    assert isinstance(tree.this, exp.Schema)
    assert tree.this.this.name == table
    assert [column.name for column in tree.this.expressions] == ["topic", name]
    assert tree.this.expressions[1].args["kind"] == exp.DataType.build(str(column_type.parse(kind)), "hive")
    (partitioned,) = tree.args["properties"].expressions
    assert [column.name for column in partitioned.this.expressions] == ["pt"]


@given(NAMES)
def test_a_table_that_is_dropped_is_the_one_that_was_named(table: str) -> None:
    try:
        made = sql.drop_table(table)
    except ConfigurationError:
        return
    tree = parsed(made)
    assert isinstance(tree, exp.Drop)
    assert [found.name for found in tree.find_all(exp.Table)] == [table]


@given(NAMES, NAMES, HOSTILE, RANGES)
@example("t", "pt", "\\", [(("a", 0), (0, 1))])
@example("t", "pt", "x' OR '1'='1", [(("a\\' OR 1=1 --", 0), (0, 1))])
def test_rows_are_counted_by_the_values_that_were_given(
    table: str, column: str, value: str, ranges: list[tuple[tuple[str, int], tuple[int, int]]]
) -> None:
    try:
        made = sql.count_rows(table, column, value, ranges)
    except ConfigurationError:
        return
    tree = parsed(made)
    assert isinstance(tree, exp.Select)
    assert [found.name for found in tree.find_all(exp.Table)] == [table]
    assert sorted(texts(tree)) == sorted([value, *(topic for (topic, _), _ in ranges)])
    assert {found.name for found in tree.find_all(exp.Column)} == {column, "topic", "partition", "offset"}


@given(NAMES, NAMES, HOSTILE, st.none() | st.tuples(st.integers(0, 99), NUMBERS))
def test_an_audit_reads_the_table_and_topic_that_were_given(
    table: str, column: str, topic: str, after: tuple[int, int] | None
) -> None:
    try:
        made = sql.runs_of_offsets(table, column, topic, after, 5_000)
    except ConfigurationError:
        return
    tree = parsed(made)
    assert isinstance(tree, exp.Select)
    assert [found.name for found in tree.find_all(exp.Table)] == [table]
    assert sorted(texts(tree)) == sorted(["", topic])


@given(
    PRINCIPALS,
    NAMES,
    st.lists(st.sampled_from(sql.PRIVILEGES) | HOSTILE, max_size=3),
    st.sampled_from(["table", "project"]) | HOSTILE,
)
@example("RAM$1:role/r`; drop table t; --", "t", ["Select"], "table")
@example("RAM$1:role/r", "t to user x; drop table t", ["Select"], "table")
@example("RAM$1:role/r", "t", ["Select on table t to user x; grant All"], "table")
def test_a_statement_of_access_control_names_the_user_and_object_that_were_given(
    principal: str, name: str, privileges: list[str], kind: str
) -> None:
    listed = [word for privilege in privileges for word in (privilege, ",")][:-1]
    cases: tuple[tuple[Callable[[], sql.Statement], list[str]], ...] = (
        (lambda: sql.grant(privileges, kind, name, principal), ["grant", *listed, "on", kind, name, "to", "user"]),
        (lambda: sql.revoke(privileges, kind, name, principal), ["revoke", *listed, "on", kind, name, "from", "user"]),
        (lambda: sql.add_user(principal), ["add", "user"]),
        (lambda: sql.remove_user(principal), ["remove", "user"]),
        (lambda: sql.grant_admin(principal), ["grant", "admin", "to"]),
        (lambda: sql.show_grants(principal), ["show", "grants", "for"]),
    )
    for make, expected in cases:
        try:
            made = make()
        except ConfigurationError:
            continue
        assert words(made) == [*expected, f"`{principal}`"]


@given(HOSTILE)
def test_a_literal_is_the_text_that_was_given(value: str) -> None:
    try:
        written = sql.literal(value)
    except ConfigurationError:
        assert "\0" in value
        return
    assert texts(parsed(sql.Statement(f"SELECT {written}"))) == [value]


@given(TYPES)
@example(ATTACK)
def test_a_type_is_read_back_as_itself_or_refused(text: str) -> None:
    try:
        found = column_type.parse(text)
    except ValueError:
        return
    assert column_type.parse(str(found)) == found
    assert re.fullmatch(r"[A-Z_]+(\([0-9]+(,[0-9]+)?\))?", str(found))
    assert "".join(text.split()).upper() == str(found) or "0" in text


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("DECIMAL(10,2)", ""),
        ("decimal", ""),
        ("decimal(38)", ""),
        ("varchar(65535)", ""),
        ("DECIMAL(39,2)", "expected a parameter of DECIMAL from 1 to 38"),
        ("DECIMAL(38,19)", "expected a parameter of DECIMAL from 0 to 18"),
        ("DECIMAL(2,3)", "expected DECIMAL with no more digits after the point than in all"),
        ("DECIMAL(1,1,1)", "expected one of TINYINT"),
        ("DECIMAL()", "expected one of TINYINT"),
        ("VARCHAR", "expected VARCHAR with 1 parameter"),
        ("CHAR(256)", "expected a parameter of CHAR from 1 to 255"),
        ("CHAR(1,2)", "expected CHAR with 1 parameter"),
        ("STRING(1)", "expected STRING with no parameters"),
        ("ARRAY<STRING>", "expected one of TINYINT"),
        ("", "expected one of TINYINT"),
        (ATTACK, "expected one of TINYINT"),
    ],
)
def test_types_and_their_parameters(text: str, fault: str) -> None:
    with pytest.raises(ValueError, match=re.escape(fault)) if fault else nullcontext():
        column_type.parse(text)


def test_no_statement_is_written_anywhere_else() -> None:
    """`Statement` is what runs, and only the module that checks its parts makes one."""
    made = {
        str(source.relative_to(ROOT))
        for folder in ("functions", "layers")
        for source in (ROOT / folder).rglob("*.py")
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] == "Statement"
    }
    assert made == {"layers/connector/python/kafka_maxcompute/maxcompute/sql.py"}
