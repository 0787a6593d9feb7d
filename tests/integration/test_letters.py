"""The action `letters`: pages of dead letters from the topics of a broker, and their payloads only on request."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from kafka_maxcompute.brokers.originals import Original
from provisioning.redrive.listing import letters
from tests.integration.test_redrive import DEAD, ERRORS, LEDGER, LETTER, PARTITIONS, QUEUE, RECORD, SOURCE, Topics
from tests.kafka_events import element

if TYPE_CHECKING:
    from collections.abc import Sequence

    from local_emulator.kafka.embedded import EmbeddedBroker

SECRET = "a payload that no log may have"


@pytest.fixture
def topics(embedded_kafka: EmbeddedBroker) -> Topics:
    for name in (SOURCE, ERRORS, DEAD, QUEUE):
        embedded_kafka.create_topic(name, PARTITIONS)
    embedded_kafka.create_topic(LEDGER, 1)
    return Topics(embedded_kafka)


def listed(topics: Topics, **fields: Any) -> dict[str, Any]:
    with closing(topics.cloud(action="letters", **fields)) as cloud:
        return letters(cloud)


def offsets(reply: dict[str, Any]) -> Sequence[tuple[int, int]]:
    return [(letter["partition"], letter["offset"]) for letter in reply["letters"]]


def test_a_dead_letter_is_listed_with_its_reason_and_place_and_without_its_payload(topics: Topics) -> None:
    assert listed(topics)["letters"] == []
    topics.write(LETTER, LETTER)  # a copy, as a killed delivery leaves one
    topics.fill([Original(key=None, value=b"not a dead letter")], ERRORS)

    reply = listed(topics)

    (letter,) = reply["letters"]
    assert (reply["total"], reply["reasons"], reply["next"], reply["unreadable"]) == (1, {"not-utf-8": 1}, None, 1)
    assert letter.pop("written").startswith("20")
    assert letter == {
        "letter": "errors-1-0",
        "reason": "not-utf-8",
        "message": "expected UTF-8, found bytes that aren't",
        "path": "$.data.value",
        "request_id": "1-5f",
        "topic": SOURCE,
        "partition": 1,
        "offset": 41,
        "timestamp": "2023-11-14T22:13:20.007+00:00",
        "form": "original",
        "truncated": [],
        "generation": None,
        "redriven": False,
    }


def test_pages_have_each_dead_letter_once_in_the_order_of_the_topic(topics: Topics) -> None:
    everything = [(partition, offset) for partition in range(PARTITIONS) for offset in range(40, 44)]
    topics.write(*(replace(LETTER, partition=partition, offset=offset) for partition, offset in everything))
    seen: list[tuple[int, int]] = []
    page: dict[str, Any] = {"next": None}
    for size in (5, 5, 2):
        after = {} if page["next"] is None else {"after": page["next"]}
        page = listed(topics, limit=5, **after)
        assert (len(page["letters"]), page["total"]) == (size, len(everything))
        seen += offsets(page)
    assert (seen, page["next"]) == (everything, None)


def test_filters_are_those_of_redrive_and_an_offset(topics: Topics) -> None:
    topics.write(LETTER, replace(LETTER, partition=2), replace(LETTER, offset=43, reason="not-csv"))

    assert offsets(listed(topics, letters={"reasons": ["not-csv"]})) == [(1, 43)]
    assert offsets(listed(topics, letters={"topic_partitions": [2]})) == [(2, 41)]
    assert offsets(listed(topics, letters={"topic_partitions": [1], "offsets": [41]})) == [(1, 41)]
    assert listed(topics, letters={"until": "2020-01-01"})["letters"] == []


def test_payloads_are_text_or_hex_cut_to_the_bound_that_was_asked_for(topics: Topics) -> None:
    long = replace(RECORD, key=None, value="\u4e2d".encode() * 10, headers=(("h", b"x" * 9), ("i", b"y"), ("j", b"z")))
    topics.write(LETTER, replace(LETTER, offset=42, record=long))

    first, second = (letter["payload"] for letter in listed(topics, payload_bytes=10)["letters"])

    assert first == {
        "key": {"hex": "6bff", "bytes": 2},
        "value": {"hex": "ff00", "bytes": 2},
        "headers": [{"name": "trace", "value": {"text": "\0", "bytes": 1}}],
        "headers_left_out": 1,
    }
    assert second == {
        "key": None,
        "value": {"text": "\u4e2d" * 3, "bytes": 30, "cut": True},
        "headers": [{"name": "h", "value": {"text": "x" * 9, "bytes": 9}}],
        "headers_left_out": 2,
    }


def test_a_page_of_large_payloads_has_fewer_letters_and_leads_to_the_next(topics: Topics) -> None:
    topics.write(*(replace(LETTER, offset=offset) for offset in range(40)))

    page = listed(topics, payload_bytes=65_536)

    assert (len(page["letters"]), page["next"]) == (32, "errors-1-31")
    assert offsets(listed(topics, payload_bytes=65_536, after=page["next"])) == [
        (1, offset) for offset in range(32, 40)
    ]


def test_letters_of_eventbridges_queue_are_listed_by_their_place_in_a_message(topics: Topics) -> None:
    batch = [element(number, topic=SOURCE, value=f"v{number}") for number in range(3)]
    topics.fill([Original(key=None, value=json.dumps(batch).encode())], QUEUE)

    page = listed(topics, letters={"queue_topic": QUEUE}, limit=2, payload_bytes=4_000)

    assert [letter["letter"] for letter in page["letters"]] == ["queue-0-0[0]", "queue-0-0[1]"]
    assert page["next"] == "queue-0-0[1]"
    assert json.loads(page["letters"][1]["payload"]["value"]["text"]) == batch[1]
    (last,) = listed(topics, letters={"queue_topic": QUEUE}, after=page["next"])["letters"]
    assert (last["letter"], last["reason"]) == ("queue-0-0[2]", "eventbridge-dead-letter")


def test_no_payload_is_shown_or_logged_unless_the_request_asks_for_it(
    topics: Topics, caplog: pytest.LogCaptureFixture
) -> None:
    record = Original(key=SECRET.encode(), value=SECRET.encode(), headers=((SECRET, SECRET.encode()),))
    topics.write(replace(LETTER, record=record))

    with caplog.at_level("DEBUG"):
        assert SECRET not in json.dumps(listed(topics))
        assert json.dumps(listed(topics, payload_bytes=100)).count(SECRET) == 4
    assert SECRET not in caplog.text


def test_a_redriven_letter_says_so(topics: Topics) -> None:
    topics.write(LETTER, replace(LETTER, offset=42, reason="not-csv"))
    topics.redrive(letters={"reasons": ["not-csv"]})

    assert [letter["redriven"] for letter in listed(topics)["letters"]] == [False, True]
