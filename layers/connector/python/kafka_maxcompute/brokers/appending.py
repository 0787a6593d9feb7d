"""Records appended to topics and awaited, each with what became of it."""

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
"""Above what ApsaraMQ for Kafka lets an instance take (10 MB), so that the broker's own limit decides."""
APPENDING: dict[str, int] = {
    "linger.ms": 5,
    "message.max.bytes": MOST_BYTES,
    # Every call has a deadline of its own; this only bounds what a caller that is gone has left behind.
    "message.timeout.ms": 300_000,
}
ALONE: dict[str, int] = {"batch.num.messages": 1, "linger.ms": 0}
"""A request for each record: a topic's limit counts for the batch, so a small record can fail for its neighbours."""
POLL_SECONDS = 0.1
NOW = 0
"""librdkafka's word for the current time, so the very instant 0 can't be kept; nor can one before it."""

_UNKNOWN = {
    KafkaError._MSG_TIMED_OUT,  # noqa: SLF001 - its public name
    KafkaError._PURGE_INFLIGHT,  # noqa: SLF001
    KafkaError._PURGE_QUEUE,  # noqa: SLF001
}


@dataclass(frozen=True, slots=True)
class Append:
    """A record and where it goes."""

    topic: str
    partition: int
    record: Original


Outcome: TypeAlias = "int | KafkaError"
"""The offset that a record got, or why it got none."""


class Appender:
    """Producers for the brokers that a configuration of `brokers.configuration` leads to, made when they are needed.

    They are kept, since librdkafka takes half a second until a new one has its id.
    """

    def __init__(self, configuration: Mapping[str, Any]) -> None:
        self._configuration = dict(configuration)
        self._login = login.of(configuration)
        self._producers: dict[bool, Producer] = {}

    def append(self, appends: Sequence[Append], deadline: Deadline, *, alone: bool = False) -> list[Outcome]:
        """Append them all, in this order within a topic-partition; the outcomes, when every one is known.

        `alone`: a request for each. Raises `DeadlineError` if some outcomes aren't known in time, `RefusedError` if the
        brokers refuse the login, and `UnavailableError` if the producer broke: those records may be in the log or not,
        but none of them is sent any more.
        """
        producer, outcomes = self._producer(alone), dict[int, Outcome]()
        topics = ", ".join(sorted({one.topic for one in appends}))
        try:
            for index, one in enumerate(appends):
                _hand_over(producer, one, partial(_learnt, outcomes, index), deadline)
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
            found = f"expected {len(appends)} records for {topics} to be acknowledged in time, found {len(known)}"
            raise DeadlineError(f"{found}; give the function more time, or see whether the brokers answer")
        return [outcomes[index] for index in range(len(appends))]

    def count_partitions(self, topics: Iterable[str], deadline: Deadline) -> dict[str, int]:
        """How many topic-partitions each topic has; raises `RefusedError` for one that isn't there."""
        found = until(deadline)(self._topics, deadline)
        for topic in topics:
            if not found.get(topic):
                code = KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART).name()
                raise RefusedError(f"expected a topic {topic}, found none; provisioning's apply makes it", code=code)
        return {topic: found[topic] for topic in topics}

    def close(self) -> None:
        """End the producers; what isn't acknowledged may be in the log or not, and isn't sent any more."""
        for producer in self._producers.values():
            producer.purge()
            producer.close()
        self._producers.clear()

    def _topics(self, deadline: Deadline) -> dict[str, int]:
        """How many topic-partitions each topic has; all are asked for, since a question for one may create it."""
        producer, began = self._producer(alone=False), time.monotonic()
        try:
            found = producer.list_topics(timeout=min(QUESTION_SECONDS, deadline.remaining())).topics
        except KafkaException as error:
            producer.poll(0)  # librdkafka calls error_cb from here
            self._login.check("asking for the topics", since=began)
            raise fault(error.args[0], "asking for the topics") from error
        return {name: len(topic.partitions) for name, topic in found.items()}

    def _producer(self, alone: bool) -> Producer:
        if alone not in self._producers:
            how = {**APPENDING, **(ALONE if alone else {})}
            try:
                self._producers[alone] = clients.producer(self._configuration, **how)
            except KafkaException as error:
                raise fault(error.args[0], "making a producer") from error
        return self._producers[alone]


def _hand_over(producer: Producer, one: Append, on_delivery: OnDelivery, deadline: Deadline) -> None:
    """Give a record to the producer, which sends it in the background; waits while its queue is full."""
    while not _handed_over(producer, one, on_delivery) and not deadline.expired:
        producer.poll(POLL_SECONDS)
    producer.poll(0)


def _handed_over(producer: Producer, one: Append, on_delivery: OnDelivery) -> bool:
    """Whether the producer had room for a record, or said at once that it can't be sent."""
    try:
        producer.produce(
            one.topic,
            value=one.record.value,
            key=one.record.key,
            partition=one.partition,
            timestamp=NOW if one.record.timestamp is None else one.record.timestamp,
            headers=cast("list[tuple[str, str | bytes | None]]", list(one.record.headers)),
            on_delivery=on_delivery,
        )
    except BufferError:
        return False
    except KafkaException as error:
        on_delivery(error.args[0], None)
    return True


def _learnt(outcomes: dict[int, Outcome], index: int, error: KafkaError | None, message: Message | None) -> None:
    """What librdkafka says of a record, once and for all."""
    offset = None if message is None else message.offset()
    outcomes[index] = error or (offset if offset is not None else KafkaError(KafkaError._NO_OFFSET))  # noqa: SLF001


def _ends_producer(outcome: Outcome) -> bool:
    """Whether a producer shouldn't be used again: it has a gap in its numbers, or is broken for good."""
    return _is_unknown(outcome) or (isinstance(outcome, KafkaError) and is_fatal(outcome))


def _is_unknown(outcome: Outcome) -> bool:
    return isinstance(outcome, KafkaError) and outcome.code() in _UNKNOWN
