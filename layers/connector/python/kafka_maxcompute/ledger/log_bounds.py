"""Where the log of a topic-partition begins and ends, as its leader says now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka import TopicPartition as Place

from kafka_maxcompute.broker_faults import fault
from kafka_maxcompute.errors import RefusedError, UnavailableError
from kafka_maxcompute.retrying import until

if TYPE_CHECKING:
    from confluent_kafka import Consumer

    from fc_powertools import Deadline
    from kafka_maxcompute.offsets import TopicPartition

QUESTION_SECONDS = 10.0
"""How long the brokers may take to answer one question; it's asked again while there is time."""

_UNKNOWN = {
    KafkaError._UNKNOWN_PARTITION,  # noqa: SLF001 - its public name
    KafkaError._UNKNOWN_TOPIC,  # noqa: SLF001
    KafkaError.UNKNOWN_TOPIC_OR_PART,
}


def bounds(client: Consumer, place: TopicPartition, deadline: Deadline) -> tuple[int, int]:
    """The first offset, and the one that the next record will get.

    Asked again until the deadline where the brokers can't answer. Raises `UnavailableError`, and `RefusedError` where
    they know no such topic-partition.
    """
    return until(deadline)(_ask, client, place, deadline)


def _ask(client: Consumer, place: TopicPartition, deadline: Deadline) -> tuple[int, int]:
    doing = f"asking for the ends of {place[0]}-{place[1]}"
    try:
        answer = client.get_watermark_offsets(Place(*place), timeout=_seconds(deadline))
    except KafkaException as error:
        if error.args[0].code() in _UNKNOWN:
            raise _unknown(client, place, doing, deadline) from error
        raise fault(error.args[0], doing) from error
    if answer is None:
        raise UnavailableError(f"{doing}: the brokers gave no answer in time")
    return answer


def _unknown(client: Consumer, place: TopicPartition, doing: str, deadline: Deadline) -> Exception:
    """What it means that librdkafka knows no such topic-partition: it says so of brokers that are gone, too."""
    try:
        # All topics are asked for: a question for one may create it.
        found = client.list_topics(timeout=_seconds(deadline)).topics.get(place[0])
    except KafkaException as error:
        return fault(error.args[0], doing)
    if found is not None and place[1] in found.partitions:
        return UnavailableError(f"{doing}: the brokers have only just come to know it")
    return RefusedError(f"{doing}: the brokers have none such; create the topic, or mend its name", code="NoSuchTopic")


def _seconds(deadline: Deadline) -> float:
    return min(QUESTION_SECONDS, deadline.remaining())
