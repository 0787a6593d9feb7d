"""Statements that make, change and fill tables."""

from __future__ import annotations

import re
from typing import Any

import pytest

from local_emulator.maxcompute.sql.errors import SqlError
from tests.maxcompute_sql import DOCUMENT_TABLE, NEEDS_DUCKDB_2, OLD_DUCKDB, PROJECT, Session

pytestmark = pytest.mark.quick


@pytest.fixture
def session() -> Session:
    return Session()


def columns(session: Session, name: str) -> list[tuple[str, str]]:
    return [(column.name, str(column.type)) for column in session.store.table(PROJECT, "", name).columns]


def test_the_table_of_the_document(session: Session) -> None:
    for _ in range(2):  # IF NOT EXISTS
        session.run(DOCUMENT_TABLE)
    assert columns(session, "test_kafka") == [
        ("topic", "string"),
        ("partition", "bigint"),
        ("offset", "bigint"),
        ("key", "string"),
        ("value", "string"),
    ]
    assert [column.name for column in session.store.table(PROJECT, "", "test_kafka").partition_columns] == ["pt"]


@NEEDS_DUCKDB_2
def test_everything_that_create_table_takes(session: Session) -> None:
    session.run(
        """CREATE TABLE IF NOT EXISTS connector_test.`All_Types`  -- a name in back-quotes
        (
            `id` BIGINT NOT NULL COMMENT 'it\\'s the key', v STRING, d DECIMAL(38,18), ds decimal, a ARRAY<STRING>,
            m MAP<STRING, ARRAY<BIGINT>>, s STRUCT<a:BIGINT, `b c`:STRING>, vc VARCHAR(10), c CHAR(3),
            t TIMESTAMP, n TIMESTAMP_NTZ, j JSON, b BINARY, f FLOAT, `time` DATETIME, da DATE,
            PRIMARY KEY (`id`)
        ) COMMENT '表' PARTITIONED BY (`pt` STRING COMMENT 'x', n2 BIGINT)
        STORED AS ALIORC TBLPROPERTIES ('transactional'='true', "write.bucket.num"='16') LIFECYCLE 7;"""
    )
    table = session.store.table(PROJECT, "", "all_types")
    assert table.columns[0].comment == "it's the key"
    assert not table.columns[0].nullable
    assert (table.comment, table.lifecycle, table.primary_key) == ("表", 7, ("id",))
    assert table.properties == {"transactional": "true", "write.bucket.num": "16"}
    assert [str(column.type) for column in table.columns[2:7]] == [
        "decimal(38,18)",
        "decimal(38,18)",
        "array<string>",
        "map<string,array<bigint>>",
        "struct<a:bigint,`b c`:string>",
    ]
    shown = session.run("SHOW CREATE TABLE `all_types`").text
    session.run("DROP TABLE `all_types`")
    session.run(shown)
    again = session.store.table(PROJECT, "", "all_types")
    assert (again.columns, again.partition_columns) == (table.columns, table.partition_columns)


def test_shards_of_hub_tables(session: Session) -> None:
    session.run("CREATE TABLE h (a STRING) INTO 3 SHARDS HUBLIFECYCLE 5")
    assert session.store.table(PROJECT, "", "h").properties == {"shard_num": "3", "hub_lifecycle": "5"}


def test_a_table_like_another_and_of_a_query(session: Session) -> None:
    session.run(f"{DOCUMENT_TABLE} CREATE TABLE copy LIKE test_kafka;")
    assert columns(session, "copy") == columns(session, "test_kafka")
    session.run("CREATE TABLE made LIFECYCLE 3 AS SELECT 1 a, 'x' b, NULL c")
    assert columns(session, "made") == [("a", "int"), ("b", "string"), ("c", "string")]
    assert session.rows("SELECT * FROM made") == [(1, "x", None)]


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("CREATE TABLE t (a BIGINT, A STRING)", "ODPS-0130071:.*defined more than once"),
        ("CREATE TABLE t (a BIGINT) PARTITIONED BY (a STRING)", "ODPS-0130071:.*defined more than once"),
        ("CREATE TABLE t (a BIGINT) PARTITIONED BY (pt DOUBLE)", "ODPS-0130071:.*cannot be of type double"),
        ("CREATE TABLE t (a BIGNUM)", r"ODPS-0130161:\[1,19\] .*invalid data type"),
        ("CREATE TABLE t (a BIGINT", r"ODPS-0130161:\[1,25\] .*expect \)"),
        ("CREATE TABLE t (a BIGINT) LIFECYCLE 0", "ODPS-0130071:.*1 to 37231"),
        ("CREATE TABLE t (a BIGINT) LIFECYCLE x", r"ODPS-0130161:\[1,37\]"),
        ("CREATE TABLE t (a BIGINT) STORED AS PARQUET", "ODPS-0130161:.*not supported"),
        ("CREATE TABLE t (a BIGINT) CLUSTERED BY (a) INTO 4 BUCKETS", r"ODPS-0130161:\[1,27\]"),
        ("CREATE TABLE t (a BIGINT) AUTO PARTITIONED BY (trunc_time(a, 'day') AS pt)", r"ODPS-0130071:\[1,59\]"),
        ("CREATE TABLE t (a BIGINT, PRIMARY KEY (a))", "ODPS-0130161:.*transactional"),
        ("CREATE TABLE nope.t (a BIGINT)", "ODPS-0130071:.*Project not found"),
        ("CREATE EXTERNAL TABLE t (a BIGINT)", r"ODPS-0130161:\[1,8\]"),
        ("CREATE TABLE t ()", "ODPS-0130161:"),
        ("CREATE TABLE t", "ODPS-0130071:"),
        ("CREATE TABLE `a b` (a BIGINT)", "ODPS-0130071:.*letters, digits and underscores"),
        (f"CREATE TABLE {'x' * 129} (a BIGINT)", "ODPS-0130071:.*1 to 128"),
        ("CREATE TABLE connector_test.nope.t (a BIGINT)", "ODPS-0130071:.*schema connector_test.nope"),
        ("CREATE SCHEMA s", "ODPS-0130161:"),
    ],
)
def test_faults_of_create_table(session: Session, statement: str, message: str) -> None:
    with pytest.raises(SqlError, match=message):
        session.run(statement)
    assert session.store.tables(PROJECT) == []


def test_create_and_drop_say_what_is_there(session: Session) -> None:
    session.run("CREATE TABLE t (a BIGINT)")
    with pytest.raises(SqlError, match="already exists"):
        session.run("CREATE TABLE t (a BIGINT)")
    session.run("DROP TABLE t; DROP TABLE IF EXISTS t")
    with pytest.raises(SqlError, match="ODPS-0130131"):
        session.run("DROP TABLE t")


def test_partitions_come_and_go(session: Session) -> None:
    session.run(DOCUMENT_TABLE)
    # Double blanks and trailing ones are what PyODPS sends.
    session.run("ALTER TABLE connector_test.`test_kafka` ADD IF NOT EXISTS  PARTITION (pt='11-17-2020 14:05') ;")
    session.run("ALTER TABLE test_kafka ADD IF NOT EXISTS PARTITION (pt='11-17-2020 14:05') PARTITION (pt='b')")
    assert session.run("SHOW PARTITIONS test_kafka;").text == "pt=11-17-2020 14:05\npt=b\n"
    with pytest.raises(SqlError, match=r"ODPS-0110061:Failed to run ddltask - Partition already exists - pt=b"):
        session.run("ALTER TABLE test_kafka ADD PARTITION (pt='b')")
    session.run("ALTER TABLE test_kafka DROP IF EXISTS PARTITION (pt='b'), PARTITION (pt='nope')")
    with pytest.raises(SqlError, match="does not exist: pt=b"):
        session.run("ALTER TABLE test_kafka DROP PARTITION (pt='b')")
    assert session.run("SHOW PARTITIONS test_kafka").text == "pt=11-17-2020 14:05\n"


@pytest.mark.parametrize("spec", ["(x='1')", "()", "(pt)", "(pt='')", "(pt=a)", "(pt='a', x='1')"])
def test_a_partition_has_to_fit_the_table(session: Session, spec: str) -> None:
    session.run(DOCUMENT_TABLE)
    with pytest.raises(SqlError):
        session.run(f"ALTER TABLE test_kafka ADD PARTITION {spec}")
    assert session.run("SHOW PARTITIONS test_kafka").text == ""


def test_partitions_of_two_levels(session: Session) -> None:
    session.run(
        """CREATE TABLE t (a BIGINT) PARTITIONED BY (ds STRING, region STRING);
        ALTER TABLE t ADD PARTITION (region='w', ds='1');
        ALTER TABLE t ADD PARTITION (ds='1', region='e') PARTITION (ds='2', region='e');"""
    )
    assert session.run("SHOW PARTITIONS t").text == "ds=1/region=e\nds=1/region=w\nds=2/region=e\n"
    assert session.run("SHOW PARTITIONS t PARTITION (ds='1')").text == "ds=1/region=e\nds=1/region=w\n"


def test_partitions_are_dropped_by_condition(session: Session) -> None:
    session.run("CREATE TABLE t (a BIGINT) PARTITIONED BY (ds STRING, n BIGINT)")
    for ds in ("2020-01", "2020-02"):
        for n in (2, 10):
            session.run(f"ALTER TABLE t ADD PARTITION (ds='{ds}', n='{n}')")
    session.run("ALTER TABLE t DROP IF EXISTS PARTITION (ds <= '2020-01', n > 2)")
    assert session.run("SHOW PARTITIONS t").text == "ds=2020-01/n=2\nds=2020-02/n=10\nds=2020-02/n=2\n"
    session.run("ALTER TABLE t DROP PARTITION (ds = '2020-02'), PARTITION (n <> 2)")
    assert session.run("SHOW PARTITIONS t").text == "ds=2020-01/n=2\n"
    for fault in ("(x < 1)", "(n < 'a')", "(n ~ 1)", "(n)"):
        with pytest.raises(SqlError):
            session.run(f"ALTER TABLE t DROP PARTITION {fault}")
    assert session.run("SHOW PARTITIONS t").text == "ds=2020-01/n=2\n"


def test_partitions_are_merged_renamed_and_emptied(session: Session) -> None:
    session.run(DOCUMENT_TABLE)
    for name in "abc":
        session.run(f"INSERT INTO test_kafka PARTITION (pt='{name}') (value) VALUES ('{name}')")  # noqa: S608
    session.run("ALTER TABLE test_kafka MERGE PARTITION (pt='a'), PARTITION (pt='b') OVERWRITE PARTITION (pt='m')")
    assert session.rows("SELECT value, pt FROM test_kafka ORDER BY value") == [("a", "m"), ("b", "m"), ("c", "c")]
    session.run("ALTER TABLE test_kafka PARTITION (pt='c') RENAME TO PARTITION (pt='d')")
    with pytest.raises(SqlError, match="already exists"):
        session.run("ALTER TABLE test_kafka PARTITION (pt='d') RENAME TO PARTITION (pt='m')")
    session.run("TRUNCATE TABLE test_kafka PARTITION (pt='m')")
    assert session.rows("SELECT value, pt FROM test_kafka") == [("c", "d")]
    assert session.run("SHOW PARTITIONS test_kafka").text == "pt=d\npt=m\n"
    session.run("TRUNCATE TABLE test_kafka")
    assert session.rows("SELECT count(*) FROM test_kafka") == [(0,)]


def test_columns_are_added_renamed_changed_and_dropped(session: Session) -> None:
    session.run(DOCUMENT_TABLE)
    session.run("INSERT INTO test_kafka PARTITION (pt='a') VALUES ('t', 0, 1, 'k', 'v')")
    session.run("ALTER TABLE test_kafka ADD COLUMNS (n INT COMMENT 'new', d DECIMAL(10,2))")
    session.run("ALTER TABLE test_kafka ADD COLUMNS IF NOT EXISTS (n INT)")
    session.run("ALTER TABLE test_kafka CHANGE COLUMN n m BIGINT; ALTER TABLE test_kafka RENAME COLUMN key TO k")
    session.run("ALTER TABLE test_kafka CHANGE COLUMN m COMMENT 'wider'; ALTER TABLE test_kafka DROP COLUMNS topic, d")
    assert columns(session, "test_kafka")[-3:] == [("k", "string"), ("value", "string"), ("m", "bigint")]
    assert session.store.table(PROJECT, "", "test_kafka").columns[-1].comment == "wider"
    session.run("INSERT INTO test_kafka PARTITION (pt='a') VALUES (0, 2, 'k2', 'v2', 9)")
    assert session.rows("SELECT * FROM test_kafka") == [(0, 1, "k", "v", None, "a"), (0, 2, "k2", "v2", 9, "a")]


@pytest.mark.parametrize(
    "change",
    [
        "ADD COLUMNS (topic STRING)",
        "ADD COLUMNS (x STRING NOT NULL)",
        "DROP COLUMNS nope",
        "DROP COLUMNS pt",
        "DROP COLUMNS topic, partition, offset, key, value",
        "CHANGE COLUMN topic topic BIGINT",
        "CHANGE COLUMN offset offset INT",
        "RENAME COLUMN topic TO key",
        "RENAME COLUMN nope TO x",
        "SET LIFECYCLE 0",
        "SET FILEFORMAT ORC",
        "EXCHANGE PARTITION (pt='a')",
        "ADD COLUMNS (x STRING) CASCADE",
    ],
)
def test_changes_that_are_refused(session: Session, change: str) -> None:
    session.run(DOCUMENT_TABLE)
    before = session.store.table(PROJECT, "", "test_kafka")
    with pytest.raises(SqlError):
        session.run(f"ALTER TABLE test_kafka {change}")
    assert session.store.table(PROJECT, "", "test_kafka") == before


def test_properties_are_changed(session: Session) -> None:
    session.run(f"{DOCUMENT_TABLE} ALTER TABLE test_kafka SET LIFECYCLE 9; ALTER TABLE test_kafka SET COMMENT 'c'")
    session.run("ALTER TABLE test_kafka SET TBLPROPERTIES ('a'='1'); ALTER TABLE test_kafka RENAME TO other")
    table = session.store.table(PROJECT, "", "other")
    assert (table.lifecycle, table.comment, table.properties) == (9, "c", {"a": "1"})
    assert session.run("SHOW TABLES").text == "ALIYUN$1:other\n"


@pytest.mark.parametrize(
    ("statement", "rows"),
    [
        ("INSERT INTO t PARTITION (pt='a') VALUES (1, 'x'), (2, NULL)", [(1, "x", "a"), (2, None, "a")]),
        ("INSERT INTO TABLE t PARTITION (pt='a') (s) VALUES ('x')", [(None, "x", "a")]),
        ("INSERT INTO t PARTITION (pt) VALUES (1, 'x', 'b'), (2, 'y', 'c')", [(1, "x", "b"), (2, "y", "c")]),
        ("INSERT INTO t (pt, s, n) VALUES ('d', 'x', 1)", [(1, "x", "d")]),
        ("INSERT INTO t PARTITION (pt='a') SELECT '7', 8", [(7, "8", "a")]),
        ("INSERT INTO t PARTITION (pt='a') SELECT * FROM (SELECT 1, 'x' UNION ALL SELECT 2, 'y') u",
         [(1, "x", "a"), (2, "y", "a")]),
        ("WITH w AS (SELECT 1 a, 'x' b) INSERT INTO t PARTITION (pt='a') SELECT * FROM w", [(1, "x", "a")]),
        ("INSERT INTO t PARTITION (pt=5) VALUES (1, 'x')", [(1, "x", "5")]),
        ("INSERT INTO t PARTITION (pt='a') VALUES (1, cast(1.5BD as string))", [(1, "1.5", "a")]),
    ],
)  # fmt: skip
def test_insert(session: Session, statement: str, rows: list[tuple[Any, ...]]) -> None:
    session.run("CREATE TABLE t (n BIGINT, s STRING) PARTITIONED BY (pt STRING)")
    session.run(statement)
    assert sorted(session.rows("SELECT * FROM t"), key=str) == rows
    assert len(session.run("SHOW PARTITIONS t").text.splitlines()) == len({row[2] for row in rows})


def test_insert_overwrite_replaces_what_it_names(session: Session) -> None:
    session.run("CREATE TABLE t (n BIGINT) PARTITIONED BY (pt STRING)")
    session.run("INSERT INTO t PARTITION (pt) VALUES (1, 'a'), (2, 'b'), (3, 'c')")
    session.run("INSERT OVERWRITE TABLE t PARTITION (pt='a') SELECT 10")
    session.run("INSERT OVERWRITE TABLE t PARTITION (pt) SELECT n + 10, pt FROM t WHERE pt = 'b'")
    assert sorted(session.rows("SELECT n, pt FROM t")) == [(3, "c"), (10, "a"), (12, "b")]
    session.run("INSERT OVERWRITE TABLE t PARTITION (pt='c') SELECT n FROM t WHERE FALSE")
    assert sorted(session.rows("SELECT n, pt FROM t")) == [(10, "a"), (12, "b")]
    assert "pt=c" in session.run("SHOW PARTITIONS t").text


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO t VALUES (1, 'x')",
        "INSERT INTO t PARTITION (pt='a') VALUES (1)",
        "INSERT INTO t PARTITION (pt='a') (nope) VALUES (1)",
        "INSERT INTO t PARTITION (x='a') VALUES (1, 'x')",
        "INSERT INTO t PARTITION (pt) VALUES (1, 'x', NULL)",
        "INSERT INTO t PARTITION (pt) VALUES (1, 'x', '')",
        "INSERT INTO t PARTITION (pt='a') VALUES (array(1), 'x')",
        "INSERT INTO t PARTITION (pt='a') VALUES (1, 'x'), (1)",
        "INSERT INTO t PARTITION (pt='a') SELECT 9223372036854775807 + 1, 'x'",
        "INSERT INTO nope VALUES (1)",
        "INSERT INTO t PARTITION (pt=concat('a')) VALUES (1, 'x')",
        "FROM t INSERT INTO t PARTITION (pt='a') SELECT 1, 'x'",
    ],
)
def test_an_insert_that_fails_leaves_nothing(session: Session, statement: str) -> None:
    session.run("CREATE TABLE t (n BIGINT, s STRING) PARTITIONED BY (pt STRING)")
    with pytest.raises(SqlError):
        session.run(statement)
    assert session.rows("SELECT count(*) FROM t") == [(0,)]
    assert session.run("SHOW PARTITIONS t").text == ""


def test_not_null_columns_refuse_nulls(session: Session) -> None:
    session.run("CREATE TABLE t (a BIGINT NOT NULL)")
    with pytest.raises(SqlError, match="column a of t is NOT NULL"):
        session.run("INSERT INTO t SELECT NULL")
    assert session.rows("SELECT count(*) FROM t") == [(0,)]


def test_the_number_below_the_least_bigint_is_refused(session: Session) -> None:
    """It is one of DuckDB's."""
    session.run("CREATE TABLE t (a BIGINT)")
    with pytest.raises(SqlError, match="column a of t is BIGINT, found -9223372036854775808 in it"):
        session.run("INSERT INTO t SELECT -9223372036854775807 - 1")
    session.run("INSERT INTO t SELECT -9223372036854775807")
    assert session.rows("SELECT a, cast('-9223372036854775808' AS BIGINT) FROM t") == [(-(2**63) + 1, None)]
    assert session.rows("SELECT cast('-9223372036854775807' AS BIGINT)") == [(-(2**63) + 1,)]


def test_texts_are_cut_to_the_length_of_their_column(session: Session) -> None:
    session.run("CREATE TABLE t (a VARCHAR(3), b CHAR(2)); INSERT INTO t VALUES ('abcdef', 'xyz')")
    assert session.rows("SELECT * FROM t") == [("abc", "xy")]


def test_desc_names_columns_and_partitions(session: Session) -> None:
    session.run(DOCUMENT_TABLE)
    session.run("INSERT INTO test_kafka PARTITION (pt='a') (key) VALUES ('x')")
    lines = [line.strip("| ").split() for line in session.run("DESC test_kafka").text.splitlines()]
    assert ["partition", "|", "bigint"] in lines
    assert ["pt", "|", "string"] in lines
    assert len({len(line) for line in session.run("DESC test_kafka").text.splitlines()}) == 1
    assert "RecordNum:                1" in session.run("DESC EXTENDED test_kafka").text
    # Clients find the size by these patterns.
    size = session.store.table(PROJECT, "", "test_kafka").size
    assert re.search(r"\| (Size|PartitionSize):\s*(\d+)\s", session.run("DESC test_kafka").text)[2] == str(size)  # type: ignore[index]
    partition = session.run("DESC EXTENDED test_kafka PARTITION (pt='a')").text
    assert f"| PartitionSize: {size} " in partition
    assert "FileNum:                  1" in partition
    with pytest.raises(SqlError, match="does not exist: pt=b"):
        session.run("DESC test_kafka PARTITION (pt='b')")
    with pytest.raises(SqlError, match="ODPS-0130131"):
        session.run("DESC nope")


def test_desc_has_the_lines_of_the_services_client(session: Session) -> None:
    session.run("CREATE TABLE t (id BIGINT NOT NULL COMMENT 'number', name STRING) COMMENT 'of names'")
    rule = f"+{'-' * 84}+"
    lines = session.run("DESC t").text.splitlines()
    assert f"| {'TableComment: of names':<83}|" in lines
    assert lines[lines.index(f"| {'Native Columns:':<83}|") :] == [
        f"| {'Native Columns:':<83}|",
        rule,
        f"| Field           | Type       | Label | Comment{'':<36} |",
        rule,
        f"| id              | bigint     |       | number{'':<37} |",
        f"| name            | string     |       |{'':<44} |",
        rule,
    ]
    lines = session.run("DESC EXTENDED t").text.splitlines()
    assert "| Field    | Type   | Label | ExtendedLabel | Nullable | DefaultValue | Comment      |" in lines
    assert "| id       | bigint |       |               | false    | NULL         | number       |" in lines


def test_show_tables_by_pattern(session: Session) -> None:
    session.run("CREATE TABLE ab (a INT); CREATE TABLE ac (a INT); CREATE TABLE b (a INT)")
    assert session.run("SHOW TABLES LIKE 'a*'").text == "ALIYUN$1:ab\nALIYUN$1:ac\n"
    assert session.run("SHOW TABLES IN connector_test").text.count("\n") == 3
    with pytest.raises(SqlError, match="not a partitioned table"):
        session.run("SHOW PARTITIONS ab")


def test_explain_checks_the_query(session: Session) -> None:
    session.run("CREATE TABLE t (a INT)")
    assert "schema: a (int)" in session.run("EXPLAIN SELECT a FROM t").text
    with pytest.raises(SqlError, match="ODPS-0130131"):
        session.run("EXPLAIN SELECT a FROM nope")


def test_names_of_schemas_are_read_by_the_setting(session: Session) -> None:
    session.settings |= {"odps.namespace.schema": "true"}
    session.run("CREATE TABLE default.t (a INT); INSERT INTO connector_test.default.t VALUES (1)")
    assert session.rows("SELECT * FROM default.t") == [(1,)]
    del session.settings["odps.namespace.schema"]
    assert session.rows("SELECT * FROM connector_test.t") == [(1,)]


@pytest.mark.skipif(not OLD_DUCKDB, reason="DuckDB 2 has the type")
@pytest.mark.parametrize("statement", ["CREATE TABLE t (a ARRAY<TIMESTAMP>)", "SELECT cast(null as timestamp)"])
def test_a_type_that_an_old_duckdb_lacks_is_refused(session: Session, statement: str) -> None:
    with pytest.raises(SqlError, match="TIMESTAMP needs DuckDB 2"):
        session.run(statement)


def test_a_job_holds_one_statement_unless_it_asks_for_script_mode(session: Session) -> None:
    session.run("create table precious (a string)")
    session.settings.clear()
    with pytest.raises(SqlError, match=r'Please add put \{ "odps.sql.submit.mode" : "script"\} for multi-statement'):
        session.run("create table t (a string); drop table precious;")
    assert "precious" in session.run("set odps.sql.allow.fullscan=true; show tables;").text
    assert "t" not in session.run("show tables").text.split()
