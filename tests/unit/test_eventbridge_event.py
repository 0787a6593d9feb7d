"""A Kafka record as an element of a batch."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from local_emulator.eventbridge.event import element_encoder
from tests.stream_settings import settings

pytestmark = pytest.mark.quick

EVENTS = Path(__file__).parents[1] / "events"
TIME = 1_659_346_376_797


def encoded(
    value: bytes | None = b"v",
    key: bytes | None = b"k",
    *,
    timestamp: int = TIME,
    headers: list[tuple[str, bytes | None]] | None = None,
    as_strings: bool = False,
    **changes: Any,
) -> Any:
    encode = element_encoder(settings(**changes), "188", as_strings=as_strings, make_id=lambda: "an-id")
    return encode("orders", 3, 42, timestamp, key, value, headers)


def data(*arguments: Any, **options: Any) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads(encoded(*arguments, **options))["data"]
    return fields


def test_an_element_has_the_documented_attributes() -> None:
    assert json.loads(encoded()) == {
        "id": "an-id",
        "source": "acs:alikafka",
        "specversion": "1.0",
        "type": "alikafka:Topic:Message",
        "datacontenttype": "application/json; charset=utf-8",
        "time": "2022-08-01T09:32:56.797Z",
        "subject": "acs:alikafka:alikafka_post-cn-x:topic:orders",
        "aliyunaccountid": "188",
        "data": {
            "topic": "orders",
            "partition": 3,
            "offset": 42,
            "timestamp": TIME,
            "headers": {"headers": [], "isReadOnly": False},
            "key": "k",
            "value": "v",
        },
    }


def test_its_names_and_types_are_those_of_the_document_s_sample() -> None:
    [sample] = json.loads((EVENTS / "kafka_documented.json").read_text(encoding="utf-8"))
    ours = json.loads(encoded())
    assert {name: type(value) for name, value in ours.items()} == {name: type(value) for name, value in sample.items()}
    assert {name: type(value) for name, value in ours["data"].items()} == {
        name: type(value) for name, value in sample["data"].items()
    }


def test_a_null_key_and_a_tombstone_leave_their_fields_out() -> None:
    assert "key" not in data(key=None)
    assert "value" not in data(None)
    assert data(b"", b"")["key"] == data(b"", b"")["value"] == ""


def test_the_serializer_s_escapes_are_those_of_the_samples() -> None:
    body = encoded("'=<>&\u2028\u2029é杭".encode())
    assert b"\\u0027\\u003d\\u003c\\u003e\\u0026\\u2028\\u2029" + "é杭".encode() in body
    assert b"charset\\u003dutf-8" in body
    assert data("'=<>&\u2028\u2029é杭".encode())["value"] == "'=<>&\u2028\u2029é杭"


def test_text_that_is_no_utf8_has_replacement_characters() -> None:
    assert data(b"a\xff", b"\xfe")["value"] == "a\ufffd"
    assert data(b"a\xff", b"\xfe")["key"] == "\ufffd"


@pytest.mark.parametrize("value", [b'{"a": [1, 2.50, "=\\n"]}', b"17", b"null", b'"text"', b"  true "])
def test_json_values_are_parsed(value: bytes) -> None:
    assert data(value, value_type="Json")["value"] == json.loads(value)


@pytest.mark.parametrize("value", [b"{", b"", b"'a'", b"NaN"])
def test_a_value_that_is_no_json_is_text(value: bytes) -> None:
    assert data(value, value_type="Json")["value"] == value.decode()


@pytest.mark.parametrize("value", [b"", b"\x00\xff", "杭州".encode()])
def test_binary_values_are_base64(value: bytes) -> None:
    assert base64.b64decode(data(value, value_type="Binary")["value"], validate=True) == value


def test_headers_keep_order_repeats_and_nulls() -> None:
    assert data(headers=[("a", b"1\xff"), ("a", b""), ("b", None)])["headers"] == {
        "headers": [{"key": "a", "value": [49, -1]}, {"key": "a", "value": []}, {"key": "b", "value": None}],
        "isReadOnly": False,
    }


def test_string_elements_hold_the_object_as_text() -> None:
    body = encoded(b"it's", as_strings=True)
    inner = json.loads(body)
    assert isinstance(inner, str)
    assert json.loads(inner) == json.loads(encoded(b"it's"))
    assert b"\\\\u0027" in body


def test_raw_data_is_the_record_alone() -> None:
    assert json.loads(encoded(event_schema="RawData")) == data()


@pytest.mark.parametrize("timestamp", [-1, 253_402_300_800_000, 2**63 - 1])
def test_an_unusable_timestamp_stays_in_data_only(timestamp: int) -> None:
    event = json.loads(encoded(timestamp=timestamp))
    assert event["data"]["timestamp"] == timestamp
    assert event["time"] > "2024"


@pytest.mark.parametrize("schema", ["CloudEvents", "RawData"])
def test_a_pattern_is_compared_with_the_cloud_event(schema: str) -> None:
    wanted: dict[str, Any] = {
        "pattern": '{"source": ["acs:alikafka"], "data": {"key": ["k"]}}',
        "event_schema": schema,
    }
    assert json.loads(encoded(**wanted)) == json.loads(encoded(event_schema=schema))
    assert encoded(key=b"another", **wanted) is None
    assert encoded(pattern='{"data": {"value": {"a": [1]}}}', value=b'{"a": 1}', event_schema=schema) is None
    assert encoded(pattern='{"data": {"value": {"a": [1]}}}', value=b'{"a": 1}', value_type="Json") is not None
