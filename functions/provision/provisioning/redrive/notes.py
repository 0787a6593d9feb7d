"""The notes in the error topic about redriven letters; a letter's first claim in the log counts.

All notes of a letter go to the letter's topic-partition of the error topic, so that all readers see them in the same
order, and retention never keeps a letter longer than its notes.

    claim     a redrive is about to send the letter; no effect while another claim of the letter counts
    done      the letter was sent, to this offset
    release   the letter wasn't sent; it may be claimed again

A redrive sends a letter only after it has read its own claim back as the claim that counts. A claim whose redrive was
killed before `done` is abandoned. It says from which offset on the source topic would have the record, and the record's
digest and timestamp.
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
"""The header of a record in the error topic that is a note, not a letter."""
VERSION = b"1"
WHOLE, OF_GENERATION = "#", "@"
"""The signs after the place in a letter's identity: a digest of the record follows, or the generation."""


class RedriveClaim(msgspec.Struct, frozen=True, kw_only=True, tag="claim", tag_field="do", omit_defaults=True):
    """A claim of a letter; `id` is the claim's own.

    `partition` of the source topic gets the record, at offset `begin` or later; `digest` and `timestamp` are the
    record's. The record isn't sent after `until` (epoch milliseconds). `generation` is the ledger's when the claim is
    made.
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
    """A note that the record of a claim is at this offset of the source topic."""

    letter: str
    id: str
    partition: int
    offset: int


class RedriveRelease(msgspec.Struct, frozen=True, kw_only=True, tag="release", tag_field="do"):
    """A note that the record of a claim isn't in the source topic, and won't be."""

    letter: str
    id: str


Note: TypeAlias = "RedriveClaim | RedriveDone | RedriveRelease"


class UnknownVersionError(ValueError):
    """A note of another version; the message is the version."""


@dataclass(slots=True)
class Notes:
    """The claims and `done` notes that count, by letter, after all notes so far.

    `sent` has the claims of letters that are done, `of_place` the letters with notes by the places of their records.
    """

    claims: dict[str, RedriveClaim] = field(default_factory=dict)
    done: dict[str, RedriveDone] = field(default_factory=dict)
    sent: dict[str, RedriveClaim] = field(default_factory=dict, compare=False)
    of_place: dict[str, set[str]] = field(default_factory=dict, compare=False)

    def take(self, note: Note) -> None:
        """Apply the next note."""
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
    """Return a letter's identity, which is the same for all copies of the letter.

    A letter with all bytes of its record has the record's place and digest, since another record can be at the same
    offset later. A lossy letter has the place and the ledger's generation. A letter of an element without a place has a
    digest of the element's text. Earlier releases noted only the place.
    """
    if letter.offset is None:
        return hashlib.sha256(letter.record.value or b"").hexdigest()
    place = f"{letter.topic}-{letter.partition}-{letter.offset}"
    if letter.form == "original" and not letter.truncated:
        return f"{place}{WHOLE}{marks.digest(letter.record)}"
    return place if letter.generation is None else f"{place}{OF_GENERATION}{letter.generation}"


def place_of(letter: str) -> str:
    """Return the place in a letter's identity; no topic's name has the signs that follow the place."""
    return letter.partition(WHOLE)[0].partition(OF_GENERATION)[0]


def encode(note: Note) -> Original:
    """Return a note as a record of the error topic."""
    return Original(key=note.letter.encode(), value=msgspec.json.encode(note), headers=((NOTE_HEADER, VERSION),))


def parse(record: Original) -> Note | None:
    """Return the note in a record of the error topic; None if the record isn't a note.

    Raises `UnknownVersionError`, and `DocumentError` for a record with a note's header but without a note.
    """
    if not record.headers or record.headers[0][0] != NOTE_HEADER:
        return None
    if record.headers[0][1] != VERSION:
        raise UnknownVersionError(repr(record.headers[0][1])[: documents.SHOWN_CHARACTERS])
    note: Note = documents.read(record.value, RedriveClaim | RedriveDone | RedriveRelease)  # type: ignore[arg-type] # mypy knows no type of a union
    return note
