"""Which letters are of before a reset."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from msgspec import structs

from kafka_maxcompute.brokers.originals import Original
from kafka_maxcompute.dead_letters.dead_letter import DeadLetter, encode, parse
from kafka_maxcompute.dead_letters.generations import Era, era
from tests.ledger_entries import GENESIS, PLACE, folded, reset

if TYPE_CHECKING:
    from kafka_maxcompute.ledger.operations import State

pytestmark = pytest.mark.quick

LETTER = DeadLetter(
    connector="orders",
    request_id="1",
    reason="not-csv",
    message="m",
    path="$",
    record=Original(key=None, value=b"v"),
    topic="orders",
    partition=0,
    offset=5,
    generation=1,
)
RESET = folded(GENESIS, reset(start=3))


@pytest.mark.parametrize(
    ("letter", "state", "expected"),
    [
        (LETTER, folded(GENESIS), "now"),
        (LETTER, None, "now"),
        (LETTER, RESET, "before"),
        (replace(LETTER, generation=2), RESET, "now"),
        (replace(LETTER, generation=None), RESET, "unknown"),
        (replace(LETTER, generation=None), folded(GENESIS), "now"),
        # What lies before the start isn't delivered again, so its letter is all that there is.
        (replace(LETTER, offset=2), RESET, "now"),
        (replace(LETTER, partition=1), RESET, "now"),
        (replace(LETTER, offset=None), RESET, "now"),
        # A reset by an earlier release.
        (LETTER, structs.replace(RESET, begun={}), "unknown"),
    ],
)
def test_a_letter_is_of_now_of_before_or_nobody_knows(letter: DeadLetter, state: State | None, expected: Era) -> None:
    assert era(letter, state) == expected


def test_a_letter_says_its_generation() -> None:
    assert parse(encode(LETTER)) == LETTER
    assert parse(encode(replace(LETTER, generation=None))) == replace(LETTER, generation=None)
    assert (PLACE[0], PLACE[1]) == (LETTER.topic, LETTER.partition)
