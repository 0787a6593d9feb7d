"""As much of Kafka's protocol as a proxy needs that lets requests go wrong.

Clients are told of versions whose requests name topics as texts and have no tagged fields, so that a topic-partition
can be found in a request, and an answer be made for it. (Source: the messages' JSON definitions in Apache Kafka,
clients/src/main/resources/common/message.)
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Literal, TypeAlias

Api: TypeAlias = Literal["Produce", "Fetch", "ListOffsets", "Metadata", "FindCoordinator", "ApiVersions"]
KEYS: dict[int, Api] = {
    0: "Produce",
    1: "Fetch",
    2: "ListOffsets",
    3: "Metadata",
    10: "FindCoordinator",
    18: "ApiVersions",
}
"""The kinds of requests that a fault can be for, or that the proxy looks into."""

NEWEST = {0: 7, 1: 11, 2: 5, 3: 8, 10: 2}
"""The last versions of each kind without tagged fields; of Produce, without reasons for single records."""

ERRORS = {
    "UNKNOWN_SERVER_ERROR": -1,
    "UNKNOWN_TOPIC_OR_PARTITION": 3,
    "LEADER_NOT_AVAILABLE": 5,
    "NOT_LEADER_OR_FOLLOWER": 6,
    "NOT_ENOUGH_REPLICAS": 19,
    "TOPIC_AUTHORIZATION_FAILED": 29,
    "THROTTLING_QUOTA_EXCEEDED": 89,
}
"""Errors that can be answered (Kafka protocol guide, error codes)."""

_HEADER = struct.Struct(">hhi")
_VERSION = struct.Struct(">hhh")
_NONE = -1


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it came, without its length."""

    payload: bytes

    @property
    def api(self) -> Api | None:
        """Its kind; None for one that is only passed on."""
        return KEYS.get(_HEADER.unpack_from(self.payload)[0])

    @property
    def version(self) -> int:
        """The version of its kind."""
        return int(_HEADER.unpack_from(self.payload)[1])

    @property
    def correlation(self) -> bytes:
        """What the answer has to begin with."""
        return self.payload[4:8]

    def names(self, topic: str) -> bool:
        """Whether it's about a topic."""
        return _text(topic) in self.payload


def refusal(request: Request, topic: str, error: str) -> bytes:
    """The answer that a topic's first topic-partition in the request has an error; nothing was done."""
    place = request.payload.index(_text(topic)) + len(_text(topic))
    partition = request.payload[place + 4 : place + 8]
    code = struct.pack(">h", ERRORS[error])
    before, after = {
        "Produce": (b"", struct.pack(">qqqi", _NONE, _NONE, _NONE, 0)),
        "Fetch": (struct.pack(">ihi", 0, 0, 0), struct.pack(">qqqiii", _NONE, _NONE, _NONE, _NONE, _NONE, 0)),
        "ListOffsets": (struct.pack(">i", 0), struct.pack(">qqi", _NONE, _NONE, _NONE)),
    }[str(request.api)]
    one = struct.pack(">i", 1)
    return request.correlation + before + one + _text(topic) + one + partition + code + after


def led_here(answer: bytes, broker: tuple[str, int], proxy: int) -> bytes:
    """An answer that names brokers, with the proxy's port for the broker's; both are on one host."""
    host, port = broker
    name = host.encode()
    return answer.replace(name + struct.pack(">i", port), name + struct.pack(">i", proxy))


def without_newest(request: Request, answer: bytes) -> bytes:
    """An answer to ApiVersions that offers no version above `NEWEST`."""
    tagged = request.version >= 3  # the first with compact arrays and tagged fields
    changed = bytearray(answer)
    start = len(request.correlation) + 2
    if tagged:
        count, start = answer[start] - 1, start + 1  # one byte suffices for up to 126 kinds
    else:
        count, start = int.from_bytes(answer[start : start + 4], "big"), start + 4
    for place in range(start, start + count * (size := _VERSION.size + tagged), size):
        key, first, last = _VERSION.unpack_from(changed, place)
        _VERSION.pack_into(changed, place, key, first, min(last, NEWEST.get(key, last)))
    return bytes(changed)


def _text(text: str) -> bytes:
    return struct.pack(">h", len(text.encode())) + text.encode()
