"""The connector's last status by topic-partition, in the status topic (D12), for people and monitors.

A record's key is the connector's name, or name/topic-partition, so compaction keeps the last status of each. Its value
is a JSON object of version 1. The connector doesn't read these records, so it never fails if one isn't written.
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
"""Least time between two records of one topic-partition's status; later news is in the next record."""
WRITE_SECONDS = 2.0
"""How long a batch may wait for the writing: a first producer takes half a second until it has its id."""
ERROR_CHARACTERS = 500
BY_KEY = -1
"""librdkafka's value for the topic-partition that a key belongs to."""

_log = logging.getLogger(__name__)


class Status(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The status of a topic-partition of the source topic, or (topic "", partition -1) of the whole connector.

    `offset` is the last offset that was dealt with (in the table or in the error topic), None if it isn't known.
    `error` is the last error's text, "" after a success. `at` is the time of writing in epoch milliseconds.
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
        """The record's key."""
        return (f"{self.connector}/{self.topic}-{self.partition}" if self.topic else self.connector).encode()


class StatusTopic:
    """The status topic of one connector; remembers what was written, so that an unchanged status isn't written again.

    A new status that comes too soon after the last one is held back, and written with a later call or by `write_held`.
    """

    def __init__(self, appender: Appender, topic: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._appender = appender
        self._topic = topic
        self._clock = clock
        self._written: dict[bytes, tuple[float, Status]] = {}
        self._held: dict[bytes, Status] = {}

    def write(self, statuses: Iterable[Status], deadline: Deadline) -> None:
        """Write the changed statuses, none twice within ten seconds; failures are only logged."""
        for status in statuses:
            _, before = self._written.get(status.key, (0.0, None))
            if status == before:
                self._held.pop(status.key, None)
            else:
                self._held[status.key] = status
        self.write_held(deadline)

    def write_held(self, deadline: Deadline) -> None:
        """Write the held statuses whose time has come."""
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
    """Return the status as a record of the topic."""
    short = msgspec.structs.replace(status, error=status.error[:ERROR_CHARACTERS])
    return Original(key=status.key, value=msgspec.json.encode(short))


def latest(records: Iterable[Original], connector: str) -> Mapping[bytes, Status]:
    """Return the last status of each key of a connector, from records in log order; other records are skipped."""
    statuses: dict[bytes, Status] = {}
    for record in records:
        try:
            status = documents.read(record.value, Status)
        except DocumentError:
            continue
        if status.connector == connector and status.v == VERSION:
            statuses[status.key] = status
    return statuses
