"""Queries: the document's own, then every clause, on one small table."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from local_emulator.maxcompute.sql.errors import SqlError
from tests.maxcompute_sql import DOCUMENT_TABLE, Session

pytestmark = pytest.mark.quick


@pytest.fixture(scope="module")
def session() -> Session:
    made = Session()
    made.run(DOCUMENT_TABLE)
    made.run(
        """
        INSERT INTO test_kafka PARTITION (pt='11-17-2020 14') VALUES
            ('maxcompute-test-input', 0, 0, '1', '1'), ('orders', 0, 0, 'a', 'x'), ('orders', 0, 1, NULL, 'y');
        INSERT INTO test_kafka PARTITION (pt='11-17-2020 15') VALUES
            ('orders', 1, 0, 'b', NULL), ('orders', 1, 1, 'b', '中文');
        CREATE TABLE names (topic STRING, label STRING);
        INSERT INTO names VALUES ('orders', 'O'), ('unused', 'U');
        CREATE TABLE nested (id BIGINT, tags ARRAY<STRING>, counts MAP<STRING, BIGINT>);
        INSERT INTO nested SELECT 1, array('a', 'b'), map('k', 7L);
        INSERT INTO nested SELECT 2, NULL, NULL;
        CREATE TABLE days (v STRING) PARTITIONED BY (n BIGINT, d STRING);
        INSERT INTO days PARTITION (n=9, d='x') VALUES ('nine');
        INSERT INTO days PARTITION (n=10, d='x') VALUES ('ten');
        """
    )
    return made


def test_the_query_of_the_document(session: Session) -> None:
    outcome = session.run('select * from test_kafka where pt ="11-17-2020 14" and topic = "maxcompute-test-input";')
    assert [(column.name, str(column.type)) for column in outcome.columns] == [
        ("topic", "string"),
        ("partition", "bigint"),
        ("offset", "bigint"),
        ("key", "string"),
        ("value", "string"),
        ("pt", "string"),
    ]
    assert outcome.rows is not None
    assert outcome.rows.to_pylist() == [
        {
            "topic": "maxcompute-test-input",
            "partition": 0,
            "offset": 0,
            "key": "1",
            "value": "1",
            "pt": "11-17-2020 14",
        }
    ]


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ("SELECT count(*) FROM test_kafka", [(5,)]),
        ("SELECT count(key), count(DISTINCT key), count(DISTINCT partition, offset) FROM test_kafka", [(4, 3, 4)]),
        (
            "SELECT pt, count(*) c FROM test_kafka GROUP BY pt ORDER BY pt DESC LIMIT 10",
            [("11-17-2020 15", 2), ("11-17-2020 14", 3)],
        ),
        (
            (
                "SELECT topic, sum(offset) s, avg(offset), min(value), max(partition) FROM test_kafka "
                "GROUP BY topic HAVING count(*) > 1 AND s >= 2"
            ),
            [("orders", 2, 0.5, "x", 1)],
        ),
        ("SELECT upper(topic) t FROM test_kafka GROUP BY t ORDER BY t LIMIT 1", [("MAXCOMPUTE-TEST-INPUT",)]),
        ("SELECT key FROM test_kafka ORDER BY key LIMIT 2", [(None,), ("1",)]),
        ("SELECT key FROM test_kafka ORDER BY key DESC LIMIT 2", [("b",), ("b",)]),
        ("SELECT key FROM test_kafka ORDER BY key LIMIT 2 OFFSET 2", [("a",), ("b",)]),
        ("SELECT key FROM test_kafka ORDER BY key LIMIT 2, 1", [("a",)]),
        ("SELECT DISTINCT topic FROM test_kafka ORDER BY 1", [("maxcompute-test-input",), ("orders",)]),
        ("SELECT value FROM test_kafka WHERE key = 'b' AND value IS NOT NULL", [("中文",)]),
        ("SELECT count(*) FROM test_kafka WHERE NOT (key = 'a')", [(3,)]),
        ("SELECT count(*) FROM test_kafka WHERE `partition` = 1 AND `offset` IN (0, 1)", [(2,)]),
        ("SELECT t.offset + 1 FROM connector_test.`test_kafka` t WHERE t.key = '1'", [(1,)]),
        (
            "SELECT k.value, n.label FROM test_kafka k JOIN names n ON k.topic = n.topic WHERE k.key = 'a'",
            [("x", "O")],
        ),
        (
            (
                "SELECT DISTINCT k.topic, n.label FROM test_kafka k LEFT OUTER JOIN names n ON k.topic = n.topic "
                "ORDER BY topic"
            ),
            [("maxcompute-test-input", None), ("orders", "O")],
        ),
        (
            "SELECT DISTINCT n.topic, k.topic FROM test_kafka k RIGHT JOIN names n ON k.topic = n.topic ORDER BY 1",
            [("orders", "orders"), ("unused", None)],
        ),
        ("SELECT count(*) FROM test_kafka k FULL JOIN names n ON k.topic = n.topic", [(6,)]),
        ("SELECT count(*) FROM test_kafka k LEFT SEMI JOIN names n ON k.topic = n.topic", [(4,)]),
        ("SELECT count(*) FROM test_kafka k LEFT ANTI JOIN names n ON k.topic = n.topic", [(1,)]),
        ("SELECT count(*) FROM names a, names b", [(4,)]),
        ("SELECT count(*) FROM names a CROSS JOIN names b", [(4,)]),
        ("SELECT * FROM names JOIN (SELECT 'orders' topic, 1 n) x USING (topic)", [("orders", "O", 1)]),
        ("SELECT max(n) FROM (SELECT count(*) n FROM test_kafka GROUP BY topic) t", [(4,)]),
        ("SELECT label FROM names WHERE topic IN (SELECT topic FROM test_kafka)", [("O",)]),
        ("SELECT label FROM names WHERE topic NOT IN (SELECT topic FROM test_kafka)", [("U",)]),
        ("SELECT label FROM names n WHERE EXISTS (SELECT 1 FROM test_kafka k WHERE k.topic = n.topic)", [("O",)]),
        ("SELECT label FROM names n WHERE NOT EXISTS (SELECT 1 FROM test_kafka WHERE topic = n.topic)", [("U",)]),
        ("SELECT (SELECT count(*) FROM names) + 1", [(3,)]),
        (
            (
                "WITH a AS (SELECT topic, count(*) c FROM test_kafka GROUP BY topic), b(x) AS (SELECT max(c) FROM a) "
                "SELECT a.topic, b.x FROM a JOIN b ON a.c = b.x"
            ),
            [("orders", 4)],
        ),
        ("SELECT 1 a UNION ALL SELECT 1 UNION ALL SELECT NULL ORDER BY a", [(None,), (1,), (1,)]),
        ("SELECT 1 a UNION SELECT 1 UNION SELECT 2.5", [(1.0,), (2.5,)]),
        ("SELECT 1 INTERSECT SELECT 1", [(1,)]),
        ("SELECT topic FROM names EXCEPT SELECT topic FROM test_kafka", [("unused",)]),
        ("SELECT topic FROM names MINUS SELECT topic FROM test_kafka", [("unused",)]),
        ("(SELECT 1 a) UNION ALL (SELECT 2) ORDER BY a DESC LIMIT 1", [(2,)]),
        ("SELECT b FROM VALUES (1, 'x'), (2, NULL) t(a, b) WHERE a = 1", [("x",)]),
        ("SELECT id, tag FROM nested LATERAL VIEW explode(tags) t AS tag", [(1, "a"), (1, "b")]),
        ("SELECT id, tag FROM nested LATERAL VIEW OUTER explode(tags) t AS tag WHERE id = 2", [(2, None)]),
        ("SELECT i, tag FROM nested LATERAL VIEW posexplode(tags) t AS i, tag", [(0, "a"), (1, "b")]),
        ("SELECT k, v FROM nested LATERAL VIEW explode(counts) t AS k, v", [("k", 7)]),
        ("SELECT tags[1], counts['k'] FROM nested WHERE id = 1", [("b", 7)]),
        ("SELECT * EXCEPT (label) FROM names ORDER BY topic LIMIT 1", [("orders",)]),
        ("SELECT n.* FROM names n WHERE label = 'U'", [("unused", "U")]),
        ("SELECT v FROM days WHERE n > 9", [("ten",)]),
        ("SELECT max(n) FROM days", [(10,)]),
        ("SELECT v FROM days WHERE n = '9'", [("nine",)]),
        ("SELECT collect_list(label) FROM names", [(["O", "U"],)]),
        ("SELECT wm_concat(',', label) FROM names", [("O,U",)]),
        ("SELECT wm_concat(',', label) WITHIN GROUP (ORDER BY label DESC) FROM names", [("U,O",)]),
        ("SELECT collect_set(topic) FROM test_kafka WHERE topic = 'orders'", [(["orders"],)]),
        ("SELECT count_if(offset > 0), median(offset), stddev(offset) FROM test_kafka WHERE key='b'", [(1, 0.5, 0.5)]),
        ("SELECT sum(offset) FROM test_kafka WHERE FALSE", [(None,)]),
        ("SELECT max_by(label, topic), any_value(1) FROM names", [("U", 1)]),
        ("SELECT avg(cast(offset AS DECIMAL(10,2))) FROM test_kafka WHERE key = 'b'", [(Decimal("0.5"),)]),
        (
            "SELECT topic FROM test_kafka GROUP BY topic HAVING avg(cast(offset AS DECIMAL(10,2))) > 0.1BD",
            [("orders",)],
        ),
        ("SELECT count(*) FILTER (WHERE label = 'O') FROM names", [(1,)]),
        (
            (
                "SELECT topic, partition, count(*) FROM test_kafka GROUP BY topic, partition WITH ROLLUP "
                "ORDER BY topic, partition"
            ),
            [
                (None, None, 5),
                ("maxcompute-test-input", None, 1),
                ("maxcompute-test-input", 0, 1),
                ("orders", None, 4),
                ("orders", 0, 2),
                ("orders", 1, 2),
            ],
        ),
        (
            (
                "SELECT topic, partition, grouping(partition) g, count(*) FROM test_kafka "
                "GROUP BY topic, partition GROUPING SETS ((topic), (partition)) ORDER BY 3, 1, 2"
            ),
            [(None, 0, 0, 3), (None, 1, 0, 2), ("maxcompute-test-input", None, 1, 1), ("orders", None, 1, 4)],
        ),
        ("SELECT count(*) FROM (SELECT 1 FROM test_kafka GROUP BY CUBE (topic, partition)) x", [(8,)]),
        ("SELECT /*+ mapjoin(n) */ count(*) FROM names n -- a comment\n", [(2,)]),
    ],
)
def test_queries(session: Session, query: str, rows: list[tuple[Any, ...]]) -> None:
    found = session.rows(query)
    assert found == rows if "UNION SELECT" not in query else sorted(found) == rows


@pytest.mark.parametrize(
    ("expression", "values"),
    [
        ("row_number() OVER (PARTITION BY partition ORDER BY offset, topic)", [1, 2, 3, 1, 2]),
        ("rank() OVER (ORDER BY partition)", [1, 1, 1, 4, 4]),
        ("dense_rank() OVER (ORDER BY partition DESC)", [2, 2, 2, 1, 1]),
        ("sum(offset) OVER (PARTITION BY partition)", [1, 1, 1, 1, 1]),
        ("count(*) OVER ()", [5, 5, 5, 5, 5]),
        ("lag(offset, 1, -1) OVER (ORDER BY partition, offset, topic)", [-1, 0, 0, 1, 0]),
        ("lead(key) OVER (ORDER BY partition, offset, topic)", ["a", None, "b", "b", None]),
        ("first_value(key) OVER (PARTITION BY partition ORDER BY offset, topic)", ["1", "1", "1", "b", "b"]),
        (
            "sum(offset + 1) OVER (ORDER BY partition, offset, topic ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)",
            [1, 2, 3, 3, 3],
        ),
        ("ntile(2) OVER (ORDER BY partition, offset, topic)", [1, 1, 1, 2, 2]),
    ],
)
def test_window_functions(session: Session, expression: str, values: list[Any]) -> None:
    query = f"SELECT {expression} w FROM test_kafka ORDER BY partition, offset, topic"  # noqa: S608 - the test's own
    assert [row[0] for row in session.rows(query)] == values


def test_a_column_without_a_name_is_numbered(session: Session) -> None:
    outcome = session.run("SELECT topic, count(*), Label AS Upper FROM names GROUP BY topic, label")
    assert [column.name for column in outcome.columns] == ["topic", "_c1", "upper"]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("SELECT * FROM nope", "ODPS-0130131:[1,15] Table not found - table connector_test.nope cannot be resolved"),
        ("SELECT * FROM other.t", "ODPS-0130131:[1,15] Table not found - table other.t cannot be resolved"),
        ("SELECT nope FROM names", "ODPS-0130071:[1,8] Semantic analysis exception - column nope cannot be resolved"),
        ("SELECT\n  n.nope\nFROM names n", "ODPS-0130071:[2,3] Semantic analysis exception - column n.nope cannot"),
        ("SELECT topic FROM names a, names b", "ODPS-0130071:[1,8] Semantic analysis exception - column reference"),
        ("SELECT topic, count(*) FROM names", "ODPS-0130071:"),
        ("SELECT topic FROM names WHERE count(*) > 1", "ODPS-0130071:"),
        ("SELECT count(*) FROM names HAVING topic = 'x'", "ODPS-0130071:"),
        ("SELECT 1 UNION ALL SELECT 1, 2", "ODPS-0130071:"),
        ("SELECT * FROM names a JOIN names a ON a.topic = a.topic", "ODPS-0130071:"),
        ("SELECT * FROM names ORDER BY 9", "ODPS-0130071:"),
        ("SELECT topic FROM names WHERE label", "ODPS-0130071:[1,31] Semantic analysis exception - type mismatch"),
        ("SELECT 1 +", "ODPS-0130161:[1,10] Parse exception - invalid token '+'"),
        ("SELECT 1,, 2", "ODPS-0130161:[1,10] Parse exception - invalid token ','"),
        ("SELECT a FROM names GROUP BY", "ODPS-0130161:[1,29] Parse exception - unexpected end"),
        ("SELECT 'open", "ODPS-0130161:"),
        ("SELECT (1", "ODPS-0130161:"),
        ("SELEC 1", "ODPS-0130161:[1,7] Parse exception - invalid token '1'"),
        ("SELECT * FROM names TABLESAMPLE (1 ROWS)", "ODPS-0130161:"),
        ("SELECT * FROM names DISTRIBUTE BY topic", "ODPS-0130161:"),
        ("SELECT * FROM names NATURAL JOIN days", "ODPS-0130161:"),
        ("WITH RECURSIVE a AS (SELECT 1) SELECT * FROM a", "ODPS-0130161:"),
        ("UPDATE names SET label = 'x'", "ODPS-0130161:"),
        ("DELETE FROM names", "ODPS-0130161:"),
        ("MERGE INTO names USING days ON 1 = 1 WHEN MATCHED THEN DELETE", "ODPS-0130161:"),
        ("USE other", "ODPS-0130161:"),
        ("GRANT Select ON TABLE names TO USER x", "ODPS-0130161:"),
        (
            "CREATE FUNCTION f AS 1",
            "ODPS-0130161:[1,8] Parse exception - invalid token 'FUNCTION', expect TABLE or VIEW",
        ),
        ("CREATE FUNCTION f AS 'x'", "ODPS-0130161:"),
        ("", "ODPS-0130161:"),
        (";;", "ODPS-0130161:"),
    ],
)
def test_errors_carry_code_and_place(session: Session, query: str, message: str) -> None:
    with pytest.raises(SqlError) as caught:
        session.run(query)
    assert str(caught.value).startswith(message)


def test_an_error_shows_no_names_of_the_inside(session: Session) -> None:
    with pytest.raises(SqlError) as caught:
        session.run("SELECT topic, count(*) FROM names")
    assert "duckdb" not in str(caught.value).lower()
    assert "project_" not in str(caught.value)


def test_the_last_query_of_a_script_is_its_result(session: Session) -> None:
    assert session.rows("SELECT 1; SELECT 2; SET odps.sql.x=1;") == [(2,)]


def test_a_script_stops_at_its_first_failure(session: Session) -> None:
    with pytest.raises(SqlError, match=r"\[1,52\]"):
        session.run("INSERT INTO names VALUES ('q', 'Q'); SELECT * FROM nope; INSERT INTO names VALUES ('r', 'R');")
    assert session.rows("SELECT topic FROM names WHERE label IN ('Q', 'R')") == [("q",)]
    session.run("INSERT OVERWRITE TABLE names SELECT * FROM names WHERE label <> 'Q'")
    assert session.rows("SELECT count(*) FROM names") == [(2,)]
