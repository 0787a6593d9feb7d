"""The columnar core against a plain reading of the same bytes: every record once, in place, with what it held."""

from __future__ import annotations

import base64
import json
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafka_maxcompute.errors import MalformedBatchError
from kafka_maxcompute.maxcompute.table import expected
from kafka_maxcompute.settings.settings import Settings
from maxcompute_sink.decode import Decoder
from maxcompute_sink.mapping import Mapper
from maxcompute_sink.partitioner import Partitioner
from tests.kafka_events import HOUR_14, element

pytestmark = pytest.mark.quick

EARLIEST, LATEST = HOUR_14 - 10**9, HOUR_14 + 10**9

times = st.integers(EARLIEST, LATEST)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)
values = {
    "Text": st.none() | texts,
    "Json": json_values,
    "Binary": st.none() | st.binary(max_size=20).map(lambda value: base64.b64encode(value).decode()),
}


@st.composite
def data(draw: st.DrawFn, value_type: str) -> dict[str, Any]:
    """The record of an element, with what may be left out left out at times."""
    time = draw(times)
    record = {
        "topic": draw(st.sampled_from(["orders", "订单"])),
        "partition": draw(st.integers(0, 2)),
        "offset": draw(st.integers(0, 2**63 - 1)),
        "timestamp": draw(st.sampled_from([time, str(time)])),
        "key": draw(st.none() | texts),
        "value": draw(values[value_type]),
        "headers": draw(json_values),
    }
    absent = draw(st.sets(st.sampled_from(["key", "value", "headers"])))
    return record | dict.fromkeys(absent, ...)


@st.composite
def batches(draw: st.DrawFn, value_type: str) -> tuple[bytes, list[dict[str, Any]]]:
    """A payload, and the records that are in it."""
    elements = [element(**record) for record in draw(st.lists(data(value_type), max_size=8))]
    ascii_only, as_text = draw(st.booleans()), draw(st.sets(st.integers(0, 7)))
    shaped = [json.dumps(one) if index in as_text else one for index, one in enumerate(elements)]
    return json.dumps(shaped, ensure_ascii=ascii_only).encode(), [one["data"] for one in elements]


def plain_row(record: dict[str, Any], value_type: str) -> dict[str, Any]:
    value = record.get("value")
    if value is not None and value_type == "Binary":
        value = base64.b64decode(value)
    return {name: record.get(name) for name in ("topic", "partition", "offset", "key")} | {"value": value}


def plain_partition(record: dict[str, Any]) -> str:
    local = datetime.fromtimestamp(int(record["timestamp"]) / 1_000, timezone(timedelta(hours=8)))
    return f"{local.month:02}-{local.day:02}-{local.year} {local.hour:02}"


def mapper(value_type: str) -> Mapper:
    settings = Settings.from_mapping(
        {
            "name": "c",
            "source_topic": "orders",
            "delivery": "at-least-once",
            "endpoint": "http://127.0.0.1/api",
            "project": "p",
            "table": "t",
            "value_type": value_type,
            "format": "BINARY" if value_type == "Binary" else "TEXT",
        }
    )
    return Mapper(expected(settings), settings=settings, zone=timezone.utc)


MAPPERS = {value_type: mapper(value_type) for value_type in values}


@pytest.mark.parametrize("value_type", list(values))
@given(drawn=st.data())
def test_rows_are_what_a_plain_reading_finds(value_type: str, drawn: st.DataObject) -> None:
    payload, records = drawn.draw(batches(value_type))
    decoded = Decoder(value_type).decode(payload)
    grouped = Partitioner("HOUR", "document", timezone(timedelta(hours=8))).group(
        decoded.records, earliest=EARLIEST, latest=LATEST
    )
    assert not decoded.rejected
    assert not grouped.rejected
    assert list(grouped.by_value) == sorted({plain_partition(record) for record in records})
    for value, members in grouped.by_value.items():
        mapped = MAPPERS[value_type].rows(members)
        assert not mapped.rejected
        rows = mapped.batch.to_pylist()
        if value_type == "Json":
            rows = [row | {"value": None if row["value"] is None else json.loads(row["value"])} for row in rows]
        elif value_type == "Binary":
            rows = [row | {"key": None if row["key"] is None else row["key"].decode()} for row in rows]
        assert rows == [plain_row(record, value_type) for record in records if plain_partition(record) == value]


@given(drawn=st.data())
def test_no_malformed_neighbour_takes_a_record_with_it(drawn: st.DataObject) -> None:
    offsets = range(drawn.draw(st.integers(1, 5)))
    parts = [json.dumps(element(offset, value=drawn.draw(texts))).encode() for offset in offsets]
    junk = drawn.draw(
        st.sampled_from([b"x", b"{}", b"[1]", b'"{"', b"{:}", b'"\\ud800"', b"nul", b'{"data":{"topic":"\xff"}}'])
    )
    parts.insert(drawn.draw(st.integers(0, len(parts))), junk)
    decoded = Decoder("Text").decode(b"[" + b",".join(parts) + b"]")
    assert [record.offset for record in decoded.records] == list(offsets)
    assert len(decoded.rejected) == 1


@given(payload=st.binary(max_size=60) | st.text('[]{},:"\\ 0aeu\n', max_size=60).map(str.encode))
def test_no_bytes_whatever_do_more_than_be_refused(payload: bytes) -> None:
    try:
        decoded = Decoder("Text").decode(payload)
    except MalformedBatchError:
        return
    assert decoded.records == []
