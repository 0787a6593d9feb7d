"""What a group has committed: how another process than the stream's own sees how far the stream is."""

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
    """A function that asks for the group's next offset of each (topic, partition); 0 where nothing is committed."""
    wanted = [Place(topic, number) for number in range(count_partitions(bootstrap_servers, topic))]
    # It asks only, and never joins the group: that would take topic-partitions from the stream.
    consumer = Consumer({"bootstrap.servers": bootstrap_servers, "group.id": group, "log_level": 0})

    def ask() -> Mapping[TopicPartition, int]:
        try:
            found = consumer.committed(wanted, timeout=REQUEST_SECONDS)
        except KafkaException as error:
            raise BrokerError(
                f"the broker didn't say what group {group} has committed: {error.args[0].str()}"
            ) from error
        return {(one.topic, one.partition): max(0, one.offset) for one in found}

    try:
        yield ask
    finally:
        consumer.close()
