"""The logs of topics as brokers hold them, read by topic-partition and offset."""

from __future__ import annotations

import time
from collections import deque
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from confluent_kafka import TIMESTAMP_NOT_AVAILABLE, KafkaError, KafkaException
from confluent_kafka import TopicPartition as Place

from kafka_maxcompute.brokers import clients, log_bounds, login
from kafka_maxcompute.brokers.broker_errors import fault
from kafka_maxcompute.brokers.originals import Original
from kafka_maxcompute.errors import DeadlineError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from confluent_kafka import Consumer, Message

    from fc_powertools import Deadline
    from kafka_maxcompute.brokers import originals
    from kafka_maxcompute.brokers.login import LoginConsumer
    from kafka_maxcompute.offsets import Interval, TopicPartition

WHOLE_LOG = ((0, 2**63 - 2),)
"""All offsets that a log can have (Kafka's are 64 bits, signed)."""
READING: dict[str, str | int | bool] = {
    "enable.partition.eof": True,
    # The log's start may move on between the question where it is and the first read.
    "auto.offset.reset": "earliest",
    "queued.max.messages.kbytes": 8_192,
    "fetch.max.bytes": 8_388_608,
    # A broker answers a fetch at the log's end after this wait, and that answer is the proof of the end.
    "fetch.wait.max.ms": 50,
    # How long a full queue keeps librdkafka from fetching on. With its default, 1,000, a read takes 14 times as long.
    "fetch.queue.backoff.ms": 1,
}
AT_ONCE = 500
"""Messages taken out of librdkafka's queue by one call."""
POLL_SECONDS = 0.5
SKIPPED = 2_000
"""Offsets up to the next wanted one that are worth a new fetch rather than reading through them."""


class KafkaOriginals:
    """Logs of the brokers that a configuration of `brokers.configuration` leads to; `group` is never joined.

    A consumer is made for each reading: dead letters are rare, and a connection doesn't outlive the pause between two
    invocations of a function anyway. All records that were appended are there, for an aborted one may have been
    delivered. With `committed`, those of aborted transactions aren't, nor is anything from the first record of an open
    one on. Markers are never given to a client.
    """

    def __init__(self, configuration: Mapping[str, Any], group: str, *, committed: bool = False) -> None:
        self._configuration = configuration
        self._group = group
        self._committed = committed

    def read(self, wanted: originals.Wanted, deadline: Deadline) -> originals.Found:
        """The records at the wanted offsets, all in memory; see `Originals.read`."""
        return {(place, offset): record for place, offset, record in self.stream(wanted, deadline)}

    def stream(self, wanted: originals.Wanted, deadline: Deadline) -> Iterator[tuple[TopicPartition, int, Original]]:
        """The same records one by one, those of a topic-partition in the order of its log; memory stays bounded.

        An interval may end beyond the log: reading ends where the log ended when it began.
        """
        for message in self.messages(wanted, deadline):
            yield place(message), int(message.offset() or 0), record(message)

    def messages(self, wanted: originals.Wanted, deadline: Deadline) -> Iterator[Message]:
        """The same records as librdkafka's messages."""
        for _, _, message in self._steps(wanted, deadline, committed=self._committed):
            if message is not None:
                yield message

    def passed(
        self, wanted: originals.Wanted, deadline: Deadline, *, committed: bool
    ) -> Iterator[tuple[TopicPartition, int, Original | None]]:
        """How a reading goes on; see `Originals.passed`."""
        for at, offset, message in self._steps(wanted, deadline, committed=committed):
            yield at, offset, None if message is None else record(message)

    def _steps(
        self, wanted: originals.Wanted, deadline: Deadline, *, committed: bool
    ) -> Iterator[tuple[TopicPartition, int, Message | None]]:
        reading = READING | ({"isolation.level": "read_committed"} if committed else {})
        try:
            with closing(clients.consumer(self._configuration, self._group, **reading)) as consumer:
                yield from _read(consumer, wanted, deadline)
        except KafkaException as error:
            raise fault(error.args[0], f"reading {_described(wanted)}") from error


@dataclass(slots=True)
class _Reading:
    """What is still to be read of one topic-partition: rising intervals; `at` is where the consumer is."""

    intervals: deque[Interval]
    at: int = 0

    @property
    def next(self) -> int:
        """The next offset that is wanted."""
        return self.intervals[0][0]

    def come_to(self, offset: int) -> bool:
        """Whether an offset is wanted; those before it won't come any more, as a log is read in order."""
        while self.intervals and self.intervals[0][1] < offset:
            self.intervals.popleft()
        return bool(self.intervals) and self.intervals[0][0] <= offset

    def go_beyond(self, offset: int) -> None:
        """Want nothing any more up to an offset; the consumer is behind it."""
        self.at = offset + 1
        while self.intervals and self.intervals[0][0] <= offset:
            _, last = self.intervals.popleft()
            if last > offset:
                self.intervals.appendleft((offset + 1, last))


def _read(
    consumer: LoginConsumer, wanted: originals.Wanted, deadline: Deadline
) -> Iterator[tuple[TopicPartition, int, Message | None]]:
    """Where the consumer has come to, with each wanted message; raises KafkaException."""
    readings = {place: _Reading(deque(left)) for place, left in _there(consumer, wanted, deadline).items()}
    consumer.assign([Place(*place, reading.next) for place, reading in readings.items()])
    began = time.monotonic()
    while readings:
        found = _messages(consumer, deadline)
        if not found:
            consumer.login.check(f"reading {_described(readings)}", since=began, patience=login.PATIENCE_SECONDS)
        for message in found:
            if (reading := readings.get(place(message))) is not None:
                yield place(message), int(message.offset() or 0), _wanted(message, reading)
        _go_on(consumer, readings)
        if readings and deadline.expired:
            raise DeadlineError(f"no time was left to read {_described(readings)}")


def _there(
    consumer: LoginConsumer, wanted: originals.Wanted, deadline: Deadline
) -> dict[TopicPartition, list[Interval]]:
    """The wanted intervals without what is before the log's start or after its end, by topic-partition."""
    there = {}
    for place, (start, end) in log_bounds.bounds(consumer, wanted, deadline, consumer.login.absences).items():
        inside = [(max(first, start), min(last, end - 1)) for first, last in sorted(wanted[place])]
        if left := [(first, last) for first, last in inside if first <= last]:
            there[place] = left
    return there


def _messages(consumer: Consumer, deadline: Deadline) -> Sequence[Message]:
    """The next messages and signs of a log's end, as soon as there are any."""
    first = consumer.poll(min(POLL_SECONDS, deadline.remaining()))
    found = [] if first is None else [first, *consumer.consume(AT_ONCE, timeout=0)]
    for message in found:
        error = message.error()
        if error is not None and error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001 - its public name
            raise KafkaException(error)
    return found


def _wanted(message: Message, reading: _Reading) -> Message | None:
    """A message that is a wanted record; whatever it is, its topic-partition is that much further."""
    if message.error() is not None:
        reading.intervals.clear()
        return None
    offset = int(message.offset() or 0)
    found = reading.come_to(offset)
    reading.go_beyond(offset)
    return message if found else None


def _go_on(consumer: Consumer, readings: dict[TopicPartition, _Reading]) -> None:
    """Stop fetching what is read, and skip what isn't wanted."""
    for place, reading in list(readings.items()):
        if not reading.intervals:
            consumer.pause([Place(*place)])
            del readings[place]
        elif reading.at and reading.next - reading.at > SKIPPED:
            consumer.seek(Place(*place, reading.next))
            reading.at = reading.next


def place(message: Message) -> TopicPartition:
    """The topic-partition that a message is of."""
    return str(message.topic()), int(message.partition() or 0)


def record(message: Message) -> Original:
    """What a message holds besides its place."""
    kind, timestamp = message.timestamp()
    return Original(
        key=message.key(),
        value=message.value(),
        headers=tuple(cast("Iterable[originals.Header]", message.headers() or ())),
        timestamp=None if kind == TIMESTAMP_NOT_AVAILABLE else timestamp,
    )


def _described(places: Mapping[TopicPartition, object]) -> str:
    return ", ".join(f"{topic}-{partition}" for topic, partition in places)
