"""Triggers and settings of an event stream, for the tests of everything that has to do with it."""

from __future__ import annotations

from typing import Any

from local_emulator.eventbridge.config import StreamConfig


def trigger(**changes: Any) -> dict[str, Any]:
    """A `triggerConfig` that is right; `changes` are dotted paths with __ for the dot, `...` takes a key away."""
    whole: dict[str, Any] = {
        "triggerEnable": True,
        "asyncInvocationType": False,
        "eventRuleFilterPattern": "{}",
        "eventSinkConfig": {
            "deliveryOption": {"mode": "event-streaming", "eventSchema": "CloudEvents", "concurrency": 6}
        },
        "runOptions": {
            "mode": "event-streaming",
            "maximumTasks": 6,
            "errorsTolerance": "NONE",
            "retryStrategy": {"PushRetryStrategy": "EXPONENTIAL_DECAY_RETRY"},
            "batchWindow": {"CountBasedWindow": 10_000, "TimeBasedWindow": 10},
        },
        "eventSourceConfig": {
            "eventSourceType": "Kafka",
            "eventSourceParameters": {
                "sourceKafkaParameters": {
                    "RegionId": "cn-hangzhou",
                    "InstanceId": "alikafka_post-cn-x",
                    "Topic": "orders",
                    "ConsumerGroup": "connect-orders",
                    "OffsetReset": "earliest",
                    "Network": "Default",
                }
            },
        },
    }
    for path, value in changes.items():
        *parents, key = path.split("__")
        place = whole
        for parent in parents:
            place = place[parent]
        if value is ...:
            del place[key]
        else:
            place[key] = value
    return whole


def settings(**changes: Any) -> StreamConfig:
    """Settings of a small, quick stream; `changes` override fields."""
    return StreamConfig(
        **{
            "topic": "orders",
            "group": "connect-orders",
            "region": "cn-hangzhou",
            "instance_id": "alikafka_post-cn-x",
            "offset_reset": "earliest",
            "value_type": "Text",
            "event_schema": "CloudEvents",
            "batch_count": 10,
            "batch_seconds": 0,
            "retry_strategy": "BACKOFF_RETRY",
            "errors_tolerance": "NONE",
            "concurrency": 1,
            "maximum_tasks": 1,
            "dead_letter_arn": None,
            "enabled": True,
            **changes,
        }
    )
