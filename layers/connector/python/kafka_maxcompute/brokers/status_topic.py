"""What the connector last did, by topic-partition, in the status topic (D12): for people and monitors, not for us.

A record's key is the connector's name, or name/topic-partition, so compaction keeps the last of each; its value is a
JSON object of version 1. Nothing depends on these records, so nothing fails for want of them.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Literal

import msgspec
from confluent_kafka import KafkaError, KafkaException

from kafka_maxcompute.brokers import documents
from kafka_maxcompute.brokers.appending import Append, Appender
from kafka_maxcompute.brokers.documents import DocumentError
from kafka_maxcompute.brokers.originals import Original
from kafka_maxcompute.errors import BatchError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from fc_powertools import Deadline

VERSION = 1
EVERY_SECONDS = 10.0
"""How often at most one topic-partition's status is written; what came in between is in the next."""
WRITE_SECONDS = 2.0
"""How long a batch may wait for it: a first producer takes half a second until it has its id."""
ERROR_CHARACTERS = 500
BY_KEY = -1
"""librdkafka's word for the topic-partition that a key belongs to."""

_log = logging.getLogger(__name__)


class Status(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One topic-partition of the source topic, or, with topic "" and partition -1, the connector as a whole.

    `offset` is the last that was dealt with (in the table or in the error topic), None where that isn't known; `error`
    the last error's text, "" where the last thing went well; `at` is in epoch milliseconds.
    """

    connector: str
    state: Literal["running", "failing", "paused", "removed"]
    topic: str = ""
    partition: int = -1
    offset: int | None = None
    error: str = ""
    at: int = 0
    v: int = VERSION

    @property
    def key(self) -> bytes:
        """By what compaction knows it."""
        return (f"{self.connector}/{self.topic}-{self.partition}" if self.topic else self.connector).encode()


class StatusTopic:
    """The status topic of one connector; keeps what it has written, to leave out what isn't new.

    What is new too soon after it is held, and written as soon as it may be: with the next call, or by `write_held`.
    """

    def __init__(self, appender: Appender, topic: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._appender = appender
        self._topic = topic
        self._clock = clock
        self._written: dict[bytes, tuple[float, Status]] = {}
        self._held: dict[bytes, Status] = {}

    def write(self, statuses: Iterable[Status], deadline: Deadline) -> None:
        """Write those that say something new, none twice within ten seconds; failures are logged and nothing else."""
        for status in statuses:
            _, before = self._written.get(status.key, (0.0, None))
            if status == before:
                self._held.pop(status.key, None)
            else:
                self._held[status.key] = status
        self.write_held(deadline)

    def write_held(self, deadline: Deadline) -> None:
        """Write those that were new too soon, and may be written now."""
        now = self._clock()
        new = [status for key, status in self._held.items() if self._may_write(key, now)]
        if not new:
            return
        for status in new:
            self._written[status.key] = now, self._held.pop(status.key)
        at = time.time_ns() // 1_000_000
        appends = [Append(self._topic, BY_KEY, encode(msgspec.structs.replace(status, at=at))) for status in new]
        try:
            outcomes = self._appender.append(appends, deadline.within(WRITE_SECONDS))
        except (BatchError, KafkaException) as error:
            _log.warning("status isn't written", extra={"topic": self._topic, "error": str(error)})
            return
        refused = [outcome.str() for outcome in outcomes if isinstance(outcome, KafkaError)]
        if refused:
            _log.warning("status isn't written", extra={"topic": self._topic, "error": refused[0]})

    def _may_write(self, key: bytes, now: float) -> bool:
        return key not in self._written or now - self._written[key][0] >= EVERY_SECONDS


def encode(status: Status) -> Original:
    """The status as a record of the topic."""
    short = msgspec.structs.replace(status, error=status.error[:ERROR_CHARACTERS])
    return Original(key=status.key, value=msgspec.json.encode(short))


def latest(records: Iterable[Original], connector: str) -> Mapping[bytes, Status]:
    """The last status of each of a connector's keys, from records in the order of their logs; others are left out."""
    found: dict[bytes, Status] = {}
    for record in records:
        try:
            status = documents.read(record.value, Status)
        except DocumentError:
            continue
        if status.connector == connector and status.v == VERSION:
            found[status.key] = status
    return found
