"""Hostile CSV fields of every column type: each sets its own record aside at the most, and costs one pass."""

from __future__ import annotations

import csv
import time
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafka_maxcompute.maxcompute.column import Column
from maxcompute_sink import csv_rows
from maxcompute_sink.arrow_types import arrow_type
from maxcompute_sink.decode import Decoder
from maxcompute_sink.mapping import WRONG_TYPE, Mapper, Rows
from tests.kafka_events import element, payload
from tests.unit.test_sink_mapping import POSITION, mapper

pytestmark = pytest.mark.quick

TYPES = (
    *("TINYINT", "SMALLINT", "INT", "BIGINT", "FLOAT", "DOUBLE", "DECIMAL(10,2)", "DECIMAL(38,18)", "BOOLEAN"),
    *("DATE", "DATETIME", "TIMESTAMP", "TIMESTAMP_NTZ", "VARCHAR(3)", "CHAR(3)", "STRING", "BINARY"),
)
EXPONENTS = ("1e1000000000000000000", "0e999999999999999999999", "1e-99999999999999999999", "-.5E+" + "9" * 5_000)
TEXTS = (
    *EXPONENTS,
    *("9" * 5_000, "0." + "0" * 5_000 + "1", "1_000", "٣", "²", "NaN123", "sNaN", "-nan", "inf", "0x10", " 1", "1\n"),
    *("\0", "1\0", "2020-11-17\0", "20201117", "2020-W47-2", "0000-01-01", "2020-02-30", "9999-12-31 23:59:60"),
    *(
        "0001-01-01 00:00:00+18:00",
        "9999-12-31T23:59:59-18:00",
        "2020-11-17 24:00",
        "\u0662\u0660\u0662\u0660-11-17",
        "\U0001f600",
    ),
)


def mapped(type_name: str, *texts: str) -> Rows:
    lines = ['"' + text.replace('"', '""') + '"' for text in texts]
    decoded = Decoder("Text").decode(payload(*(element(at, value=line) for at, line in enumerate(lines))))
    return _mapper(type_name).rows(decoded.records)


def _mapper(type_name: str) -> Mapper:
    return mapper((*POSITION, Column("c", type_name)), format="CSV", mode="VALUE")


@pytest.mark.parametrize("type_name", TYPES)
def test_hostile_fields_are_values_or_set_aside_and_their_neighbours_stay(type_name: str) -> None:
    found = mapped(type_name, "", *TEXTS, "")
    assert found.batch.num_rows + len(found.rejected) == len(TEXTS) + 2
    assert {0, len(TEXTS) + 1} <= set(found.batch.column("offset").to_pylist())
    assert {one.error.reason for one in found.rejected} <= {WRONG_TYPE}
    assert not any(text in one.error.message for one in found.rejected for text in EXPONENTS)


@pytest.mark.parametrize("text", EXPONENTS)
def test_exponents_that_no_number_of_python_has_are_set_aside(text: str) -> None:
    (rejected,) = mapped("DECIMAL(10,2)", text).rejected
    assert "a number with an exponent of too many digits" in rejected.error.message


@given(st.sampled_from(TYPES), st.text(st.characters(codec="utf-8"), max_size=30) | st.from_regex(csv_rows._NUMBER))
def test_any_text_becomes_a_value_or_is_refused_as_unfit(type_name: str, text: str) -> None:
    form = csv_rows.form(type_name, arrow_type(type_name), ZoneInfo("Asia/Shanghai"))
    try:
        form.read(text)
    except csv_rows.UnfitError as error:
        assert len(str(error)) < 100  # noqa: PT017 # the other way is as good


@pytest.mark.parametrize("error", [ValueError, OverflowError, ArithmeticError, RecursionError, TypeError, KeyError])
def test_whatever_a_conversion_raises_is_about_its_field(error: type[Exception]) -> None:
    def convert(text: str) -> Any:
        raise error(text)

    with pytest.raises(csv_rows.UnfitError, match=error.__name__) as raised:
        csv_rows.Form("a value", convert).read("secret")
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("type_name", ["DOUBLE", "DECIMAL(10,2)", "BIGINT", "DATE", "TIMESTAMP"])
def test_a_long_field_that_is_no_value_is_refused_after_one_pass(type_name: str) -> None:
    began = time.process_time()
    assert len(mapped(type_name, "1" * 200_000 + "x").rejected) == 1
    assert time.process_time() - began < 2


def test_nul_is_a_character_of_a_field_with_every_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    line = 'a\0,"b\0""\0",\0'
    wanted = ["a\0", 'b\0"\0', "\0"]
    assert csv_rows.fields(line) == wanted
    read = csv.reader

    def without_nul(lines: tuple[str], *, strict: bool) -> Any:
        if "\0" in lines[0]:
            raise csv.Error("line contains NUL")
        return read(lines, strict=strict)

    monkeypatch.setattr(csv, "reader", without_nul)  # as that of Python 3.10 does it
    assert csv_rows.fields(line) == wanted
    with pytest.raises(ValueError, match="a quote that isn't closed, which begins field 2"):
        csv_rows.fields('\0,"')
