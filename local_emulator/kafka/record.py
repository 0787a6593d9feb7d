"""A Kafka record that the local cloud sends."""

from __future__ import annotations

from typing import NamedTuple


class Record(NamedTuple):
    """Key and value are bytes or null; with `partition` None the key chooses, `timestamp` None means now."""

    partition: int | None
    timestamp: int | None
    """Milliseconds since 1970, UTC."""
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()

    @property
    def size(self) -> int:
        """The record's approximate size in the broker's log, in bytes."""
        headers = sum(len(name.encode()) + len(value or b"") + 4 for name, value in self.headers)
        return len(self.key or b"") + len(self.value or b"") + headers + _FRAME_BYTES


_FRAME_BYTES = 24
"""Lengths, flags, timestamp and offset deltas of a record in a batch (format v2): at most 21 bytes at these sizes."""
