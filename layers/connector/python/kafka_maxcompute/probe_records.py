"""What the provisioner's probe and the sink have between them: marks, announcements, and what is told of a record.

A probe finds out what no document of the service says for sure: whether a batch comes again when the function raises,
and what events of unusual records look like. Its records have a mark as their key or, between double quotes, as their
value. The sink takes them out of a batch, so that they never become rows, tells of them in the status topic, and fails
on one of them for a short while.

Anybody who may write into the source topic can write a mark, so a mark proves nothing. The provisioner announces each
probe in the config topic: first that it begins, then at which offsets its records are. A marked record at any other
place is an ordinary record.
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
"""So long after a probe began nothing fails on it any more, whatever was announced."""
TELLING_SECONDS = 900
"""So long after a probe began its records are told of; a topic that is read again tells nothing."""
AHEAD_SECONDS = 5
"""Nothing fails on a probe that begins further ahead than that: one of the clocks is wrong."""
MOST_IN_AN_HOUR = 5
"""Nothing fails on further probes in the same hour, so all of them hold a stream for 200 seconds of it at most."""
_HOUR = 3_600_000  # milliseconds
VERSION = 1

_SIGN = "U" * 96
"""What every mark has in it, and next to nothing else. A search for the word would cost a batch six times as much: one
for a letter over and over goes on by a whole sign where it finds any other. This letter is V in base64, wherever it
stands, for its bits are 01010101."""
_SIGNS = (_SIGN.encode(), b"V" * 120)  # of base64, what is its own whatever comes before and after
_MARK = re.compile(
    rf"{WORD}:{_SIGN}:(?P<nonce>[0-9a-f]{{32}}):(?P<kind>[a-z-]{{1,24}}):(?P<until>\d{{1,13}})", re.ASCII
)


@dataclass(frozen=True, slots=True)
class ProbeMark:
    """Which probe a record says to be of, its kind, and until when (epoch milliseconds) the sink is to fail on it."""

    nonce: str
    kind: str
    until: int = 0

    def __str__(self) -> str:
        return f"{WORD}:{_SIGN}:{self.nonce}:{self.kind}:{self.until}"


class Announcement(msgspec.Struct, frozen=True, kw_only=True):
    """A probe, as the provisioner announces it in the config topic.

    `began` and `until`, the end of its failures, are epoch milliseconds; `offsets` are its records', in the order of
    their kinds, and empty as long as they aren't sent.
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
        """Of its record in the config topic, which is kept for as long as the topic."""
        return f"{self.connector}/{WORD}/{self.nonce}".encode()

    def holds(self, topic: object, partition: object, offset: object) -> bool:
        """Whether the record there is one of this probe's."""
        return (topic, partition) == (self.topic, self.partition) and offset in self.offsets

    def is_since(self, now: int, seconds: int) -> bool:
        """Whether it began within so many seconds before `now` (epoch milliseconds)."""
        return -AHEAD_SECONDS * 1_000 <= now - self.began < seconds * 1_000


class Sighting(msgspec.Struct, frozen=True, kw_only=True):
    """One delivery of a probe's record.

    `element` is the JSON type of the batch's element, `data` its record as delivered; `at` is epoch milliseconds,
    `failed` whether the function then raised.
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
        """Of its record in the status topic: each delivery has its own."""
        return f"{self.connector}/{WORD}/{self.nonce}/{self.kind}/{self.at}".encode()


def could_hold(payload: bytes) -> bool:
    """Whether a batch may hold a mark; costs one pass in C for each way in which it can be written."""
    return any(sign in payload for sign in _SIGNS)


def find(data: dict[str, Any]) -> ProbeMark | None:
    """The mark of a record as delivered, in its key or its value, plain or in base64."""
    for part in (data.get("key"), data.get("value")):
        if isinstance(part, str) and len(part) <= 4 * _LONGEST:
            for text in (part, _unquoted(part), _unquoted(_decoded(part))):
                if match := _MARK.fullmatch(text):
                    return ProbeMark(match["nonce"], match["kind"], int(match["until"]))
    return None


def may_be_one(record: Original) -> bool:
    """Whether a record of the source topic has a probe's mark; only an announcement says whether it's one."""
    parts = {"key": record.key or b"", "value": record.value or b""}
    return any(map(could_hold, parts.values())) and bool(
        find({name: part[: 4 * _LONGEST + 1].decode(errors="replace") for name, part in parts.items()})
    )


def announcements(records: Iterable[Original], connector: str) -> dict[str, Announcement]:
    """A connector's probes by their nonces, from the records of its config topic in the order of the log."""
    found = {}
    for record in records:
        try:
            one = documents.read(record.value, Announcement)
        except DocumentError:
            continue
        if (one.connector, one.v, one.key) == (connector, VERSION, record.key):
            found[one.nonce] = one
    return found


def may_fail(one: Announcement, others: Iterable[Announcement], now: int) -> bool:
    """Whether the sink may fail on a probe now (epoch milliseconds): for a short while, and on a few an hour."""
    earlier = sum(one.began - _HOUR < other.began < one.began for other in others)
    return earlier < MOST_IN_AN_HOUR and one.is_since(now, LONGEST_FAILURE_SECONDS)


def parse(message: bytes | None) -> Sighting | None:
    """A sighting out of the status topic, or None where the message is something else."""
    try:
        return documents.read(message, Sighting)
    except DocumentError:
        return None


def encode(told: Sighting | Announcement) -> bytes:
    """A sighting as the status topic's value, or an announcement as the config topic's."""
    return msgspec.json.encode(told)


def _unquoted(text: str) -> str:
    return text[1:-1] if text[:1] == text[-1:] == '"' else text


def _decoded(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode()
    except (binascii.Error, ValueError):
        return ""


_LONGEST = len(str(ProbeMark("0" * 32, "x" * 24, 10**13)))
