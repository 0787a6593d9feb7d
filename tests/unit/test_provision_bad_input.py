"""Every rule of the connector document (D01-D25) broken by itself, and all that can be at once; the message of each."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kafka_maxcompute.errors import ConfigurationError
from kafka_maxcompute.maxcompute.column import Column
from kafka_maxcompute.maxcompute.table import POSITION, TableDefinition
from provisioning.preflight import faults as preflight_faults
from provisioning.preflight_facts import Facts
from provisioning.request import Request, read
from provisioning.resources.event_stream import EventStream, StreamState
from provisioning.resources.role import Role, RoleState, trust
from provisioning.resources.table import Table
from provisioning.resources.trigger import Trigger, TriggerState
from provisioning.step import Step, step
from provisioning.unsafe_settings import refusals

pytestmark = pytest.mark.quick

SETTING: dict[str, Any] = {
    "name": "orders",
    "instance_id": "alikafka_x",
    "source_topic": "orders-in",
    "endpoint": "http://service.cn-hangzhou-vpc.maxcompute.aliyun-inc.com/api",
    "project": "p",
    "table": "t",
    "bootstrap_servers": "127.0.0.1:9092",
}


def event(settings: dict[str, Any], **fields: Any) -> bytes:
    return json.dumps({"action": "plan", "settings": SETTING | settings, **fields}).encode()


def asked(settings: dict[str, Any] | None = None, **fields: Any) -> Request:
    return read(event(settings or {}, **fields), {})


def faults(settings: dict[str, Any], **fields: Any) -> tuple[str, ...]:
    with pytest.raises(ConfigurationError) as caught:
        read(event(settings, **fields), {})
    return caught.value.faults


SETTINGS_BROKEN = [
    (
        "D01",
        {"name": "-orders"},
        "name: expected 1 to 48 digits, lower-case letters and hyphens, not starting with a hyph",
    ),
    ("D01", {"name": "o" * 49}, "name: expected 1 to 48 digits"),
    ("D02", {"group": "orders"}, "group: expected 'connect-' and a name of 1 to 48 digits"),
    ("D03", {"instance_id": "kafka"}, "instance_id: expected the id of a Kafka instance"),
    ("D03", {"region": "Hangzhou"}, "region: expected the id of a region"),
    ("D04", {"source_topic": ""}, "source_topic isn't set"),
    ("D05", {"concurrency": 4}, "concurrency: expected one of 1, 2, 3, 6, 12, found 4"),
    ("D06", {"consumer_offset": "newest"}, "consumer_offset: expected one of earliest, latest"),
    ("D07", {"vpc_id": "my-vpc"}, "vpc_id: expected the id of a VPC"),
    ("D07", {"vswitch_id": "my-switch"}, "vswitch_id: expected the id of a vSwitch"),
    ("D08", {"failure_policy": "retry"}, "failure_policy: expected one of continue, stop"),
    ("D09", {"resource_creation": "never"}, "resource_creation: expected one of auto, manual"),
    (
        "D10",
        {"offset_topic": "connect-config-orders"},
        "config_topic: topic connect-config-orders is offset_topic already",
    ),
    ("D11", {"config_topic": "a b"}, "config_topic: expected 1 to 249 letters"),
    ("D12", {"status_topic": "orders-in"}, "status_topic: topic orders-in is source_topic already"),
    (
        "D13",
        {"error_topic": "connect-status-orders"},
        "error_topic: topic connect-status-orders is status_topic already",
    ),
    ("D15", {"status_topic": "ab"}, "status_topic: with resource_creation auto, expected 3 to 64 letters"),
    ("D16", {"role": "my role"}, "role: expected the name of a RAM role"),
    ("D19", {"endpoint": "service.cn"}, "endpoint: expected an http or https address"),
    ("D19", {"table_region": "cn-beijing"}, "endpoint: leads to cn-hangzhou, but table_region is cn-beijing"),
    ("D20", {"account_id": "me"}, "account_id: expected the digits of an Alibaba Cloud account id"),
    ("D20", {"project": "my-project"}, "project: expected a letter and up to 127 letters"),
    ("D21", {"partition_column": "offset"}, "partition_column: offset is the name of another column"),
    ("D22", {"mode": "BOTH"}, "mode: expected one of DEFAULT, KEY, VALUE"),
    ("D23", {"format": "CSV"}, "format: CSV needs mode KEY or VALUE"),
    ("D23", {"format": "BINARY", "value_type": "Json"}, "value_type: format BINARY needs values as they were sent"),
    ("D24", {"partition": "WEEK"}, "partition: expected one of HOUR, DAY, MINUTE"),
    ("D25", {"time_zone": "GMT 08:10"}, "time_zone: expected GMT"),
]


@pytest.mark.parametrize(("item", "settings", "told"), SETTINGS_BROKEN)
def test_each_rule_of_the_settings(item: str, settings: dict[str, Any], told: str) -> None:
    assert item.startswith("D")
    assert any(fault.startswith(told) for fault in faults(settings)), faults(settings)


def test_all_rules_of_the_settings_at_once() -> None:
    broken = {
        "name": "-orders",
        "group": "orders",
        "instance_id": "kafka",
        "region": "Hangzhou",
        "source_topic": "",
        "concurrency": 4,
        "consumer_offset": "newest",
        "vpc_id": "my-vpc",
        "vswitch_id": "my-switch",
        "failure_policy": "retry",
        "resource_creation": "never",
        "offset_topic": "a b",
        "config_topic": "a b",
        "status_topic": "a b",
        "error_topic": "a b",
        "role": "my role",
        "endpoint": "service.cn",
        "account_id": "me",
        "project": "my-project",
        "table": "my-table",
        "partition_column": "offset",
        "mode": "BOTH",
        "format": "XML",
        "partition": "WEEK",
        "time_zone": "GMT 08:10",
    }
    found = faults(broken, stream="tube", batch_records=10_001, batch_seconds=16)
    named = {fault.split(":")[0].split(" ")[0] for fault in found}
    assert named >= {*broken, "stream", "batch_records", "batch_seconds"}


# --- what is found in the cloud ---------------------------------------------------------------------------------------

COLUMNS = (*POSITION, Column("key", "STRING"), Column("value", "STRING"))
PT = (Column("pt", "STRING"),)


def test_a_role_with_another_trust_says_whose() -> None:
    other = RoleState("arn", trust(("ecs.aliyuncs.com",)))
    planned = step(Role("r"), other, manual=True)
    assert planned.do == "blocked"
    assert planned.why == ("trust: ecs.aliyuncs.com -> alikafka.aliyuncs.com, fc.aliyuncs.com",)


def test_swapped_columns_are_named_one_by_one() -> None:
    swapped = (COLUMNS[1], COLUMNS[0], *COLUMNS[2:])
    first, second = step(Table(asked().settings), TableDefinition(swapped, PT), manual=False).why
    assert "topic" in first
    assert "partition" in second


def test_a_stream_of_the_same_name_with_another_source_is_named() -> None:
    source = {"InstanceId": "alikafka_x", "Topic": "payments", "ValueDataType": "Text"}
    request = asked(stream="event_stream")
    why = step(EventStream(request), StreamState("RUNNING", source, {}, {}), manual=False).why
    assert why[0] == "source Topic: payments -> orders-in; take another connector name"


def trigger(**changes: Any) -> Step:
    """What would become of the trigger of template.yml with other values."""
    kafka = {
        "InstanceId": "alikafka_x",
        "Topic": "orders-in",
        "ConsumerGroup": "connect-orders",
        "OffsetReset": "earliest",
    }
    options = {
        "errorsTolerance": "NONE",
        "maximumTasks": 6,
        "retryStrategy": {"PushRetryStrategy": "EXPONENTIAL_DECAY_RETRY"},
        "batchWindow": {"CountBasedWindow": 10_000, "TimeBasedWindow": 10},
    }
    config = {
        "eventSourceConfig": {
            "eventSourceType": "Kafka",
            "eventSourceParameters": {"sourceKafkaParameters": kafka},
        },
        "asyncInvocationType": changes.pop("asynchronous", False),
        "runOptions": options | changes,
    }
    return step(Trigger(asked(accept_risk=["asynchronous"])), TriggerState(config), manual=False)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"errorsTolerance": "ALL"}, "runOptions.errorsTolerance: ALL -> NONE"),
        (
            {"batchWindow": {"CountBasedWindow": 10_001, "TimeBasedWindow": 10}},
            "batchWindow.CountBasedWindow: 10001 -> 1 to 10000",
        ),
        (
            {"batchWindow": {"CountBasedWindow": 10, "TimeBasedWindow": 16}},
            "batchWindow.TimeBasedWindow: 16 -> 0 to 15",
        ),
        (
            {"asynchronous": True},
            "batchWindow.CountBasedWindow: 10000 -> 327; 10000 events take 4000000 bytes at least, and an asynchronous",
        ),
    ],
)
def test_a_trigger_that_cant_deliver_or_loses_batches(changes: dict[str, Any], told: str) -> None:
    (why,) = trigger(**changes).why
    assert why.startswith(told)


def test_a_trigger_whose_window_can_be_delivered_is_kept() -> None:
    assert trigger().do == "keep"
    small = {"CountBasedWindow": 300, "TimeBasedWindow": 10}
    assert trigger(asynchronous=True, batchWindow=small).do == "keep"


def test_bytes_that_the_stream_makes_text_of_are_refused_if_they_cannot_be_read_again() -> None:
    request = asked({"format": "BINARY", "bootstrap_servers": "", "delivery": "at-least-once"})
    (refusal,) = refusals(request, Facts(account="1"), [])
    assert refusal.startswith("format is BINARY, value_type is Text, and bootstrap_servers isn't set; a stream that")
    assert refusals(asked({"format": "BINARY"}), Facts(account="1"), []) == ()


def test_a_deleted_source_topic_and_a_wrong_account_are_told_together() -> None:
    request = asked({"account_id": "2"})
    found = preflight_faults(request, Facts(account="1", instance={"InstanceId": "alikafka_x"}), [])
    assert "account_id: expected 2, but the caller's account is 1; use the keys of the right account" in found[0]
    assert any(fault.startswith("source_topic: no topic orders-in in alikafka_x; create it") for fault in found)
