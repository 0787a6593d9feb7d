"""decode: what EventBridge delivers becomes records; what can't be read is set aside and takes nothing with it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kafka_maxcompute.errors import MalformedBatchError
from maxcompute_sink import decode as decode_module
from maxcompute_sink.decode import MALFORMED, MOST_NAMED, UNEXPECTED, Decoded, Decoder
from maxcompute_sink.elements import Coordinates
from maxcompute_sink.records import JsonRecord
from tests.kafka_events import HOUR_14, element, payload

pytestmark = pytest.mark.quick

EVENTS = Path(__file__).parent.parent / "events"
SECRET = "payload-that-no-message-may-hold"


def decode(*elements: object, value_type: str = "Text") -> Decoded:
    return Decoder(value_type).decode(payload(*elements))


def offsets(decoded: Decoded) -> list[int]:
    return [record.offset for record in decoded.records]


def only_error(decoded: Decoded) -> tuple[str, str, str, str]:
    (error,) = [one.error for one in decoded.rejected]
    return error.reason, error.where, error.path, error.message


def test_the_documented_sample_is_read() -> None:
    decoded = Decoder("Text").decode((EVENTS / "kafka_documented.json").read_bytes())
    (record,) = decoded.records
    assert (record.topic, record.partition, record.offset) == ("orders", 7, 25)
    assert (record.timestamp, record.key, record.value) == (1655952591589, "k", "{'amount': 12}")
    assert record.where == "orders-7-25"


@pytest.mark.parametrize(
    ("delivered", "expected"),
    [
        ([element(1), element(2)], [1, 2]),
        ([json.dumps(element(1)), json.dumps(element(2))], [1, 2]),
        ([element(1), json.dumps(element(2)), element(3)], [1, 2, 3]),
        ([element(1)["data"], element(2)["data"]], [1, 2]),
        ([json.dumps(element(1)["data"]), element(2)["data"], element(3)], [1, 2, 3]),
        ([], []),
    ],
    ids=["objects", "strings", "mixed", "raw data", "raw data mixed with all else", "none"],
)
def test_elements_come_in_every_documented_shape(delivered: list[Any], expected: list[int]) -> None:
    decoded = decode(*delivered)
    assert (offsets(decoded), decoded.rejected) == (expected, [])


def test_a_good_batch_is_decoded_by_one_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(Decoder, "_one_by_one")
    for elements in (
        [element(1), element(2)],
        [element(1), json.dumps(element(2))],
        [element(n)["data"] for n in (1, 2)],
    ):
        for value_type in ("Text", "Json"):
            assert offsets(decode(*elements, value_type=value_type)) == [1, 2]


@pytest.mark.parametrize("lone", [element(4), json.dumps(element(4)), element(4)["data"]])
def test_a_lone_element_is_a_batch_of_one(lone: object) -> None:
    assert offsets(Decoder("Text").decode(b" \n" + json.dumps(lone).encode())) == [4]


def test_null_absent_and_empty_keys_and_values() -> None:
    decoded = decode(element(1, key=..., value=...), element(2, key=None, value=None), element(3, key="", value=""))
    assert [(record.key, record.value) for record in decoded.records] == [(None, None), (None, None), ("", "")]


@pytest.mark.parametrize("headers", [..., None, [], "text", 5, {"headers": [{"key": "a", "value": [1]}]}, [[[]]]])
def test_headers_of_any_shape_do_no_harm(headers: object) -> None:
    assert offsets(decode(element(1, headers=headers))) == [1]


@pytest.mark.parametrize("text", [str(HOUR_14), HOUR_14])
def test_a_timestamp_may_be_a_number_or_its_digits(text: object) -> None:
    decoded = decode(element(1, timestamp=text), element(2))
    assert [record.timestamp for record in decoded.records] == [HOUR_14, HOUR_14]


@pytest.mark.parametrize("text", ["", "today", "1.5", " 1", "1_0", "٣", "1" * 20])
def test_a_timestamp_of_other_text_sets_its_record_aside(text: str) -> None:
    decoded = decode(element(1), element(2, timestamp=text), element(3))
    assert offsets(decoded) == [1, 3]
    assert only_error(decoded)[:3] == (UNEXPECTED, "orders-0-2", "$.data.timestamp")


JSON_VALUES = [
    ('{"b": 1.50, "a": [1e2, "\\u00e9"]}', b'{"b": 1.50, "a": [1e2, "\\u00e9"]}'),
    ("[]", b"[]"),
    ("1.0", b"1.0"),
    ("false", b"false"),
    ('"text"', b'"text"'),
    ('"null"', b'"null"'),
    ('"a\\u003db"', b'"a=b"'),
]


@pytest.mark.parametrize(("text", "expected"), JSON_VALUES)
def test_json_values_stay_the_text_they_were(text: str, expected: bytes) -> None:
    batch = payload(element(1, value=0)).replace(b'"value": 0', b'"value":  ' + text.encode() + b" ")
    (record,) = Decoder("Json").decode(batch).records
    assert isinstance(record, JsonRecord)
    assert bytes(record.value) == expected


def test_binary_values_are_base64() -> None:
    decoded = decode(element(1, value="/wA="), element(2, value=""), element(3, value=...), value_type="Binary")
    assert [record.value for record in decoded.records] == [b"\xff\x00", b"", None]


FAULTS = [
    ("Text", element(2, offset="2"), "element 1", "$.data.offset"),
    ("Text", element(2, offset=-1), "orders-0--1", "$.data.offset"),
    ("Text", element(2, offset=2**63), "orders-0-9223372036854775808", "$.data.offset"),
    ("Text", element(2, offset=2.0), "element 1", "$.data.offset"),
    ("Text", element(2, offset=...), "element 1", "$.data"),
    ("Text", element(2, partition=2**31), "orders-2147483648-2", "$.data.partition"),
    ("Text", element(2, topic=None), "element 1", "$.data.topic"),
    ("Text", element(2, key=7), "orders-0-2", "$.data.key"),
    ("Text", element(2, value={"a": SECRET}), "orders-0-2", "$.data.value"),
    ("Text", element(2, value=[SECRET]), "orders-0-2", "$.data.value"),
    ("Text", element(2, timestamp=True), "orders-0-2", "$.data.timestamp"),
    ("Text", element(2, timestamp=2**63), "orders-0-2", "$.data.timestamp"),
    ("Text", {"data": SECRET}, "element 1", "$.data"),
    ("Text", {"dat": {}}, "element 1", "$"),
    ("Text", {"topic": "orders", "partition": 0, "offset": "x"}, "element 1", "$.offset"),
    ("Text", None, "element 1", "$"),
    ("Text", 5, "element 1", "$"),
    ("Text", [element(2)], "element 1", "$"),
    ("Text", json.dumps(element(2, value=5)), "orders-0-2", "$.data.value"),
    ("Binary", element(2, value=SECRET + "?"), "orders-0-2", "$.data.value"),
    ("Binary", element(2, value="YQ"), "orders-0-2", "$.data.value"),
]


@pytest.mark.parametrize(("value_type", "fault", "where", "path"), FAULTS)
def test_one_wrong_element_is_set_aside_with_its_place(value_type: str, fault: object, where: str, path: str) -> None:
    decoded = decode(element(1, value="YQ=="), fault, element(3, value="YQ=="), value_type=value_type)
    assert offsets(decoded) == [1, 3]
    reason, *place, message = only_error(decoded)
    assert (reason, place) == (UNEXPECTED, [where, path])
    assert SECRET not in message
    assert "xpected" in message or "Invalid" in message or "missing" in message


MALFORMED_ELEMENTS = [
    (b"nonsense", "$"),
    (b'{"data": }', "$"),
    (b'{"data": {"value": "\\ud800 ' + SECRET.encode() + b'"}}', "$.data.value"),
    (b'{"data": {"topic": "\xff' + SECRET.encode() + b'"}}', "$.data.topic"),
    (b'"no event ' + SECRET.encode() + b'"', "$"),
    (b'"{"', "$"),
    (b"", "$"),
]


@pytest.mark.parametrize(("fault", "at"), MALFORMED_ELEMENTS)
def test_one_malformed_element_is_set_aside_among_good_ones(fault: bytes, at: str) -> None:
    good = [json.dumps(element(offset, value='tricky ]}," \\ text')).encode() for offset in (1, 3)]
    decoded = Decoder("Text").decode(b"[" + b" , ".join([good[0], fault, good[1]]) + b"]")
    assert offsets(decoded) == [1, 3]
    reason, where, path, message = only_error(decoded)
    assert (reason, where, path) == (MALFORMED, "element 1", at)
    assert SECRET not in message


def test_the_advice_for_parsed_json_names_the_setting() -> None:
    assert "set value_type to Json" in only_error(decode(element(1, value={})))[3]
    assert "set value_type to Text" in only_error(decode(element(1, value="?"), value_type="Binary"))[3]


@pytest.mark.parametrize(
    "batch",
    [
        b"",
        b"   ",
        b"nonsense",
        b"42",
        b"\xff\xfe[\x00]\x00",
        "[]".encode("utf-16"),
        b"[" + json.dumps(element(1)).encode(),
        b'[{"data": {"value": "' + SECRET.encode(),
        b"[]]",
        b"[] []",
        b"\x0b[]",
        b"[1,nope] x",
    ],
)
def test_bytes_that_are_no_batch_are_refused_as_a_whole(batch: bytes) -> None:
    with pytest.raises(MalformedBatchError, match="expected a JSON array") as caught:
        Decoder("Text").decode(batch)
    assert SECRET not in str(caught.value)
    assert f"{len(batch)} bytes" in str(caught.value)


def test_what_a_batch_begins_with_is_said_where_it_is_none() -> None:
    with pytest.raises(MalformedBatchError, match="expected an array or an object, found a first byte of b'n';"):
        Decoder("Text").decode(b"\t\r nonsense")


def test_the_size_is_that_of_the_batch() -> None:
    batch = payload(element(1), element(2, value=[]))
    assert Decoder("Text").decode(batch).size == len(batch)


@pytest.mark.parametrize(
    ("timestamp", "known"), [(HOUR_14, HOUR_14), (True, None), (1.5, None), ("5", None), (..., None)]
)
def test_of_an_event_that_is_no_record_the_time_is_known_if_it_is_a_number(
    timestamp: object, known: int | None
) -> None:
    given = element(7, partition=3, value=[], timestamp=timestamp)
    (one,) = decode(given).rejected
    assert json.loads(one.element) == given
    assert (one.place, one.offset, one.timestamp, one.record) == (("orders", 3), 7, known, None)


def test_a_record_whose_time_is_no_number_is_set_aside_as_it_was_decoded() -> None:
    decoded = decode(element(1, timestamp="5"), element(2, timestamp="yesterday"), element(3))
    assert [(record.offset, record.timestamp) for record in decoded.records] == [(1, 5), (3, HOUR_14)]
    (one,) = decoded.rejected
    assert one.record is not None
    assert (one.record.offset, one.place, one.offset, one.timestamp) == (2, ("orders", 0), 2, None)
    assert one.error.message == "expected milliseconds since 1970 as a number or its digits, found other text"


def test_a_record_whose_time_is_no_number_has_its_place_among_broken_elements() -> None:
    decoded = decode(None, element(1), element(2, timestamp="yesterday"), element(3, value=[]), element(4))
    assert [(one.error.where, one.after) for one in decoded.rejected] == [
        ("element 0", 0),
        ("orders-0-2", 0),
        ("orders-0-3", 1),
    ]


def test_coordinates_that_kafka_cannot_have_are_repeated_unless_they_are_long() -> None:
    room = MOST_NAMED - len(str(Coordinates("", 2**31, 5, HOUR_14)))
    for length, where in ((room, f"{'t' * room}-{2**31}-5"), (room + 1, "element 0")):
        decoded = decode(element(5, partition=2**31, topic="t" * length))
        assert [(one.error.where, one.place, one.offset) for one in decoded.rejected] == [(where, None, None)]


def test_a_letter_that_elements_share_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode_module, "ALONE", 1)
    monkeypatch.setattr(decode_module, "JOINED_BYTES", 10)
    decoded = decode(*[5] * 15, *[{}] * 2)
    assert [(one.error.where, one.element) for one in decoded.rejected] == [
        ("element 0", b"5"),
        ("elements 1 to 6", b"[5,5,5,5,5,5]"),
        ("elements 7 to 12", b"[5,5,5,5,5,5]"),
        ("elements 13 to 14", b"[5,5]"),
        ("elements 15 to 16", b"[{},{}]"),
    ]
    assert [(one.error.reason, one.error.path, one.place, one.offset) for one in decoded.rejected] == [
        (UNEXPECTED, "$", None, None)
    ] * 5
    assert {one.error.message for one in decoded.rejected[:4]} == {"Expected `object`, got `int`"}
