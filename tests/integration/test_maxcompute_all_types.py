"""Every type through SQL, the instance tunnel, Tunnel and the CSV, with unmodified PyODPS."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

import pandas as pd
import pytest
from odps import ODPS, options

from local_emulator.maxcompute import server

if TYPE_CHECKING:
    from collections.abc import Iterator

# Type, expression, value as PyODPS gives it; it tells the service its own time zone, here UTC.
CASES = {
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
NAMES = [f"c{index}" for index in range(len(CASES))]


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
    names = [name for name, type_ in zip(NAMES, CASES, strict=True) if type_ != "json"]  # PyODPS has no Arrow JSON
    query = f"SELECT {', '.join(names)} FROM t"  # noqa: S608 - names of this file
    with odps.execute_sql(query).open_reader(tunnel=True, arrow=True) as reader:
        rows = [row for batch in reader for row in batch.to_pylist()]
    assert rows[0]["c0"] == 9223372036854775807
    assert rows[0]["c10"] == b"bin"
    assert rows[0]["c11"] == CASES["decimal(38,18)"][1]
    assert rows[0]["c14"] == CASES["timestamp"][1]
    assert rows[0]["c18"] == [("k", [Decimal("1.50")])]
    assert set(rows[1].values()) == {None}


def test_as_csv(odps: ODPS) -> None:
    shown = odps.execute_sql("SELECT c11, c12, c13, c14, c15, c16, c17, c18, c19 FROM t").get_task_result()
    first = (
        "-99999999999999999999.999999999999999999,2020-11-17,2020-11-17 14:00:00,2020-11-17 14:00:00.123456789,"
        '2020-11-17 14:00:00.000000001,"{""a"": [1, null]}","[1, \\N]","{""k"":[1.5]}","{a:1, b:{c:\\N}}"'
    )
    assert shown.splitlines()[1:] == [first, ",".join(["\\N"] * 9)]


def test_back_through_sql(odps: ODPS) -> None:
    odps.execute_sql("CREATE TABLE u LIKE t; INSERT OVERWRITE TABLE u SELECT * FROM t")
    with odps.get_table("u").open_reader() as reader:
        check([list(record.values) for record in reader])
