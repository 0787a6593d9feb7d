"""Every type through SQL, the instance tunnel, Tunnel and the CSV, with unmodified PyODPS."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

import pandas as pd
import pytest
from odps import ODPS, options

from local_emulator.maxcompute import server
from tests.maxcompute_sql import OLD_DUCKDB

if TYPE_CHECKING:
    from collections.abc import Iterator

# Type, expression, value as PyODPS gives it; it tells the service its own time zone, here UTC.
ALL = {
    "bigint": ("9223372036854775807", 9223372036854775807),
    "int": ("cast(-2147483647 as int)", -2147483647),
    "smallint": ("cast(32767 as smallint)", 32767),
    "tinyint": ("cast(-128 as tinyint)", -128),
    "float": ("cast(1.5 as float)", 1.5),
    "double": ("2.5", 2.5),
    "boolean": ("true", True),
    "string": ("'中 \\'\\n'", "中 '\n"),
    "varchar(10)": ("cast('abc' as varchar(10))", "abc"),
    "char(3)": ("cast('xyz' as char(3))", "xyz"),
    "binary": ("cast('bin' as binary)", b"bin"),
    "decimal(38,18)": (
        "cast('-99999999999999999999.999999999999999999' as decimal(38,18))",
        Decimal("-99999999999999999999.999999999999999999"),
    ),
    "date": ("date '2020-11-17'", date(2020, 11, 17)),
    "datetime": ("datetime '2020-11-17 14:00:00'", datetime(2020, 11, 17, 14)),  # noqa: DTZ001 - PyODPS's are naive
    "timestamp": ("timestamp '2020-11-17 14:00:00.123456789'", pd.Timestamp("2020-11-17 14:00:00.123456789")),
    "timestamp_ntz": (
        "cast('2020-11-17 14:00:00.000000001' as timestamp_ntz)",
        pd.Timestamp("2020-11-17 14:00:00.000000001"),
    ),
    "json": ("json '{\"a\": [1, null]}'", {"a": [1, None]}),
    "array<bigint>": ("array(1L, null)", [1, None]),
    "map<string,array<decimal(10,2)>>": ("map('k', array(1.5BD))", {"k": [Decimal("1.50")]}),
    "struct<a:bigint,b:struct<c:string>>": ("named_struct('a', 1L, 'b', named_struct('c', null))", (1, (None,))),
}
# Python 3.10 can't have the DuckDB that TIMESTAMP needs; all other types are shown there.
CASES = {type_: case for type_, case in ALL.items() if not (OLD_DUCKDB and type_ == "timestamp")}
NAMES = [f"c{index}" for index in range(len(CASES))]
# What the service's own client shows of the values that have more than one way to be written.
CELLS = {
    "decimal(38,18)": "-99999999999999999999.999999999999999999",
    "date": "2020-11-17",
    "datetime": "2020-11-17 14:00:00",
    "timestamp": "2020-11-17 14:00:00.123456789",
    "timestamp_ntz": "2020-11-17 14:00:00.000000001",
    "json": '"{""a"": [1, null]}"',
    "array<bigint>": '"[1, \\N]"',
    "map<string,array<decimal(10,2)>>": '"{""k"":[1.5]}"',
    "struct<a:bigint,b:struct<c:string>>": '"{a:1, b:{c:\\N}}"',
}


@pytest.fixture(scope="module")
def odps() -> Iterator[ODPS]:
    before = options.local_timezone
    options.local_timezone = False  # UTC
    with server.start() as emulator:
        made = ODPS("ak", "sk", "connector_test", endpoint=emulator.endpoint)
        columns = ", ".join(f"{name} {type_}" for name, type_ in zip(NAMES, CASES, strict=True))
        made.execute_sql(f"CREATE TABLE t ({columns})")
        made.execute_sql(f"INSERT INTO t SELECT {', '.join(text for text, _ in CASES.values())}")
        made.execute_sql("INSERT INTO t (c0) VALUES (NULL)")
        yield made
    options.local_timezone = before


def check(rows: list[list[object]]) -> None:
    assert len(rows) == 2
    for value, (type_, (_, expected)) in zip(rows[0], CASES.items(), strict=True):
        assert value == expected, type_
    assert rows[1] == [None] * len(CASES)


def test_through_tunnel(odps: ODPS) -> None:
    with odps.get_table("t").open_reader() as reader:
        check([list(record.values) for record in reader])


def test_through_the_instance_tunnel(odps: ODPS) -> None:
    with odps.execute_sql("SELECT * FROM t").open_reader(tunnel=True) as reader:
        assert [column.type.name.lower().replace("`", "") for column in reader.schema.columns] == list(CASES)
        check([list(record.values) for record in reader])


def test_through_arrow(odps: ODPS) -> None:
    columns = {type_: name for name, type_ in zip(NAMES, CASES, strict=True) if type_ != "json"}  # PyODPS has no such
    query = f"SELECT {', '.join(columns.values())} FROM t"  # noqa: S608 - names of this file
    with odps.execute_sql(query).open_reader(tunnel=True, arrow=True) as reader:
        rows = [row for batch in reader for row in batch.to_pylist()]
    first = {type_: rows[0][name] for type_, name in columns.items()}
    for type_ in first.keys() & {"bigint", "binary", "decimal(38,18)", "timestamp", "timestamp_ntz"}:
        assert first[type_] == CASES[type_][1]
    assert first["map<string,array<decimal(10,2)>>"] == [("k", [Decimal("1.50")])]
    assert set(rows[1].values()) == {None}


def test_as_csv(odps: ODPS) -> None:
    cells = {name: CELLS[type_] for name, type_ in zip(NAMES, CASES, strict=True) if type_ in CELLS}
    shown = odps.execute_sql(f"SELECT {', '.join(cells)} FROM t").get_task_result()  # noqa: S608 - names of this file
    assert shown.splitlines()[1:] == [",".join(cells.values()), ",".join(["\\N"] * len(cells))]


def test_back_through_sql(odps: ODPS) -> None:
    odps.execute_sql("CREATE TABLE u LIKE t")
    odps.execute_sql("INSERT OVERWRITE TABLE u SELECT * FROM t")
    with odps.get_table("u").open_reader() as reader:
        check([list(record.values) for record in reader])
