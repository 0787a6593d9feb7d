"""Appends records to topics, and returns the outcome of each record."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from confluent_kafka import KafkaError, KafkaException

from kafka_maxcompute.brokers import clients, login
from kafka_maxcompute.brokers.broker_errors import BROKEN, fault, is_fatal
from kafka_maxcompute.brokers.log_bounds import QUESTION_SECONDS
from kafka_maxcompute.errors import DeadlineError, RefusedError, UnavailableError
from kafka_maxcompute.retrying import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from confluent_kafka import Message, Producer

    from fc_powertools import Deadline
    from kafka_maxcompute.brokers.originals import Original

    OnDelivery = Callable[[KafkaError | None, Message | None], None]

MOST_BYTES = 16_777_216
"""More than ApsaraMQ for Kafka accepts on any instance (10 MB), so that the broker's own limit decides."""
APPENDING: dict[str, int] = {
    "linger.ms": 5,
    "message.max.bytes": MOST_BYTES,
    # Every call has its own deadline; this limit is only for records that a finished caller has left behind.
    "message.timeout.ms": 300_000,
}
ALONE: dict[str, int] = {"batch.num.messages": 1, "linger.ms": 0}
"""One request for each record: a topic's limit counts for the whole batch, so a small record can fail for its size."""
POLL_SECONDS = 0.1
NOW = 0
"""librdkafka's value for the current time. So the timestamp 0 can't be kept, and neither can an earlier one."""

_UNKNOWN = {
    KafkaError._MSG_TIMED_OUT,  # noqa: SLF001 - its public name
    KafkaError._PURGE_INFLIGHT,  # noqa: SLF001
    KafkaError._PURGE_QUEUE,  # noqa: SLF001
}


@dataclass(frozen=True, slots=True)
class Append:
    """A record and its destination."""

    topic: str
    partition: int
    record: Original


Outcome: TypeAlias = "int | KafkaError"
"""The record's offset, or the error."""


class Appender:
    """Producers for the brokers of a configuration of `brokers.clients.configuration`, created at first use.

    Producers are kept, since librdkafka takes half a second until a new producer has its id.
    """

    def __init__(self, configuration: Mapping[str, Any]) -> None:
        self._configuration = dict(configuration)
        self._login = login.of(configuration)
        self._producers: dict[bool, Producer] = {}

    def append(self, appends: Sequence[Append], deadline: Deadline, *, alone: bool = False) -> list[Outcome]:
        """Append the records, in this order within a topic-partition, and return all outcomes.

        With `alone`, each record has its own request. Raises `DeadlineError` if some outcomes aren't known in time,
        `RefusedError` if the brokers refuse the login, and `UnavailableError` if the producer broke. Then the records
        may be in the log or not, but none is sent any more.
        """
        producer, outcomes = self._producer(alone), dict[int, Outcome]()
        topics = ", ".join(sorted({append.topic for append in appends}))
        try:
            for index, append in enumerate(appends):
                _hand_over(producer, append, partial(_note_outcome, outcomes, index), deadline)
            login.flush(producer, self._login, f"appending to {topics}", deadline)
            if len(outcomes) < len(appends):
                producer.purge()
                producer.flush(POLL_SECONDS)
        except RefusedError:
            producer.purge()
            self._producers.clear()
            raise
        except BROKEN as error:
            self._producers.clear()
            raise UnavailableError(f"the producer for {topics} is broken; records may be in the log or not") from error
        if any(map(_ends_producer, outcomes.values())):
            self._producers.clear()
        known = [outcome for outcome in outcomes.values() if not _is_unknown(outcome)]
        if len(known) < len(appends):
            raise DeadlineError(
                f"expected {len(appends)} records for {topics} to be acknowledged in time, found {len(known)}; give "
                "the function more time, or check whether the brokers answer"
            )
        return [outcomes[index] for index in range(len(appends))]

    def count_partitions(self, topics: Iterable[str], deadline: Deadline) -> dict[str, int]:
        """Return the number of topic-partitions of each topic; raises `RefusedError` for a missing topic."""
        counts = until(deadline)(self._topics, deadline)
        for topic in topics:
            if not counts.get(topic):
                code = KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART).name()
                raise RefusedError(
                    f"expected a topic {topic}, found none; run the action apply, which creates it", code=code
                )
        return {topic: counts[topic] for topic in topics}

    def close(self) -> None:
        """Close the producers; unacknowledged records may be in the log or not, and aren't sent any more."""
        for producer in self._producers.values():
            producer.purge()
            producer.close()
        self._producers.clear()

    def _topics(self, deadline: Deadline) -> dict[str, int]:
        """Return the number of topic-partitions of all topics, since a request for one topic may create it."""
        producer, began = self._producer(alone=False), time.monotonic()
        try:
            topics = producer.list_topics(timeout=min(QUESTION_SECONDS, deadline.remaining())).topics
        except KafkaException as error:
            producer.poll(0)  # librdkafka calls error_cb from here
            self._login.check("asking for the topics", since=began)
            raise fault(error.args[0], "asking for the topics") from error
        return {name: len(topic.partitions) for name, topic in topics.items()}

    def _producer(self, alone: bool) -> Producer:
        if alone not in self._producers:
            how = {**APPENDING, **(ALONE if alone else {})}
            try:
                self._producers[alone] = clients.producer(self._configuration, **how)
            except KafkaException as error:
                raise fault(error.args[0], "making a producer") from error
        return self._producers[alone]


def _hand_over(producer: Producer, append: Append, on_delivery: OnDelivery, deadline: Deadline) -> None:
    """Give a record to the producer, which sends it in the background; wait while the producer's queue is full."""
    while not _handed_over(producer, append, on_delivery) and not deadline.expired:
        producer.poll(POLL_SECONDS)
    producer.poll(0)


def _handed_over(producer: Producer, append: Append, on_delivery: OnDelivery) -> bool:
    """Try to give a record to the producer; return False if its queue is full. An immediate refusal is an outcome."""
    try:
        producer.produce(
            append.topic,
            value=append.record.value,
            key=append.record.key,
            partition=append.partition,
            timestamp=NOW if append.record.timestamp is None else append.record.timestamp,
            headers=cast("list[tuple[str, str | bytes | None]]", list(append.record.headers)),
            on_delivery=on_delivery,
        )
    except BufferError:
        return False
    except KafkaException as error:
        on_delivery(error.args[0], None)
    return True


def _note_outcome(outcomes: dict[int, Outcome], index: int, error: KafkaError | None, message: Message | None) -> None:
    """Note the outcome that librdkafka reports for a record."""
    offset = None if message is None else message.offset()
    outcomes[index] = error or (offset if offset is not None else KafkaError(KafkaError._NO_OFFSET))  # noqa: SLF001


def _ends_producer(outcome: Outcome) -> bool:
    """Whether a producer can't be used again: it has a gap in its sequence numbers, or is broken for good."""
    return _is_unknown(outcome) or (isinstance(outcome, KafkaError) and is_fatal(outcome))


def _is_unknown(outcome: Outcome) -> bool:
    return isinstance(outcome, KafkaError) and outcome.code() in _UNKNOWN
