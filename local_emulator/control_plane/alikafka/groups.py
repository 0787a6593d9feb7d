"""AliKafka's actions on consumer groups."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from local_emulator.control_plane.alikafka import cluster, topic_rules
from local_emulator.control_plane.alikafka.entities import Group
from local_emulator.control_plane.alikafka.instances import answered, find, milliseconds, topics_of
from local_emulator.control_plane.alikafka.topics import matching, paged, shown_tags
from local_emulator.control_plane.errors import ApiError

if TYPE_CHECKING:
    from datetime import datetime

    from local_emulator.control_plane.alikafka.cluster import Positions
    from local_emulator.control_plane.alikafka.entities import KafkaInstance
    from local_emulator.control_plane.dispatch import Call
    from local_emulator.kafka.topics import TopicPartition

LATEST, EARLIEST = -1, -2
"""Of UpdateConsumerOffset's Time."""


def create(call: Call) -> dict[str, object]:
    """CreateConsumerGroup."""
    call.required("RegionId")
    instance = find(call)
    name = topic_rules.entity_name(call, "ConsumerId", instance)
    remark = topic_rules.remark(call)
    if name in instance.groups:
        raise ApiError(400, call.rules.kafka.group_exists, f"The group exists already: {name}.")
    if len(instance.groups) >= instance.group_limit:
        raise ApiError(400, "BIZ_QUOTA_EXCEEDED", f"The instance may have {instance.group_limit} groups, and has them.")
    instance.groups[name] = Group(name, call.now, remark, topic_rules.tags(call))
    return answered()


def join(instance: KafkaInstance, name: str, now: datetime) -> bool:
    """Whether a consumer may use a group, which is made for it where the instance does so."""
    if name not in instance.groups and instance.auto_groups:
        instance.groups[name] = Group(name, now, automatic=True)
    return name in instance.groups


def list_groups(call: Call) -> dict[str, object]:
    """GetConsumerList, in numbered pages."""
    call.required("RegionId")
    instance = find(call)
    names = matching(call, sorted(instance.groups), call.text("ConsumerId"))
    listed, page = paged(call, names)
    shown = [_shown(instance, instance.groups[name]) for name in listed]
    return answered(ConsumerList={"ConsumerVO": shown}, Total=len(names), **page)


def delete(call: Call) -> dict[str, object]:
    """DeleteConsumerGroup, with what it has committed."""
    call.required("RegionId")
    instance, group = _existing(call)
    if call.surroundings.broker:
        cluster.forget_group(call.surroundings.broker, group.name)
    del instance.groups[group.name]
    return answered()


def show_progress(call: Call) -> dict[str, object]:
    """GetConsumerProgress: of the topics that the group has committed offsets of."""
    call.required("RegionId")
    instance, group = _existing(call)
    broker = call.surroundings.broker
    if broker is None:
        return _progress("EMPTY", [])
    sizes = {name: topic.partitions for name, topic in topics_of(call, instance).items()}
    committed = cluster.committed(broker, group.name, sizes)
    ends = cluster.ends(broker, {topic: sizes[topic] for topic, _ in committed})
    times: Positions = {}
    if not call.flag("HideLastTimestamp"):
        read = {key: offset - 1 for key, offset in committed.items() if offset > ends[key][0]}
        times = cluster.timestamps(broker, read)
    topics = [
        _topic_progress(name, sizes[name], committed, ends, times) for name in sorted({name for name, _ in committed})
    ]
    return _progress(cluster.group_state(broker, group.name), topics)


def move(call: Call) -> dict[str, object]:
    """UpdateConsumerOffset: to a time, the ends, or given offsets of one topic, or of all that the group reads."""
    call.required("RegionId")
    instance, group = _existing(call)
    broker, how, topic = call.surroundings.broker, call.text("ResetType", "timestamp"), call.text("Topic")
    if how not in {"timestamp", "offset"}:
        raise topic_rules.wrong("ResetType", "timestamp or offset", how)
    if broker is None:
        raise topic_rules.wrong("ConsumerId", "a group of a broker; this control plane has none", group.name)
    sizes = {name: found.partitions for name, found in topics_of(call, instance).items()}
    if topic and topic not in sizes:
        raise ApiError(404, "BIZ_TOPIC_NOT_FOUND", f"The topic does not exist: {topic}.")
    if how == "offset":
        wanted = _given_offsets(call, topic, sizes.get(topic, 0))
    else:
        read = {topic} if topic else {name for name, _ in cluster.committed(broker, group.name, sizes)}
        chosen = {name: sizes[name] for name in read}
        time = _time(call)
        ends = cluster.ends(broker, chosen)
        wanted = (
            {key: bounds[1 if time == LATEST else 0] for key, bounds in ends.items()}
            if time in {LATEST, EARLIEST}
            else cluster.offsets_at(broker, chosen, time)
        )
    cluster.commit(broker, group.name, wanted)
    return answered()


def _existing(call: Call) -> tuple[KafkaInstance, Group]:
    instance, name = find(call), call.required("ConsumerId")
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
    """Offsets as a JSON list, which is how the SDK sends them."""
    text = call.required("Offsets")
    try:
        given = {int(one["Partition"]): int(one["Offset"]) for one in json.loads(text)}
    except (ValueError, TypeError, KeyError):
        raise topic_rules.wrong("Offsets", "a JSON list of objects with Partition and Offset", text) from None
    if not topic or not given or any(not 0 <= partition < partitions for partition in given) or min(given.values()) < 0:
        raise topic_rules.wrong("Offsets", "offsets from 0 of the topic's own partitions, and Topic to name it", text)
    return {(topic, partition): offset for partition, offset in given.items()}


def _topic_progress(
    name: str,
    partitions: int,
    committed: Positions,
    ends: dict[TopicPartition, tuple[int, int]],
    times: Positions,
) -> dict[str, Any]:
    """Of one topic; a topic-partition without a committed offset has none of it consumed."""
    offsets = []
    for partition in range(partitions):
        first, end = ends[name, partition]
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
        "TotalDiff": sum(one["Accumulate"] for one in offsets),
        "LastTimestamp": max(one["LastTimestamp"] for one in offsets),
        "OffsetList": {"OffsetList": offsets},
    }


def _progress(state: str, topics: list[dict[str, Any]]) -> dict[str, object]:
    """The SDK reads `state` in small letters, unlike all the rest."""
    return answered(
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
