"""AliKafka's actions on topics."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from local_emulator.control_plane.alikafka import cluster, topic_rules
from local_emulator.control_plane.alikafka.instances import answered, find, milliseconds, topics_of
from local_emulator.control_plane.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TypeVar

    from local_emulator.control_plane.alikafka.entities import KafkaInstance, Topic
    from local_emulator.control_plane.dispatch import Call

    _Listed = TypeVar("_Listed")

_RUNNING = (0, "Running")
_CREATING = (1, "Creating")
_LONGEST_PAGE = 10_000


def create(call: Call) -> dict[str, object]:
    """CreateTopic."""
    instance = find(call)
    topic = topic_rules.read(call, instance)
    there = topics_of(call, instance)
    if topic.name in there:
        raise ApiError(400, call.rules.kafka.topic_exists, f"The topic exists already: {topic.name}.")
    _check_room(instance, there, 1, topic.partitions)
    if call.surroundings.broker:
        cluster.make(call.surroundings.broker, topic)
    instance.topics[topic.name] = topic
    return answered()


def list_topics(call: Call) -> dict[str, object]:
    """GetTopicList, in numbered pages; looking at a topic that is being made brings it forward."""
    instance = find(call)
    there = topics_of(call, instance)
    names = matching(call, sorted(there), call.text("Topic"))
    listed, page = paged(call, names)
    return answered(TopicList={"TopicVO": [_shown(instance, there[name]) for name in listed]}, Total=len(names), **page)


def delete(call: Call) -> dict[str, object]:
    """DeleteTopic, with its records."""
    call.required("RegionId")
    instance, topic = _existing(call)
    if call.surroundings.broker:
        cluster.remove(call.surroundings.broker, topic.name)
    instance.topics.pop(topic.name, None)
    return answered()


def widen(call: Call) -> dict[str, object]:
    """ModifyPartitionNum."""
    instance, topic = _existing(call)
    added = topic_rules.number(call, "AddPartitionNum", "", 1, 360)
    _check_room(instance, topics_of(call, instance), 0, added)
    if call.surroundings.broker:
        cluster.widen(call.surroundings.broker, topic.name, topic.partitions + added)
    topic.partitions += added
    return answered()


def show_status(call: Call) -> dict[str, object]:
    """GetTopicStatus: how much is in it, and how recent."""
    _, topic = _existing(call)
    broker = call.surroundings.broker
    ends = cluster.ends(broker, {topic.name: topic.partitions}) if broker else {}
    last = (
        cluster.timestamps(broker, {key: end - 1 for key, (first, end) in ends.items() if end > first})
        if broker
        else {}
    )
    table = [
        {
            "Topic": name,
            "Partition": partition,
            "MinOffset": first,
            "MaxOffset": end,
            "LastUpdateTimestamp": last.get((name, partition), -1),
        }
        for (name, partition), (first, end) in sorted(ends.items())
    ]
    return answered(
        TopicStatus={
            "TotalCount": sum(end - first for first, end in ends.values()),
            "LastTimeStamp": max(last.values(), default=-1),
            "OffsetTable": {"OffsetTable": table},
        }
    )


def matching(call: Call, names: list[str], wanted: str) -> list[str]:
    """The names that a filter lets through; whether the service's is exact isn't known."""
    if not wanted:
        return names
    return [name for name in names if (wanted in name if call.rules.kafka.fuzzy_filters else wanted == name)]


def paged(call: Call, found: Sequence[_Listed]) -> tuple[Sequence[_Listed], dict[str, object]]:
    """The page of a list that CurrentPage and PageSize ask for, and what an answer says of it."""
    current = topic_rules.number(call, "CurrentPage", "1", 1, _LONGEST_PAGE)
    size = topic_rules.number(call, "PageSize", "10", 1, _LONGEST_PAGE)
    return found[(current - 1) * size : current * size], {"CurrentPage": current, "PageSize": size}


def shown_tags(tags: dict[str, str]) -> dict[str, object]:
    """Tags in an answer."""
    return {"TagVO": [{"Key": key, "Value": value} for key, value in tags.items()]}


def _existing(call: Call) -> tuple[KafkaInstance, Topic]:
    instance, name = find(call), call.required("Topic")
    topic = topics_of(call, instance).get(name)
    if topic is None:
        raise ApiError(404, "BIZ_TOPIC_NOT_FOUND", f"The topic does not exist: {name}.")
    return instance, topic


def _check_room(instance: KafkaInstance, there: dict[str, Topic], topics: int, partitions: int) -> None:
    """ApiError if the quotas don't allow so many more; the service's code for it isn't known."""
    used = sum(topic.partitions for topic in there.values())
    for what, limit, needed in (
        ("topics", instance.topic_limit, len(there) + topics),
        ("partitions", instance.partition_limit, used + partitions),
    ):
        if needed > limit:
            raise ApiError(400, "BIZ_QUOTA_EXCEEDED", f"The instance may have {limit} {what}, this would be {needed}.")


def _shown(instance: KafkaInstance, topic: Topic) -> dict[str, object]:
    status, name = _CREATING if topic.polls else _RUNNING
    topic.polls = max(0, topic.polls - 1)
    return {
        "Topic": topic.name,
        "Status": status,
        "StatusName": name,
        "LocalTopic": topic.local,
        "CompactTopic": topic.compact,
        "PartitionNum": topic.partitions,
        "Remark": topic.remark,
        "TopicConfig": json.dumps(topic.config),
        "AutoCreate": topic.automatic,
        "CreateTime": milliseconds(topic.created.timestamp()),
        "InstanceId": instance.id,
        "RegionId": instance.region,
        "Tags": shown_tags(topic.tags),
    }
