"""A ledger's log in Kafka: topic-partition 0 of the connector's offset topic.

Three clients, each with connections of its own: one appends, one reads with a fetch always on its way, and one asks for
the log's end. A broker answers a connection's requests in order, so a question behind a waiting fetch would wait too.
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
    # An append that is later than this is void, whatever became of the invocation that wanted it.
    "message.timeout.ms": 60_000,
}
GROUP = {"group.id": "kafka-maxcompute-ledger"}
"""Where the configuration names none: assign() needs no group, but librdkafka wants a name. Nothing is ever committed
under it; brokers with ACLs want a right to it all the same, since its coordinator is asked for."""
READING: dict[str, str | int | bool] = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    # Nothing here is written in transactions, and a stranger's open one mustn't hide the log's end.
    "isolation.level": "read_uncommitted",
    "auto.offset.reset": "error",
    "enable.partition.eof": True,
    "allow.auto.create.topics": False,
    # How long a broker keeps a fetch at the log's end: a jump to another offset has to wait for its answer, and the
    # embedded broker keeps it to the full, whatever comes. An instance without work is frozen and fetches nothing.
    "fetch.wait.max.ms": 10,
}
POLL_SECONDS = 0.5
AT_ONCE = 1_000
"""Messages that are taken out of librdkafka's queue at once."""

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
"""librdkafka goes on by itself after these."""


class KafkaLog:
    """Topic-partition 0 of a topic at the brokers that `configuration` (librdkafka's properties) leads to."""

    def __init__(self, configuration: Mapping[str, Any], topic: str) -> None:
        self._appending = {**configuration, **APPENDING}
        self._topic = topic
        self._next = -1
        self._producer = Producer(self._appending)
        self._login = login.of(configuration)
        self._reader = LoginConsumer({**GROUP, **configuration, **READING})
        self._asker = LoginConsumer({**GROUP, **configuration, **READING})

    def start(self, deadline: Deadline) -> int:
        """The first offset, asked for now."""
        place = self._topic, PARTITION
        return log_bounds.starts(self._asking, [place], deadline)[place]

    def end(self, deadline: Deadline) -> int:
        """The next offset, asked for now."""
        place = self._topic, PARTITION
        return log_bounds.ends(self._asking, [place], deadline)[place]

    @property
    def _asking(self) -> LoginConsumer:
        # The reader asks first: to get a connection for a fetch it would wait for librdkafka's next second.
        return self._reader if self._next < 0 else self._asker

    def records(self, start: int, deadline: Deadline) -> tuple[Sequence[LogRecord], int]:
        """Some records from `start` on, and where to go on."""
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
            found = [
                record
                for message in (first, *self._reader.consume(AT_ONCE, timeout=0))
                if (record := self._record(message)) is not None
            ]
            if self._next > start:
                return found, self._next
        raise UnavailableError(f"expected {self._topic}-{PARTITION} from offset {start} on, but nothing came in time")

    def append(self, key: bytes, value: bytes, deadline: Deadline) -> int | None:
        """Append a record and wait until all replicas in sync have it."""
        return self._append([(key, value)], deadline)[0]

    def tombstone(self, keys: Iterable[bytes], deadline: Deadline) -> None:
        """Append a tombstone for each key."""
        self._append([(key, None) for key in keys], deadline)

    def close(self) -> None:
        """Leave the brokers; what wasn't acknowledged may be in the log or not."""
        self._reader.close()
        self._asker.close()
        self._producer.purge()
        self._producer.flush(POLL_SECONDS)

    def _record(self, message: Message) -> LogRecord | None:
        """The record in a message of librdkafka's, if it's one; moves the position on."""
        error, offset = message.error(), cast("int", message.offset())
        if error is None:
            self._next = offset + 1
            key, epoch = message.key() or b"", message.leader_epoch()
            return LogRecord(offset, message.timestamp()[1], key, message.value(), -1 if epoch is None else epoch)
        if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - its public name
            self._next = max(self._next, offset)
        elif error.code() in _LOST:
            self._next = -1
            raise PositionLostError(f"{self._topic}-{PARTITION} can't be read from where it was left: {error.str()}")
        elif error.code() not in _PASSING:
            self._next = -1
            raise fault(error, f"reading {self._topic}-{PARTITION}")
        return None

    def _append(self, records: Sequence[tuple[bytes, bytes | None]], deadline: Deadline) -> list[int | None]:
        """Append them all; their offsets, None for one that the broker had already when it was sent once more."""
        producer = self._producer
        offsets: list[int | None] = []
        errors: list[KafkaError] = []

        def learnt(error: KafkaError | None, message: Message) -> None:
            if error is None:
                offsets.append(message.offset())
            else:
                errors.append(error)

        try:
            for key, value in records:
                producer.produce(self._topic, value, key, PARTITION, on_delivery=learnt)
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
