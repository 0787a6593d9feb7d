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
"""All offsets that a log can have (signed 64-bit numbers)."""
READING: dict[str, str | int | bool] = {
    "enable.partition.eof": True,
    # The log's start may advance between the request for the start and the first read.
    "auto.offset.reset": "earliest",
    "queued.max.messages.kbytes": 8_192,
    "fetch.max.bytes": 8_388_608,
    # A broker answers a fetch at the log's end after this wait, and this answer proves the end.
    "fetch.wait.max.ms": 50,
    # How long librdkafka stops fetching after its queue was full. By default (1,000) a read takes 14 times as long.
    "fetch.queue.backoff.ms": 1,
}
AT_ONCE = 500
"""Most messages that are taken out of librdkafka's queue at once."""
POLL_SECONDS = 0.5
SKIPPED = 2_000
"""Most unwanted offsets that are read; a longer distance to the next wanted offset is skipped with a new fetch."""


class KafkaOriginals:
    """Logs at the brokers of a configuration of `brokers.clients.configuration`; `group` is never joined.

    Each reading creates a consumer: dead letters are rare, and a connection doesn't survive the pause between two
    invocations of a function anyway. All appended records are read, since an aborted record may have been delivered.
    With `committed`, records of aborted transactions are skipped, and so is everything from the first record of an open
    transaction on. Brokers never return a transaction's markers.
    """

    def __init__(self, configuration: Mapping[str, Any], group: str, *, committed: bool = False) -> None:
        self._configuration = configuration
        self._group = group
        self._committed = committed

    def read(self, wanted: originals.Wanted, deadline: Deadline) -> originals.Found:
        """Return the records at the wanted offsets, all in memory; see `Originals.read`."""
        return {(place, offset): record for place, offset, record in self.stream(wanted, deadline)}

    def stream(self, wanted: originals.Wanted, deadline: Deadline) -> Iterator[tuple[TopicPartition, int, Original]]:
        """Yield the same records one by one, in log order within a topic-partition; memory stays bounded.

        An interval may end beyond the log: the reading ends at the log's end as of the reading's start.
        """
        for message in self.messages(wanted, deadline):
            yield place(message), int(message.offset() or 0), record(message)

    def messages(self, wanted: originals.Wanted, deadline: Deadline) -> Iterator[Message]:
        """Yield the same records as librdkafka's messages."""
        for _, _, message in self._steps(wanted, deadline, committed=self._committed):
            if message is not None:
                yield message

    def passed(
        self, wanted: originals.Wanted, deadline: Deadline, *, committed: bool
    ) -> Iterator[tuple[TopicPartition, int, Original | None]]:
        """Yield the steps of a reading; see `Originals.passed`."""
        for topic_partition, offset, message in self._steps(wanted, deadline, committed=committed):
            yield topic_partition, offset, None if message is None else record(message)

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
    """The rest of one topic-partition's reading: rising wanted intervals, and the consumer's `position`."""

    intervals: deque[Interval]
    position: int = 0

    @property
    def next(self) -> int:
        """The next offset that is wanted."""
        return self.intervals[0][0]

    def reaches(self, offset: int) -> bool:
        """Whether an offset is wanted; drops the intervals before it, since a log is read in order."""
        while self.intervals and self.intervals[0][1] < offset:
            self.intervals.popleft()
        return bool(self.intervals) and self.intervals[0][0] <= offset

    def skip_through(self, offset: int) -> None:
        """Drop the wanted offsets up to this one; the consumer is behind it."""
        self.position = offset + 1
        while self.intervals and self.intervals[0][0] <= offset:
            _, last = self.intervals.popleft()
            if last > offset:
                self.intervals.appendleft((offset + 1, last))


def _read(
    consumer: LoginConsumer, wanted: originals.Wanted, deadline: Deadline
) -> Iterator[tuple[TopicPartition, int, Message | None]]:
    """Yield each place and offset that the consumer reaches, with its message if it's wanted; raises KafkaException."""
    readings = {place: _Reading(deque(intervals)) for place, intervals in _clipped(consumer, wanted, deadline).items()}
    consumer.assign([Place(*place, reading.next) for place, reading in readings.items()])
    began = time.monotonic()
    while readings:
        messages = _messages(consumer, deadline)
        if not messages:
            consumer.login.check(f"reading {_described(readings)}", since=began, patience=login.PATIENCE_SECONDS)
        for message in messages:
            if (reading := readings.get(place(message))) is not None:
                yield place(message), int(message.offset() or 0), _wanted(message, reading)
        _skip_unwanted(consumer, readings)
        if readings and deadline.expired:
            raise DeadlineError(f"expected to read {_described(readings)} before the deadline, but the time ran out")


def _clipped(
    consumer: LoginConsumer, wanted: originals.Wanted, deadline: Deadline
) -> dict[TopicPartition, list[Interval]]:
    """Return the parts of the wanted intervals that lie in the log, by topic-partition."""
    clipped = {}
    for place, (start, end) in log_bounds.bounds(consumer, wanted, deadline, consumer.login.absences).items():
        inside = [(max(first, start), min(last, end - 1)) for first, last in sorted(wanted[place])]
        if kept := [(first, last) for first, last in inside if first <= last]:
            clipped[place] = kept
    return clipped


def _messages(consumer: Consumer, deadline: Deadline) -> Sequence[Message]:
    """Return the next messages, including signs of a log's end, as soon as there are any."""
    first = consumer.poll(min(POLL_SECONDS, deadline.remaining()))
    messages = [] if first is None else [first, *consumer.consume(AT_ONCE, timeout=0)]
    for message in messages:
        error = message.error()
        if error is not None and error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001 - its public name
            raise KafkaException(error)
    return messages


def _wanted(message: Message, reading: _Reading) -> Message | None:
    """Return the message if it's a wanted record, else None; advance the reading in any case."""
    if message.error() is not None:
        reading.intervals.clear()
        return None
    offset = int(message.offset() or 0)
    is_wanted = reading.reaches(offset)
    reading.skip_through(offset)
    return message if is_wanted else None


def _skip_unwanted(consumer: Consumer, readings: dict[TopicPartition, _Reading]) -> None:
    """Stop fetching topic-partitions that are read, and skip long stretches of unwanted offsets."""
    for place, reading in list(readings.items()):
        if not reading.intervals:
            consumer.pause([Place(*place)])
            del readings[place]
        elif reading.position and reading.next - reading.position > SKIPPED:
            consumer.seek(Place(*place, reading.next))
            reading.position = reading.next


def place(message: Message) -> TopicPartition:
    """Return the topic-partition of a message."""
    return str(message.topic()), int(message.partition() or 0)


def record(message: Message) -> Original:
    """Return the record in a message."""
    kind, timestamp = message.timestamp()
    return Original(
        key=message.key(),
        value=message.value(),
        headers=tuple(cast("Iterable[originals.Header]", message.headers() or ())),
        timestamp=None if kind == TIMESTAMP_NOT_AVAILABLE else timestamp,
    )


def _described(places: Mapping[TopicPartition, object]) -> str:
    return ", ".join(f"{topic}-{partition}" for topic, partition in places)
