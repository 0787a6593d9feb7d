"""Letters of a topic and of the one that was created again after it are two, and each is sent once."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from kafka_maxcompute.brokers.originals import Original, digest
from kafka_maxcompute.dead_letters.dead_letter import DeadLetter, encode
from kafka_maxcompute.ledger.operations import Settle
from kafka_maxcompute.ledger.state import taken
from kafka_maxcompute.settings.settings import Settings
from provisioning.redrive import catalogue
from provisioning.redrive.catalogue import Catalogue, LetterPlace
from provisioning.redrive.notes import RedriveClaim, RedriveDone, identity, place_of
from provisioning.redrive.selection import Selection
from provisioning.redrive.verdict import SourceFacts, verdict
from tests.ledger_entries import GENESIS, divert, folded, reset

if TYPE_CHECKING:
    from kafka_maxcompute.ledger.operations import State

pytestmark = pytest.mark.quick

SETTINGS = Settings.from_mapping(
    {"name": "c", "source_topic": "orders", "endpoint": "http://127.0.0.1/api", "project": "p", "table": "t"}
    | {"bootstrap_servers": "127.0.0.1:1"}
)
OLD = DeadLetter(
    connector="c",
    request_id="r",
    reason="not-utf-8",
    message="m",
    path="$",
    record=Original(key=b"k", value=b"old", timestamp=1_000),
    topic="orders",
    partition=0,
    offset=5,
    generation=1,
)
NEW = replace(OLD, record=replace(OLD.record, value=b"corrected"), generation=2)
"""The record that the topic has at this offset since it was created again, and filled with the old times."""
ONCE = folded(GENESIS, divert("d", 0, 9), Settle(id="d"))
RESET = folded(GENESIS, divert("d", 0, 9), Settle(id="d"), reset(), divert("e", 0, 9, generation=2), Settle(id="e"))
RESET_ONLY = folded(GENESIS, divert("d", 0, 9), Settle(id="d"), reset())


def of_earlier_release(letter: DeadLetter) -> DeadLetter:
    return replace(letter, generation=None)


def lossy(letter: DeadLetter) -> DeadLetter:
    return replace(letter, form="as-delivered")


def sent(letter: DeadLetter, name: str = "") -> tuple[RedriveClaim, RedriveDone]:
    """The notes of a letter that was redriven, under its identity or under the one of earlier releases."""
    id_ = name or identity(letter)
    record = letter.record
    claim = RedriveClaim(
        letter=id_, id="x", partition=0, begin=10, digest=digest(record), until=1, timestamp=record.timestamp
    )
    return claim, RedriveDone(letter=id_, id="x", partition=0, offset=10)


def judged(
    *letters: DeadLetter,
    state: State | None = RESET,
    notes: tuple[RedriveClaim | RedriveDone, ...] = (),
    logged: Any = "none",
    allow: frozenset[str] = frozenset({"as-delivered"}),
) -> list[tuple[bytes | str, str, str]]:
    """Which letters are sent and which aren't, in the order in which they were written."""
    found, selection = Catalogue(), Selection(allow=allow)
    for offset, letter in enumerate(letters):
        catalogue._add_record(found, SETTINGS, selection, LetterPlace(("connect-error-c", 0), offset), encode(letter))
    for note in notes:
        found.notes.take(note)
    catalogue.remove_copies(found, state)
    entries = found.entries.values()
    around = SourceFacts(
        6,
        frozenset(),
        {} if state is None else taken(state),
        state,
        {entry.id: logged for entry in entries},
        {place_of(entry.id): frozenset(one.digest for one in entries) for entry in entries},
    )
    verdicts = [verdict(entry, SETTINGS, selection, found.notes, around) for entry in entries]
    values = [letters[one.entry.place.offset].record.value or b"" for one in verdicts]
    return [(value, one.do, one.why) for value, one in zip(values, verdicts, strict=True)]


def done(*args: DeadLetter, **how: Any) -> list[tuple[bytes | str, str]]:
    return [(value, do) for value, do, _ in judged(*args, **how)]


def test_a_letter_of_the_new_topic_is_sent_though_one_of_the_old_was() -> None:
    expected = [(b"old", "skip"), (b"corrected", "redrive")]
    assert done(OLD, NEW, notes=sent(OLD), logged="other") == expected
    # The notes of an earlier release, which say the place alone.
    assert done(OLD, NEW, notes=sent(OLD, "orders-0-5"), logged="other") == expected
    assert done(of_earlier_release(OLD), NEW, notes=sent(OLD, "orders-0-5"), logged="other") == expected
    # Without a ledger.
    letters = of_earlier_release(OLD), of_earlier_release(NEW)
    assert done(*letters, notes=sent(OLD, "orders-0-5"), state=None) == expected


def test_of_a_note_of_an_earlier_release_whose_letter_is_gone_nobody_can_tell() -> None:
    ((_, do, why),) = judged(NEW, notes=sent(OLD, "orders-0-5"))
    assert do == "skip"
    assert "may be this one; look for its row, and allow unclear" in why
    assert done(NEW, notes=sent(OLD, "orders-0-5"), allow=frozenset({"unclear"})) == [(b"corrected", "redrive")]
    other_time = replace(NEW, record=replace(NEW.record, timestamp=2_000))
    assert done(other_time, notes=sent(OLD, "orders-0-5")) == [(b"corrected", "redrive")]


def test_both_letters_are_sent_once_each() -> None:
    assert done(OLD, NEW, logged="other") == [(b"old", "redrive"), (b"corrected", "redrive")]
    assert done(OLD, NEW, notes=(*sent(OLD), *sent(NEW)), logged="other") == [(b"old", "skip"), (b"corrected", "skip")]


def test_a_record_that_a_reset_has_delivered_again_is_not_sent_beside_that() -> None:
    ((_, do, why),) = judged(OLD, logged="same")
    assert (do, why) == ("skip", "a reset delivers its record again, because the topic still has the record")
    # If it became a letter again, that one is sent.
    assert done(replace(OLD, generation=2), logged="same") == [(b"old", "redrive")]
    assert done(OLD, replace(OLD, generation=2), logged="same") == [(b"old", "redrive")]


@pytest.mark.parametrize("logged", ["same", "none"])
def test_a_letter_without_a_generation_may_be_of_before(logged: str) -> None:
    ((_, do, why),) = judged(of_earlier_release(OLD), logged=logged)
    assert (do, "allow unclear" in why) == ("skip", True)
    assert done(of_earlier_release(OLD), logged=logged, allow=frozenset({"unclear"})) == [(b"old", "redrive")]


def test_a_letter_of_before_whose_record_is_not_in_the_topic() -> None:
    # Nothing was delivered there again, and nothing will be.
    assert done(OLD, state=RESET_ONLY, logged="none") == [(b"old", "redrive")]
    ((_, do, why),) = judged(OLD, logged="none")
    assert (do, "its record delivered again since" in why) == ("skip", True)


def test_what_a_reset_put_behind_its_start_has_no_other_letter() -> None:
    state = folded(GENESIS, divert("d", 0, 9), Settle(id="d"), reset(start=8))
    assert done(OLD, state=state) == [(b"old", "redrive")]
    assert done(of_earlier_release(OLD), state=state) == [(b"old", "redrive")]


def test_copies_of_one_record_are_one_letter() -> None:
    for state in (ONCE, None):
        assert done(lossy(OLD), OLD, state=state) == [(b"old", "redrive")]
        assert done(of_earlier_release(lossy(OLD)), lossy(OLD), state=state) == [(b"old", "redrive")]
        assert done(lossy(OLD), OLD, state=state, notes=sent(OLD)) == [(b"old", "skip")]
        assert done(lossy(OLD), state=state, notes=sent(OLD)) == [(b"old", "skip")]
        assert done(lossy(OLD), state=state, notes=sent(OLD, "orders-0-5")) == [(b"old", "skip")]
    assert done(lossy(NEW), NEW) == [(b"corrected", "redrive")]


def test_letters_without_all_bytes_of_two_generations_are_not_taken_for_one() -> None:
    letters = lossy(OLD), lossy(NEW)
    assert done(*letters, notes=sent(OLD, "orders-0-5@1"), logged="other") == [(b"old", "skip"), (b"corrected", "skip")]
    ((*_, why),) = judged(lossy(NEW), notes=sent(OLD, "orders-0-5@1"))
    assert "may be this one" in why
    assert done(lossy(NEW), notes=sent(NEW, "orders-0-5@2")) == [(b"corrected", "skip")]


def test_a_settled_record_that_is_in_no_log_is_sent_only_if_that_is_allowed() -> None:
    letter = replace(lossy(NEW), reason="not-in-log")
    ((_, do, why),) = judged(letter)
    assert (do, "the ledger has the record at its offset as written; look for its row" in why) == ("skip", True)
    assert done(letter, allow=frozenset({"unclear", "as-delivered"})) == [(b"corrected", "redrive")]
