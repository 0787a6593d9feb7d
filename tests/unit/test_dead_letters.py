"""A dead letter holds its record byte for byte, says why, and is cut rather than dropped where it's too large."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fc_powertools import Deadline
from kafka_maxcompute.brokers.originals import MemoryOriginals, Original
from kafka_maxcompute.dead_letters.dead_letter import (
    MESSAGE_CHARACTERS,
    PREFIX,
    VERSION_HEADER,
    DeadLetter,
    MemoryDeadLetters,
    encode,
    fitted,
    parse,
    size,
)

pytestmark = pytest.mark.quick

LETTER = DeadLetter(
    connector="orders",
    request_id="1-5f",
    reason="invalid-utf8",
    message="expected UTF-8, found bytes that aren't",
    path="$.data.value",
    record=Original(key=b"k", value=b"v" * 1_000, headers=(("trace", b"\x00"), ("trace", None)), timestamp=7),
    topic="orders",
    partition=3,
    offset=41,
)
HEADERS = st.lists(
    st.tuples(st.one_of(st.text(max_size=8), st.just(VERSION_HEADER)), st.none() | st.binary(max_size=8)), max_size=5
)
RECORDS = st.builds(
    Original,
    key=st.none() | st.binary(max_size=40),
    value=st.none() | st.binary(max_size=400),
    headers=HEADERS.map(tuple),
    timestamp=st.none() | st.integers(-(2**63), 2**63 - 1),
)


@given(RECORDS)
def test_every_record_comes_back_byte_for_byte(record: Original) -> None:
    letter = replace(LETTER, record=record)

    assert parse(encode(letter)) == letter


def test_a_letters_headers_are_those_of_the_documents() -> None:
    assert encode(LETTER).headers == (
        ("trace", b"\x00"),
        ("trace", None),
        ("__kafka_maxcompute.letter", b"1"),
        ("__kafka_maxcompute.connector", b"orders"),
        ("__kafka_maxcompute.topic", b"orders"),
        ("__kafka_maxcompute.partition", b"3"),
        ("__kafka_maxcompute.offset", b"41"),
        ("__kafka_maxcompute.timestamp", b"7"),
        ("__kafka_maxcompute.reason", b"invalid-utf8"),
        ("__kafka_maxcompute.message", b"expected UTF-8, found bytes that aren't"),
        ("__kafka_maxcompute.path", b"$.data.value"),
        ("__kafka_maxcompute.request_id", b"1-5f"),
        ("__kafka_maxcompute.form", b"original"),
    )


@given(RECORDS, st.integers(800, 1_400))
def test_what_fits_is_whole_and_what_does_not_is_cut_and_says_so(record: Original, most: int) -> None:
    letter = replace(LETTER, record=record)

    made = fitted(letter, most)

    assert size(encode(made)) <= most
    if size(encode(letter)) <= most:
        assert made == letter
    else:
        assert made.truncated
        assert made.size == size(encode(letter))
        assert (made.topic, made.partition, made.offset) == (letter.topic, letter.partition, letter.offset)


def test_the_value_is_cut_before_headers_and_these_before_the_key() -> None:
    def cut(record: Original) -> tuple[tuple[str, ...], Original]:
        made = fitted(replace(LETTER, record=record), 1_500)
        return made.cut, made.record

    long_value = Original(key=b"k", value=b"v" * 3_000, headers=(("h", b"x"),))
    parts, found = cut(long_value)
    assert parts == ("value",)
    assert found == replace(long_value, value=found.value)
    assert found.value
    assert long_value.value is not None
    assert long_value.value.startswith(found.value)

    assert cut(replace(long_value, headers=(("h", b"x" * 3_000),))) == (
        ("value", "headers"),
        Original(key=b"k", value=None),
    )
    parts, found = cut(replace(long_value, key=b"k" * 3_000))
    assert parts == ("value", "headers", "key")
    assert found.key
    assert set(found.key) == {ord("k")}


def test_a_letter_that_was_cut_keeps_the_size_of_the_whole_when_it_is_cut_again() -> None:
    once = fitted(LETTER, 1_000)

    assert fitted(once, 800).size == once.size == size(encode(LETTER))


def test_a_long_reason_is_shortened() -> None:
    found = parse(encode(replace(LETTER, message="x" * 9_000)))

    assert found is not None
    assert found.message == "x" * MESSAGE_CHARACTERS


@pytest.mark.parametrize(
    "headers",
    [
        (),
        (("trace", b"1"),),
        ((VERSION_HEADER, b"2"), (f"{PREFIX}connector", b"orders")),
        ((VERSION_HEADER, b"1"), (f"{PREFIX}connector", b"orders")),
        (*encode(LETTER).headers[:-1], (f"{PREFIX}form", b"unheard-of")),
        (*encode(LETTER).headers, (f"{PREFIX}offset", b"many")),
    ],
)
def test_what_is_no_letter_of_this_version_is_none(headers: tuple[tuple[str, bytes | None], ...]) -> None:
    assert parse(Original(key=None, value=b"{}", headers=headers)) is None


def test_an_element_without_coordinates_is_kept_as_its_text() -> None:
    event = replace(
        LETTER, form="event", topic=None, partition=None, offset=None, record=Original(key=None, value=b'{"id": 1')
    )
    letters = MemoryDeadLetters()

    letters.write([event], Deadline.after(1))

    assert letters.letters == [event]


def test_memory_cuts_what_is_too_large() -> None:
    letters = MemoryDeadLetters(most_bytes=1_000)

    letters.write([LETTER], Deadline.after(1))

    assert [letter.cut for letter in letters.letters] == [("value",)]


def test_originals_in_memory_hold_what_the_log_holds() -> None:
    place, record = ("orders", 0), Original(key=None, value=b"1")
    originals = MemoryOriginals({(place, 4): record, (place, 6): record, (("orders", 1), 4): record})

    assert originals.read({place: ((3, 5), (9, 9))}, Deadline.after(1)) == {(place, 4): record}
