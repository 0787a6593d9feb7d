"""What AliKafka does in the broker: topics, their offsets, and the offsets of groups.

The embedded broker can't widen a topic, nor forget what a group has committed: the one is refused, the other left.
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
"""For the last records' timestamps: a compacted or aborted record can't be read, and nobody waits long for it."""
_HOUR_MS = 3_600_000
_CLEANUP = "cleanup.policy"
_EARLIEST = OffsetSpec.earliest()  # type: ignore[no-untyped-call]  # the library's annotations are incomplete
_LATEST = OffsetSpec.latest()  # type: ignore[no-untyped-call]  # as above
_HAS_MEMBERS = (KafkaError.NON_EMPTY_GROUP, KafkaError.UNKNOWN_MEMBER_ID)
_ABSENT = (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError.GROUP_ID_NOT_FOUND)


def sizes(broker: Broker) -> dict[str, int]:
    """How many topic-partitions each topic of the broker has; none of Kafka's own topics."""
    try:
        found = kafka_topics.client(broker.bootstrap_servers).list_topics(timeout=REQUEST_SECONDS).topics
    except KafkaException as error:
        raise _failed("listing the topics", error) from error
    return {name: len(topic.partitions) for name, topic in found.items() if not name.startswith("__")}


def compacted(broker: Broker, names: Collection[str]) -> set[str]:
    """Which of these topics the broker compacts; the embedded one compacts none."""
    if isinstance(broker, EmbeddedBroker) or not names:
        return set()
    admin = kafka_topics.client(broker.bootstrap_servers)
    asked = admin.describe_configs(
        [ConfigResource(ResourceType.TOPIC, name) for name in names], request_timeout=REQUEST_SECONDS
    )
    found = {one.name: _result(future, f"describing topic {one.name}") for one, future in asked.items()}
    return {name for name, settings in found.items() if "compact" in str(settings[_CLEANUP].value)}


def make(broker: Broker, topic: Topic) -> None:
    """Make a topic unless it is there; with one broker, of one replica."""
    there = sizes(broker).get(topic.name)
    if there == topic.partitions:
        return
    if there is not None:
        raise _refused(f"topic {topic.name} has {there} topic-partitions in the broker already")
    if isinstance(broker, EmbeddedBroker):
        broker.create_topic(topic.name, topic.partitions)
        return
    admin = kafka_topics.client(broker.bootstrap_servers)
    wanted = NewTopic(topic.name, num_partitions=topic.partitions, replication_factor=1, config=_settings(topic))
    _result(
        admin.create_topics([wanted], operation_timeout=REQUEST_SECONDS, request_timeout=REQUEST_SECONDS)[topic.name],
        f"creating topic {topic.name}",
    )
    _await(broker, topic.name, topic.partitions)


def remove(broker: Broker, name: str) -> None:
    """Delete a topic, unless it's gone already."""
    if isinstance(broker, EmbeddedBroker):
        if name in sizes(broker):
            broker.delete_topic(name)
        return
    admin = kafka_topics.client(broker.bootstrap_servers)
    deleting = admin.delete_topics([name], operation_timeout=REQUEST_SECONDS, request_timeout=REQUEST_SECONDS)[name]
    _finish(deleting, f"deleting topic {name}")
    _await(broker, name, None)


def widen(broker: Broker, name: str, partitions: int) -> None:
    """Let a topic have so many topic-partitions."""
    if isinstance(broker, EmbeddedBroker):
        raise _refused(f"the embedded broker can't widen topic {name}: run with KAFKA=apache")
    admin = kafka_topics.client(broker.bootstrap_servers)
    growing = admin.create_partitions([NewPartitions(name, partitions)], request_timeout=REQUEST_SECONDS)[name]
    _result(growing, f"widening topic {name}")
    _await(broker, name, partitions)


def ends(broker: Broker, topics: Mapping[str, int]) -> dict[TopicPartition, tuple[int, int]]:
    """The first and the next offset of each topic-partition of topics (name: count of topic-partitions)."""
    wanted = [Place(name, number) for name, count in topics.items() for number in range(count)]
    if not wanted:
        return {}
    admin = kafka_topics.client(broker.bootstrap_servers)
    found: list[Positions] = []
    for spec in (_EARLIEST, _LATEST):
        asked = admin.list_offsets(dict.fromkeys(wanted, spec), request_timeout=REQUEST_SECONDS)
        found.append(
            {(one.topic, one.partition): _result(future, "listing offsets").offset for one, future in asked.items()}
        )
    return {key: (first, found[1][key]) for key, first in found[0].items()}


def offsets_at(broker: Broker, topics: Mapping[str, int], milliseconds: int) -> Positions:
    """The first offset of each topic-partition whose record has that timestamp or a later one, or the next offset."""
    wanted = {
        Place(name, number): OffsetSpec.for_timestamp(milliseconds)
        for name, count in topics.items()
        for number in range(count)
    }
    if isinstance(broker, EmbeddedBroker):
        raise _refused("the embedded broker can't look for a timestamp: run with KAFKA=apache")
    admin = kafka_topics.client(broker.bootstrap_servers)
    asked = admin.list_offsets(wanted, request_timeout=REQUEST_SECONDS) if wanted else {}
    found = {(one.topic, one.partition): _result(future, "listing offsets").offset for one, future in asked.items()}
    latest = ends(broker, topics)
    return {key: latest[key][1] if offset < 0 else offset for key, offset in found.items()}


def committed(broker: Broker, group: str, topics: Mapping[str, int]) -> Positions:
    """The offsets that a group has committed, where it has."""
    wanted = [Place(name, number) for name, count in topics.items() for number in range(count)]
    if not wanted:
        return {}
    admin = kafka_topics.client(broker.bootstrap_servers)
    asked = admin.list_consumer_group_offsets(
        [ConsumerGroupTopicPartitions(group, wanted)], request_timeout=REQUEST_SECONDS
    )
    found = _result(asked[group], f"asking for the offsets of group {group}")
    return {(one.topic, one.partition): one.offset for one in found.topic_partitions if one.offset >= 0}


def commit(broker: Broker, group: str, offsets: Mapping[TopicPartition, int]) -> None:
    """Set a group's offsets; ApiError while it has members."""
    if not offsets:
        return
    admin = kafka_topics.client(broker.bootstrap_servers)
    wanted = [Place(topic, partition, offset) for (topic, partition), offset in offsets.items()]
    asked = admin.alter_consumer_group_offsets(
        [ConsumerGroupTopicPartitions(group, wanted)], request_timeout=REQUEST_SECONDS
    )
    found = _result(asked[group], f"setting the offsets of group {group}")
    for one in found.topic_partitions:
        if one.error:
            raise _refused(f"group {group} keeps its offset of {one.topic}-{one.partition}: {one.error.str()}")


def forget_group(broker: Broker, group: str) -> None:
    """Let the broker forget a group; ApiError while it has members. The embedded one keeps its offsets."""
    if isinstance(broker, EmbeddedBroker):
        return
    admin = kafka_topics.client(broker.bootstrap_servers)
    asked = admin.delete_consumer_groups([group], request_timeout=REQUEST_SECONDS)[group]
    _finish(asked, f"deleting group {group}")


def group_state(broker: Broker, group: str) -> str:
    """STABLE, EMPTY and so on; UNKNOWN where the broker can't say, as the embedded one can't."""
    if isinstance(broker, EmbeddedBroker):
        return "UNKNOWN"
    admin = kafka_topics.client(broker.bootstrap_servers)
    found = _result(
        admin.describe_consumer_groups([group], request_timeout=REQUEST_SECONDS)[group], f"describing group {group}"
    )
    return str(found.state.name)


def timestamps(broker: Broker, offsets: Mapping[TopicPartition, int]) -> Positions:
    """The timestamps of the records at these offsets, in milliseconds, as far as they can be read soon."""
    wanted = [Place(topic, partition, offset) for (topic, partition), offset in offsets.items()]
    found: Positions = {}
    if not wanted:
        return found
    reader = Consumer(
        {"bootstrap.servers": broker.bootstrap_servers, "group.id": "control-plane", "enable.auto.commit": False}
        | {"log_level": 0, "fetch.wait.max.ms": 50}
    )
    deadline = time.monotonic() + READ_SECONDS
    try:
        reader.assign(wanted)
        while len(found) < len(wanted) and time.monotonic() < deadline:
            for message in reader.consume(len(wanted), 0.1):
                if message.error() is None:
                    found.setdefault((str(message.topic()), int(message.partition() or 0)), message.timestamp()[1])
    finally:
        reader.close()
    return found


def _await(broker: Broker, name: str, partitions: int | None) -> None:
    """Return when the broker lists a topic with so many topic-partitions, or not at all; it knows a moment later."""
    Retrying(
        retry=retry_if_result(lambda there: there.get(name) != partitions),
        stop=stop_after_delay(REQUEST_SECONDS),
        wait=wait_random(0.02, 0.1),
    )(sizes, broker)


def _settings(topic: Topic) -> dict[str, str]:
    """A topic's configuration in Kafka's own words."""
    settings = {name: value for name, value in topic.config.items() if name in _KAFKA_SETTINGS}
    if "retention.hours" in topic.config:
        settings["retention.ms"] = str(int(topic.config["retention.hours"]) * _HOUR_MS)
    return {**settings, _CLEANUP: "compact" if topic.compact else "delete"}


_KAFKA_SETTINGS = frozenset({"retention.ms", "max.message.bytes", "message.timestamp.type"})


def _result(future: Future[_Result], doing: str) -> _Result:
    """What the broker answered."""
    try:
        return future.result(2 * REQUEST_SECONDS)
    except KafkaException as error:
        raise _failed(doing, error) from error


def _finish(future: Future[None], doing: str) -> None:
    """Wait for a deletion; of what isn't there, it's done."""
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
