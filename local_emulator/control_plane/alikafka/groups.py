"""AliKafka's actions on consumer groups."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from local_emulator.control_plane.alikafka import cluster, topic_rules
from local_emulator.control_plane.alikafka.entities import Group
from local_emulator.control_plane.alikafka.instances import existing_instance, instance_topics, milliseconds, success
from local_emulator.control_plane.alikafka.topics import matching, paged, shown_tags
from local_emulator.control_plane.documents import parse_json
from local_emulator.control_plane.errors import ApiError

if TYPE_CHECKING:
    from datetime import datetime

    from local_emulator.control_plane.alikafka.cluster import Positions
    from local_emulator.control_plane.alikafka.entities import KafkaInstance
    from local_emulator.control_plane.dispatch import Call
    from local_emulator.kafka.topics import TopicPartition

LATEST, EARLIEST = -1, -2
"""Special values of UpdateConsumerOffset's Time."""


def create(call: Call) -> dict[str, object]:
    """CreateConsumerGroup."""
    call.required("RegionId")
    instance = existing_instance(call)
    name = topic_rules.entity_name(call, "ConsumerId", instance)
    remark = topic_rules.remark(call)
    if name in instance.groups:
        raise ApiError(400, call.rules.kafka.group_exists, f"The group exists already: {name}.")
    if len(instance.groups) >= instance.group_limit:
        raise ApiError(400, "BIZ_QUOTA_EXCEEDED", f"The instance may have {instance.group_limit} groups, and has them.")
    instance.groups[name] = Group(name, call.now, remark, topic_rules.tags(call))
    return success()


def join(instance: KafkaInstance, name: str, now: datetime) -> bool:
    """Return whether a consumer can join the group; an instance with `auto_groups` creates an absent group."""
    if name not in instance.groups and instance.auto_groups:
        instance.groups[name] = Group(name, now, automatic=True)
    return name in instance.groups


def list_groups(call: Call) -> dict[str, object]:
    """GetConsumerList, in numbered pages."""
    call.required("RegionId")
    instance = existing_instance(call)
    names = matching(call, sorted(instance.groups), call.text("ConsumerId"))
    listed, page = paged(call, names)
    shown = [_shown(instance, instance.groups[name]) for name in listed]
    return success(ConsumerList={"ConsumerVO": shown}, Total=len(names), **page)


def delete(call: Call) -> dict[str, object]:
    """DeleteConsumerGroup, with its committed offsets."""
    call.required("RegionId")
    instance, group = _existing(call)
    if call.surroundings.broker:
        cluster.delete_group(call.surroundings.broker, group.name)
    del instance.groups[group.name]
    return success()


def show_progress(call: Call) -> dict[str, object]:
    """GetConsumerProgress: the group's progress in the topics for which the group has committed offsets."""
    call.required("RegionId")
    instance, group = _existing(call)
    broker = call.surroundings.broker
    if broker is None:
        return _progress("EMPTY", [])
    sizes = {name: topic.partitions for name, topic in instance_topics(call, instance).items()}
    committed = cluster.committed(broker, group.name, sizes)
    ranges = cluster.offset_ranges(broker, {topic: sizes[topic] for topic, _ in committed})
    times: Positions = {}
    if not call.flag("HideLastTimestamp"):
        last_consumed = {
            topic_partition: offset - 1
            for topic_partition, offset in committed.items()
            if offset > ranges[topic_partition][0]
        }
        times = cluster.timestamps(broker, last_consumed)
    topics = [
        _topic_progress(name, sizes[name], committed, ranges, times) for name in sorted({name for name, _ in committed})
    ]
    return _progress(cluster.group_state(broker, group.name), topics)


def move(call: Call) -> dict[str, object]:
    """UpdateConsumerOffset: set the group's offsets in one topic, or in all its topics.

    The new offsets are given, or those at a time, or the earliest, or the latest.
    """
    call.required("RegionId")
    instance, group = _existing(call)
    broker, reset_type, topic = call.surroundings.broker, call.text("ResetType", "timestamp"), call.text("Topic")
    if reset_type not in {"timestamp", "offset"}:
        raise topic_rules.wrong("ResetType", "timestamp or offset", reset_type)
    if broker is None:
        raise topic_rules.wrong("ConsumerId", "a group of a broker; this control plane has none", group.name)
    sizes = {name: entity.partitions for name, entity in instance_topics(call, instance).items()}
    if topic and topic not in sizes:
        raise ApiError(404, "BIZ_TOPIC_NOT_FOUND", f"The topic does not exist: {topic}.")
    if reset_type == "offset":
        offsets = _given_offsets(call, topic, sizes.get(topic, 0))
    else:
        names = {topic} if topic else {name for name, _ in cluster.committed(broker, group.name, sizes)}
        chosen = {name: sizes[name] for name in names}
        time = _time(call)
        ranges = cluster.offset_ranges(broker, chosen)
        offsets = (
            {topic_partition: bounds[1 if time == LATEST else 0] for topic_partition, bounds in ranges.items()}
            if time in {LATEST, EARLIEST}
            else cluster.offsets_at(broker, chosen, time)
        )
    cluster.commit(broker, group.name, offsets)
    return success()


def _existing(call: Call) -> tuple[KafkaInstance, Group]:
    instance, name = existing_instance(call), call.required("ConsumerId")
    group = instance.groups.get(name)
    if group is None:
        raise ApiError(404, "BIZ_SUBSCRIPTION_NOT_FOUND", f"The group does not exist: {name}.")
    return instance, group


def _time(call: Call) -> int:
    text = call.required("Time")
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit()) or int(text) < EARLIEST:
        raise topic_rules.wrong("Time", "milliseconds since 1970, -1 for the latest or -2 for the earliest", text)
    return int(text)


def _given_offsets(call: Call, topic: str, partitions: int) -> dict[TopicPartition, int]:
    """Return the offsets from a JSON list, which the SDK sends."""
    text = call.required("Offsets")
    try:
        given = {int(entry["Partition"]): int(entry["Offset"]) for entry in parse_json(text)}
    except (ValueError, OverflowError, TypeError, KeyError):
        raise topic_rules.wrong("Offsets", "a JSON list of objects with Partition and Offset", text) from None
    if not topic or not given or any(not 0 <= partition < partitions for partition in given) or min(given.values()) < 0:
        raise topic_rules.wrong("Offsets", "offsets from 0 of the topic's own partitions, and Topic to name it", text)
    return {(topic, partition): offset for partition, offset in given.items()}


def _topic_progress(
    name: str,
    partitions: int,
    committed: Positions,
    ranges: dict[TopicPartition, tuple[int, int]],
    times: Positions,
) -> dict[str, Any]:
    """Return the progress in one topic; a topic-partition without a committed offset counts as not consumed."""
    offsets = []
    for partition in range(partitions):
        first, end = ranges[name, partition]
        consumed = committed.get((name, partition), first)
        offsets.append(
            {
                "Partition": partition,
                "BrokerOffset": end,
                "ConsumerOffset": consumed,
                "Accumulate": max(0, end - max(first, consumed)),
                "LastTimestamp": times.get((name, partition), -1),
            }
        )
    return {
        "Topic": name,
        "TotalDiff": sum(entry["Accumulate"] for entry in offsets),
        "LastTimestamp": max(entry["LastTimestamp"] for entry in offsets),
        "OffsetList": {"OffsetList": offsets},
    }


def _progress(state: str, topics: list[dict[str, Any]]) -> dict[str, object]:
    """Return GetConsumerProgress's answer; the SDK reads `state` in lower case, unlike the other fields."""
    return success(
        ConsumerProgress={
            "TotalDiff": sum(topic["TotalDiff"] for topic in topics),
            "LastTimestamp": max((topic["LastTimestamp"] for topic in topics), default=-1),
            "state": state,
            "TopicList": {"TopicList": topics},
            "RebalanceInfoList": {"RebalanceInfoList": []},
        }
    )


def _shown(instance: KafkaInstance, group: Group) -> dict[str, object]:
    return {
        "ConsumerId": group.name,
        "Remark": group.remark,
        "CreateTime": milliseconds(group.created.timestamp()),
        "AutomaticallyCreatedGroup": group.automatic,
        "InstanceId": instance.id,
        "RegionId": instance.region,
        "Tags": shown_tags(group.tags),
    }
