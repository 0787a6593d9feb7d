"""Provisioning's requests to the brokers, and its records in topics, with the clients that the invocation shares."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from kafka_maxcompute.brokers import log_bounds
from kafka_maxcompute.brokers.appending import Append
from kafka_maxcompute.brokers.broker_errors import fault
from kafka_maxcompute.brokers.originals import Original
from kafka_maxcompute.brokers.topic_log import WHOLE_LOG
from kafka_maxcompute.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from fc_powertools import Deadline
    from kafka_maxcompute.brokers.login import LoginConsumer
    from kafka_maxcompute.offsets import Interval
    from provisioning.cloud import Cloud

SECONDS = 20.0
"""The longest time of one request to the brokers, so that a plan without brokers still has time for its reply."""
HAS_MEMBERS = frozenset({KafkaError.UNKNOWN_MEMBER_ID, KafkaError.NON_EMPTY_GROUP, KafkaError.ILLEGAL_GENERATION})


def last_value(cloud: Cloud, topic: str, key: bytes) -> bytes | None:
    """Return the value of the last record with a key in topic-partition 0; None if there is no such record or topic."""
    with _asking(cloud, f"asking for topic {topic}") as (client, deadline):
        # List all topics: a request for a single topic may create the topic.
        if topic not in client.list_topics(timeout=deadline.remaining()).topics:
            return None
    value = None
    for _, _, record in cloud.clients.logs().stream({(topic, 0): WHOLE_LOG}, deadline):
        value = record.value if record.key == key else value
    return value


def write(cloud: Cloud, topic: str, key: bytes, value: bytes | None) -> None:
    """Append a record to topic-partition 0, and wait until the brokers have it."""
    append = Append(topic, 0, Original(key=key, value=value))
    (outcome,) = cloud.clients.appender.append([append], cloud.deadline.within(SECONDS))
    if isinstance(outcome, KafkaError):
        raise fault(outcome, f"writing into topic {topic}")


def is_empty(cloud: Cloud, topic: str) -> bool:
    """Return whether a topic has never held a record: each log ends at 0, or the topic doesn't exist."""
    try:
        with _asking(cloud, f"asking whether topic {topic} is empty") as (client, deadline):
            # List all topics: a request for a single topic may create the topic.
            metadata = client.list_topics(timeout=deadline.remaining()).topics.get(topic)
            places = [] if metadata is None else [(topic, number) for number in metadata.partitions]
            return not any(log_bounds.ends(client, places, deadline).values())
    except RefusedError as error:
        if error.code != log_bounds.NO_SUCH_TOPIC:
            raise
        return True


def has_members(cloud: Cloud) -> bool:
    """Return whether the connector's group has members now, such as the consumers of a foreign stream."""
    group = cloud.request.settings.group
    seconds = min(SECONDS, cloud.deadline.remaining())
    answers = cloud.clients.admin.describe_consumer_groups([group], request_timeout=seconds)
    try:
        return bool(answers[group].result(2 * SECONDS).members)
    except KafkaException as error:
        raise fault(error.args[0], f"asking for the members of group {group}") from error


def partitions(cloud: Cloud) -> int:
    """Return the number of the source topic's topic-partitions; 0 if the topic doesn't exist."""
    with _asking(cloud) as (reader, deadline):
        metadata = reader.list_topics(timeout=deadline.remaining()).topics.get(cloud.request.settings.source_topic)
    return 0 if metadata is None else len(metadata.partitions)


def committed(cloud: Cloud) -> dict[int, int]:
    """Return the group's committed offsets of the source topic: the next offset, by topic-partition."""
    wanted = [(cloud.request.settings.source_topic, number) for number in range(partitions(cloud))]
    with _asking(cloud) as (reader, deadline):
        offsets = log_bounds.committed(reader, wanted, deadline)
    return {partition: offset for (_, partition), offset in offsets.items()}


def logs(cloud: Cloud) -> dict[int, Interval]:
    """Return start and end (the next offset) of each log of the source topic, by topic-partition."""
    wanted = [(cloud.request.settings.source_topic, number) for number in range(partitions(cloud))]
    with _asking(cloud) as (reader, deadline):
        return {number: bounds for (_, number), bounds in log_bounds.bounds(reader, wanted, deadline).items()}


def commit(cloud: Cloud, offsets: Mapping[int, int]) -> None:
    """Commit these offsets of the source topic for the group.

    Raises `RefusedError` while the group has members: brokers refuse the commit then.
    """
    group = cloud.request.settings.group
    with _asking(cloud) as (reader, _):
        try:
            places = reader.commit(offsets=_places(cloud, offsets), asynchronous=False) or []
        except KafkaException as error:
            if error.args[0].code() not in HAS_MEMBERS:
                raise
            remedy = "pause the stream, wait until its consumers have left, and call again"
            raise RefusedError(
                f"group {group} keeps its offsets while it has members; {remedy}", code="HasMembers"
            ) from None
        for place in places:
            if place.error:
                raise fault(place.error, f"committing {place.topic}-{place.partition} of {group}")


def offsets_at(cloud: Cloud, milliseconds: int) -> dict[int, int]:
    """Return the offset of the first record of a time (epoch ms) or later, or the log's end, by topic-partition."""
    wanted = [(cloud.request.settings.source_topic, number) for number in range(partitions(cloud))]
    with _asking(cloud) as (reader, deadline):
        offsets = log_bounds.offsets_at(reader, wanted, milliseconds, deadline)
        return {partition: offset for (_, partition), offset in offsets.items()}


def _places(cloud: Cloud, offsets: Mapping[int, int]) -> list[TopicPartition]:
    topic = cloud.request.settings.source_topic
    return [TopicPartition(topic, number, offset) for number, offset in sorted(offsets.items())]


@contextmanager
def _asking(cloud: Cloud, doing: str = "") -> Iterator[tuple[LoginConsumer, Deadline]]:
    """Yield a consumer with the group's name, which doesn't join the group, and the deadline of its requests."""
    settings = cloud.request.settings
    try:
        yield cloud.clients.asking, cloud.deadline.within(SECONDS)
    except KafkaException as error:
        doing = doing or f"asking about group {settings.group} and topic {settings.source_topic}"
        raise fault(error.args[0], doing) from error
