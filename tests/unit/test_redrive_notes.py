"""What is noted about redriven letters: the first claim counts, whatever else is in the log; and the filters."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafka_maxcompute.brokers.originals import Original, digest
from kafka_maxcompute.dead_letters import error_topic
from kafka_maxcompute.dead_letters.dead_letter import REASONS, DeadLetter
from kafka_maxcompute.errors import ConfigurationError, RefusedError
from maxcompute_sink import decode, mapping, partitioner, staging
from provisioning.redrive import catalogue, selection
from provisioning.redrive.catalogue import Catalogue
from provisioning.redrive.notes import (
    NOTE_HEADER,
    Note,
    Notes,
    RedriveClaim,
    RedriveDone,
    RedriveRelease,
    encode,
    identity,
    parse,
    place_of,
)

pytestmark = pytest.mark.quick

LETTER = DeadLetter(
    connector="orders-sink",
    request_id="1",
    reason="not-csv",
    message="m",
    path="$",
    record=Original(key=None, value=b"v"),
    topic="orders",
    partition=1,
    offset=41,
)
CLAIM = RedriveClaim(letter="orders-1-41", id="a", partition=1, begin=5, digest="d", until=9, timestamp=7)
OTHER = msgspec.structs.replace(CLAIM, id="b")


def folded(*notes: Note) -> Notes:
    found = Notes()
    for note in notes:
        found.take(note)
    return found


def test_the_first_claim_counts_until_it_is_released_or_done() -> None:
    assert folded(CLAIM, OTHER).claims == {CLAIM.letter: CLAIM}
    assert folded(CLAIM, RedriveRelease(letter=CLAIM.letter, id="a"), OTHER).claims == {CLAIM.letter: OTHER}
    done = RedriveDone(letter=CLAIM.letter, id="a", partition=1, offset=8)
    assert folded(CLAIM, done, OTHER) == Notes({}, {CLAIM.letter: done})


def test_who_does_not_hold_the_claim_releases_nothing() -> None:
    assert folded(CLAIM, RedriveRelease(letter=CLAIM.letter, id="b")).claims == {CLAIM.letter: CLAIM}
    assert folded(RedriveRelease(letter=CLAIM.letter, id="a")) == Notes()


def test_a_letter_that_is_done_stays_so_in_whichever_order_its_notes_are_met() -> None:
    done = RedriveDone(letter=CLAIM.letter, id="a", partition=1, offset=8)
    met: list[Note] = [CLAIM, done, OTHER]
    for notes in itertools.permutations(met):  # as after more topic-partitions were added
        assert folded(*notes).done == {CLAIM.letter: done}
        assert folded(*notes).claims == {}


@pytest.mark.parametrize(
    "note", [CLAIM, RedriveDone(letter="l", id="a", partition=1, offset=8), RedriveRelease(letter="l", id="a")]
)
def test_notes_come_back_as_they_were(note: Note) -> None:
    assert parse(encode(note)) == note


def test_what_a_later_version_noted_stops_a_redrive() -> None:
    later = replace(encode(CLAIM), headers=((NOTE_HEADER, b"2"),))

    with pytest.raises(RefusedError, match="expected notes of version 1"):
        catalogue.note(Catalogue(), later)
    assert not catalogue.note(Catalogue(), Original(key=None, value=b"{}"))


def test_a_letter_is_known_by_its_place_and_its_record_or_generation_or_by_its_text() -> None:
    nowhere = replace(LETTER, topic=None, partition=None, offset=None)
    lossy = replace(LETTER, form="as-delivered")

    assert identity(LETTER) == identity(replace(LETTER, reason="not-utf-8", request_id="2", generation=3))
    assert identity(LETTER) != identity(replace(LETTER, record=Original(key=None, value=b"w")))
    assert identity(LETTER) != identity(replace(LETTER, record=replace(LETTER.record, timestamp=7)))
    assert identity(lossy) == "orders-1-41"
    assert identity(replace(lossy, generation=3)) == "orders-1-41@3"
    assert {place_of(identity(one)) for one in (LETTER, lossy, replace(lossy, generation=3))} == {"orders-1-41"}
    assert identity(nowhere) == identity(replace(nowhere, request_id="2"))
    assert identity(nowhere) != identity(replace(nowhere, record=Original(key=None, value=b"w")))


PARTS = st.none() | st.binary(max_size=3)
RECORDS = st.builds(
    Original,
    key=PARTS,
    value=PARTS,
    headers=st.lists(st.tuples(st.text("ab:", max_size=2), PARTS), max_size=2).map(tuple),
)


@given(RECORDS, RECORDS)
def test_only_records_of_the_same_bytes_have_the_same_digest(one: Original, other: Original) -> None:
    assert (digest(one) == digest(other)) == (one == other)
    assert digest(replace(one, timestamp=5)) == digest(one)


@pytest.mark.parametrize(
    "value",
    [
        {"reason": ["a"]},
        {"reasons": "a"},
        {"reasons": [1]},
        {"reasons": ["not-csv", "not-cvs"]},
        {"since": "yesterday"},
        {"since": "20261129"},  # no date, and in January 1970 as milliseconds
        {"since": 1_700_000_000},
        {"topic_partitions": [-1]},
        {"topic_partitions": [True]},
        {"allow": ["everything"]},
        {"queue_topic": "not a topic"},
        {"messages": "body"},
    ],
)
def test_filters_that_are_none_are_refused_by_name(value: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        selection.read({**value, "until": []})
    fault, other = caught.value.faults
    assert fault.startswith((f"{next(iter(value))}: expected ", "reason: no such filter; known are reasons, since"))
    assert other.startswith("until: expected an ISO date")
    assert "body" not in fault.partition("found ")[2]


@pytest.mark.parametrize("value", [None, []])
def test_filters_are_an_object(value: Any) -> None:
    with pytest.raises(TypeError):
        selection.read(value)


def test_a_letter_of_unknown_time_is_in_no_period() -> None:
    assert selection.read({}).takes(LETTER, None)
    assert not selection.read({"since": "1970-01-01"}).takes(LETTER, None)
    assert not selection.read({"until": "2100-01-01"}).takes(LETTER, None)


def test_an_unknown_reason_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigurationError) as refused:
        selection.read({"reasons": ["not-cvs"]})
    (fault,) = refused.value.faults
    assert fault.startswith("reasons: expected a list of malformed-event, unexpected-event, not-utf-8, not-csv, ")
    assert "eventbridge-dead-letter, found ['not-cvs']" in fault
    assert selection.read({"reasons": ["not-csv", "eventbridge-dead-letter"]}).reasons


def test_the_reasons_are_those_of_the_sink_and_of_the_document() -> None:
    of_the_sink = {
        *mapping.OF_THE_TABLE,
        *(decode.MALFORMED, decode.UNEXPECTED),
        *(partitioner.ABSENT, partitioner.ABSURD),
        *(staging.REFUSED, error_topic.UNLOGGED),
    }
    assert set(REASONS) == of_the_sink
    document = (Path(__file__).resolve().parents[2] / "docs" / "OPERATIONS.md").read_text(encoding="utf-8")
    table = document.partition("| reason | what to fix |")[2].partition("\n\n")[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    assert {word for row in rows for word in re.findall("`([^`]*)`", row)} == set(REASONS)
