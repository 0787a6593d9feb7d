"""elements: whatever is wrong with an element, its record is named, the reason is true, and its neighbours are read."""

from __future__ import annotations

import json
import time

import pytest

from kafka_maxcompute.errors import MalformedBatchError
from maxcompute_sink.decode import ALONE, MALFORMED, UNEXPECTED, Decoder
from maxcompute_sink.elements import MOST_REPEATED, coordinates, cut, key_in
from tests.kafka_events import HOUR_14, element, payload

pytestmark = pytest.mark.quick

WHERE = b'"topic":"orders","partition":0,"offset":1'
GOOD = [json.dumps(element(offset)).encode() for offset in (7, 8)]
DEEP = b"[" * 100_000 + b"]" * 100_000


def among_good_ones(fault: bytes) -> bytes:
    return b"[" + b" ,\n".join([GOOD[0], fault, GOOD[1]]) + b"]"


def data(rest: bytes) -> bytes:
    return b'{"id":"x","data":{' + WHERE + b"," + rest + b"}}"


# What is wrong, where the answer says that it is, and a part of what it says.
FAULTS = [
    (
        data(b'"value":"\xff\xfe"'),
        MALFORMED,
        "orders-0-1",
        "$.data.value",
        "UTF-8, found bytes that aren't from byte 69",
    ),
    (data(b'"key":"\xe9","value":"v"'), MALFORMED, "orders-0-1", "$.data.key", "UTF-8"),
    (data(b'"value":"\\ud800"'), MALFORMED, "orders-0-1", "$.data.value", "half a surrogate pair"),
    (data(b'"value":{"s":"\\ud800"}'), UNEXPECTED, "orders-0-1", "$.data.value", "got `object`"),
    (data(b'"value":"\\udc00 and more"'), MALFORMED, "orders-0-1", "$.data.value", "half a surrogate pair"),
    (data(b'"value":"\\\\ud800 \\ud83d\\ude00 \\ud83d\\ud83d"'), MALFORMED, "orders-0-1", "$.data.value", "at byte 90"),
    (data(b'"headers":{"headers":"\\ud800"},"value":"v"'), MALFORMED, "orders-0-1", "$.data.headers", "half a surr"),
    (data(b'"headers":' + DEEP + b',"value":"v"'), MALFORMED, "orders-0-1", "$", "100002 levels deep"),
    (data(b'"value":' + DEEP), UNEXPECTED, "orders-0-1", "$.data.value", "got `array`"),
    (data(b'"headers":' + b"[" * 100_000), MALFORMED, "orders-0-1", "$", "levels deep"),
    (DEEP, UNEXPECTED, "element 1", "$", "got `array`"),
    (data(b'"timestamp":' + b"9" * 5_000), UNEXPECTED, "orders-0-1", "$.data.timestamp", "found 5000 characters"),
    (data(b'"timestamp":"' + b"9" * 5_000 + b'"'), UNEXPECTED, "orders-0-1", "$.data.timestamp", "digits"),
    (data(b'"timestamp":1e400'), UNEXPECTED, "orders-0-1", "$.data.timestamp", "64 bits"),
    (data(b'"timestamp":NaN'), MALFORMED, "orders-0-1", "$.data.timestamp", "invalid character"),
    (data(b'"timestamp":5,"timestamp":true'), UNEXPECTED, "orders-0-1", "$.data.timestamp", "got `bool`"),
    (data(b'"key":{"a":1}'), UNEXPECTED, "orders-0-1", "$.data.key", "got `object`"),
    (data(b'"value":"a\0b"'), MALFORMED, "orders-0-1", "$.data.value", "invalid character"),
    (data(b'"value":"\\q"'), MALFORMED, "orders-0-1", "$.data.value", "escape"),
    (data(b'"value":v'), MALFORMED, "orders-0-1", "$.data.value", "invalid character"),
    (data(b'"value":"v",'), MALFORMED, "orders-0-1", "$.data", "trailing comma"),
    (data(b'"value":"v"')[:-1], MALFORMED, "orders-0-1", "$", "too early"),
    (data(b'"value":"v"') + b"}", MALFORMED, "orders-0-1", "$", "trailing"),
    (data(b'"value":"v]}"')[:-2] + b"]}}", MALFORMED, "orders-0-1", "$.data.value", "expected ',' or"),
    (data(b'"value":"it has no end}}'), MALFORMED, "orders-0-1", "$", "too early"),
    (
        b'{"data":{"topic":"orders","partition":0,"offset":' + b"9" * 5_000 + b"}}",
        UNEXPECTED,
        "element 1",
        "$.data.offset",
        "5000",
    ),
    (data(b'"offset":2,"value":NaN'), MALFORMED, "element 1", "$.data.value", "invalid character"),
    (data(b'"offset":1,"value":NaN'), MALFORMED, "orders-0-1", "$.data.value", "invalid character"),
    (
        b'{"data":{"topic":"orders","partition":0,"offset":12]3}}',
        MALFORMED,
        "element 1",
        "$.data.offset",
        "expected ',' or '}'",
    ),
    (
        b'{"data":{"topic":"orders","partition":0,"offset":1,2}}',
        MALFORMED,
        "element 1",
        "$.data",
        "keys must be strings",
    ),
    (
        b'{"data":{"topic":"orders","partition":0,"offset":01}}',
        MALFORMED,
        "element 1",
        "$.data.offset",
        "invalid number",
    ),
    (b'{"data":{"topic":"\\ud800","partition":0,"offset":1}}', MALFORMED, "element 1", "$.data.topic", "half"),
    (
        b'{"data":{"x":{"topic":"orders"},"partition":0,"offset":1,"value":NaN}}',
        MALFORMED,
        "element 1",
        "$.data.value",
        "cha",
    ),
    (b'{"topic":"o","partition":1,"offset":2,"value":NaN}', MALFORMED, "o-1-2", "$.value", "character"),
    (b'{"topic":"o","data":{' + WHERE + b',"value":NaN}}', MALFORMED, "orders-0-1", "$.data.value", "character"),
    (
        b'"{\\"data\\":{\\"topic\\":\\"o\\",\\"partition\\":1,\\"offset\\":2,\\"value\\":NaN}}"',
        MALFORMED,
        "o-1-2",
        "$.data.value",
        "cha",
    ),
    (
        b'"{\\"data\\":{\\"topic\\":\\"o\\",\\"partition\\":1,\\"offset\\":2,\\"value\\":\\"\\ud800\\"}}"',
        MALFORMED,
        "o-1-2",
        "$.data.value",
        "half",
    ),
    (b"", MALFORMED, "element 1", "$", "found nothing"),
    (b"null", UNEXPECTED, "element 1", "$", "got `null`"),
    (b"{}", UNEXPECTED, "element 1", "$", "missing required field `data`"),
]


@pytest.mark.parametrize(("fault", "reason", "where", "path", "said"), FAULTS)
def test_the_coordinates_are_found_whatever_else_is_wrong_and_the_reason_is_true(
    fault: bytes, reason: str, where: str, path: str, said: str
) -> None:
    decoded = Decoder("Text").decode(among_good_ones(fault))
    (error,) = [one.error for one in decoded.rejected]
    assert [record.offset for record in decoded.records] == [7, 8]
    assert (error.reason, error.where, error.path) == (reason, where, path)
    assert said in error.message


GOOD_ALL_THE_SAME = [
    b'{"id":"\xff","data":{' + WHERE + b"}}",
    data(b'"headers":{"headers":["\xff"]}'),
    data(b'"headers":' + b"[" * 200 + b"]" * 200),
    data(b'"headers":1e99999'),
]


@pytest.mark.parametrize("event", GOOD_ALL_THE_SAME)
def test_what_no_row_needs_may_be_wrong(event: bytes) -> None:
    decoded = Decoder("Text").decode(among_good_ones(event))
    assert ([record.offset for record in decoded.records], decoded.rejected) == ([7, 1, 8], [])


@pytest.mark.parametrize(
    "fault",
    [
        data(b'"key":"a quote " too many","value":"v"'),
        data(b'"key":"a quote too few,"value":"v"'),
        data(b'"value":{"an":["array", {"that": "does not end"}}'),
        data(b'"value":["ends",{"twice":1},{"or":2}]]'),
        data(b'"value":"v"}}'),
        data(b'"value":[{"no end":1}')[:-2],
        b'"data":{' + WHERE + b"}}",
    ],
)
@pytest.mark.parametrize("as_text", [False, True])
def test_elements_next_to_one_whose_end_cannot_be_told_are_read(fault: bytes, as_text: bool) -> None:
    good = [json.dumps(json.dumps(element(offset)) if as_text else element(offset)).encode() for offset in (7, 8, 9)]
    decoded = Decoder("Text").decode(b"[" + b", ".join([good[0], fault, good[1], fault, good[2]]) + b"]")
    assert [record.offset for record in decoded.records] == [7, 8, 9]
    assert len(decoded.rejected) >= 2
    assert {one.place for one in decoded.rejected} <= {("orders", 0), None}


def test_only_an_event_ends_an_element_whose_end_cannot_be_told() -> None:
    broken = b'{"x":[1},{"no": "event"},"{}"'
    decoded = Decoder("Text").decode(b"[" + b",".join([GOOD[0], broken, GOOD[1]]) + b"]")
    assert [record.offset for record in decoded.records] == [7, 8]
    assert [one.element for one in decoded.rejected] == [broken]


def test_an_event_inside_a_broken_one_is_not_taken_for_one_of_the_batch() -> None:
    inner = json.dumps([element(100), element(101), element(102)]).encode()
    broken = data(b'"key":NaN],"value":' + inner)
    decoded = Decoder("Json").decode(among_good_ones(broken))
    assert [record.offset for record in decoded.records] == [7, 8]
    (one,) = decoded.rejected
    assert (one.place, one.offset) == (("orders", 0), 1)


def test_a_batch_whose_elements_cannot_be_told_apart_is_refused_in_time() -> None:
    begun = time.process_time()
    with pytest.raises(MalformedBatchError, match="without a pair"):
        Decoder("Text").decode(b"[" + GOOD[0] + b',{"a":"' + b',{"' * 200_000 + b"]")
    assert time.process_time() - begun < 30


def test_a_member_that_is_there_too_often_is_not_clear() -> None:
    once = b'"offset":1,'
    assert coordinates(data(once * (MOST_REPEATED - 2) + b'"value":NaN')) is not None
    assert coordinates(data(once * MOST_REPEATED + b'"value":NaN')) is None


HOSTILE = [
    b'"' + b'\\"' * 1_000_000 + b'"',
    b'"' + b"\\\\" * 1_000_000 + b'"',
    b'"' + b'\\"' * 1_000_000,
    b"[" * 1_000_000,
]


@pytest.mark.parametrize("inner", HOSTILE, ids=["quotes", "backslashes", "no end", "brackets"])
def test_scans_are_linear_and_take_no_memory_for_each_sign(inner: bytes) -> None:
    begun = time.process_time()
    assert coordinates(data(b'"value":NaN,"headers":' + inner)) is not None
    assert sum(1 for _ in cut(b"[" + data(b'"value":NaN,"key":' + inner) + b"]", lambda _: False)) == 1
    assert time.process_time() - begun < 60


def test_elements_that_share_a_letter_are_counted_and_named_and_their_text_is_whole() -> None:
    batch = payload(element(1), *[5] * (ALONE + 3), element(2), *[{}] * 2, element(3, value=[]), None, element(4))
    decoded = Decoder("Text").decode(batch)
    assert [record.offset for record in decoded.records] == [1, 2, 4]
    last = decoded.rejected[ALONE - 1 :]
    assert [one.error.where for one in last] == [
        f"element {ALONE}",
        f"elements {ALONE + 1} to {ALONE + 3}",
        f"elements {ALONE + 5} to {ALONE + 6}",
        "orders-0-3",
        f"elements {ALONE + 8} to {ALONE + 8}",
    ]
    assert [one.error.count for one in last] == [1, 3, 2, 1, 1]
    assert [one.element for one in last[1:3]] == [b"[5,5,5]", b"[{},{}]"]
    assert [one.after for one in last] == [1, 1, 2, 2, 2]
    assert decoded.elements == ALONE + 10


def test_a_timestamp_of_text_among_broken_elements_is_read() -> None:
    decoded = Decoder("Text").decode(payload(None, element(1, timestamp=str(HOUR_14)), element(2, timestamp="?")))
    assert [(record.offset, record.timestamp) for record in decoded.records] == [(1, HOUR_14)]
    assert [one.error.where for one in decoded.rejected] == ["element 0", "orders-0-2"]


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (data(b'"key":"k","value":[]'), b"k"),
        (data(b'"key":"\\u00e9"'), "é".encode()),
        (data(b'"key":""'), b""),
        (data(b'"key":null'), None),
        (data(b'"key":5'), None),
        (data(b'"value":1'), None),
        (b'{"topic":"orders","key":"k"}', b"k"),
        (data(b'"key":"k","value":NaN'), b"k"),
        (data(b'"key":"k","value":{"key":"other"},"headers":NaN'), b"k"),
        (b'{"topic":"orders","key":"k","value":NaN}', b"k"),
        (data(b'"key":5,"value":NaN'), None),
        (data(b'"value":NaN'), None),
        (data(b'"key":"k","key":"other","value":NaN'), None),
        (data(b'"key":"\xe9","value":NaN'), None),
        (b"", None),
    ],
)
def test_the_key_that_an_element_names(text: bytes, key: bytes | None) -> None:
    assert key_in(text) == key
