"""The interface between the provisioner's probe and the sink: marks, announcements and sightings.

A probe finds out what the service's documents leave open: whether a batch comes again if the function raises, and what
events of unusual records look like. The probe's records have a mark as their key or, between double quotes, as their
value. The sink takes these records out of a batch, so that they never become rows, writes a sighting of each into the
status topic, and fails on one of them for a short while.

Anybody with write access to the source topic can write a mark, so a mark proves nothing. The provisioner announces each
probe in the config topic: first that it begins, then the offsets of its records. A marked record at any other place is
an ordinary record.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from kafka_maxcompute.brokers import documents
from kafka_maxcompute.brokers.documents import DocumentError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kafka_maxcompute.brokers.originals import Original

WORD = "kafka-maxcompute-probe"
LONGEST_FAILURE_SECONDS = 40
"""Longest time after a probe's beginning in which the sink fails on it, whatever was announced."""
SIGHTING_SECONDS = 900
"""Longest time after a probe's beginning in which sightings are written; a topic that is read again gives none."""
AHEAD_SECONDS = 5
"""The sink doesn't fail on a probe that begins further in the future: one of the clocks is wrong."""
MOST_IN_AN_HOUR = 5
"""Most probes in an hour on which the sink fails, so together they hold a stream for at most 200 seconds an hour."""
_HOUR = 3_600_000  # milliseconds
VERSION = 1

_SIGN = "U" * 96
"""A part of every mark that hardly any other text contains. It makes the search quick: a search for one repeated letter
can skip the sign's whole length at any other letter, while a search for the word would take six times as long. The bits
of U are 01010101, so in base64 it becomes the letter V at any position."""
_SIGNS = (_SIGN.encode(), b"V" * 120)  # the second is the sign in base64, without the ends that depend on neighbours
_MARK = re.compile(
    rf"{WORD}:{_SIGN}:(?P<nonce>[0-9a-f]{{32}}):(?P<kind>[a-z-]{{1,24}}):(?P<until>\d{{1,13}})", re.ASCII
)


@dataclass(frozen=True, slots=True)
class ProbeMark:
    """A mark: the probe's nonce, the record's kind, and until when (epoch milliseconds) the sink is to fail on it."""

    nonce: str
    kind: str
    until: int = 0

    def __str__(self) -> str:
        return f"{WORD}:{_SIGN}:{self.nonce}:{self.kind}:{self.until}"


class Announcement(msgspec.Struct, frozen=True, kw_only=True):
    """A probe, as the provisioner announces it in the config topic.

    `began` and `until` (the end of its failures) are in epoch milliseconds. `offsets` are its records' offsets, in the
    order of their kinds; they are empty until the records are sent.
    """

    connector: str
    nonce: str
    began: int
    until: int
    topic: str = ""
    partition: int = -1
    offsets: tuple[int, ...] = ()
    v: int = VERSION

    @property
    def key(self) -> bytes:
        """The key of its record in the config topic, which is kept as long as the topic."""
        return f"{self.connector}/{WORD}/{self.nonce}".encode()

    def holds(self, topic: object, partition: object, offset: object) -> bool:
        """Whether the record at this place is one of the probe's records."""
        return (topic, partition) == (self.topic, self.partition) and offset in self.offsets

    def is_since(self, now: int, seconds: int) -> bool:
        """Whether the probe began within `seconds` before `now` (epoch milliseconds)."""
        return -AHEAD_SECONDS * 1_000 <= now - self.began < seconds * 1_000


class Sighting(msgspec.Struct, frozen=True, kw_only=True):
    """One delivery of a probe's record.

    `element` is the JSON type of the batch's element, `data` its record as delivered, `at` the time in epoch
    milliseconds, `failed` whether the function raised then.
    """

    connector: str
    nonce: str
    kind: str
    element: str
    data: dict[str, Any]
    at: int
    failed: bool
    request_id: str

    @property
    def key(self) -> bytes:
        """The key of its record in the status topic: each delivery has its own."""
        return f"{self.connector}/{WORD}/{self.nonce}/{self.kind}/{self.at}".encode()


def could_hold(payload: bytes) -> bool:
    """Whether a batch may hold a mark; costs one pass in C for each form of a mark (plain, base64)."""
    return any(sign in payload for sign in _SIGNS)


def find(data: dict[str, Any]) -> ProbeMark | None:
    """Return the mark in a delivered record's key or value, plain or in base64; None without one."""
    for part in (data.get("key"), data.get("value")):
        if isinstance(part, str) and len(part) <= 4 * _LONGEST:
            for text in (part, _unquoted(part), _unquoted(_decoded(part))):
                if match := _MARK.fullmatch(text):
                    return ProbeMark(match["nonce"], match["kind"], int(match["until"]))
    return None


def may_be_one(record: Original) -> bool:
    """Whether a record of the source topic has a probe's mark; only an announcement proves that it's a probe's."""
    parts = {"key": record.key or b"", "value": record.value or b""}
    return any(map(could_hold, parts.values())) and bool(
        find({name: part[: 4 * _LONGEST + 1].decode(errors="replace") for name, part in parts.items()})
    )


def announcements(records: Iterable[Original], connector: str) -> dict[str, Announcement]:
    """Return a connector's probes by nonce, from the records of its config topic in log order."""
    by_nonce = {}
    for record in records:
        try:
            announcement = documents.read(record.value, Announcement)
        except DocumentError:
            continue
        if (announcement.connector, announcement.v, announcement.key) == (connector, VERSION, record.key):
            by_nonce[announcement.nonce] = announcement
    return by_nonce


def may_fail(announcement: Announcement, others: Iterable[Announcement], now: int) -> bool:
    """Whether the sink may fail on a probe at `now` (epoch ms): for a short while, and on a few probes an hour."""
    earlier = sum(announcement.began - _HOUR < other.began < announcement.began for other in others)
    return earlier < MOST_IN_AN_HOUR and announcement.is_since(now, LONGEST_FAILURE_SECONDS)


def parse(message: bytes | None) -> Sighting | None:
    """Return the sighting in a record of the status topic, or None if the record holds something else."""
    try:
        return documents.read(message, Sighting)
    except DocumentError:
        return None


def encode(message: Sighting | Announcement) -> bytes:
    """Return a sighting as the status topic's value, or an announcement as the config topic's."""
    return msgspec.json.encode(message)


def _unquoted(text: str) -> str:
    return text[1:-1] if text[:1] == text[-1:] == '"' else text


def _decoded(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode()
    except (binascii.Error, ValueError):
        return ""


_LONGEST = len(str(ProbeMark("0" * 32, "x" * 24, 10**13)))
