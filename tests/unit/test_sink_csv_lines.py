"""Lines of CSV: what each is taken apart into, and what is said of one that isn't a line of the table's fields."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maxcompute_sink import csv_rows
from tests.kafka_events import element
from tests.unit.test_sink_mapping import CSV, rows

pytestmark = pytest.mark.quick

MARKED = ", and a byte order mark (U+FEFF) before the first field"


def test_the_reason_of_a_line_that_is_no_csv_says_what_is_wrong_with_it() -> None:
    lines = {
        '"x"y,1,z': "text after the closing quote of field 1; a quote in a quoted field has to be doubled",
        'x,"1" ,z': "text after the closing quote of field 2; a quote in a quoted field has to be doubled",
        'x,1,"z""': "a quote that isn't closed, which begins field 3",
        "x,1,y\nx,2,y": "more after the line break that ends field 3; a line break in a field has to be in quotes",
        "x\r\ny,1,y": "more after the line break that ends field 1; a line break in a field has to be in quotes",
        '"x\n",1\r,y': "more after the line break that ends field 2; a line break in a field has to be in quotes",
        '\ufeffx,"1': "a quote that isn't closed, which begins field 2" + MARKED,
    }
    elements = (element(place, value=line) for place, line in enumerate(lines))
    found = rows(CSV, *elements, format="CSV", mode="VALUE")
    assert [one.error.message for one in found.rejected] == [
        f"expected one line of CSV, found {told}" for told in lines.values()
    ]


def test_the_reason_of_another_number_of_fields_says_how_many_and_tells_of_a_byte_order_mark() -> None:
    found = rows(CSV, element(1, value="x,1"), element(2, value='\ufeff"x,y",1,z'), format="CSV", mode="VALUE")
    expected = "expected 3 fields, one for each column after offset, found"
    assert [one.error.message for one in found.rejected] == [
        f"{expected} 2",
        f"{expected} 4{MARKED}",
    ]


@given(st.text(st.sampled_from('ab",\r\n\0\ufeff'), max_size=12))
def test_every_line_is_read_or_its_fault_is_found(line: str) -> None:
    try:
        csv_rows.fields(line)
    except ValueError as error:
        assert re.search(r"found (text after|a quote that|more after) .*field \d", str(error))  # noqa: PT017 # it may pass
