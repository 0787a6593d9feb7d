"""A probe's records in a batch: found in every shape, taken out, told of, and failed on for a short while only."""

from __future__ import annotations

import base64
import json
import tracemalloc
from types import SimpleNamespace
from typing import Any

import pytest

from kafka_maxcompute import probe_records
from kafka_maxcompute.brokers.originals import MemoryOriginals, Original
from kafka_maxcompute.errors import ProbeError, UnavailableError
from kafka_maxcompute.probe_records import Announcement, ProbeMark, Sighting
from kafka_maxcompute.settings.settings import Settings
from maxcompute_sink.probe import MOST_REPORTED, Announcements, split, without_probes
from tests.deadlines import soon

pytestmark = pytest.mark.quick

NOW = 1_700_000_000_000
NONCE = "0123456789abcdef" * 2
ORDINARY = b'{"data":{"topic":"t","partition":0,"offset":7,"timestamp":1,"value":"\\u4e16"}}'


def mark(kind: str = "plain", until: int = 0) -> str:
    return str(ProbeMark(NONCE, kind, until))


def quoted(text: str) -> str:
    return f'"{text}"'


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def element(**data: Any) -> dict[str, Any]:
    return {"id": "1", "data": {"topic": "t", "partition": 1, "offset": 2, "timestamp": NOW - 1_000, **data}}


def batch(*elements: object) -> bytes:
    return b"[" + b",".join([ORDINARY, *(json.dumps(one).encode() for one in elements)]) + b"]"


def announced(**changed: Any) -> Announcement:
    """A probe whose records are at t-1-2 and after it."""
    given: dict[str, Any] = {"connector": "orders", "nonce": NONCE, "began": NOW - 1_000, "until": NOW + 19_000}
    place = {"topic": "t", "partition": 1, "offsets": tuple(range(2, 60))}
    return Announcement(**(given | place | changed))


def asked(payload: bytes, *known: Announcement, now: int = NOW) -> tuple[bytes, list[Sighting]]:
    told: list[Sighting] = []
    by_nonce = {one.nonce: one for one in known}
    return without_probes(payload, lambda _: by_nonce, told.extend, request_id="r", now=now), told


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
    (_, ordinary), (_, found) = split(batch(given))
    assert ordinary is None
    assert found is not None
    assert asked(batch(given), announced())[0] == b"[" + ORDINARY + b"]"
    assert (found.mark, found.where) == (ProbeMark(NONCE, "plain"), "t-1-2")
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
    assert asked(payload, announced()) == (payload, [])


@pytest.mark.parametrize("payload", [b"", b"[", b"{", b'["' + mark().encode(), b"[1,]" + mark().encode()])
def test_a_batch_that_cant_be_cut_is_for_others_to_refuse(payload: bytes) -> None:
    assert asked(payload, announced()) == (payload, [])


def test_a_lone_element_is_a_batch_too() -> None:
    assert asked(json.dumps(element(key=mark())).encode(), announced())[0] == b"[]"


def test_what_is_told_can_be_read_back_whatever_is_in_it() -> None:
    data = element(key=mark("bytes", NOW + 5_000), value="\ufffd", headers=[None, {"a": [1.5]}])
    told: list[Sighting] = []
    with pytest.raises(ProbeError):
        without_probes(batch(data), lambda _: {NONCE: announced()}, told.extend, request_id="r", now=NOW)
    (sighting,) = told
    assert (sighting.kind, sighting.nonce, sighting.failed, sighting.at) == ("bytes", NONCE, True, NOW)
    assert sighting.key == f"orders/kafka-maxcompute-probe/{NONCE}/bytes/{NOW}".encode()
    read = probe_records.parse(probe_records.encode(sighting))
    assert read is not None
    assert read.data["headers"] == data["data"]["headers"]
    assert probe_records.parse(b"{}") is probe_records.parse(None) is probe_records.parse(b"\xff") is None


FAILURES = [
    ({}, NOW + 1, True),
    ({}, NOW, False),  # the time that the record asks for is over
    ({"until": NOW}, NOW + 9_999_999, False),  # so is the announced one
    ({"until": NOW + 9_999_999, "began": NOW - probe_records.LONGEST_FAILURE_SECONDS * 1_000}, NOW + 9_999_999, False),
]


@pytest.mark.parametrize(("changed", "until", "fails"), FAILURES)
def test_it_fails_for_a_short_while_only(changed: dict[str, int], until: int, fails: bool) -> None:
    payload = batch(element(key=mark("failure", until)))
    if fails:
        with pytest.raises(ProbeError, match="t-1-2 asks for a failure") as raised:
            asked(payload, announced(**changed))
        assert raised.value.retryable
    else:
        assert asked(payload, announced(**changed))[0] == b"[" + ORDINARY + b"]"


@pytest.mark.parametrize("form", [dict, json.dumps])
def test_a_marked_record_that_isnt_where_a_probe_has_its_own_stays_in_the_batch(form: Any) -> None:
    payload = batch(
        form(element(key=mark("failure", 10**13 - 1))),
        form(element(key=str(ProbeMark("f" * 32, "failure", 10**13 - 1)))),
    )
    for known in (
        [],
        [announced(topic="other")],
        [announced(partition=0)],
        [announced(offsets=(1, 3))],
        [announced(nonce="e" * 32)],
    ):
        assert asked(payload, *known) == (payload, [])


def test_of_marked_records_only_those_of_the_probe_are_taken_out() -> None:
    copied = element(key=mark("failure", 10**13 - 1), offset=77)
    rest, told = asked(batch(element(key=mark()), copied), announced())
    assert json.loads(rest) == [json.loads(ORDINARY), copied]
    assert [one.kind for one in told] == ["plain"]


def test_coordinates_may_be_delivered_as_text() -> None:
    assert asked(batch(element(key=mark(), partition="1", offset="2")), announced())[0] == b"[" + ORDINARY + b"]"
    payload = batch(element(key=mark(), partition="one", offset=[2]))
    assert asked(payload, announced())[0] == payload


def test_while_a_probe_has_no_place_yet_the_batch_waits_and_not_for_long() -> None:
    payload, unplaced = batch(element(key=mark())), announced(topic="", partition=-1, offsets=())
    with pytest.raises(ProbeError, match="but not yet the places of its records"):
        asked(payload, unplaced)
    late = NOW + probe_records.LONGEST_FAILURE_SECONDS * 1_000
    assert asked(payload, unplaced, now=late) == (payload, [])


def test_all_probes_together_hold_a_stream_for_a_few_minutes_of_an_hour() -> None:
    """Each failing record is delivered until it's taken, and a new probe begins at once."""
    known: list[Announcement] = []
    now, held = NOW, 0
    while now < NOW + 3_600_000:
        nonce = f"{len(known):032x}"
        known.append(announced(nonce=nonce, began=now, until=now + 10**9))
        payload = batch(element(key=str(ProbeMark(nonce, "failure", now + 10**9))))
        while True:
            try:
                asked(payload, *known, now=now)
                break
            except ProbeError:
                now, held = now + 1_000, held + 1
        now += 1_000
    assert held == probe_records.MOST_IN_AN_HOUR * probe_records.LONGEST_FAILURE_SECONDS


def test_old_records_are_taken_out_and_not_told_of() -> None:
    for age, count in ((899_999, 1), (900_000, 0), (-5_001, 0)):
        rest, told = asked(batch(element(key=mark())), announced(began=NOW - age, until=0))
        assert (rest, len(told)) == (b"[" + ORDINARY + b"]", count)


def test_not_more_is_told_than_a_probe_has() -> None:
    assert len(asked(batch(*[element(key=mark())] * 50), announced())[1]) == MOST_REPORTED


class TestLooks:
    """When the config topic is asked what was announced."""

    SETTINGS = Settings.from_mapping(
        {
            "name": "orders",
            "source_topic": "t",
            "endpoint": "http://127.0.0.1/api",
            "project": "p",
            "table": "t",
            "bootstrap_servers": "127.0.0.1:1",
        }
    )

    @pytest.fixture(autouse=True)
    def _config_topic(self) -> None:
        self.originals, self.looks, self.now, self.fault = MemoryOriginals(), 0, 0.0, ""
        self.announcements = Announcements(self.SETTINGS, lambda: self.now)

    def announce(self, one: Announcement) -> None:
        offset = len(self.originals.log)
        record = Original(key=one.key, value=probe_records.encode(one))
        self.originals.log[("connect-config-orders", 0), offset] = record

    def known(self, *nonces: str) -> set[str]:
        """What is known when a batch with marks of these probes comes; a look takes a second."""

        def connect() -> Any:
            self.looks, self.now = self.looks + 1, self.now + 1
            if self.fault:
                raise UnavailableError(self.fault)
            return SimpleNamespace(originals=self.originals)

        return set(self.announcements.of(set(nonces), connect, soon()))

    def test_a_probe_is_looked_for_once(self) -> None:
        self.announce(announced())
        assert [self.known(NONCE) for _ in range(3)] == [{NONCE}] * 3
        assert self.looks == 1

    def test_a_probe_without_a_place_is_looked_for_again(self) -> None:
        self.announce(announced(offsets=()))
        assert self.known(NONCE) == {NONCE}
        self.announce(announced())
        self.now += 10
        self.known(NONCE)
        assert self.announcements.of({NONCE}, pytest.fail, soon())[NONCE].offsets

    @pytest.mark.parametrize("copied", [announced(), announced(offsets=())])
    def test_marks_of_others_cost_a_tenth_of_the_time(self, copied: Announcement) -> None:
        """Also those that are copied from records of probes of before."""
        self.announce(copied)
        for number in range(1_000):
            self.known(f"{number:032x}", NONCE)
            self.now += 0.5
        assert self.looks <= self.now / 10

    def test_what_cant_be_found_out_isnt_known_and_isnt_asked_for_at_once(self) -> None:
        self.announce(announced())
        self.fault = "no answer"
        assert [self.known(NONCE) for _ in range(5)] == [set()] * 5
        assert self.looks == 1
        self.fault, self.now = "", self.now + 10
        assert self.known(NONCE) == {NONCE}


def test_marked_records_that_nobody_announced_cost_no_more_memory_than_their_text() -> None:
    one = json.dumps(element(key=mark(), value=0)).encode().replace(b": 0}", b': [{"":0}' + b',{"":0}' * 70_000 + b"]}")
    payload = b"[" + b",".join([one] * 8) + b"]"
    tracemalloc.start()
    assert without_probes(payload, lambda _: {}, lambda _: None, request_id="r", now=NOW) is payload
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3 * len(payload)
