"""What is noted in the error topic about letters that are redriven: the first claim of a letter in the log wins.

A letter's notes all go to one topic-partition of the error topic, the one that the letter is in, so that everybody who
reads it sees them in one order, and retention never keeps a letter longer than its notes.

    claim     a redrive is about to send the letter: no effect while another claim of it counts
    done      it was sent, and got this offset
    release   it wasn't sent: the letter is free again

Nobody sends a letter whose claim it hasn't read back as the one that counts. A claim that was left - its redrive was
killed between the claim and `done` - says from where on the source topic would hold the record, and what it looks like.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from kafka_maxcompute.brokers import documents
from kafka_maxcompute.brokers.originals import Original
from kafka_maxcompute.dead_letters.dead_letter import PREFIX
from kafka_maxcompute.ledger import marks

if TYPE_CHECKING:
    from kafka_maxcompute.dead_letters.dead_letter import DeadLetter

NOTE_HEADER = f"{PREFIX}redrive"
"""Marks a record of the error topic that is no letter but a note."""
VERSION = b"1"
WHOLE, OF_GENERATION = "#", "@"
"""What follows the place in a letter's identity: a digest of the record, or the generation."""


class RedriveClaim(msgspec.Struct, frozen=True, kw_only=True, tag="claim", tag_field="do", omit_defaults=True):
    """A redrive of a letter: `id` is its own.

    `partition` of the source topic gets the record, at offset `begin` or later; `digest` and `timestamp` are the
    record's. After `until` (epoch milliseconds) it isn't sent any more. `generation` is the ledger's at that time.
    """

    letter: str
    id: str
    partition: int
    begin: int
    digest: str
    until: int
    timestamp: int | None = None
    generation: int | None = None


class RedriveDone(msgspec.Struct, frozen=True, kw_only=True, tag="done", tag_field="do"):
    """The record of a claim is at this place of the source topic."""

    letter: str
    id: str
    partition: int
    offset: int


class RedriveRelease(msgspec.Struct, frozen=True, kw_only=True, tag="release", tag_field="do"):
    """The record of a claim isn't in the source topic, and won't be."""

    letter: str
    id: str


Note: TypeAlias = "RedriveClaim | RedriveDone | RedriveRelease"


class UnknownVersionError(ValueError):
    """A note of another version; the message is that version."""


@dataclass(slots=True)
class Notes:
    """What counts for each letter, after all notes so far.

    `sent` has the claims of letters that are done, `of_place` the letters with notes by where their records were.
    """

    claims: dict[str, RedriveClaim] = field(default_factory=dict)
    done: dict[str, RedriveDone] = field(default_factory=dict)
    sent: dict[str, RedriveClaim] = field(default_factory=dict, compare=False)
    of_place: dict[str, set[str]] = field(default_factory=dict, compare=False)

    def take(self, note: Note) -> None:
        """Go on by one note."""
        self.of_place.setdefault(place_of(note.letter), set()).add(note.letter)
        claim = self.claims.get(note.letter)
        if isinstance(note, RedriveClaim):
            if note.letter not in self.done:
                self.claims.setdefault(note.letter, note)
        elif isinstance(note, RedriveDone):
            self.done.setdefault(note.letter, note)
            self.claims.pop(note.letter, None)
            if claim is not None:
                self.sent.setdefault(note.letter, claim)
        elif claim is not None and claim.id == note.id:
            del self.claims[note.letter]


def identity(letter: DeadLetter) -> str:
    """What a letter is known by, whichever copy of it is looked at.

    A letter with all bytes of its record: where that was, and a digest of it, for another record can be at the offset
    since. One without: where it was, and the ledger's generation. One of an element that says no place: its text.
    Earlier releases noted the place alone, whatever the letter had.
    """
    if letter.offset is None:
        return hashlib.sha256(letter.record.value or b"").hexdigest()
    place = f"{letter.topic}-{letter.partition}-{letter.offset}"
    if letter.form == "original" and not letter.truncated:
        return f"{place}{WHOLE}{marks.digest(letter.record)}"
    return place if letter.generation is None else f"{place}{OF_GENERATION}{letter.generation}"


def place_of(letter: str) -> str:
    """The place in a letter's identity; no topic's name has the signs that follow it."""
    return letter.partition(WHOLE)[0].partition(OF_GENERATION)[0]


def encode(note: Note) -> Original:
    """The note as a record of the error topic."""
    return Original(key=note.letter.encode(), value=msgspec.json.encode(note), headers=((NOTE_HEADER, VERSION),))


def parse(record: Original) -> Note | None:
    """The note that a record of the error topic is; None if it's none.

    Raises `UnknownVersionError`, and `DocumentError` for a record that says to be a note and isn't.
    """
    if not record.headers or record.headers[0][0] != NOTE_HEADER:
        return None
    if record.headers[0][1] != VERSION:
        raise UnknownVersionError(repr(record.headers[0][1])[: documents.SHOWN_CHARACTERS])
    note: Note = documents.read(record.value, RedriveClaim | RedriveDone | RedriveRelease)  # type: ignore[arg-type] # mypy knows no type of a union
    return note
