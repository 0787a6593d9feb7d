"""Views in SQL: created, replaced, read, altered, dropped, and what a statement says when that can't be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from local_emulator.maxcompute.sql.errors import SqlError
from tests.maxcompute_sql import PROJECT, Session

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def session() -> Iterator[Session]:
    opened = Session()
    opened.run(
        "CREATE TABLE orders (id BIGINT COMMENT 'number', name STRING) PARTITIONED BY (pt STRING);"
        "INSERT INTO orders PARTITION (pt) VALUES (1, 'a', 'x'), (2, 'b', 'x'), (3, NULL, 'y');"
    )
    yield opened
    opened.store.close()


def refusal(session: Session, script: str) -> str:
    with pytest.raises(SqlError) as caught:
        session.run(script)
    return str(caught.value)


def test_a_view_reads_what_its_query_reads(session: Session) -> None:
    session.run("CREATE VIEW v AS SELECT id, upper(name) AS big, pt FROM orders WHERE pt = 'x';")
    assert session.rows("SELECT * FROM v ORDER BY id") == [(1, "A", "x"), (2, "B", "x")]
    session.run("INSERT INTO orders PARTITION (pt='x') VALUES (9, 'z')")
    assert session.rows("SELECT count(*), max(v.big) FROM v WHERE id > 1") == [(2, "Z")]
    assert session.rows("SELECT o.id FROM orders o JOIN v ON o.id = v.id WHERE v.big = 'Z'") == [(9,)]
    assert session.rows("WITH w AS (SELECT id FROM connector_test.v) SELECT count(*) FROM w") == [(3,)]
    assert [str(column.type) for column in session.run("SELECT * FROM v").columns] == ["bigint", "string", "string"]


def test_columns_of_a_view_have_names_and_comments_of_their_own(session: Session) -> None:
    session.run(
        r"create view if not exists v (number comment 'it\'s', `time`) comment 'of orders' "
        "as select id, null from orders"
    )
    view = session.store.table(PROJECT, "", "V")
    assert [(column.name, str(column.type), column.comment) for column in view.columns] == [
        ("number", "bigint", "it's"),
        ("time", "string", ""),
    ]
    assert view.comment == "of orders"
    assert session.rows("SELECT number, `time` FROM v ORDER BY number LIMIT 1") == [(1, None)]


def test_the_text_is_kept_as_it_was_written(session: Session) -> None:
    text = "(SELECT id -- its number\n  FROM orders WHERE name = 'a;\\'b')"
    session.run(f"/* first */ CREATE OR REPLACE VIEW v AS {text} ; SELECT 1")
    view = session.store.table(PROJECT, "", "v").view
    assert view is not None
    assert view.text == text
    session.run(f"CREATE OR REPLACE VIEW {PROJECT}.default.v COMMENT 'again' AS {view.text};")
    assert session.store.table(PROJECT, "", "v").comment == "again"


def test_views_of_views_and_rows_into_tables(session: Session) -> None:
    session.run("CREATE VIEW v AS SELECT id AS n FROM orders; CREATE VIEW w (m) AS SELECT n + 1 FROM v WHERE n < 3")
    session.run("CREATE TABLE copied AS SELECT * FROM w; INSERT INTO orders PARTITION (pt='z') SELECT m, 'w' FROM w")
    assert sorted(session.rows("SELECT m FROM copied")) == [(2,), (3,)]
    assert session.rows("SELECT count(*) FROM orders WHERE pt = 'z'") == [(2,)]


def test_a_name_is_a_tables_or_a_views(session: Session) -> None:
    session.run("CREATE VIEW v AS SELECT id FROM orders")
    assert "ODPS-0130211:[1,13] Table or view already exists" in refusal(session, "CREATE VIEW v AS SELECT 1")
    assert "0130211" in refusal(session, "CREATE VIEW orders AS SELECT 1")
    assert "0130211" in refusal(session, "CREATE OR REPLACE VIEW orders AS SELECT 1")
    session.run("CREATE VIEW IF NOT EXISTS v AS SELECT 1")
    assert session.store.table(PROJECT, "", "v").columns[0].name == "id"
    assert "already exists" in refusal(session, "CREATE TABLE v (x BIGINT)")
    session.run("CREATE TABLE IF NOT EXISTS v (x BIGINT)")
    assert refusal(session, "DROP TABLE v") == (
        f"ODPS-0130071:[1,12] Semantic analysis exception - expect a table, found the view {PROJECT}.v"
    )
    assert "found the table" in refusal(session, "DROP VIEW orders")
    assert "found the table" in refusal(session, "DROP VIEW IF EXISTS orders")
    assert f"ODPS-0130201:[1,11] View not found - view {PROJECT}.none cannot be resolved" in refusal(
        session, "DROP VIEW none"
    )
    session.run("DROP VIEW IF EXISTS none; DROP VIEW v;")
    assert not session.store.has_table(PROJECT, "", "v")


def test_a_replaced_view_is_the_same_object_with_new_columns(session: Session) -> None:
    session.run("CREATE VIEW v AS SELECT id FROM orders")
    before = session.store.table(PROJECT, "", "v")
    session.run("CREATE OR REPLACE VIEW IF NOT EXISTS v (x, y) AS SELECT name, pt FROM orders")
    after = session.store.table(PROJECT, "", "v")
    assert (after.id, after.owner) == (before.id, before.owner)
    assert [column.name for column in after.columns] == ["x", "y"]
    assert session.rows("SELECT y FROM v WHERE x = 'b'") == [("x",)]


@pytest.mark.parametrize(
    ("definition", "expected"),
    [
        ("v (a, b) AS SELECT 1", "ODPS-0130171:[1,13] Creating view exception - expect 1 column names"),
        ("v AS SELECT a.id, b.id FROM orders a JOIN orders b ON a.id = b.id", "column id is defined more than once"),
        ("v AS SELECT none FROM orders", "none cannot be resolved"),
        ("v AS SELECT 1 FROM v", "ODPS-0130131:[1,32] Table not found"),
        ("v AS INSERT INTO orders SELECT 1", "ODPS-0130161"),
        ("v AS", "ODPS-0130161"),
        ("v SELECT 1", "expect AS"),
        ("none.v AS SELECT 1", "Project not found"),
        ("`a-b` AS SELECT 1", "expect a table name"),
    ],
)
def test_a_wrong_definition_makes_no_view(session: Session, definition: str, expected: str) -> None:
    assert expected in refusal(session, f"CREATE VIEW {definition}")
    assert not session.store.has_table(PROJECT, "", "v")


def test_a_view_never_reads_itself(session: Session) -> None:
    session.run("CREATE VIEW a AS SELECT id FROM orders; CREATE VIEW b AS SELECT id FROM a")
    for query in ("SELECT id FROM a", "SELECT id FROM b"):
        said = refusal(session, f"CREATE OR REPLACE VIEW a AS {query}")
        assert said.startswith("ODPS-0130171:[1,24] Creating view exception"), said
    assert session.rows("SELECT count(*) FROM b") == [(3,)]
    session.run("ALTER VIEW a RENAME TO c; ALTER VIEW b RENAME TO a")
    assert "ODPS-0130231:[1,15] Invalid view" in refusal(session, "SELECT * FROM a")


def test_no_rows_go_into_a_view(session: Session) -> None:
    session.run("CREATE VIEW v AS SELECT id FROM orders")
    for statement in (
        "INSERT INTO v VALUES (1)",
        "INSERT OVERWRITE TABLE v SELECT 1",
        "TRUNCATE TABLE v",
        "ALTER TABLE v ADD COLUMNS (x BIGINT)",
        "ALTER TABLE v ADD PARTITION (pt='x')",
        "SHOW PARTITIONS v",
        "CREATE TABLE t LIKE v",
    ):
        assert f"expect a table, found the view {PROJECT}.v" in refusal(session, statement)


def test_a_lost_table_or_column_is_named_with_the_view(session: Session) -> None:
    session.run("CREATE VIEW v AS SELECT * FROM orders; CREATE VIEW w AS SELECT id FROM v")
    session.run("ALTER TABLE orders ADD COLUMNS (more STRING)")
    assert session.rows("SELECT * FROM v WHERE id = 1") == [(1, "a", "x")]
    session.run("ALTER TABLE orders DROP COLUMN name")
    assert f"Invalid view - the query of {PROJECT}.v has no column name any more" in refusal(session, "SELECT * FROM v")
    session.run("DROP TABLE orders")
    assert refusal(session, "SELECT 1 AS x\nFROM w") == (
        f"ODPS-0130131:[2,6] Table not found - table {PROJECT}.orders cannot be resolved, in the view {PROJECT}.v, "
        f"in the view {PROJECT}.w"
    )
    assert "Native Columns" in session.run("DESC v").text
    session.run("CREATE TABLE orders (id BIGINT, name STRING) PARTITIONED BY (pt STRING)")
    assert session.rows("SELECT * FROM w") == []


def test_a_view_is_altered(session: Session) -> None:
    session.run("CREATE VIEW v AS SELECT id FROM orders; CREATE VIEW w AS SELECT 1 AS one")
    session.run(f"ALTER VIEW {PROJECT}.`v` CHANGE COLUMN id COMMENT 'its number'; ALTER VIEW v SET COMMENT 'all'")
    session.run("ALTER VIEW v CHANGEOWNER TO 'ALIYUN$2'")
    view = session.store.table(PROJECT, "", "v")
    assert (view.columns[0].comment, view.comment, view.owner) == ("its number", "all", "ALIYUN$2")
    assert "already exists" in refusal(session, "ALTER VIEW v RENAME TO w")
    session.run("ALTER VIEW v RENAME TO `x`")
    assert session.rows("SELECT count(*) FROM x") == [(3,)]
    assert "View not found" in refusal(session, "ALTER VIEW v RENAME TO y")
    assert "found the table" in refusal(session, "ALTER VIEW orders RENAME TO y")
    assert "is not supported" in refusal(session, "ALTER VIEW x ADD COLUMNS (y BIGINT)")
    assert "cannot be resolved" in refusal(session, "ALTER VIEW x CHANGE COLUMN none COMMENT ''")


def test_what_show_and_desc_say_of_a_view(session: Session) -> None:
    session.run("CREATE VIEW v (n COMMENT 'number') COMMENT 'the first' AS SELECT id\nFROM orders WHERE pt = 'x'")
    said = session.run("DESC v").text
    assert "| VirtualView  : YES  | ViewText: SELECT id FROM orders WHERE pt = 'x'" in said
    assert "| n               | bigint     |       | number" in said
    assert "InternalTable" not in said
    assert "Extended Info" not in session.run("DESC EXTENDED v").text
    assert session.run("SHOW CREATE TABLE v").text == (
        f"CREATE VIEW IF NOT EXISTS {PROJECT}.`v`\n(\n  `n` COMMENT 'number'\n)\nCOMMENT 'the first'\n"
        "AS SELECT id\nFROM orders WHERE pt = 'x'\n;\n"
    )
    statement = session.run("SHOW CREATE TABLE v").text
    session.run(f"DROP VIEW v; {statement}")
    assert session.run("SHOW CREATE TABLE v").text == statement
    assert session.run("SHOW TABLES").text == "ALIYUN$1:orders\nALIYUN$1:v\n"
    assert session.run("SHOW VIEWS").text == "ALIYUN$1:v\n"
    assert session.run(f"SHOW VIEWS IN {PROJECT} LIKE 'o*'").text == ""


def test_names_mean_what_they_meant_at_the_creation(session: Session) -> None:
    session.store.ensure_project("other", "ALIYUN$1")
    session.settings["odps.namespace.schema"] = "true"
    session.run("CREATE VIEW v AS SELECT id FROM default.orders")
    session.settings["odps.namespace.schema"] = "false"
    session.run("CREATE VIEW other.w AS SELECT id FROM connector_test.v JOIN (SELECT 1 AS one FROM orders LIMIT 1) x")
    assert session.rows("SELECT count(*) FROM other.w") == [(3,)]


def test_views_outlive_the_process(tmp_path: Path) -> None:
    first = Session(tmp_path)
    first.run("CREATE TABLE t (id BIGINT); INSERT INTO t VALUES (7); CREATE VIEW v (n COMMENT 'c') AS SELECT id FROM t")
    view = first.store.table(PROJECT, "", "v")
    first.store.close()
    second = Session(tmp_path)
    assert second.store.table(PROJECT, "", "v") == view
    assert second.rows("SELECT n FROM v") == [(7,)]
    second.run("DROP VIEW v")
    second.store.close()
