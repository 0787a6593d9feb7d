"""Reads the first and next offsets of a topic's logs, and a group's committed offsets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from confluent_kafka import KafkaException

from kafka_maxcompute.brokers import log_bounds
from kafka_maxcompute.brokers.broker_errors import fault
from kafka_maxcompute.brokers.log_bounds import NO_SUCH_TOPIC, QUESTION_SECONDS
from kafka_maxcompute.errors import RefusedError

if TYPE_CHECKING:
    from confluent_kafka import Consumer

    from fc_powertools import Deadline


@dataclass(frozen=True, slots=True)
class Ends:
    """A topic-partition's first offset and next offset, and the group's committed offset (None if there is none)."""

    begin: int
    end: int
    committed: int | None = None


def topic_ends(client: Consumer, topic: str, deadline: Deadline) -> dict[int, Ends]:
    """Return the ends of all topic-partitions of a topic, and the committed offsets of the client's group.

    Raises `UnavailableError` and `RefusedError`.
    """
    try:
        # List all topics, because a request for a single topic can create the topic.
        metadata = client.list_topics(timeout=min(QUESTION_SECONDS, deadline.remaining())).topics.get(topic)
        if metadata is None or not metadata.partitions:
            raise RefusedError(
                f"expected a topic {topic}, found none at the brokers; fix its name, or create it", code=NO_SUCH_TOPIC
            )
        places = [(topic, partition) for partition in metadata.partitions]
        committed = log_bounds.committed(client, places, deadline.within(QUESTION_SECONDS))
        bounds = log_bounds.bounds(client, places, deadline)
        return {place[1]: Ends(*ends, committed.get(place)) for place, ends in bounds.items()}
    except KafkaException as error:
        raise fault(error.args[0], f"asking for the ends of {topic}") from error
