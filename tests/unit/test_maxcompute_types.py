"""The text of MaxCompute's types, and what holds their values."""

from __future__ import annotations

import pyarrow as pa
import pytest

from local_emulator.maxcompute.types import TypeSyntaxError, parse_type, parse_type_at

pytestmark = pytest.mark.quick


@pytest.mark.parametrize(
    ("text", "written", "arrow"),
    [
        ("BIGINT", "bigint", pa.int64()),
        ("int", "int", pa.int32()),
        ("decimal", "decimal(38,18)", pa.decimal128(38, 18)),
        ("DECIMAL( 10 , 2 )", "decimal(10,2)", pa.decimal128(10, 2)),
        ("decimal(10)", "decimal(10,0)", pa.decimal128(10, 0)),
        ("varchar(65535)", "varchar(65535)", pa.string()),
        ("char(255)", "char(255)", pa.string()),
        ("datetime", "datetime", pa.timestamp("ms", "UTC")),
        ("timestamp", "timestamp", pa.timestamp("ns", "UTC")),
        ("timestamp_ntz", "timestamp_ntz", pa.timestamp("ns")),
        ("json", "json", pa.string()),
        ("array<int>", "array<int>", pa.list_(pa.int32())),
        ("MAP<STRING, ARRAY<DOUBLE>>", "map<string,array<double>>", pa.map_(pa.string(), pa.list_(pa.float64()))),
        (
            "struct<a:int, `b c`:string COMMENT 'x'>",
            "struct<a:int,`b c`:string>",
            pa.struct([("a", pa.int32()), ("b c", pa.string())]),
        ),
    ],
)
def test_a_text_is_a_type(text: str, written: str, arrow: pa.DataType) -> None:
    found = parse_type(text)
    assert str(found) == written
    assert parse_type(str(found)) == found
    assert found.arrow_type() == arrow


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("bigin", "found bigin"),
        ("", "expected a name"),
        ("decimal(39,2)", "1 to 38, 0 to 18"),
        ("decimal(10,19)", "1 to 38, 0 to 18"),
        ("varchar", r"expected '\('"),
        ("varchar(65536)", "1 to 65535"),
        ("char(256)", "1 to 255"),
        ("array<int", "expected '>'"),
        ("map<string>", "expected 2 between"),
        ("struct<a:int,A:int>", "each field name once"),
        ("struct<a int>", "expected ':'"),
        ("bigint unsigned", "expected the end"),
        ("decimal(x)", "expected a number"),
    ],
)
def test_a_fault_is_named_with_its_place(text: str, said: str) -> None:
    with pytest.raises(TypeSyntaxError, match=said) as caught:
        parse_type(text)
    assert "at character" in str(caught.value)


def test_a_type_inside_a_statement_ends_where_it_ends() -> None:
    text = "a array<struct<b:decimal(3,1)>> NOT NULL"
    found, end = parse_type_at(text, 2)
    assert str(found) == "array<struct<b:decimal(3,1)>>"
    assert text[end:] == " NOT NULL"
