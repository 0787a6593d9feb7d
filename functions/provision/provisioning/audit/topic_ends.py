"""Where the log of a topic begins and ends, and how far a group has committed."""

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
    """A topic-partition's first offset and the one after its last; `committed` is the group's, None where none is."""

    begin: int
    end: int
    committed: int | None = None


def topic_ends(client: Consumer, topic: str, deadline: Deadline) -> dict[int, Ends]:
    """The ends of all topic-partitions of a topic, and what the client's group has committed of them.

    Raises `UnavailableError` and `RefusedError`.
    """
    try:
        # All topics are asked for: a question for one may create it.
        found = client.list_topics(timeout=min(QUESTION_SECONDS, deadline.remaining())).topics.get(topic)
        if found is None or not found.partitions:
            raise RefusedError(
                f"expected a topic {topic}, the brokers know none; fix its name, or create it", code=NO_SUCH_TOPIC
            )
        places = [(topic, partition) for partition in found.partitions]
        committed = log_bounds.committed(client, places, deadline.within(QUESTION_SECONDS))
        bounds = log_bounds.bounds(client, places, deadline)
        return {place[1]: Ends(*ends, committed.get(place)) for place, ends in bounds.items()}
    except KafkaException as error:
        raise fault(error.args[0], f"asking for the ends of {topic}") from error
