"""Kafka events as EventBridge may deliver them, read from the shared payloads."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from fc_powertools.events import KafkaEvent, parse_kafka_batch

pytestmark = pytest.mark.quick

EVENTS = Path(__file__).parents[1] / "events"


def parsed(name: str) -> list[KafkaEvent]:
    return parse_kafka_batch((EVENTS / f"{name}.json").read_bytes())


def test_objects() -> None:
    first, second, third = parsed("kafka_objects")
    assert (first.source, first.type, first.specversion) == ("acs:alikafka", "alikafka:Topic:Message", "1.0")
    assert (first.data.topic, first.data.partition, first.data.offset) == ("maxcompute-test-input", 0, 0)
    assert (first.data.key, first.data.value, first.data.timestamp_ms) == ("1", "1", 1605596400000)
    assert msgspec.json.decode(second.data.value)["customer"] == "张伟"
    assert (third.data.key, third.data.value) == ("", "")


def test_strings_that_hold_objects() -> None:
    first, second = parsed("kafka_strings")
    assert first == parsed("kafka_objects")[0]
    assert second.data.value == "it's = here"


def test_both_in_one_array() -> None:
    assert [event.data.offset for event in parsed("kafka_mixed_elements")] == [0, 1, 2]


def test_a_lone_object_and_a_lone_string() -> None:
    alone = parsed("kafka_lone_object")
    assert alone == parsed("kafka_objects")[:1]
    as_string = msgspec.json.encode((EVENTS / "kafka_lone_object.json").read_text(encoding="utf-8"))
    assert parse_kafka_batch(as_string) == alone


def test_absent_and_null_are_none_and_empty_is_not() -> None:
    assert [event.data.key for event in parsed("kafka_no_key")] == [None, None]
    assert [event.data.value for event in parsed("kafka_tombstones")] == [None, None, ""]


def test_times_as_number_and_text() -> None:
    assert [event.data.timestamp_ms for event in parsed("kafka_timestamps")] == [
        *(1605596400000, 1605596400000, -1),
        *(None, 99999999999999999, None),
    ]


def test_values_of_any_json_kind() -> None:
    values = [event.data.value for event in parsed("kafka_json_values")]
    assert values[0]["lines"] == [{"sku": "book", "count": 2}]
    assert values[1:] == [[1, "two", None], 3.5, True, "text"]


@pytest.mark.parametrize("name", ["kafka_odd_headers", "kafka_binary_values", "kafka_csv_values"])
def test_headers_and_values_never_fail(name: str) -> None:
    assert [event.data.offset for event in parsed(name)] == list(range(len(parsed(name))))


def test_a_malformed_event_is_named_by_its_path() -> None:
    with pytest.raises(msgspec.ValidationError, match=r"Expected `int`, got `str` - at `\$\[1\]\.data\.partition`"):
        parsed("kafka_one_malformed")


@pytest.mark.parametrize("payload", [b"", b"[", b"\xff", b'["{"]', b"null", b"[1]", b"[{}]"])
def test_what_is_no_batch_is_refused(payload: bytes) -> None:
    with pytest.raises((msgspec.DecodeError, UnicodeDecodeError)):
        parse_kafka_batch(payload)


def test_no_event_is_a_batch_of_none() -> None:
    assert parse_kafka_batch(b"[]") == []
