"""The brokers as provisioning reaches them: by the addresses in the settings, or by those of the Kafka instance."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from confluent_kafka import OFFSET_BEGINNING, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from kafka_maxcompute.brokers import clients, log_bounds
from kafka_maxcompute.brokers.broker_errors import fault
from kafka_maxcompute.errors import ConfigurationError, DeadlineError, RefusedError
from kafka_maxcompute.settings.destinations import Destinations
from provisioning import network
from provisioning.operations import GET_INSTANCES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from confluent_kafka import Consumer

    from fc_powertools import Deadline
    from kafka_maxcompute.offsets import Interval
    from provisioning.cloud import Cloud

SECONDS = 20.0
"""The longest that one question to the brokers takes, so that a plan without them ends in time to say so."""
NO_WAY = "NoWayToTheBrokers"
HAS_MEMBERS = frozenset({KafkaError.UNKNOWN_MEMBER_ID, KafkaError.NON_EMPTY_GROUP, KafkaError.ILLEGAL_GENERATION})


def configuration(cloud: Cloud) -> dict[str, Any]:
    """What a client is made with, found out once in an invocation.

    Raises `RefusedError` if nobody says where the brokers are, or a secret is missing.
    """
    if not cloud.broker_configuration:
        cloud.broker_configuration.update(_configuration(cloud))
    return cloud.broker_configuration


def _configuration(cloud: Cloud) -> dict[str, Any]:
    settings = cloud.request.settings
    instance = find_instance(cloud) if _asks_the_control_plane(cloud) else {}
    servers = settings.bootstrap_servers or network.servers(instance, settings.security_protocol)
    if not servers:
        has = f"instance {settings.instance_id} shows no address for {settings.security_protocol}"
        raise RefusedError(f"{has}; set bootstrap_servers, or security_protocol to what it offers", code=NO_WAY)
    complete = replace(settings, bootstrap_servers=servers)
    try:
        told = network.every_server(instance)
        return clients.configuration(complete, cloud.environment, cloud.control.credentials, told=told)
    except ConfigurationError as error:
        raise RefusedError("; ".join(error.faults), code=NO_WAY) from None


def _asks_the_control_plane(cloud: Cloud) -> bool:
    """Whether it takes the account's instance to know the brokers, or to know that they are the account's own."""
    settings = cloud.request.settings
    if not settings.bootstrap_servers:
        return True
    return bool(settings.instance_id) and any(Destinations.of(cloud.environment).broker_faults(settings))


def last_value(cloud: Cloud, topic: str, key: bytes) -> bytes | None:
    """The value of the last record of a key in topic-partition 0; None where there is none, or no such topic."""
    deadline = cloud.deadline.within(SECONDS)
    # A name that librdkafka wants; the group isn't joined, and nothing is committed.
    group = cloud.request.settings.group
    # A broker answers a fetch at the log's end after that wait, and the end is what is waited for.
    reader = clients.consumer(configuration(cloud), group, **{"enable.partition.eof": True, "fetch.wait.max.ms": 50})
    found = None
    try:
        # All topics are asked for: a question for one makes it where brokers do so by themselves.
        if topic not in reader.list_topics(timeout=deadline.remaining()).topics:
            return None
        reader.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
        while True:
            message = reader.poll(deadline.remaining())
            if message is None:
                raise DeadlineError(f"no time was left to read topic {topic}; call again")
            error = message.error()
            if error is not None and error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - its public name
                return found
            if error is not None:
                raise fault(error, f"reading topic {topic}")
            found = message.value() if message.key() == key else found
    except KafkaException as error:
        raise fault(error.args[0], f"reading topic {topic}") from error
    finally:
        reader.close()


def write(cloud: Cloud, topic: str, key: bytes, value: bytes | None) -> None:
    """Append a record to topic-partition 0, and wait until it's there."""
    deadline, outcome = cloud.deadline.within(SECONDS), list[KafkaError | None]()
    writer = clients.producer(configuration(cloud))
    writer.produce(topic, value, key, 0, on_delivery=lambda error, _: outcome.append(error))
    writer.flush(deadline.remaining())
    if not outcome:
        raise DeadlineError(f"no time was left to write into topic {topic}; call again")
    if outcome[0] is not None:
        raise fault(outcome[0], f"writing into topic {topic}")


def is_empty(cloud: Cloud, topic: str) -> bool:
    """Whether a topic has never held a record: the log of each topic-partition ends at 0. So it is if there's none."""
    deadline = cloud.deadline.within(SECONDS)
    reader = clients.consumer(configuration(cloud), cloud.request.settings.group)
    try:
        # All topics are asked for: a question for one may create it.
        found = reader.list_topics(timeout=deadline.remaining()).topics.get(topic)
        places = [] if found is None else [(topic, number) for number in found.partitions]
        return not any(log_bounds.ends(reader, places, deadline).values())
    except RefusedError as error:
        if error.code != log_bounds.NO_SUCH_TOPIC:
            raise
        return True
    except KafkaException as error:
        raise fault(error.args[0], f"asking whether topic {topic} is empty") from error
    finally:
        reader.close()


def has_members(cloud: Cloud) -> bool:
    """Whether anybody is in the connector's group now, such as a stream that can't be looked at."""
    group = cloud.request.settings.group
    client = AdminClient(configuration(cloud))
    asked = client.describe_consumer_groups([group], request_timeout=min(SECONDS, cloud.deadline.remaining()))
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
def _asking(cloud: Cloud) -> Iterator[tuple[Consumer, Deadline]]:
    """A consumer with the group's name, which it doesn't join."""
    settings = cloud.request.settings
    reader = clients.consumer(configuration(cloud), settings.group)
    try:
        yield reader, cloud.deadline.within(SECONDS)
    except KafkaException as error:
        raise fault(error.args[0], f"asking about group {settings.group} and topic {settings.source_topic}") from error
    finally:
        reader.close()


def find_instance(cloud: Cloud) -> dict[str, Any]:
    """The Kafka instance as the service describes it; empty where the region has none of that id."""
    settings = cloud.request.settings
    answer = cloud.control.call(GET_INSTANCES, {"RegionId": settings.region, "InstanceId.1": settings.instance_id})
    found = (answer.get("InstanceList") or {}).get("InstanceVO") or []
    return next((one for one in found if one.get("InstanceId") == settings.instance_id), {})
