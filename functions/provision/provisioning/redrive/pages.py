"""The positions and bounds of pages of dead letters, as a request gives them."""

from __future__ import annotations

import re
from typing import TypeAlias

from kafka_maxcompute.settings.setting import Kind

Position: TypeAlias = tuple[str, int, int, int]
"""A dead letter's topic, topic-partition and offset, and its index in a message of EventBridge's queue (else 0)."""
START: Position = ("", -1, -1, -1)
"""The position before all others."""
MOST_LETTERS = 1_000
MOST_PAYLOAD_BYTES = 65_536
"""The most bytes of a dead letter's key, of its value, and of its headers together that a reply shows."""
PAGE_BYTES = 2 * 2**20
"""A page with payloads has fewer dead letters if this many bytes aren't enough for `payload_bytes` of each."""
_POSITION = re.compile(r"([A-Za-z0-9._-]{1,249})-([0-9]{1,10})-([0-9]{1,18})(?:\[([0-9]{1,9})\])?")


def text(position: Position, *, queued: bool) -> str:
    """Return a position as text, which `read` reads; `queued` says whether the index belongs to it."""
    topic, partition, offset, index = position
    return f"{topic}-{partition}-{offset}" + (f"[{index}]" if queued else "")


def read(value: object) -> Position:
    """Return the position in a text; raises TypeError or ValueError."""
    if not isinstance(value, str):
        raise TypeError(value)
    match = _POSITION.fullmatch(value)
    if match is None:
        raise ValueError(value)
    topic, partition, offset, index = match.groups()
    return topic, int(partition), int(offset), int(index or 0)


POSITION = Kind("the place of a dead letter, such as next in the reply of letters", read)
