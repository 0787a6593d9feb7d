"""mapping: mode and format (D22, D23) fill the actual columns; what does not fit is set aside with its reason."""

from __future__ import annotations

import base64
import re
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafka_maxcompute.errors import ConfigurationError
from kafka_maxcompute.maxcompute.column import Column
from kafka_maxcompute.maxcompute.table import FIELD_TYPES
from kafka_maxcompute.settings import time_zone
from kafka_maxcompute.settings.settings import Settings
from maxcompute_sink import csv_rows, mapping
from maxcompute_sink.arrow_types import arrow_type
from maxcompute_sink.decode import Decoder
from maxcompute_sink.mapping import Mapper, Rows
from tests.kafka_events import element, payload

pytestmark = pytest.mark.quick

POSITION = (Column("topic", "STRING"), Column("partition", "BIGINT"), Column("offset", "BIGINT"))
DOCUMENT = (*POSITION, Column("key", "STRING"), Column("value", "STRING"))
BINARY = (*POSITION, Column("key", "BINARY"), Column("value", "BINARY"))
SECRET = "payload-that-no-message-may-hold"


def mapper(columns: tuple[Column, ...], zone: str = "GMT 08:00", **settings: object) -> Mapper:
    needed = {
        "name": "c",
        "source_topic": "orders",
        "delivery": "at-least-once",
        "endpoint": "http://127.0.0.1/api",
        "project": "p",
        "table": "t",
    }
    return Mapper(columns, settings=Settings.from_mapping(needed | settings), zone=time_zone.parse(zone))


def rows(columns: tuple[Column, ...], *elements: object, **settings: Any) -> Rows:
    decoded = Decoder(settings.get("value_type", "Text")).decode(payload(*elements))
    assert not decoded.rejected
    return mapper(columns, **settings).rows(decoded.records)


def content(found: Rows) -> list[tuple[Any, ...]]:
    """Rows without their position, which is checked to be right."""
    listed = [tuple(row.values()) for row in found.batch.to_pylist()]
    assert all(row[:2] == ("orders", 0) and isinstance(row[2], int) for row in listed)
    return [row[3:] for row in listed]


def base64_of(value: bytes) -> str:
    return base64.b64encode(value).decode()


@pytest.mark.parametrize(
    ("mode", "expected"),
    [("DEFAULT", ("k1", "v1")), ("KEY", ("k1", None)), ("VALUE", (None, "v1"))],
)
@pytest.mark.parametrize(("format_", "columns", "kind"), [("TEXT", DOCUMENT, str), ("BINARY", BINARY, bytes)])
def test_modes_keep_key_value_or_both(
    mode: str, expected: tuple[str | None, ...], format_: str, columns: tuple[Column, ...], kind: type
) -> None:
    found = rows(columns, element(1), mode=mode, format=format_)
    assert found.batch.to_pylist()[0]["offset"] == 1
    wanted = tuple(value.encode() if value and kind is bytes else value for value in expected)
    assert (content(found), found.rejected) == ([wanted], [])


def test_key_and_value_are_found_by_name_and_other_columns_stay_null() -> None:
    columns = (*POSITION, Column("extra", "ARRAY<STRING>"), Column("VALUE", "STRING"), Column("Key", "STRING"))
    assert content(rows(columns, element(1))) == [(None, "v1", "k1")]


def test_null_key_and_value_stay_null_and_empty_ones_empty() -> None:
    found = rows(DOCUMENT, element(1, key=..., value=None), element(2, key="", value=""))
    assert content(found) == [(None, None), ("", "")]
    found = rows(BINARY, element(1, key=..., value=None), element(2, key="", value=""), format="BINARY")
    assert content(found) == [(None, None), (b"", b"")]


def test_text_of_all_planes_and_nul_is_kept() -> None:
    text = "订单 \x00 é 🙂\r\n\t\u2028"
    assert content(rows(DOCUMENT, element(1, key=text, value=text))) == [(text, text)]


@pytest.mark.parametrize("value", [b"\x00\xff\xfe", b"", bytes(range(256))])
def test_binary_bytes_are_unchanged(value: bytes) -> None:
    found = rows(BINARY, element(1, value=base64_of(value)), value_type="Binary", format="BINARY")
    assert content(found) == [(b"k1", value)]


@pytest.mark.parametrize("format_", ["TEXT", "BINARY"])
def test_only_utf8_goes_into_a_text_column(format_: str) -> None:
    good, bad = base64_of("订单".encode()), base64_of(b"\xff" + SECRET.encode())
    elements = element(1, value=good), element(2, value=bad), element(3, value=None)
    found = rows(DOCUMENT, *elements, value_type="Binary", format=format_)
    assert content(found) == [("k1", "订单"), ("k3", None)]
    (error,) = [one.error for one in found.rejected]
    assert (error.reason, error.where, error.path) == (mapping.NOT_TEXT, "orders-0-2", "$.data.value")
    assert "make column value and format BINARY" in error.message
    assert SECRET not in str(error)


def test_json_values_are_their_own_text_and_json_null_is_null() -> None:
    values = [{"a": [1, 2.50]}, [], 1, True, "text", "", None, ...]
    found = rows(DOCUMENT, *(element(n, value=value) for n, value in enumerate(values)), value_type="Json")
    texts = ['{"a": [1, 2.5]}', "[]", "1", "true", '"text"', '""', None, None]
    assert [row[1] for row in content(found)] == texts


@pytest.mark.parametrize(("value", "text"), [([], "[]"), (None, None), (..., None)])
def test_json_values_of_one_kind_take_the_same_way(value: object, text: str | None) -> None:
    found = rows(DOCUMENT, element(1, value=value), element(2, value=value), value_type="Json")
    assert content(found) == [("k1", text), ("k2", text)]


def test_of_two_faults_of_a_record_one_is_told() -> None:
    strict = (*POSITION, Column("key", "STRING", nullable=False), Column("value", "STRING"))
    bad = base64_of(b"\xff")
    found = rows(strict, element(1, key=None, value=bad), element(2, value=bad), value_type="Binary")
    assert [(one.offset, one.error.path) for one in found.rejected] == [(1, "$.data.key"), (2, "$.data.value")]


def test_json_values_that_are_not_utf8_are_set_aside() -> None:
    batch = payload(element(1, value="x"), element(2, value="y")).replace(b'"x"', b'"\xff"')
    found = mapper(DOCUMENT, value_type="Json").rows(Decoder("Json").decode(batch).records)
    assert content(found) == [("k2", '"y"')]
    assert [one.error.reason for one in found.rejected] == [mapping.NOT_TEXT]


CSV = (*POSITION, Column("a", "STRING"), Column("b", "BIGINT"), Column("c", "STRING"))


@pytest.mark.parametrize(("mode", "expected"), [("KEY", "k"), ("VALUE", "v")])
def test_a_csv_table_of_one_field_has_it_from_key_or_value(mode: str, expected: str) -> None:
    columns = (*POSITION, Column("c", "STRING"))
    assert content(rows(columns, element(1, key="k", value="v"), format="CSV", mode=mode)) == [(expected,)]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("x,1,y", ("x", 1, "y")),
        ('"x, ""quoted""",1,"two\nlines"', ('x, "quoted"', 1, "two\nlines")),
        (" x ,-1,", (" x ", -1, "")),
        (',,""', ("", None, "")),
        ("订单,+7,🙂\r\n", ("订单", 7, "🙂")),
        ("'a','2'", None),
        (None, (None, None, None)),
    ],
)
@pytest.mark.parametrize("mode", ["KEY", "VALUE"])
def test_csv_fields_go_by_index_into_the_columns_after_offset(
    mode: str, line: str | None, expected: tuple[Any, ...] | None
) -> None:
    part, other = ("key", "value") if mode == "KEY" else ("value", "key")
    found = rows(CSV, element(1, **{part: line, other: "never looked at"}), format="CSV", mode=mode)
    assert content(found) == ([] if expected is None else [expected])


def test_csv_in_base64_is_read_as_utf8() -> None:
    elements = element(1, value=base64_of("订单,1,x".encode())), element(2, value=base64_of(b"\xff,1,x"))
    found = rows(CSV, *elements, format="CSV", mode="VALUE", value_type="Binary")
    assert content(found) == [("订单", 1, "x")]
    (error,) = [one.error for one in found.rejected]
    assert (error.reason, error.path) == (mapping.NOT_TEXT, "$.data.value")
    assert error.message == "expected text in UTF-8, found bytes that aren't"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("x,1", mapping.NOT_CSV),
        ("x,1,y,z", mapping.NOT_CSV),
        ("", mapping.NOT_CSV),
        ("x,1,y\nx,2,y", mapping.NOT_CSV),
        (f'"{SECRET},1,y', mapping.NOT_CSV),
        (f'"x"{SECRET},1,y', mapping.NOT_CSV),
        (f"x,{SECRET},y", mapping.WRONG_TYPE),
        ("x,1.0,y", mapping.WRONG_TYPE),
        ("x,9223372036854775808,y", mapping.WRONG_TYPE),
        ("x, 1,y", mapping.WRONG_TYPE),
        ("x,1_0,y", mapping.WRONG_TYPE),
    ],
)
def test_a_line_that_does_not_fit_is_set_aside(line: str, reason: str) -> None:
    elements = element(1, value="a,1,b"), element(2, value=line), element(3, value="c,2,d")
    found = rows(CSV, *elements, format="CSV", mode="VALUE")
    assert content(found) == [("a", 1, "b"), ("c", 2, "d")]
    (error,) = [one.error for one in found.rejected]
    assert (error.reason, error.where, error.path) == (reason, "orders-0-2", "$.data.value")
    assert SECRET not in str(error)


def test_an_empty_line_is_one_empty_field() -> None:
    columns = (*POSITION, Column("c", "STRING"))
    assert content(rows(columns, element(1, value=""), format="CSV", mode="VALUE")) == [("",)]


@pytest.mark.parametrize(
    ("type_", "form"),
    [
        ("DECIMAL(10,2)", "with at most 8 digits before the decimal point and 2 after it"),
        ("FLOAT", "up to 3.4028e+38, NaN, Infinity or -Infinity"),
        ("DOUBLE", "up to 1.7977e+308, NaN, Infinity or -Infinity"),
    ],
)
def test_the_reason_of_a_number_says_what_its_column_holds(type_: str, form: str) -> None:
    found = rows((*POSITION, Column("c", type_)), element(1, value="x"), format="CSV", mode="VALUE")
    assert f"expected a {type_}: a number such as -1.5 or 1e3 {form}; " in found.rejected[0].error.message


def test_an_open_quote_does_not_swallow_the_next_record() -> None:
    elements = element(1, value='"open,1,x'), element(2, value='y",1,x'), element(3, value="z,1,x")
    found = rows(CSV, *elements, format="CSV", mode="VALUE")
    assert content(found) == [('y"', 1, "x"), ("z", 1, "x")]
    assert [one.error.where for one in found.rejected] == ["orders-0-1"]


GOOD_FIELDS = [
    ("TINYINT", "-128", -128),
    ("SMALLINT", "32767", 32767),
    ("INT", "-2147483648", -2147483648),
    ("FLOAT", "1.5", 1.5),
    ("FLOAT", "3.4028234663852886e38", 3.4028234663852886e38),
    ("FLOAT", "-Infinity", float("-inf")),
    ("DOUBLE", "-1e300", -1e300),
    ("DOUBLE", ".5", 0.5),
    ("DECIMAL", "12.000000000000000001", Decimal("12.000000000000000001")),
    ("DECIMAL(10,2)", "12345678.9", Decimal("12345678.90")),
    ("decimal(10, 0)", "1234567890", Decimal(1234567890)),
    ("DECIMAL(38,0)", "9" * 38, Decimal("9" * 38)),
    ("BOOLEAN", "True", True),
    ("BOOLEAN", "false", False),
    ("STRING", "text", "text"),
    ("VARCHAR(3)", "abc", "abc"),
    ("CHAR(3)", "订单号", "订单号"),
    ("BINARY", "é", "é".encode()),
    ("DATE", "2020-02-29", date(2020, 2, 29)),
    ("DATETIME", "2020-11-17 14:20:00", datetime(2020, 11, 17, 6, 20)),  # noqa: DTZ001 # Tunnel's are UTC unsaid
    ("DATETIME", "2020-11-17T14:20:00.123Z", datetime(2020, 11, 17, 14, 20, 0, 123000)),  # noqa: DTZ001
    ("DATETIME", "2020-11-17 14:20+01:00", datetime(2020, 11, 17, 13, 20)),  # noqa: DTZ001
    ("DATETIME", "2020-11-17 14:20-01:30", datetime(2020, 11, 17, 15, 50)),  # noqa: DTZ001
    ("DATETIME", "2020-11-17 14:20:00+18:00", datetime(2020, 11, 16, 20, 20)),  # noqa: DTZ001
    ("DATETIME", "2020-11-17 14:20:00.120000000+08:00", datetime(2020, 11, 17, 6, 20, 0, 120000)),  # noqa: DTZ001
    ("TIMESTAMP_NTZ", "2020-11-17 14:20:00", datetime(2020, 11, 17, 14, 20)),  # noqa: DTZ001
    ("DATE", "0001-01-01", date(1, 1, 1)),
    ("DATE", "9999-12-31", date(9999, 12, 31)),
    ("BIGINT", "-9223372036854775807", -(2**63) + 1),
    ("BIGINT", "0" * 30, 0),
    ("BIGINT", "-" + "0" * 30, 0),
    ("BIGINT", "-" + "0" * 30 + "7", -7),
    ("BIGINT", "+" + "0" * 30 + "7", 7),
    ("BIGINT", "0" * 5_000 + "12", 12),
    ("INT", "-000", 0),
    ("DOUBLE", "0.1", 0.1),
    ("FLOAT", "0.1", 0.10000000149011612),
    ("DOUBLE", "1e-400", 0.0),
    ("DECIMAL(10,2)", "0e999999", Decimal("0.00")),
    ("STRING", "\ufeffa", "\ufeffa"),
]


@pytest.mark.parametrize(("type_", "text", "value"), GOOD_FIELDS)
def test_csv_fields_become_values_of_the_column(type_: str, text: str, value: object) -> None:
    found = rows((*POSITION, Column("c", type_)), element(1, value=text), format="CSV", mode="VALUE")
    column = found.batch.column(3)
    ((read,),) = content(found)
    assert (column.cast("timestamp[us]")[0].as_py() if type_.startswith("TIMESTAMP") else read) == value


WHOLE = "text of another form"
BAD_FIELDS = [
    ("TINYINT", "128", "a number outside of that range"),
    ("SMALLINT", "-32769", "a number outside of that range"),
    ("INT", "2147483648", "a number outside of that range"),
    ("BIGINT", "-9223372036854775808", "a number outside of that range"),
    ("BIGINT", "9" * 21, "a number outside of that range"),
    ("BIGINT", "-" + "9" * 5_000, "a number outside of that range"),
    ("BIGINT", "NaN", WHOLE),
    ("BIGINT", "\ufeff1", "a byte order mark (U+FEFF) at its start"),
    ("DOUBLE", "\ufeff1.5", "a byte order mark (U+FEFF) at its start"),
    ("DATE", "\ufeff2020-01-01", "a byte order mark (U+FEFF) at its start"),
    ("BIGINT", "1" + "0" * 5_000, "a number outside of that range"),
    ("INT", "1.0", WHOLE),
    ("DOUBLE", "1 5", WHOLE),
    ("DOUBLE", "0x10", WHOLE),
    ("DOUBLE", "1e999", "a number outside of that range"),
    ("FLOAT", "3.5e38", "a number outside of that range"),
    ("DECIMAL(10,2)", "1.234", "more digits after the point"),
    ("DECIMAL(10,2)", "123456789", "a number outside of that range"),
    ("DECIMAL", "NaN", "NaN, which no DECIMAL is"),
    ("DECIMAL", "-Infinity", "Infinity, which no DECIMAL is"),
    ("DECIMAL", "1e-999", "more digits after the point"),
    ("DECIMAL", "0e" + "9" * 19, "a number with an exponent of too many digits"),
    ("DECIMAL", "1e999999", "a number outside of that range"),
    ("DECIMAL", "x", WHOLE),
    ("BOOLEAN", "yes", WHOLE),
    ("BOOLEAN", "1", WHOLE),
    ("VARCHAR(3)", "abcd", "4 characters"),
    ("CHAR(1)", "ab", "2 characters"),
    ("DATE", "2021-02-29", "a day that no calendar has"),
    ("DATE", "0000-01-01", "a day that no calendar has"),
    ("DATE", "20200101", WHOLE),
    ("DATE", "2020-01-01 00:00:00", WHOLE),
    ("DATETIME", "2020-11-17", WHOLE),
    ("DATETIME", "2020-11-17 25:00:00", "an hour above 23; midnight is 00:00 of the next day"),
    ("DATETIME", "2020-11-17 24:00:00", "an hour above 23; midnight is 00:00 of the next day"),
    ("TIMESTAMP_NTZ", "2020-11-17T24:00", "an hour above 23; midnight is 00:00 of the next day"),
    ("DATETIME", "2020-11-17 14:60:00", "a minute or a second above 59"),
    ("TIMESTAMP", "2020-11-17 14:20:60", "a minute or a second above 59"),
    ("DATETIME", "2021-02-29 14:00:00", "a day that no calendar has"),
    ("DATETIME", "0000-01-01 14:00:00", "a day that no calendar has"),
    ("DATETIME", "2020-11-17 14:20.5", WHOLE),
    ("DATETIME", "2020-11-17 14:20:00+08", WHOLE),
    ("DATETIME", "2020-11-17 14:20:00+0800", WHOLE),
    ("DATETIME", "2020-11-17 14:20:00z", WHOLE),
    ("DATETIME", "2020-11-17 14:20:00.1234", "digits below a millisecond"),
    ("DATETIME", "2020-11-17 14:20:00.1234567890", "more than 9 digits after the seconds"),
    ("DATETIME", "0001-01-01 00:00:00+14:00", "a time outside of that range"),
    ("DATETIME", "9999-12-31 23:59:59Z", "a time outside of that range"),
    ("DATETIME", "9999-12-31T16:00:00Z", "a time outside of that range"),
    ("DATETIME", "2020-11-17 14:20:00+08:00:60", "an offset that no zone has"),
    ("DATETIME", "2020-11-17 14:20:00+18:01", "an offset that no zone has"),
    ("DATETIME", "2020-11-17 14:20:00-08:60", "an offset that no zone has"),
    ("TIMESTAMP", "2263-01-01 00:00:00", "a time outside of that range"),
    ("TIMESTAMP", "1600-01-01 00:00:00", "a time outside of that range"),
    ("TIMESTAMP", "yesterday", WHOLE),
    ("TIMESTAMP_NTZ", "2262-04-11 23:47:16.854775808", "a time outside of that range"),
    ("TIMESTAMP_NTZ", "1677-09-21 00:12:43.145224192", "a time outside of that range"),
    ("TIMESTAMP_NTZ", "2020-11-17 14:20:00Z", "a time with a zone"),
    ("TIMESTAMP_NTZ", "2020-11-17 14:20:00+00:00", "a time with a zone"),
]


@pytest.mark.parametrize(("type_", "text", "told"), BAD_FIELDS)
def test_csv_fields_of_another_type_are_set_aside_with_the_forms_that_are_taken(
    type_: str, text: str, told: str
) -> None:
    found = rows((*POSITION, Column("c", type_)), element(1, value=text), format="CSV", mode="VALUE")
    (error,) = [one.error for one in found.rejected]
    assert (error.reason, content(found)) == (mapping.WRONG_TYPE, [])
    assert re.fullmatch(rf"column c: expected a {re.escape(type_)}: .{{10,}}; found {re.escape(told)}", error.message)


ALL_FIELD_TYPES = [*(set(FIELD_TYPES) - {"DECIMAL", "VARCHAR", "CHAR"}), "DECIMAL(10,2)", "VARCHAR(9)", "CHAR(2)"]
TOLD = {told for _, _, told in BAD_FIELDS} | {"a time that clocks in that zone skipped"}


@given(
    type_=st.sampled_from(sorted(ALL_FIELD_TYPES)),
    text=st.text(min_size=1) | st.from_regex(csv_rows._MOMENT, fullmatch=True) | st.from_regex(csv_rows._NUMBER),
)
def test_a_field_is_a_value_or_a_fault_that_does_not_repeat_it(type_: str, text: str) -> None:
    wire = arrow_type(type_)
    form, told = csv_rows.form(type_, wire, ZoneInfo("Europe/Berlin")), ""
    if form.read is not None:
        try:
            pa.array([form.read(text)], wire).validate(full=True)
        except csv_rows.UnfitError as error:
            told = str(error)
    assert told in {"", *TOLD} or re.fullmatch(r"\d+ characters", told)


@pytest.mark.parametrize("type_", ["STRING", "BINARY"])
def test_a_field_is_measured_in_bytes(type_: str) -> None:
    most = mapping.FIELD_BYTES
    fits, longer = "中" * (most // 3), "中" * (most // 3 + 1)
    columns = (*POSITION, Column("a", type_), Column("n", "INT"))
    elements = (element(n, value=f"{text},{n}") for n, text in enumerate(["good", longer, fits, "x" * (most + 1)]))
    found = rows(columns, *elements, format="CSV", mode="VALUE")
    assert found.batch.column(2).to_pylist() == [0, 2]
    assert [(one.offset, one.error.reason) for one in found.rejected] == [(1, mapping.TOO_LONG), (3, mapping.TOO_LONG)]
    told = f"expected at most {most} bytes, which is what a field of a table holds, found {len(longer) * 3}"
    assert found.rejected[0].error.message == f"column a ({type_}): {told}"


@pytest.mark.parametrize("type_", ["BIGINT", "DOUBLE", "BOOLEAN", "DATE", "DECIMAL(3,1)"])
def test_an_empty_field_is_null_where_the_column_holds_no_text(type_: str) -> None:
    columns = (*POSITION, Column("c", type_), Column("d", "STRING"), Column("e", "BINARY"))
    assert content(rows(columns, element(1, value=",,"), format="CSV", mode="VALUE")) == [(None, "", b"")]


@pytest.mark.parametrize("type_", ["VARCHAR(3)", "CHAR(3)", "STRING"])
def test_an_empty_field_of_text_is_empty_and_no_line_is_null(type_: str) -> None:
    columns = (*POSITION, Column("c", type_))
    found = rows(
        columns, element(1, value=""), element(2, value=None), element(3, value="abc"), format="CSV", mode="VALUE"
    )
    assert content(found) == [("",), (None,), ("abc",)]


def test_null_is_set_aside_where_the_table_has_no_room_for_it() -> None:
    columns = (*POSITION, Column("key", "STRING", nullable=False), Column("value", "STRING"))
    found = rows(columns, element(1, key=None, value=None), element(2, value=None))
    assert content(found) == [("k2", None)]
    (error,) = [one.error for one in found.rejected]
    assert (error.reason, error.path) == (mapping.REQUIRED, "$.data.key")
    assert error.message == "column key: expected a STRING, since it is NOT NULL; found null"
    columns = (*POSITION, Column("n", "BIGINT", nullable=False), Column("s", "STRING"))
    found = rows(columns, element(1, value=",x"), element(2, value=None), format="CSV", mode="VALUE")
    assert [one.error.message for one in found.rejected] == [
        "column n: expected a BIGINT, since it is NOT NULL; found null: an empty field, or no line at all"
    ] * 2


def test_a_field_above_the_limit_of_the_table_is_set_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mapping, "FIELD_BYTES", 9)
    elements = element(1, value="订单订"), element(2, value="订单订x"), element(3, value=None)
    found = rows(DOCUMENT, *elements)
    assert content(found) == [("k1", "订单订"), ("k3", None)]
    assert [(one.error.reason, one.error.where) for one in found.rejected] == [(mapping.TOO_LONG, "orders-0-2")]
    assert "found 10" in found.rejected[0].error.message
    assert found.rejected[0].error.path == "$.data.value"
    found = rows(DOCUMENT, element(1, key="订单订", value=""), element(2, key="订单订x", value=""))
    assert content(found) == [("订单订", "")]
    assert [(one.error.reason, one.error.path) for one in found.rejected] == [(mapping.TOO_LONG, "$.data.key")]


def test_a_record_with_two_faults_is_named_once() -> None:
    found = rows(CSV, element(1, value="a,x,b,c"), element(2, value="a,x,b"), format="CSV", mode="VALUE")
    assert [one.error.reason for one in found.rejected] == [mapping.NOT_CSV, mapping.WRONG_TYPE]


def test_no_records_make_no_rows() -> None:
    for columns, settings in ((DOCUMENT, {}), (CSV, {"format": "CSV", "mode": "VALUE"})):
        assert rows(columns, **settings).batch.num_rows == 0


def test_a_column_that_tunnel_does_not_take_is_a_fault_of_the_table() -> None:
    columns = (*DOCUMENT, Column("a", "JSON"), Column("b", "BIGINT"), Column("c", "MAP<STRING,BLOB>"))
    with pytest.raises(ConfigurationError) as caught:
        mapper(columns)
    assert len(caught.value.faults) == 2
    assert "column a: JSON is no type that Tunnel takes" in caught.value.faults[0]
