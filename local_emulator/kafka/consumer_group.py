"""The committed offsets of a group, by which another process can see the stream's progress."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from confluent_kafka import Consumer, KafkaException
from confluent_kafka import TopicPartition as Place

from local_emulator.kafka.errors import BrokerError
from local_emulator.kafka.topics import count_partitions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from local_emulator.kafka.topics import TopicPartition

REQUEST_SECONDS = 10.0


@contextmanager
def committed_offsets(
    bootstrap_servers: str, group: str, topic: str
) -> Iterator[Callable[[], Mapping[TopicPartition, int]]]:
    """Yield a function that returns the group's next offset of each topic-partition; 0 if nothing is committed."""
    wanted = [Place(topic, number) for number in range(count_partitions(bootstrap_servers, topic))]
    # The consumer never joins the group, because that would take topic-partitions from the stream.
    consumer = Consumer({"bootstrap.servers": bootstrap_servers, "group.id": group, "log_level": 0})

    def read() -> Mapping[TopicPartition, int]:
        try:
            committed = consumer.committed(wanted, timeout=REQUEST_SECONDS)
        except KafkaException as error:
            raise BrokerError(
                f"the broker didn't return the committed offsets of group {group}: {error.args[0].str()}"
            ) from error
        return {(place.topic, place.partition): max(0, place.offset) for place in committed}

    try:
        yield read
    finally:
        consumer.close()
