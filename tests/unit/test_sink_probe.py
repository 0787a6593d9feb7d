"""A probe's records in a batch: found in every shape, taken out, told of, and failed on for a short while only."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from kafka_maxcompute import probe
from kafka_maxcompute.errors import ProbeError
from kafka_maxcompute.probe import Mark, Sighting
from maxcompute_sink.probe import MOST_TOLD, answered, apart

pytestmark = pytest.mark.quick

NOW = 1_700_000_000_000
NONCE = "0123456789abcdef" * 2
ORDINARY = b'{"data":{"topic":"t","partition":0,"offset":7,"timestamp":1,"value":"\\u4e16"}}'


def mark(kind: str = "plain", until: int = 0) -> str:
    return str(Mark(NONCE, kind, until))


def quoted(text: str) -> str:
    return f'"{text}"'


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def element(**data: Any) -> dict[str, Any]:
    return {"id": "1", "data": {"topic": "t", "partition": 1, "offset": 2, "timestamp": NOW - 1_000, **data}}


def batch(*elements: object) -> bytes:
    return b"[" + b",".join([ORDINARY, *(json.dumps(one).encode() for one in elements)]) + b"]"


def asked(payload: bytes, now: int = NOW) -> tuple[bytes, list[Sighting]]:
    told: list[Sighting] = []
    rest = answered(payload, told.extend, connector="orders", request_id="r", now=now)
    return rest, told


@pytest.mark.parametrize(
    "data",
    [
        {"key": mark()},
        {"key": mark(), "value": None},
        {"key": "\ufffd\ufffd", "value": quoted(mark())},
        {"value": mark()},
        {"key": "x", "value": encoded(quoted(mark()))},
        {"key": encoded(mark())},
        {"key": [1, -2], "value": quoted(mark())},
        {"key": mark(), "headers": {"headers": [{"key": "h", "value": [-1]}], "isReadOnly": False}},
    ],
)
@pytest.mark.parametrize("form", ["object", "string", "raw"])
def test_a_mark_is_found_wherever_it_can_be(data: dict[str, Any], form: str) -> None:
    event: Any = element(**data)
    given = {"object": event, "string": json.dumps(event), "raw": event["data"]}[form]
    rest, (found,) = apart(batch(given))
    assert rest == b"[" + ORDINARY + b"]"
    assert (found.mark, found.where) == (Mark(NONCE, "plain"), "t-1-2")
    assert found.element == ("string" if form == "string" else "object")
    assert found.data == event["data"]


@pytest.mark.parametrize(
    "text",
    [
        "kafka-maxcompute-probe",
        f"{mark()} ",
        f"x{mark()}",
        mark().replace(NONCE, "short"),
        mark().replace("plain", "Plain"),
        mark().removesuffix("0") + "12345678901234",
        encoded(mark() + "more"),
        quoted(mark()) * 9,
    ],
)
def test_what_only_looks_like_a_mark_stays_in_the_batch(text: str) -> None:
    payload = batch(element(key=text), element(value=text), element(value=None), element(value={"deep": text}), 5, "x")
    assert asked(payload) == (payload, [])


@pytest.mark.parametrize("payload", [b"", b"[", b"{", b'["' + mark().encode(), b"[1,]" + mark().encode()])
def test_a_batch_that_cant_be_cut_is_for_others_to_refuse(payload: bytes) -> None:
    assert asked(payload) == (payload, [])


def test_a_lone_element_is_a_batch_too() -> None:
    assert asked(json.dumps(element(key=mark())).encode())[0] == b"[]"


def test_what_is_told_can_be_read_back_whatever_is_in_it() -> None:
    data = element(key=mark("bytes", NOW + 5_000), value="\ufffd", headers=[None, {"a": [1.5]}])
    told: list[Sighting] = []
    with pytest.raises(ProbeError):
        answered(batch(data), told.extend, connector="orders", request_id="r", now=NOW)
    (sighting,) = told
    assert (sighting.kind, sighting.nonce, sighting.failed, sighting.at) == ("bytes", NONCE, True, NOW)
    assert sighting.key == f"orders/kafka-maxcompute-probe/{NONCE}/bytes/{NOW}".encode()
    read = probe.parse(probe.encode(sighting))
    assert read is not None
    assert read.data["headers"] == data["data"]["headers"]
    assert probe.parse(b"{}") is probe.parse(None) is probe.parse(b"\xff") is None


LONGEST = probe.LONGEST_FAILURE_SECONDS * 1_000
FAILURES = [
    (NOW, NOW + 1, True),
    (NOW, NOW, False),  # the time it asks for is over
    (NOW - LONGEST + 1, NOW + 9_999_999, True),
    (NOW - LONGEST, NOW + 9_999_999, False),  # so is the longest, whatever it asks for
    (NOW + 5_000, NOW + 9_999_999, True),
    (NOW + 5_001, NOW + 9_999_999, False),  # from the future
    (str(NOW), NOW + 1, True),
    (None, NOW + 1, False),
    (-1, NOW + 1, False),
    ("soon", NOW + 1, False),
]


@pytest.mark.parametrize(("time", "until", "fails"), FAILURES)
def test_it_fails_for_a_short_while_only(time: object, until: int, fails: bool) -> None:
    payload = batch(element(key=mark("failure", until), timestamp=time))
    if fails:
        with pytest.raises(ProbeError, match="t-1-2 asks for a failure") as raised:
            asked(payload)
        assert raised.value.retryable
    else:
        assert asked(payload)[0] == b"[" + ORDINARY + b"]"


def test_old_records_are_taken_out_and_not_told_of() -> None:
    for time, count in ((NOW - 899_999, 1), (NOW - 900_000, 0), (NOW + 5_001, 0)):
        rest, told = asked(batch(element(key=mark(), timestamp=time)))
        assert (rest, len(told)) == (b"[" + ORDINARY + b"]", count)


def test_not_more_is_told_than_a_probe_has() -> None:
    assert len(asked(batch(*[element(key=mark())] * 50))[1]) == MOST_TOLD
