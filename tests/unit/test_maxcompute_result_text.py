"""Rows as the service's CSV, read back with PyODPS's reader."""

from __future__ import annotations

import csv
import io
from datetime import date, datetime, timezone
from decimal import Decimal
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest

from local_emulator.maxcompute.entities import Column
from local_emulator.maxcompute.result_text import csv_text
from local_emulator.maxcompute.types import parse_type

pytestmark = pytest.mark.quick
ZONE = ZoneInfo("Asia/Shanghai")
UTC = timezone.utc


@pytest.mark.parametrize(
    ("type_", "value", "text"),
    [
        ("bigint", -5, "-5"),
        ("double", 1.5, "1.5"),
        ("double", 1e20, "1e+20"),
        ("float", 1.1, "1.1"),
        ("float", 3.0, "3.0"),
        ("float", 16777216.0, "16777216.0"),
        ("float", 3.4028234663852886e38, "3.4028235e+38"),
        ("float", 1.401298464324817e-45, "1e-45"),
        ("float", float("-inf"), "-inf"),
        ("float", float("nan"), "nan"),
        ("array<float>", [0.1], '"[0.1]"'),
        ("boolean", True, "true"),
        ("boolean", False, "false"),
        ("decimal(38,18)", Decimal("1.500000000000000000"), "1.5"),
        ("decimal(3,0)", Decimal(100), "100"),
        ("date", date(2020, 11, 17), "2020-11-17"),
        ("datetime", datetime(2020, 11, 17, 6, tzinfo=UTC), "2020-11-17 14:00:00"),
        ("timestamp", datetime(2020, 11, 17, 6, 0, 0, 120000, tzinfo=UTC), "2020-11-17 14:00:00.12"),
        ("timestamp_ntz", datetime(2020, 11, 17, 6), "2020-11-17 06:00:00"),  # noqa: DTZ001 - it has no zone
        ("string", 'a"b,c\nd', '"a""b,c\nd"'),
        ("string", "", '""'),
        ("binary", b"a\xff=", '"a=FF=3D"'),
        ("json", '{"a":1}', '"{""a"":1}"'),
        ("array<string>", ["a", None, 'q"'], r'"[""a"", \N, ""q\""""]"'),
        ("array<bigint>", [1, None], r'"[1, \N]"'),
        ("map<string,int>", [("k", 1)], '"{""k"":1}"'),
        ("struct<a:int,b:string>", {"a": 1, "b": None}, r'"{a:1, b:\N}"'),
        ("bigint", None, r"\N"),
        ("array<timestamp>", [datetime(2020, 11, 17, 6, tzinfo=UTC)], '"[2020-11-17 14:00:00]"'),
        ("map<string,timestamp_ntz>", [("k", datetime(2020, 11, 17))], '"{""k"":2020-11-17 00:00:00}"'),  # noqa: DTZ001
        ("struct<a:datetime>", {"a": datetime(2020, 11, 17, 6, tzinfo=UTC)}, '"{a:2020-11-17 14:00:00}"'),
    ],
)
def test_each_type_has_its_text(type_: str, value: object, text: str) -> None:
    column = Column("c", parse_type(type_))
    rows = pa.table({"c": pa.array([value], column.type.arrow_type())})
    assert csv_text([column], rows, ZONE) == f'"c"\n{text}\n'


def test_a_line_for_each_row_under_the_names() -> None:
    columns = [Column("a", parse_type("bigint")), Column("名", parse_type("string"))]
    rows = pa.table({"a": [1, 2], "名": ["x", None]})
    read = list(csv.reader(io.StringIO(csv_text(columns, rows, ZONE))))
    assert read == [["a", "名"], ["1", "x"], ["2", "\\N"]]
