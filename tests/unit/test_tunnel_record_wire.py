"""The record stream: the bytes that PyODPS writes, and what is refused with which code."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from google_crc32c import value as crc32c

from local_emulator.maxcompute.entities import Column
from local_emulator.maxcompute.errors import ServiceError
from local_emulator.maxcompute.tunnel import record_wire
from local_emulator.maxcompute.types import parse_type

pytestmark = pytest.mark.quick

NONE = "f0ffff7f00f8ffff7f00"
# Recorded from PyODPS 0.13.2: types, rows, the stream that its pure Python writer sends.
GOLDEN: list[tuple[list[str], list[list[Any]], str]] = [
    (["bigint"], [], NONE),
    (["bigint"], [[None]], "80c0ff7f00f0ffff7f02f8ffff7fc7979dc304"),
    (["bigint"], [[1]], "080280c0ff7fcab8b49905f0ffff7f02f8ffff7fa486b58808"),
    (["string"], [["abc"]], "0a0361626380c0ff7fe8b4cba808f0ffff7f02f8ffff7f9ed7e5b702"),
    (
        ["string", "bigint", "bigint", "string", "string"],
        [["t", 0, 42, None, '{"a":1}']],
        "0a0174100018542a077b2261223a317d80c0ff7f84fce19907f0ffff7f02f8ffff7fe384d39d03",
    ),
    (["double"], [[1.5]], "09000000000000f83f80c0ff7fbef2bfeb0af0ffff7f02f8ffff7fd4a9d6f007"),
    (["boolean"], [[True]], "080180c0ff7f9ab5a2f808f0ffff7f02f8ffff7fc7a2abbe07"),
]
# The starts of streams of one nested or textual value.
STARTS = [
    ("array<bigint>", [1, None], "0a02000201"),
    ("map<string,bigint>", [("k", 1)], "0a0100016b010002"),
    ("struct<a:bigint,b:string>", {"a": 1, "b": "x"}, "0a0002000178"),
    ("decimal(10,2)", Decimal("1.50"), "0a04312e3530"),
    ("date", 18263, "08ae9d02"),
]


def columns_of(*types: str) -> list[Column]:
    return [Column(f"c{index}", parse_type(text)) for index, text in enumerate(types)]


def batch_of(columns: list[Column], rows: list[list[Any]]) -> pa.RecordBatch:
    arrays = [pa.array([row[index] for row in rows], column.type.arrow_type()) for index, column in enumerate(columns)]
    return pa.RecordBatch.from_arrays(arrays, names=[column.name for column in columns])


def decoded(body: bytes, columns: list[Column]) -> list[list[Any]]:
    return [list(row.values()) for batch in record_wire.decode(body, columns) for row in batch.to_pylist()]


def refusal(body: bytes, columns: list[Column]) -> ServiceError:
    with pytest.raises(ServiceError) as caught:
        list(record_wire.decode(body, columns))
    assert caught.value.status == 400
    return caught.value


@pytest.mark.parametrize(("types", "rows", "stream"), GOLDEN)
def test_golden_streams_are_written_and_read(types: list[str], rows: list[list[Any]], stream: str) -> None:
    columns = columns_of(*types)
    assert decoded(bytes.fromhex(stream), columns) == rows
    assert b"".join(record_wire.encode([batch_of(columns, rows)], columns)).hex() == stream


def test_checksums_of_the_compiled_writer_have_ten_bytes_from_2_to_the_31_on() -> None:
    stream = bytes.fromhex("080280c0ff7fcab8b49905f0ffff7f02f8ffff7fa486b588f8ffffffff01")
    assert decoded(stream, columns_of("bigint")) == [[1]]


def test_checksums_with_anything_else_above_32_bits_are_refused() -> None:
    stream = bytes.fromhex("080280c0ff7fcab8b49905f0ffff7f02f8ffff7fa486b588f8ffffff01")
    assert refusal(stream, columns_of("bigint")).code == "CorruptedDataStream"


@pytest.mark.parametrize(("type_", "value", "start"), STARTS)
def test_nested_and_textual_values_start_as_pyodps_writes_them(type_: str, value: Any, start: str) -> None:
    columns = columns_of(type_)
    values = (
        pa.array([value], pa.int32()).cast(pa.date32())
        if type_ == "date"
        else pa.array([value], columns[0].type.arrow_type())
    )
    batch = pa.RecordBatch.from_arrays([values], names=["c0"])
    stream = b"".join(record_wire.encode([batch], columns))
    assert stream.hex().startswith(start + "80c0ff7f")
    (again,) = record_wire.decode(stream, columns)
    assert again.equals(batch)


def test_fields_may_come_in_any_order() -> None:
    covered = b"\x02\0\0\0" + b"x" + b"\x01\0\0\0" + (7).to_bytes(8, "little")
    record = b"\x12\x01x" + b"\x08\x0e" + b"\x80\xc0\xff\x7f" + varint(crc32c(covered))
    end = b"\xf0\xff\xff\x7f\x02\xf8\xff\xff\x7f" + varint(crc32c(crc32c(covered).to_bytes(4, "little")))
    assert decoded(record + end, columns_of("bigint", "string")) == [[7, "x"]]


def test_texts_that_hold_the_end_tag_are_read_whole() -> None:
    columns = columns_of("binary", "bigint")
    rows: list[list[Any]] = [[b"\x80\xc0\xff\x7f" * 3, 1], [b"a\x80\xc0\xff\x7f\x05b", None], [None, 3]]
    assert decoded(b"".join(record_wire.encode([batch_of(columns, rows)], columns)), columns) == rows


def test_a_value_longer_than_a_window_is_read() -> None:
    columns = columns_of("binary", "bigint")
    rows = [[b"x" * 5_000_000, 1], [b"y", 2], [b"z" * 3_000_000, 3]]
    assert decoded(b"".join(record_wire.encode([batch_of(columns, rows)], columns)), columns) == rows


def test_no_column_more_than_the_table_has_is_taken() -> None:
    stream = bytes.fromhex(GOLDEN[4][2])
    found = refusal(stream, columns_of("string", "bigint"))
    assert found.code == "MalformedDataStream"
    assert "field 3" in found.message
    assert "2 columns" in found.message


@pytest.mark.parametrize("cut", range(1, 25))
def test_a_stream_cut_short_is_malformed(cut: int) -> None:
    stream = bytes.fromhex(GOLDEN[2][2])
    assert refusal(stream[:-cut], columns_of("bigint")).code == "MalformedDataStream"


def test_a_stream_that_goes_on_is_malformed() -> None:
    assert refusal(bytes.fromhex(NONE) + b"\0", columns_of("bigint")).code == "MalformedDataStream"


def test_a_wrong_count_is_malformed() -> None:
    stream = bytes.fromhex(GOLDEN[2][2].replace("f0ffff7f02", "f0ffff7f04"))
    assert "2 records; 1 were found" in refusal(stream, columns_of("bigint")).message


def test_a_negative_count_is_malformed() -> None:
    stream = bytes.fromhex(NONE.replace("f0ffff7f00", "f0ffff7f01"))
    assert "-1 records; 0 were found" in refusal(stream, columns_of("bigint")).message


@pytest.mark.parametrize(("right", "wrong"), [("080280", "080480"), ("cab8b499", "cbb8b499"), ("a486b588", "a586b588")])
def test_values_and_checksums_that_disagree_are_corrupted(right: str, wrong: str) -> None:
    stream = bytes.fromhex(GOLDEN[2][2].replace(right, wrong))
    assert refusal(stream, columns_of("bigint")).code == "CorruptedDataStream"


@pytest.mark.parametrize(
    ("wide", "narrow", "value"),
    [
        ("bigint", "tinyint", 128),
        ("bigint", "smallint", -32769),
        ("bigint", "int", 1 << 31),
        ("bigint", "date", 1 << 40),
        ("binary", "string", b"\xff"),
        ("binary", "json", b"\xc3("),
        ("string", "decimal(5,2)", "1000.00"),
        ("string", "decimal(5,2)", "1.234"),
        ("string", "decimal(5,2)", "none"),
        ("string", "decimal(5,2)", ""),
    ],
)
def test_values_that_dont_fit_their_column_are_refused_with_its_name(wide: str, narrow: str, value: Any) -> None:
    given = columns_of(wide)
    stream = b"".join(record_wire.encode([batch_of(given, [[value]])], given))
    found = refusal(stream, columns_of(narrow))
    assert found.code == "MalformedDataStream"
    assert "'c0'" in found.message


def varint(number: int) -> bytes:
    found = b""
    while number > 127:
        found += bytes([number & 127 | 128])
        number >>= 7
    return found + bytes([number])
