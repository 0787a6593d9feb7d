"""What provisioning asks the brokers for and writes into topics, by the clients that the invocation shares."""

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
"""The longest that one question to the brokers takes, so that a plan without them ends in time to say so."""
HAS_MEMBERS = frozenset({KafkaError.UNKNOWN_MEMBER_ID, KafkaError.NON_EMPTY_GROUP, KafkaError.ILLEGAL_GENERATION})


def last_value(cloud: Cloud, topic: str, key: bytes) -> bytes | None:
    """The value of the last record of a key in topic-partition 0; None where there is none, or no such topic."""
    with _asking(cloud, f"asking for topic {topic}") as (client, deadline):
        # All topics are asked for: a question for one makes it where brokers do so by themselves.
        if topic not in client.list_topics(timeout=deadline.remaining()).topics:
            return None
    found = None
    for _, _, record in cloud.clients.logs().stream({(topic, 0): WHOLE_LOG}, deadline):
        found = record.value if record.key == key else found
    return found


def write(cloud: Cloud, topic: str, key: bytes, value: bytes | None) -> None:
    """Append a record to topic-partition 0, and wait until it's there."""
    append = Append(topic, 0, Original(key=key, value=value))
    (outcome,) = cloud.clients.appender.append([append], cloud.deadline.within(SECONDS))
    if isinstance(outcome, KafkaError):
        raise fault(outcome, f"writing into topic {topic}")


def is_empty(cloud: Cloud, topic: str) -> bool:
    """Whether a topic has never held a record: the log of each topic-partition ends at 0. So it is if there's none."""
    try:
        with _asking(cloud, f"asking whether topic {topic} is empty") as (client, deadline):
            # All topics are asked for: a question for one may create it.
            found = client.list_topics(timeout=deadline.remaining()).topics.get(topic)
            places = [] if found is None else [(topic, number) for number in found.partitions]
            return not any(log_bounds.ends(client, places, deadline).values())
    except RefusedError as error:
        if error.code != log_bounds.NO_SUCH_TOPIC:
            raise
        return True


def has_members(cloud: Cloud) -> bool:
    """Whether anybody is in the connector's group now, such as a stream that can't be looked at."""
    group = cloud.request.settings.group
    seconds = min(SECONDS, cloud.deadline.remaining())
    asked = cloud.clients.admin.describe_consumer_groups([group], request_timeout=seconds)
    try:
        return bool(asked[group].result(2 * SECONDS).members)
    except KafkaException as error:
        raise fault(error.args[0], f"asking for the members of group {group}") from error


def partitions(cloud: Cloud) -> int:
    """How many topic-partitions the source topic has; 0 where it isn't there."""
    with _asking(cloud) as (reader, deadline):
        found = reader.list_topics(timeout=deadline.remaining()).topics.get(cloud.request.settings.source_topic)
    return 0 if found is None else len(found.partitions)


def committed(cloud: Cloud) -> dict[int, int]:
    """What the group has committed of the source topic: the next offset by topic-partition, where there is one."""
    wanted = [(cloud.request.settings.source_topic, number) for number in range(partitions(cloud))]
    with _asking(cloud) as (reader, deadline):
        found = log_bounds.committed(reader, wanted, deadline)
    return {partition: offset for (_, partition), offset in found.items()}


def logs(cloud: Cloud) -> dict[int, Interval]:
    """Start and end (the next offset) of each log of the source topic, by topic-partition."""
    wanted = [(cloud.request.settings.source_topic, number) for number in range(partitions(cloud))]
    with _asking(cloud) as (reader, deadline):
        return {number: bounds for (_, number), bounds in log_bounds.bounds(reader, wanted, deadline).items()}


def commit(cloud: Cloud, offsets: Mapping[int, int]) -> None:
    """Let the group go on from these offsets of the source topic; brokers refuse it while the group has members."""
    group = cloud.request.settings.group
    with _asking(cloud) as (reader, _):
        try:
            places = reader.commit(offsets=_places(cloud, offsets), asynchronous=False) or []
        except KafkaException as error:
            if error.args[0].code() not in HAS_MEMBERS:
                raise
            remedy = "pause the stream, wait until its consumers have left, and call again"
            told = f"group {group} keeps its offsets while it has members; {remedy}"
            raise RefusedError(told, code="HasMembers") from None
        for place in places:
            if place.error:
                raise fault(place.error, f"committing {place.topic}-{place.partition} of {group}")


def offsets_at(cloud: Cloud, milliseconds: int) -> dict[int, int]:
    """The first offset of each topic-partition whose record is of that time or later; its end where there is none."""
    wanted = [(cloud.request.settings.source_topic, number) for number in range(partitions(cloud))]
    with _asking(cloud) as (reader, deadline):
        found = log_bounds.offsets_at(reader, wanted, milliseconds, deadline)
        return {partition: offset for (_, partition), offset in found.items()}


def _places(cloud: Cloud, offsets: Mapping[int, int]) -> list[TopicPartition]:
    topic = cloud.request.settings.source_topic
    return [TopicPartition(topic, number, offset) for number, offset in sorted(offsets.items())]


@contextmanager
def _asking(cloud: Cloud, doing: str = "") -> Iterator[tuple[LoginConsumer, Deadline]]:
    """A consumer with the group's name, which it doesn't join, and how long it may be asked."""
    settings = cloud.request.settings
    try:
        yield cloud.clients.asking, cloud.deadline.within(SECONDS)
    except KafkaException as error:
        doing = doing or f"asking about group {settings.group} and topic {settings.source_topic}"
        raise fault(error.args[0], doing) from error
