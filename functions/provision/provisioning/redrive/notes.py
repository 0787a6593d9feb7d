"""The notes in the error topic, by which each letter is redriven once.

All notes of a letter go to the letter's topic-partition of the error topic, so that all readers see them in the same
order, and retention never keeps a letter longer than its notes.

    claim     a redrive is about to send the letter; without effect if the letter has a valid claim or is done
    done      the letter was sent; the note has its offset in the source topic
    release   the letter wasn't sent; it may be claimed again

A redrive sends a letter only after it has read its own claim back as the valid claim. A claim is abandoned if its
redrive was killed before `done`. The claim has the offset from which on the source topic can have the record, and the
record's digest and timestamp: with these, a later redrive finds out whether the record was sent.
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
"""The header by which a record in the error topic is a note, not a letter."""
VERSION = b"1"
WHOLE, OF_GENERATION = "#", "@"
"""The signs after the place in a letter's identity: after `#` follows the record's digest, after `@` the generation."""


class RedriveClaim(msgspec.Struct, frozen=True, kw_only=True, tag="claim", tag_field="do", omit_defaults=True):
    """A note that a redrive is about to send a letter.

    `letter` is the letter's identity, `id` the claim's. The record is sent to `partition` of the source topic, and gets
    the offset `begin` or a later one. `digest` and `timestamp` are the record's. The record isn't sent after `until`
    (epoch ms). `generation` is the ledger's generation when the claim was made.
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
    """A note that the record of claim `id` was sent to this offset of the source topic."""

    letter: str
    id: str
    partition: int
    offset: int


class RedriveRelease(msgspec.Struct, frozen=True, kw_only=True, tag="release", tag_field="do"):
    """A note that the record of claim `id` wasn't sent to the source topic, and won't be sent for this claim."""

    letter: str
    id: str


Note: TypeAlias = "RedriveClaim | RedriveDone | RedriveRelease"


class UnknownVersionError(ValueError):
    """A note has another version; the message is this version."""


@dataclass(slots=True)
class Notes:
    """The state after all notes read so far, by letter: the valid claims and the first `done` notes.

    `sent` has the claims of letters that are done. `of_place` has the letters with notes, by their records' places.
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

    For a letter with all bytes of its record, the identity is the record's place and digest, because another record can
    be at the same offset later. For a lossy letter, it is the place and the ledger's generation. For an element without
    a place, it is a digest of the element's text. Earlier releases used only the place.
    """
    if letter.offset is None:
        return hashlib.sha256(letter.record.value or b"").hexdigest()
    place = f"{letter.topic}-{letter.partition}-{letter.offset}"
    if letter.form == "original" and not letter.truncated:
        return f"{place}{WHOLE}{marks.digest(letter.record)}"
    return place if letter.generation is None else f"{place}{OF_GENERATION}{letter.generation}"


def place_of(letter: str) -> str:
    """Return the place in a letter's identity; the signs after the place can't be in a topic's name."""
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
