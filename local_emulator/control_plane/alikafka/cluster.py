"""AliKafka's operations on the broker: topics, their offsets, and the committed offsets of groups.

The embedded broker can't widen a topic: a request to do so is refused. It doesn't report a group's state.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaError, KafkaException
from confluent_kafka import TopicPartition as Place
from confluent_kafka.admin import ConfigResource, OffsetSpec, ResourceType
from confluent_kafka.cimpl import NewPartitions, NewTopic
from tenacity import Retrying, retry_if_result, stop_after_delay, wait_random

from local_emulator.control_plane.errors import ApiError
from local_emulator.kafka import group_offsets
from local_emulator.kafka import topics as kafka_topics
from local_emulator.kafka.embedded import EmbeddedBroker

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from concurrent.futures import Future
    from typing import TypeVar

    from local_emulator.control_plane.alikafka.entities import Topic
    from local_emulator.kafka.broker import Broker
    from local_emulator.kafka.topics import TopicPartition

    _Result = TypeVar("_Result")
    Positions = dict[TopicPartition, int]

REQUEST_SECONDS = 10.0
READ_SECONDS = 2.0
"""The longest time for reading the last records' timestamps: a compacted or aborted record can't be read."""
_HOUR_MS = 3_600_000
_CLEANUP = "cleanup.policy"
_EARLIEST = OffsetSpec.earliest()  # type: ignore[no-untyped-call]  # the library's annotations are incomplete
_LATEST = OffsetSpec.latest()  # type: ignore[no-untyped-call]  # as above
_HAS_MEMBERS = (KafkaError.NON_EMPTY_GROUP, KafkaError.UNKNOWN_MEMBER_ID)
_ABSENT = (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError.GROUP_ID_NOT_FOUND)


def sizes(broker: Broker) -> dict[str, int]:
    """Return each topic's number of topic-partitions, by name, without Kafka's internal topics."""
    try:
        topics = kafka_topics.client(broker.bootstrap_servers).list_topics(timeout=REQUEST_SECONDS).topics
    except KafkaException as error:
        raise _failed("listing the topics", error) from error
    return {name: len(topic.partitions) for name, topic in topics.items() if not name.startswith("__")}


def compacted(broker: Broker, names: Collection[str]) -> set[str]:
    """Return which of these topics the broker compacts; the embedded broker compacts none."""
    if isinstance(broker, EmbeddedBroker) or not names:
        return set()
    admin = kafka_topics.client(broker.bootstrap_servers)
    futures = admin.describe_configs(
        [ConfigResource(ResourceType.TOPIC, name) for name in names], request_timeout=REQUEST_SECONDS
    )
    settings_by_topic = {
        resource.name: _result(future, f"describing topic {resource.name}") for resource, future in futures.items()
    }
    return {name for name, settings in settings_by_topic.items() if "compact" in str(settings[_CLEANUP].value)}


def make(broker: Broker, topic: Topic) -> None:
    """Create a topic unless it exists; the local cloud's one broker has one replica of it."""
    existing = sizes(broker).get(topic.name)
    if existing == topic.partitions:
        return
    if existing is not None:
        raise _refused(f"topic {topic.name} has {existing} topic-partitions in the broker already")
    if isinstance(broker, EmbeddedBroker):
        broker.create_topic(topic.name, topic.partitions)
        return
    admin = kafka_topics.client(broker.bootstrap_servers)
    new = NewTopic(topic.name, num_partitions=topic.partitions, replication_factor=1, config=_settings(topic))
    _result(
        admin.create_topics([new], operation_timeout=REQUEST_SECONDS, request_timeout=REQUEST_SECONDS)[topic.name],
        f"creating topic {topic.name}",
    )
    _await(broker, topic.name, topic.partitions)


def remove(broker: Broker, name: str) -> None:
    """Delete a topic if it exists."""
    if isinstance(broker, EmbeddedBroker):
        if name in sizes(broker):
            broker.delete_topic(name)
        return
    admin = kafka_topics.client(broker.bootstrap_servers)
    deleting = admin.delete_topics([name], operation_timeout=REQUEST_SECONDS, request_timeout=REQUEST_SECONDS)[name]
    _finish(deleting, f"deleting topic {name}")
    _await(broker, name, None)


def widen(broker: Broker, name: str, partitions: int) -> None:
    """Add topic-partitions to a topic, up to ``partitions``."""
    if isinstance(broker, EmbeddedBroker):
        raise _refused(f"the embedded broker can't widen topic {name}: run with KAFKA=apache")
    admin = kafka_topics.client(broker.bootstrap_servers)
    growing = admin.create_partitions([NewPartitions(name, partitions)], request_timeout=REQUEST_SECONDS)[name]
    _result(growing, f"widening topic {name}")
    _await(broker, name, partitions)


def offset_ranges(broker: Broker, topics: Mapping[str, int]) -> dict[TopicPartition, tuple[int, int]]:
    """Return the first and the next offset of each topic-partition of topics (name: number of topic-partitions)."""
    places = [Place(name, partition) for name, count in topics.items() for partition in range(count)]
    if not places:
        return {}
    earliest = _list_offsets(broker, dict.fromkeys(places, _EARLIEST))
    latest = _list_offsets(broker, dict.fromkeys(places, _LATEST))
    return {topic_partition: (first, latest[topic_partition]) for topic_partition, first in earliest.items()}


def offsets_at(broker: Broker, topics: Mapping[str, int], milliseconds: int) -> Positions:
    """Return each topic-partition's first offset at or after a timestamp; without such a record, the next offset."""
    if isinstance(broker, EmbeddedBroker):
        raise _refused("the embedded broker can't look for a timestamp: run with KAFKA=apache")
    specs = {
        Place(name, partition): OffsetSpec.for_timestamp(milliseconds)
        for name, count in topics.items()
        for partition in range(count)
    }
    offsets = _list_offsets(broker, specs) if specs else {}
    ranges = offset_ranges(broker, topics)
    return {
        topic_partition: ranges[topic_partition][1] if offset < 0 else offset
        for topic_partition, offset in offsets.items()
    }


def committed(broker: Broker, group: str, topics: Mapping[str, int]) -> Positions:
    """Return a group's committed offsets; a topic-partition without a commit is left out."""
    places = [Place(name, partition) for name, count in topics.items() for partition in range(count)]
    if not places:
        return {}
    admin = kafka_topics.client(broker.bootstrap_servers)
    futures = admin.list_consumer_group_offsets(
        [ConsumerGroupTopicPartitions(group, places)], request_timeout=REQUEST_SECONDS
    )
    answer = _result(futures[group], f"listing the offsets of group {group}")
    return {(place.topic, place.partition): place.offset for place in answer.topic_partitions if place.offset >= 0}


def commit(broker: Broker, group: str, offsets: Mapping[TopicPartition, int]) -> None:
    """Set a group's committed offsets; ApiError if the group has members."""
    if not offsets:
        return
    if isinstance(broker, EmbeddedBroker):
        _set_offsets(broker, group, offsets)
        return
    admin = kafka_topics.client(broker.bootstrap_servers)
    places = [Place(topic, partition, offset) for (topic, partition), offset in offsets.items()]
    futures = admin.alter_consumer_group_offsets(
        [ConsumerGroupTopicPartitions(group, places)], request_timeout=REQUEST_SECONDS
    )
    answer = _result(futures[group], f"setting the offsets of group {group}")
    for place in answer.topic_partitions:
        if place.error:
            raise _refused(f"group {group} keeps its offset of {place.topic}-{place.partition}: {place.error.str()}")


def delete_group(broker: Broker, group: str) -> None:
    """Delete a group with its committed offsets; ApiError if the group has members."""
    if isinstance(broker, EmbeddedBroker):
        present = committed(broker, group, sizes(broker))
        _set_offsets(broker, group, dict.fromkeys(present, group_offsets.REMOVED))
        return
    admin = kafka_topics.client(broker.bootstrap_servers)
    deleting = admin.delete_consumer_groups([group], request_timeout=REQUEST_SECONDS)[group]
    _finish(deleting, f"deleting group {group}")


def _set_offsets(broker: EmbeddedBroker, group: str, offsets: Mapping[TopicPartition, int]) -> None:
    try:
        group_offsets.set_offsets(broker.bootstrap_servers, group, offsets)
    except group_offsets.GroupMembersError as error:
        raise _refused(str(error)) from error


def group_state(broker: Broker, group: str) -> str:
    """Return a group's state, such as STABLE or EMPTY; UNKNOWN from the embedded broker, which can't report it."""
    if isinstance(broker, EmbeddedBroker):
        return "UNKNOWN"
    admin = kafka_topics.client(broker.bootstrap_servers)
    description = _result(
        admin.describe_consumer_groups([group], request_timeout=REQUEST_SECONDS)[group], f"describing group {group}"
    )
    return str(description.state.name)


def timestamps(broker: Broker, offsets: Mapping[TopicPartition, int]) -> Positions:
    """Return the timestamps of the records at these offsets, in milliseconds.

    A record that can't be read within `READ_SECONDS` is left out.
    """
    places = [Place(topic, partition, offset) for (topic, partition), offset in offsets.items()]
    times: Positions = {}
    if not places:
        return times
    reader = Consumer(
        {"bootstrap.servers": broker.bootstrap_servers, "group.id": "control-plane", "enable.auto.commit": False}
        | {"log_level": 0, "fetch.wait.max.ms": 50}
    )
    deadline = time.monotonic() + READ_SECONDS
    try:
        reader.assign(places)
        while len(times) < len(places) and time.monotonic() < deadline:
            for message in reader.consume(len(places), 0.1):
                if message.error() is None:
                    times.setdefault((str(message.topic()), int(message.partition() or 0)), message.timestamp()[1])
    finally:
        reader.close()
    return times


def _list_offsets(broker: Broker, specs: dict[Place, OffsetSpec]) -> Positions:
    admin = kafka_topics.client(broker.bootstrap_servers)  # kept until the end: its futures need the client
    futures = admin.list_offsets(specs, request_timeout=REQUEST_SECONDS)
    return {
        (place.topic, place.partition): _result(future, "listing offsets").offset for place, future in futures.items()
    }


def _await(broker: Broker, name: str, partitions: int | None) -> None:
    """Wait until the broker lists the topic with so many topic-partitions (None: no longer lists the topic)."""
    Retrying(
        retry=retry_if_result(lambda listed: listed.get(name) != partitions),
        stop=stop_after_delay(REQUEST_SECONDS),
        wait=wait_random(0.02, 0.1),
    )(sizes, broker)


def _settings(topic: Topic) -> dict[str, str]:
    """Return a topic's configuration with Kafka's names of the settings."""
    settings = {name: value for name, value in topic.config.items() if name in _KAFKA_SETTINGS}
    if "retention.hours" in topic.config:
        settings["retention.ms"] = str(int(topic.config["retention.hours"]) * _HOUR_MS)
    return {**settings, _CLEANUP: "compact" if topic.compact else "delete"}


_KAFKA_SETTINGS = frozenset({"retention.ms", "max.message.bytes", "message.timestamp.type"})


def _result(future: Future[_Result], doing: str) -> _Result:
    """Return the broker's answer."""
    try:
        return future.result(2 * REQUEST_SECONDS)
    except KafkaException as error:
        raise _failed(doing, error) from error


def _finish(future: Future[None], doing: str) -> None:
    """Wait for a deletion; deleting something absent is no error."""
    try:
        future.result(2 * REQUEST_SECONDS)
    except KafkaException as error:
        if error.args[0].code() not in _ABSENT:
            raise _failed(doing, error) from error


def _failed(doing: str, error: KafkaException) -> ApiError:
    if error.args[0].code() in _HAS_MEMBERS:
        return _refused(f"{doing}: stop its consumers first ({error.args[0].str()})")
    return ApiError(500, "ONS_SYSTEM_ERROR", f"the broker refused {doing} ({error.args[0].str()})")


def _refused(message: str) -> ApiError:
    return ApiError(400, "BIZ_FIELD_CHECK_INVALID", message)
