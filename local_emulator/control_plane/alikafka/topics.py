"""AliKafka's actions on topics."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from local_emulator.control_plane.alikafka import cluster, topic_rules
from local_emulator.control_plane.alikafka.instances import existing_instance, instance_topics, milliseconds, success
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
    instance = existing_instance(call)
    topic = topic_rules.read(call, instance)
    existing = instance_topics(call, instance)
    if topic.name in existing:
        raise ApiError(400, call.rules.kafka.topic_exists, f"The topic exists already: {topic.name}.")
    _check_quotas(instance, existing, 1, topic.partitions)
    if call.surroundings.broker:
        cluster.make(call.surroundings.broker, topic)
    instance.topics[topic.name] = topic
    return success()


def list_topics(call: Call) -> dict[str, object]:
    """GetTopicList, in numbered pages; each call advances the creation of the topics that it shows."""
    instance = existing_instance(call)
    existing = instance_topics(call, instance)
    names = matching(call, sorted(existing), call.text("Topic"))
    listed, page = paged(call, names)
    return success(
        TopicList={"TopicVO": [_shown(instance, existing[name]) for name in listed]}, Total=len(names), **page
    )


def delete(call: Call) -> dict[str, object]:
    """DeleteTopic, with its records."""
    call.required("RegionId")
    instance, topic = _existing(call)
    if call.surroundings.broker:
        cluster.remove(call.surroundings.broker, topic.name)
    instance.topics.pop(topic.name, None)
    return success()


def widen(call: Call) -> dict[str, object]:
    """ModifyPartitionNum."""
    instance, topic = _existing(call)
    added = topic_rules.number(call, "AddPartitionNum", "", 1, 360)
    _check_quotas(instance, instance_topics(call, instance), 0, added)
    if call.surroundings.broker:
        cluster.widen(call.surroundings.broker, topic.name, topic.partitions + added)
    topic.partitions += added
    return success()


def show_status(call: Call) -> dict[str, object]:
    """GetTopicStatus: the topic's offsets, and the timestamps of its last records."""
    _, topic = _existing(call)
    broker = call.surroundings.broker
    ranges = cluster.offset_ranges(broker, {topic.name: topic.partitions}) if broker else {}
    last_offsets = {topic_partition: end - 1 for topic_partition, (first, end) in ranges.items() if end > first}
    last_times = cluster.timestamps(broker, last_offsets) if broker else {}
    table = [
        {
            "Topic": name,
            "Partition": partition,
            "MinOffset": first,
            "MaxOffset": end,
            "LastUpdateTimestamp": last_times.get((name, partition), -1),
        }
        for (name, partition), (first, end) in sorted(ranges.items())
    ]
    return success(
        TopicStatus={
            "TotalCount": sum(end - first for first, end in ranges.values()),
            "LastTimeStamp": max(last_times.values(), default=-1),
            "OffsetTable": {"OffsetTable": table},
        }
    )


def matching(call: Call, names: list[str], pattern: str) -> list[str]:
    """Return the names that match a filter, exactly or in a part, as `KafkaAssumptions.fuzzy_filters` says."""
    if not pattern:
        return names
    return [name for name in names if (pattern in name if call.rules.kafka.fuzzy_filters else pattern == name)]


def paged(call: Call, entries: Sequence[_Listed]) -> tuple[Sequence[_Listed], dict[str, object]]:
    """Return the page of a list that CurrentPage and PageSize select, and the answer's fields about the page."""
    current = topic_rules.number(call, "CurrentPage", "1", 1, _LONGEST_PAGE)
    size = topic_rules.number(call, "PageSize", "10", 1, _LONGEST_PAGE)
    return entries[(current - 1) * size : current * size], {"CurrentPage": current, "PageSize": size}


def shown_tags(tags: dict[str, str]) -> dict[str, object]:
    """Return tags as answers show them."""
    return {"TagVO": [{"Key": key, "Value": value} for key, value in tags.items()]}


def _existing(call: Call) -> tuple[KafkaInstance, Topic]:
    instance, name = existing_instance(call), call.required("Topic")
    topic = instance_topics(call, instance).get(name)
    if topic is None:
        raise ApiError(404, "BIZ_TOPIC_NOT_FOUND", f"The topic does not exist: {name}.")
    return instance, topic


def _check_quotas(instance: KafkaInstance, existing: dict[str, Topic], topics: int, partitions: int) -> None:
    """ApiError if the quotas don't allow so many more; the service's error code isn't known."""
    used = sum(topic.partitions for topic in existing.values())
    for kind, limit, needed in (
        ("topics", instance.topic_limit, len(existing) + topics),
        ("partitions", instance.partition_limit, used + partitions),
    ):
        if needed > limit:
            raise ApiError(400, "BIZ_QUOTA_EXCEEDED", f"The instance may have {limit} {kind}, this would be {needed}.")


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
