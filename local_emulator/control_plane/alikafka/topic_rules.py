"""The rules for new topics and groups, from the SDK's comments, the help pages and the connector document."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from local_emulator.control_plane.alikafka.entities import Topic
from local_emulator.control_plane.documents import parse_json
from local_emulator.control_plane.errors import ApiError

if TYPE_CHECKING:
    from local_emulator.control_plane.alikafka.entities import KafkaInstance
    from local_emulator.control_plane.dispatch import Call

REMARK = re.compile(r"[A-Za-z0-9_-]{3,64}")
_NAME_RESERVED = re.compile(r"[A-Za-z0-9_.-]{3,64}")
_NAME_SERVERLESS = re.compile(r"[A-Za-z0-9_.-]{1,249}")
_MOST_PARTITIONS = 360  # of one call
_DEFAULT_PARTITIONS = {True: "3", False: "12"}  # serverless, reserved
_REPLICAS = 3
_TAGS = 20
_SETTINGS: dict[str, tuple[int, int] | tuple[str, ...]] = {
    "retention.ms": (3_600_000, 31_536_000_000),
    "retention.hours": (24, 8760),
    "max.message.bytes": (1_048_576, 10_485_760),
    "message.timestamp.type": ("CreateTime", "LogAppendTime"),
    "replications": (1, _REPLICAS),
}


def read(call: Call, instance: KafkaInstance) -> Topic:
    """Return the topic that a CreateTopic call describes; ApiError BIZ_FIELD_CHECK_INVALID names a broken rule."""
    for name in ("RegionId", "Topic", "Remark"):
        call.required(name)
    local, compact = _storage(call, instance)
    replicas = _replicas(call)
    return Topic(
        name=entity_name(call, "Topic", instance),
        remark=remark(call),
        partitions=_partitions(call, instance, local=local),
        created=call.now,
        local=local,
        compact=compact,
        replicas=replicas,
        config=_config(call),
        tags=tags(call),
        polls=call.rules.kafka.creating_polls,
    )


def entity_name(call: Call, parameter: str, instance: KafkaInstance) -> str:
    """Return the name of a topic or a group; ApiError if the name breaks the instance's rule."""
    pattern = _NAME_SERVERLESS if instance.serverless else _NAME_RESERVED
    lengths = "1 to 249" if instance.serverless else "3 to 64"
    name = call.required(parameter)
    if not pattern.fullmatch(name):
        raise wrong(parameter, f"{lengths} of letters, digits, '_', '.' and '-'", name)
    return name


def remark(call: Call) -> str:
    """Return the remark about a topic or a group."""
    text = call.text("Remark")
    if text and not REMARK.fullmatch(text):
        raise wrong("Remark", "3 to 64 of letters, digits, '-' and '_'", text)
    return text


def tags(call: Call) -> dict[str, str]:
    """Return the tags from Tag.N.Key and Tag.N.Value, for N from 1 to 20."""
    numbers = range(1, _TAGS + 1)
    return {key: call.text(f"Tag.{index}.Value") for index in numbers if (key := call.text(f"Tag.{index}.Key"))}


def wrong(parameter: str, expected: str, found: object) -> ApiError:
    """Return the error for a parameter that breaks a rule."""
    return ApiError(400, "BIZ_FIELD_CHECK_INVALID", f"{parameter}: expected {expected}, found {found!r}.")


def number(call: Call, parameter: str, default: str, low: int, high: int) -> int:
    """Return a number from ``low`` to ``high`` that is sent as text; ApiError for anything else."""
    text = call.text(parameter, default)
    if not (text.isascii() and text.isdigit() and low <= int(text) <= high):
        raise wrong(parameter, f"a number from {low} to {high}", text)
    return int(text)


def _storage(call: Call, instance: KafkaInstance) -> tuple[bool, bool]:
    """Return whether the topic is on local storage, and whether it is compacted.

    Instances without local storage ignore both parameters.
    """
    local, compact = call.flag("LocalTopic"), call.flag("CompactTopic")
    if compact and not local:
        raise wrong("CompactTopic", "LocalTopic to be true as well, for only local storage is compacted", "false")
    if local and instance.series == "v2" and not instance.has_local_storage:
        raise wrong("LocalTopic", "false: the Standard edition has cloud storage only", "true")
    if local and instance.made_before_local_topics:
        raise wrong(
            "LocalTopic",
            f"false: version {instance.version} makes local topics only by itself, with automatic creation",
            "true",
        )
    local = local and instance.has_local_storage
    return local, local and compact


def _partitions(call: Call, instance: KafkaInstance, *, local: bool) -> int:
    least = 1 if local or instance.serverless else 2
    return number(call, "PartitionNum", _DEFAULT_PARTITIONS[instance.serverless], least, _MOST_PARTITIONS)


def _replicas(call: Call) -> int:
    replicas = number(call, "ReplicationFactor", str(_REPLICAS), 1, _REPLICAS)
    in_sync = number(call, "MinInsyncReplicas", "1", 1, _REPLICAS)
    if call.text("MinInsyncReplicas") and in_sync >= replicas:
        raise wrong("MinInsyncReplicas", f"less than the {replicas} replicas", in_sync)
    return replicas


def _config(call: Call) -> dict[str, str]:
    text = call.text("Config", "{}")
    try:
        settings = parse_json(text)
    except ValueError:
        raise wrong("Config", "a JSON object", text) from None
    if not isinstance(settings, dict):
        raise wrong("Config", "a JSON object", text)
    for key, value in settings.items():
        _check_setting(key, str(value))
    return {key: str(value) for key, value in settings.items()}


def _check_setting(key: str, value: str) -> None:
    allowed = _SETTINGS.get(key)
    if allowed is None:
        raise wrong("Config", f"one of {', '.join(_SETTINGS)}", key)
    low, high = allowed
    if isinstance(low, int) and isinstance(high, int):
        if not (value.isascii() and value.isdigit() and low <= int(value) <= high):
            raise wrong(f"Config.{key}", f"a number from {low} to {high}", value)
    elif value not in allowed:
        raise wrong(f"Config.{key}", f"{low} or {high}", value)
