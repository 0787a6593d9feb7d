"""The records that come into topics from now on, for an action that causes such records."""

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

MOST_AT_ONCE = 500


class Arrivals:
    """A consumer that starts at the present ends of topics; a context manager. Topics that don't exist are ignored.

    Raises `RefusedError` or `UnavailableError`.
    """

    def __init__(self, cloud: Cloud, topics: Iterable[str]) -> None:
        # librdkafka wants a group's name; the consumer doesn't join the group, and commits nothing.
        self._consumer = clients.consumer(cloud.clients.configuration, cloud.request.settings.group)
        seconds = min(QUESTION_SECONDS, cloud.deadline.remaining())
        try:
            # List all topics: a request for a single topic may create the topic.
            listed = self._consumer.list_topics(timeout=seconds).topics
            places = [(topic, number) for topic in topics if topic in listed for number in listed[topic].partitions]
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
        """Return the new records as soon as there is one; an empty list after `seconds`."""
        records = []
        for message in self._consumer.consume(1, timeout=seconds) + self._consumer.consume(MOST_AT_ONCE, timeout=0):
            error = message.error()
            if error is None:
                records.append(record(message))
            elif not error.retriable():
                raise fault(error, f"reading topic {message.topic()}")
        return records
