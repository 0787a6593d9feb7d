"""The newest deliveries of event streams, kept so that a recording can begin after them."""

from __future__ import annotations

import threading
from collections import deque
from datetime import datetime  # noqa: TC003 - msgspec reads the annotations when it decodes
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_BYTES = 64 * 1024 * 1024
"""The size of the batches that are kept; older ones are dropped."""


class RecordedDelivery(msgspec.Struct, frozen=True, kw_only=True):
    """One try to deliver a batch, and its outcome.

    Fields:
        number: 1 for the first delivery of this run of the emulator.
        time: when the try began, in UTC.
        stream: the event stream.
        attempt: 1 for the batch's first try.
        asynchronous: whether the invocation was asynchronous, so that its outcome isn't known.
        seconds: how long the try took.
        status: the HTTP status; 0 if there was no answer.
        error_type, message: the error of the function, or of Function Compute; empty after a success.
        request_id: the invocation's request, as in the function's log.
        reply: the function's result.
        events: the number of events.
        records: their topic-partitions and offsets.
        body: the batch, as it was sent.
    """

    number: int = 0
    time: datetime
    stream: str = ""
    attempt: int = 1
    asynchronous: bool = False
    seconds: float = 0.0
    status: int = 0
    error_type: str = ""
    message: str = ""
    request_id: str = ""
    reply: str = ""
    events: int = 0
    records: str = ""
    body: str


class RecentDeliveries:
    """The newest deliveries; safe to use from many threads."""

    def __init__(self) -> None:
        self._kept: deque[RecordedDelivery] = deque()
        self._bytes = 0
        self._last = 0
        self._lock = threading.Lock()

    def add(self, stream: str, delivery: RecordedDelivery) -> None:
        """Number and keep a stream's delivery; drop the oldest beyond `MOST_BYTES`, except the new one."""
        with self._lock:
            self._last += 1
            self._kept.append(msgspec.structs.replace(delivery, number=self._last, stream=stream))
            self._bytes += len(delivery.body)
            while self._bytes > MOST_BYTES and len(self._kept) > 1:
                self._bytes -= len(self._kept.popleft().body)

    def after(self, number: int, most_bytes: int) -> tuple[list[RecordedDelivery], int]:
        """Return the oldest deliveries after a number, one at least if there are any, and how many are dropped."""
        with self._lock:
            later = [delivery for delivery in self._kept if delivery.number > number]
            dropped = (later[0].number if later else self._last + 1) - number - 1
        return list(_up_to(later, most_bytes)), max(0, dropped)


def _up_to(deliveries: list[RecordedDelivery], most_bytes: int) -> Iterator[RecordedDelivery]:
    size = 0
    for delivery in deliveries:
        size += len(delivery.body)
        if size > most_bytes and size > len(delivery.body):
            return
        yield delivery
