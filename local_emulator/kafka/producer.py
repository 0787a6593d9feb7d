"""Sends records with confluent-kafka, and waits for the stream if the broker can't keep the undelivered records."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from confluent_kafka import KafkaException, Producer

from local_emulator.foundation import installation
from local_emulator.kafka.errors import ProduceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from confluent_kafka import KafkaError, Message

    from local_emulator.kafka.record import Record
    from local_emulator.kafka.topics import TopicPartition

SHARE_IN_FLIGHT = 0.75
"""The share of a topic-partition's retention that may wait for delivery: the log's sizes are a little larger."""

DELIVERY_SECONDS = 30.0
POLL_EVERY = 256
POLL_SECONDS = 0.5
"""Records, or time, between looks at delivery reports and at the stream's progress."""

ANY_PARTITION = -1
NOW = 0
"""librdkafka's values for a topic-partition by key and for the current time (so the time 0 can't be sent)."""

SETTINGS: dict[str, str | int] = {
    "acks": "all",
    "linger.ms": 5,
    "message.timeout.ms": int(DELIVERY_SECONDS * 1000),
    "message.max.bytes": 10_000_000,
    "partitioner": "murmur2_random",
    "log_level": 0,
}


@dataclass(slots=True)
class Sent:
    """The records that one topic-partition received from a call of `produce`."""

    count: int = 0
    first: int = -1
    """The offset of the first record; -1 if there was none."""
    last: int = -1


@dataclass(slots=True)
class _Outstanding:
    """The sent records of a topic-partition that the stream isn't known to have delivered."""

    size: int = 0
    acknowledged: deque[tuple[int, int]] = field(default_factory=deque)
    """(offset, bytes) of the records in the broker's log, in order."""

    def settle(self, before: int) -> None:
        while self.acknowledged and self.acknowledged[0][0] < before:
            self.size -= self.acknowledged.popleft()[1]


def produce(
    bootstrap_servers: str,
    topic: str,
    records: Iterable[Record],
    *,
    retention_bytes: int | None = None,
    delivered: Callable[[], Mapping[TopicPartition, int]] | None = None,
    stalled_seconds: float = 60.0,
    report: Callable[[int], None] | None = None,
    sent: dict[int, Sent] | None = None,
) -> dict[int, Sent]:
    """Send all records; return, for each topic-partition, how many it received and at which offsets.

    The result is also in `sent`, which has the acknowledged records if an exception ends the call.

    `retention_bytes` is the broker's attribute; `delivered` returns the next offset to deliver of each topic-partition,
    and may raise if the stream has stopped. With both, no topic-partition gets ahead of the stream by more than its
    broker keeps. Raises ProduceError if the broker refuses a record, or if nothing is delivered for `stalled_seconds`.
    `report` is called at times with the count of records sent.
    """
    sending = _Sending(bootstrap_servers, topic, retention_bytes if delivered else None, delivered, stalled_seconds)
    sending.sent = {} if sent is None else sent
    count, polled = 0, time.monotonic()
    try:
        for count, record in enumerate(records, 1):
            sending.send(record)
            if count % POLL_EVERY == 0 or time.monotonic() - polled > POLL_SECONDS:
                polled = time.monotonic()
                sending.poll()
                if report:
                    report(count)
        sending.finish()
    except SystemError as error:
        # confluent-kafka 2.x raises SystemError for a Ctrl-C during a callback with delivery reports.
        raise KeyboardInterrupt from error
    if report:
        report(count)
    return sending.sent


class _Sending:
    """One call of `produce`."""

    def __init__(
        self,
        bootstrap_servers: str,
        topic: str,
        retention_bytes: int | None,
        delivered: Callable[[], Mapping[TopicPartition, int]] | None,
        stalled_seconds: float,
    ) -> None:
        self.sent: dict[int, Sent] = {}
        self._topic = topic
        self._producer = Producer({"bootstrap.servers": bootstrap_servers, **SETTINGS})
        self._limit = None if retention_bytes is None else int(retention_bytes * SHARE_IN_FLIGHT)
        self._delivered = delivered
        self._stalled_seconds = stalled_seconds
        self._outstanding: dict[int, _Outstanding] = {}
        self._unplaced = 0
        self._failure: str | None = None

    def send(self, record: Record) -> None:
        """Send one record; wait before if the topic-partition has no room for it."""
        size = record.size if self._limit is not None else 0
        if self._limit is not None:
            self._make_room(record.partition, size)
        while not self._hand_over(record, partial(self._acknowledged, size, record.partition)):
            self._producer.poll(0.1)  # its queue is full: take delivery reports until there is room
            self._raise_failure()

    def _hand_over(self, record: Record, on_delivery: Callable[[KafkaError | None, Message], None]) -> bool:
        try:
            self._producer.produce(
                self._topic,
                value=record.value,
                key=record.key,
                partition=ANY_PARTITION if record.partition is None else record.partition,
                timestamp=NOW if record.timestamp is None else record.timestamp,
                headers=list(record.headers) or None,
                on_delivery=on_delivery,
            )
        except BufferError:
            return False
        except KafkaException as error:
            raise self._refusal(error.args[0].str()) from error
        return True

    def poll(self) -> None:
        """Read available delivery reports; raise the first failure."""
        self._producer.poll(0)
        self._raise_failure()

    def finish(self) -> None:
        """Wait until the broker has acknowledged all records."""
        unacknowledged = self._producer.flush(DELIVERY_SECONDS + 5)
        self._raise_failure()
        if unacknowledged:
            raise ProduceError(
                f"{unacknowledged} records for {self._topic} weren't acknowledged within {DELIVERY_SECONDS:.0f} s"
            )

    def _make_room(self, partition: int | None, size: int) -> None:
        """Wait until the stream has delivered enough of the record's topic-partition; a single record is always sent.

        A record that names no topic-partition may get into any, so all of them need room until it is acknowledged.
        """
        if partition is not None:
            self._outstanding.setdefault(partition, _Outstanding())
        seen = self._waiting(partition)
        patience = time.monotonic() + self._stalled_seconds
        while self._limit is not None and (waiting := self._waiting(partition)) and waiting + size > self._limit:
            self._producer.poll(0.005)
            self._raise_failure()
            for number, outstanding in self._outstanding.items():
                if partition in {None, number}:
                    outstanding.settle(self._progress(number))
            if self._waiting(partition) != seen:
                seen = self._waiting(partition)
                patience = time.monotonic() + self._stalled_seconds
            elif time.monotonic() > patience:
                where = self._topic if partition is None else f"{self._topic}-{partition}"
                raise ProduceError(
                    f"the stream delivered nothing of {where} for {self._stalled_seconds:.0f} s, and "
                    f"the broker can't keep more; look at the stream's state: {installation.COMMAND} status"
                )
        if partition is None:
            self._unplaced += size
        else:
            self._outstanding[partition].size += size

    def _waiting(self, partition: int | None) -> int:
        """Return the undelivered bytes of a topic-partition, or with None of the fullest one."""
        if partition is not None:
            return self._unplaced + self._outstanding[partition].size
        return self._unplaced + max((outstanding.size for outstanding in self._outstanding.values()), default=0)

    def _progress(self, partition: int) -> int:
        return self._delivered().get((self._topic, partition), 0) if self._delivered else 0

    def _acknowledged(self, size: int, named: int | None, error: KafkaError | None, message: Message) -> None:
        partition, offset = message.partition(), message.offset()
        if error is not None or partition is None or offset is None:
            self._failure = self._failure or (error.str() if error else "its report has no topic-partition or offset")
            return
        sent = self.sent.setdefault(partition, Sent(first=offset))
        sent.count += 1
        sent.last = offset
        if size:
            outstanding = self._outstanding.setdefault(partition, _Outstanding())
            outstanding.acknowledged.append((offset, size))
            if named is None:
                self._unplaced -= size
                outstanding.size += size

    def _raise_failure(self) -> None:
        if self._failure:
            raise self._refusal(self._failure)

    def _refusal(self, reason: str) -> ProduceError:
        return ProduceError(
            f"the broker didn't take a record for {self._topic}: {reason}; "
            f"check that it runs and that the topic has this topic-partition: {installation.COMMAND} status"
        )
