"""What the provisioner's probe and the sink have between them: the mark of a probe's records, and what is told of one.

A probe finds out what no document of the service says for sure: whether a batch comes again when the function raises,
and what events of unusual records look like. Its records have a mark as their key or, between double quotes, as their
value. The sink takes them out of a batch, so that they never become rows, tells of them in the status topic, and fails
on those that say so, for a short while.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from kafka_maxcompute.originals import Original

WORD = "kafka-maxcompute-probe"
LONGEST_FAILURE_SECONDS = 40
"""After a record's own time nothing fails on it any more, whatever its mark says: a producer can't stop a stream."""
TELLING_SECONDS = 900
"""So long after its own time a record is told of; a topic that is read anew tells nothing."""
AHEAD_SECONDS = 5
"""A record from further ahead than that is not believed."""

_SIGN = "U" * 96
"""What every mark has in it, and next to nothing else. A search for the word would cost a batch six times as much: one
for a letter over and over goes on by a whole sign where it finds any other. This letter is V in base64, wherever it
stands, for its bits are 01010101."""
_SIGNS = (_SIGN.encode(), b"V" * 120)  # of base64, what is its own whatever comes before and after
_MARK = re.compile(
    rf"{WORD}:{_SIGN}:(?P<nonce>[0-9a-f]{{32}}):(?P<kind>[a-z-]{{1,24}}):(?P<until>\d{{1,13}})", re.ASCII
)


@dataclass(frozen=True, slots=True)
class Mark:
    """A probe's record: of which probe, of what kind, and until when (epoch milliseconds) the sink is to fail on it."""

    nonce: str
    kind: str
    until: int = 0

    def __str__(self) -> str:
        return f"{WORD}:{_SIGN}:{self.nonce}:{self.kind}:{self.until}"


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


def find(data: dict[str, Any]) -> Mark | None:
    """The mark of a record as delivered, in its key or its value, plain or in base64."""
    for part in (data.get("key"), data.get("value")):
        if isinstance(part, str) and len(part) <= 4 * _LONGEST:
            for text in (part, _unquoted(part), _unquoted(_decoded(part))):
                if match := _MARK.fullmatch(text):
                    return Mark(match["nonce"], match["kind"], int(match["until"]))
    return None


def is_one(record: Original) -> bool:
    """Whether a record of the source topic is a probe's, of which nothing is to come in the table."""
    parts = {"key": record.key or b"", "value": record.value or b""}
    return any(map(could_hold, parts.values())) and bool(
        find({name: part[: 4 * _LONGEST + 1].decode(errors="replace") for name, part in parts.items()})
    )


def parse(message: bytes | None) -> Sighting | None:
    """A sighting out of the status topic, or None where the message is something else."""
    try:
        return msgspec.json.decode(message or b"", type=Sighting)
    except msgspec.DecodeError:
        return None


def encode(sighting: Sighting) -> bytes:
    """A sighting as the status topic's value."""
    return msgspec.json.encode(sighting)


def _unquoted(text: str) -> str:
    return text[1:-1] if text[:1] == text[-1:] == '"' else text


def _decoded(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode()
    except (binascii.Error, ValueError):
        return ""


_LONGEST = len(str(Mark("0" * 32, "x" * 24, 10**13)))
