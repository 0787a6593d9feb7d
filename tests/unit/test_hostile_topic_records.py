"""Records that anybody may write into the connector's topics: each parser ignores them or raises its own error."""

from __future__ import annotations

import pytest

from kafka_maxcompute import probe_records
from kafka_maxcompute.brokers import status_topic
from kafka_maxcompute.brokers.originals import Original
from kafka_maxcompute.dead_letters import dead_letter
from kafka_maxcompute.errors import LedgerError, RefusedError
from kafka_maxcompute.ledger import operations
from provisioning.redrive import catalogue, delivered
from provisioning.redrive.catalogue import Catalogue
from provisioning.redrive.notes import NOTE_HEADER, VERSION
from provisioning.resources import settings_record

pytestmark = pytest.mark.quick

DEEP = b"[" * 5_000 + b"]" * 5_000
VALUES = {
    "nothing": b"",
    "no JSON": b"\x00",
    "half": b'{"v":2',
    "an array": b"[]",
    "a number of many digits": b"9" * 5_000,
    "not UTF-8": b'{"v":2,"op":"\xff"}',
    "not UTF-8 in each name": b'{"v":2,"op":"settle","id":"\xff","connector":"\xff","do":"\xff","letter":"\xff"}',
    "half a surrogate pair": b'{"v":2,"op":"\\ud800","connector":"\\ud800","do":"\\ud800"}',
    "deep": DEEP,
    "deep in a member": b'{"v":1,"settings":' + DEEP + b',"op":' + DEEP + b',"more":' + DEEP + b"}",
    "deep states": b'{"v":2,"op":"snapshot","state":' * 3_000 + b"{}" + b"}" * 3_000,
    "other shapes": b'{"v":2,"op":"claim","id":[],"offsets":{"t":{"x":[[1,2]]}},"timestamps":7,"pending":[]}',
    "a topic-partition of many digits": b'{"v":2,"op":"empty","generation":1,"offsets":{"t":{"'
    + b"9" * 5_000
    + b'":[]}}}',
    "packed offsets of another form": b'{"v":2,"op":"empty","generation":1,"offsets":{"t":{"0":[[],"B",[]]}}}',
    "a version that is an array": b'{"v":[],"op":"settle","id":"1"}',
    "an infinite offset": b'{"v":1,"settings":{},"accept_risk":[],"start":{"0":1e999}}',
    "a risk that is an object": b'{"v":1,"settings":{},"accept_risk":[{}],"start":{}}',
}
hostile = pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)


@hostile
def test_in_the_config_topic_it_announces_nothing(value: bytes) -> None:
    assert probe_records.announcements([Original(key=b"k", value=value)], "orders") == {}


@hostile
def test_in_the_status_topic_it_is_no_status_and_no_sighting(value: bytes) -> None:
    assert status_topic.latest([Original(key=b"k", value=value)], "orders") == {}
    assert probe_records.parse(value) is None


@hostile
def test_in_the_offset_topic_it_is_refused_with_what_to_do(value: bytes) -> None:
    with pytest.raises(LedgerError, match="give the connector one of its own") as raised:
        operations.decode(value)
    assert len(str(raised.value)) < 600


@pytest.mark.parametrize("name", [name for name in VALUES if "states" not in name])
def test_in_the_offset_topic_it_covers_nothing(name: str) -> None:
    assert operations.cover(VALUES[name]) == -1


def test_deep_states_cover_nothing() -> None:
    assert operations.cover(VALUES["deep states"]) == -1


@hostile
def test_in_the_error_topic_it_is_no_letter_and_a_broken_note_is_named_as_such(value: bytes) -> None:
    assert dead_letter.parse(Original(key=None, value=value, headers=((dead_letter.VERSION_HEADER, value),))) is None
    with pytest.raises(RefusedError, match="with a note's header, found") as raised:
        catalogue.note(Catalogue(), Original(key=b"k", value=value, headers=((NOTE_HEADER, VERSION),)))
    assert "version that wrote it" not in str(raised.value)


@pytest.mark.parametrize("version", [b"2", None, b"\xff" * 5_000])
def test_a_note_of_another_version_is_named_as_such(version: bytes | None) -> None:
    with pytest.raises(RefusedError, match="redrive with the version that wrote it") as raised:
        catalogue.note(Catalogue(), Original(key=b"k", value=b"", headers=((NOTE_HEADER, version),)))
    assert len(str(raised.value)) < 600


@hostile
def test_as_the_settings_record_it_is_refused(value: bytes) -> None:
    with pytest.raises(RefusedError, match="expected a settings record of version 1") as raised:
        settings_record._read(value, "config")
    assert len(str(raised.value)) < 600


@hostile
def test_in_the_queue_it_is_one_element_without_a_place(value: bytes) -> None:
    for wrapped in (value, b'{"data":' + value + b"}"):
        for element in delivered.elements(wrapped):
            assert delivered.letter(element, "orders", "Json").offset is None
