"""The records that come into topics from now on, for whoever is about to do something that leads to some."""

from __future__ import annotations

from typing import TYPE_CHECKING

from confluent_kafka import KafkaException, TopicPartition

from kafka_maxcompute.brokers import clients, log_bounds
from kafka_maxcompute.brokers.broker_errors import fault
from kafka_maxcompute.brokers.log_bounds import QUESTION_SECONDS
from kafka_maxcompute.brokers.topic_log import record
from kafka_maxcompute.errors import ConnectorError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

    from typing_extensions import Self

    from kafka_maxcompute.brokers.originals import Original
    from provisioning.cloud import Cloud

AT_ONCE = 500


class Arrivals:
    """A consumer at the ends that topics have when it is made; a context manager. Topics that aren't there have none.

    Raises `RefusedError` or `UnavailableError`.
    """

    def __init__(self, cloud: Cloud, topics: Iterable[str]) -> None:
        # A name that librdkafka wants; the group isn't joined, and nothing is committed.
        self._consumer = clients.consumer(cloud.clients.configuration, cloud.request.settings.group)
        seconds = min(QUESTION_SECONDS, cloud.deadline.remaining())
        try:
            # All topics are asked for: a question for one makes it where brokers do so by themselves.
            there = self._consumer.list_topics(timeout=seconds).topics
            places = [(topic, number) for topic in topics if topic in there for number in there[topic].partitions]
            ends = log_bounds.ends(self._consumer, places, cloud.deadline.within(QUESTION_SECONDS))
            self._consumer.assign([TopicPartition(*place, offset) for place, offset in ends.items()])
        except ConnectorError:
            self._consumer.close()
            raise
        except KafkaException as error:
            self._consumer.close()
            raise fault(error.args[0], f"asking for the ends of {', '.join(topics)}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._consumer.close()

    def wait(self, seconds: float) -> list[Original]:
        """What has come meanwhile, as soon as there is anything; nothing after so many seconds."""
        found = []
        for message in self._consumer.consume(1, timeout=seconds) + self._consumer.consume(AT_ONCE, timeout=0):
            error = message.error()
            if error is None:
                found.append(record(message))
            elif not error.retriable():
                raise fault(error, f"reading topic {message.topic()}")
        return found
