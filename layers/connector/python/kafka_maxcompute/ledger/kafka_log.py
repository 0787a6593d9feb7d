"""A ledger's log in Kafka: topic-partition 0 of the connector's offset topic.

The log has three clients with connections of their own. The first appends. The second reads and always has a fetch
under way. The third asks for the log's start and end. A broker answers the requests of a connection in order, so a
question on the reader's connection would wait for the fetch.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, cast

from confluent_kafka import KafkaError, KafkaException, Message, Producer, TopicPartition

from kafka_maxcompute.brokers import log_bounds, login
from kafka_maxcompute.brokers.broker_errors import BROKEN, fault, is_fatal
from kafka_maxcompute.brokers.login import LoginConsumer
from kafka_maxcompute.errors import DeadlineError, UnavailableError
from kafka_maxcompute.ledger.log import LogRecord, PositionLostError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from fc_powertools import Deadline

PARTITION = 0
APPENDING: dict[str, str | int | bool] = {
    "acks": "all",
    "enable.idempotence": True,
    "linger.ms": 0,
    "allow.auto.create.topics": False,
    # librdkafka gives up an append after this time, even if the invocation that made it is over.
    "message.timeout.ms": 60_000,
}
GROUP = {"group.id": "kafka-maxcompute-ledger"}
"""The group if the configuration names none: assign() needs no group, but librdkafka requires a name. Nothing is ever
committed under this name. Brokers with ACLs require a right to the group, since librdkafka asks for its coordinator."""
READING: dict[str, str | int | bool] = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    # The ledger uses no transactions, and another writer's open transaction mustn't hide the log's end.
    "isolation.level": "read_uncommitted",
    "auto.offset.reset": "error",
    "enable.partition.eof": True,
    "allow.auto.create.topics": False,
    # How long a broker holds a fetch at the log's end. A jump to another offset has to wait for the fetch's answer, and
    # the embedded broker holds a fetch for the full time even if records arrive. An idle instance is frozen, so it
    # fetches nothing.
    "fetch.wait.max.ms": 10,
}
POLL_SECONDS = 0.5
AT_ONCE = 1_000
"""Most messages that are taken out of librdkafka's queue at once."""

_LOST = {
    KafkaError.OFFSET_OUT_OF_RANGE,
    KafkaError._AUTO_OFFSET_RESET,  # noqa: SLF001 - its public name
    KafkaError._LOG_TRUNCATION,  # noqa: SLF001
}
_PASSING = {
    KafkaError._TRANSPORT,  # noqa: SLF001
    KafkaError._ALL_BROKERS_DOWN,  # noqa: SLF001
    KafkaError._TIMED_OUT,  # noqa: SLF001
    KafkaError._RESOLVE,  # noqa: SLF001
}
"""librdkafka retries by itself after these errors."""


class KafkaLog:
    """Topic-partition 0 of a topic at the brokers that `configuration` (librdkafka's properties) names."""

    def __init__(self, configuration: Mapping[str, Any], topic: str) -> None:
        self._appending = {**configuration, **APPENDING}
        self._topic = topic
        self._next = -1
        self._producer = Producer(self._appending)
        self._login = login.of(configuration)
        self._reader = LoginConsumer({**GROUP, **configuration, **READING})
        self._questions = LoginConsumer({**GROUP, **configuration, **READING})

    def start(self, deadline: Deadline) -> int:
        """Request and return the first offset."""
        place = self._topic, PARTITION
        return log_bounds.starts(self._question_client, [place], deadline)[place]

    def end(self, deadline: Deadline) -> int:
        """Request and return the next offset."""
        place = self._topic, PARTITION
        return log_bounds.ends(self._question_client, [place], deadline)[place]

    @property
    def _question_client(self) -> LoginConsumer:
        # Before its first fetch the reader asks itself, and so connects: a fetch alone would wait for up to a second
        # until librdkafka connects.
        return self._reader if self._next < 0 else self._questions

    def records(self, start: int, deadline: Deadline) -> tuple[Sequence[LogRecord], int]:
        """Return some records from `start` on, and the next position."""
        if start != self._next:
            self._reader.assign([TopicPartition(self._topic, PARTITION, start)])
            self._next = start
        began = time.monotonic()
        doing = f"reading {self._topic}-{PARTITION}"
        while not deadline.expired:
            first = self._reader.poll(min(POLL_SECONDS, deadline.remaining()))
            if first is None:
                self._login.check(doing, since=began, patience=login.PATIENCE_SECONDS)
                continue
            records = [
                record
                for message in (first, *self._reader.consume(AT_ONCE, timeout=0))
                if (record := self._record(message)) is not None
            ]
            if self._next > start:
                return records, self._next
        raise UnavailableError(
            f"expected records of {self._topic}-{PARTITION} from offset {start} on, none came in time"
        )

    def append(self, key: bytes, value: bytes, deadline: Deadline) -> int | None:
        """Append a record and wait until all in-sync replicas have it."""
        return self._append([(key, value)], deadline)[0]

    def tombstone(self, keys: Iterable[bytes], deadline: Deadline) -> None:
        """Append a tombstone for each key."""
        self._append([(key, None) for key in keys], deadline)

    def close(self) -> None:
        """Close the clients; unacknowledged records may be in the log or not."""
        self._reader.close()
        self._questions.close()
        self._producer.purge()
        self._producer.flush(POLL_SECONDS)

    def _record(self, message: Message) -> LogRecord | None:
        """Return a message's record and advance the position; None at the log's end and after passing errors."""
        error, offset = message.error(), cast("int", message.offset())
        if error is None:
            self._next = offset + 1
            key, epoch = message.key() or b"", message.leader_epoch()
            return LogRecord(offset, message.timestamp()[1], key, message.value(), -1 if epoch is None else epoch)
        if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - its public name
            self._next = max(self._next, offset)
        elif error.code() in _LOST:
            self._next = -1
            raise PositionLostError(f"{self._topic}-{PARTITION} can't be read on from the last position: {error.str()}")
        elif error.code() not in _PASSING:
            self._next = -1
            raise fault(error, f"reading {self._topic}-{PARTITION}")
        return None

    def _append(self, records: Sequence[tuple[bytes, bytes | None]], deadline: Deadline) -> list[int | None]:
        """Append the records and return their offsets; None for a record that librdkafka sent twice."""
        producer = self._producer
        offsets: list[int | None] = []
        errors: list[KafkaError] = []

        def delivered(error: KafkaError | None, message: Message) -> None:
            if error is None:
                offsets.append(message.offset())
            else:
                errors.append(error)

        try:
            for key, value in records:
                producer.produce(self._topic, value, key, PARTITION, on_delivery=delivered)
        except KafkaException as error:
            errors.append(error.args[0])
        doing = f"appending to {self._topic}-{PARTITION}"
        try:
            login.flush(producer, self._login, doing, deadline)
        except BROKEN as error:
            self._producer = Producer(self._appending)
            raise UnavailableError(
                f"{doing}: the producer is broken; the operation may be in the log or not"
            ) from error
        if errors:
            if any(map(is_fatal, errors)):
                self._producer = Producer(self._appending)
            raise fault(errors[0], doing)
        if len(offsets) < len(records):
            raise DeadlineError(f"{doing}: no acknowledgement came in time; the operation may be in the log or not")
        return offsets
