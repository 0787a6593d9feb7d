"""A stream's configuration as it is read from a trigger, and everything wrong with it at once."""

from __future__ import annotations

from typing import Any

import pytest

from local_emulator.eventbridge.config import StreamConfig
from local_emulator.eventbridge.errors import StreamConfigError
from tests.stream_settings import settings, trigger

pytestmark = pytest.mark.quick

KAFKA = "eventSourceConfig__eventSourceParameters__sourceKafkaParameters__"


def faults(**changes: Any) -> tuple[str, ...]:
    with pytest.raises(StreamConfigError) as caught:
        StreamConfig.from_trigger(trigger(**changes))
    return caught.value.faults


def test_a_whole_trigger_is_read() -> None:
    assert StreamConfig.from_trigger(trigger()) == settings(
        batch_count=10_000,
        batch_seconds=10,
        retry_strategy="EXPONENTIAL_DECAY_RETRY",
        concurrency=6,
        maximum_tasks=6,
    )


def test_what_may_be_left_out_has_the_api_s_defaults() -> None:
    config = StreamConfig.from_trigger(
        trigger(
            triggerEnable=...,
            asyncInvocationType=...,
            eventRuleFilterPattern=...,
            eventSinkConfig__deliveryOption={},
            runOptions__maximumTasks=...,
            runOptions__errorsTolerance=...,
        )
    )
    assert (config.enabled, config.event_schema, config.concurrency) == (True, "CloudEvents", 1)
    assert (config.maximum_tasks, config.errors_tolerance, config.value_type) == (1, "NONE", "Text")
    assert config.dead_letter_arn is None


@pytest.mark.parametrize("spelling", ["Json", "JSON"])
def test_both_spellings_of_json_are_taken(spelling: str) -> None:
    assert StreamConfig.from_trigger(trigger(**{KAFKA + "ValueDataType": spelling})).value_type == "Json"


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("asyncInvocationType", "true", "asyncInvocationType must be true or false"),
        (
            "eventRuleFilterPattern",
            '{"source": "x"}',
            "eventRuleFilterPattern is no event pattern: source: expected an",
        ),
        ("triggerEnable", "true", "triggerEnable must be true or false; found the text 'true'"),
        (KAFKA + "Topic", ..., "sourceKafkaParameters.Topic must be text that isn't empty; found no value"),
        (KAFKA + "ConsumerGroup", "", "ConsumerGroup must be text that isn't empty; found the text ''"),
        (KAFKA + "OffsetReset", "lastest", "OffsetReset must be earliest or latest; found the text 'lastest'"),
        (KAFKA + "topic", "x", "sourceKafkaParameters.topic isn't a key that the service knows; did you mean Topic?"),
        (KAFKA + "ValueDataType", "Avro", "ValueDataType must be Text or Json or JSON or Binary"),
        ("eventSourceConfig__eventSourceType", "MNS", "eventSourceType must be Kafka"),
        ("eventSourceConfig", ..., "eventSourceConfig must be a mapping; found no value"),
        ("runOptions__batchWindow__CountBasedWindow", 10_001, "a number from 1 to 10000; found 10001"),
        ("runOptions__batchWindow__CountBasedWindow", 0, "a number from 1 to 10000; found 0"),
        ("runOptions__batchWindow__CountBasedWindow", "100", "a number from 1 to 10000; found the text '100'"),
        ("runOptions__batchWindow__TimeBasedWindow", 16, "a number from 0 to 15; found 16"),
        ("runOptions__batchWindow__TimeBasedWindow", True, "a number from 0 to 15; found True (bool)"),
        ("runOptions__maximumTasks", 0, "maximumTasks must be a number from 1 up; found 0"),
        ("runOptions__mode", "event-driven", "mode must be event-streaming"),
        ("runOptions__errorsTolerance", "SOME", "errorsTolerance must be NONE or ALL"),
        ("runOptions__retryStrategy", ..., "retryStrategy must be a mapping; found no value"),
        ("runOptions__retryStrategy__PushRetryStrategy", "NEVER", "must be BACKOFF_RETRY or EXPONENTIAL_DECAY_RETRY"),
        ("runOptions__retryStrategy__MaximumRetryAttempts", 5, "MaximumRetryAttempts must be 0; found 5"),
        ("eventSinkConfig__deliveryOption__concurrency", 301, "concurrency must be a number from 1 to 300; found 301"),
        ("eventSinkConfig__deliveryOption__eventSchema", "Avro", "eventSchema must be CloudEvents or RawData"),
        ("runOptions__deadLetterQueue", {"Arn": "acs:alikafka:x"}, "deadLetterQueue.Arn must be acs:mns:"),
        ("runOptions__deadLetterQueue", {"arn": "x"}, "did you mean Arn?"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_allowed(path: str, value: object, expected: str) -> None:
    found = faults(**{path: value})
    assert any(expected in fault for fault in found), found


def test_a_network_of_one_s_own_needs_its_vpc() -> None:
    found = faults(**{KAFKA + "Network": "PublicNetwork", KAFKA + "VpcId": "vpc-1"})
    assert len(found) == 2
    assert "VSwitchIds" in found[0]
    assert "SecurityGroupId" in found[1]


@pytest.mark.parametrize(
    "arn",
    [
        "acs:mns:cn-hangzhou:188:/queues/dead-letters",
        "acs:mns:cn-hangzhou:188:queues/dead-letters",
        "acs:mq:cn-hangzhou:188:/instances/MQ_INST_188_x/topic/dead-letters",
    ],
)
def test_documented_dead_letter_queues_are_taken(arn: str) -> None:
    config = StreamConfig.from_trigger(
        trigger(runOptions__deadLetterQueue={"Arn": arn}, runOptions__errorsTolerance="ALL")
    )
    assert config.dead_letter_arn == arn


def test_all_faults_are_reported_at_once() -> None:
    changes = {KAFKA + "Topic": "", "runOptions__maximumTasks": -1, "runOptions__batchWindow": None, "typo": 1}
    assert len(faults(**changes)) == 4


def test_an_empty_trigger_names_its_missing_parts_once_each() -> None:
    with pytest.raises(StreamConfigError, match="has 3 faults") as caught:
        StreamConfig.from_trigger({})
    assert [fault.split()[0] for fault in caught.value.faults] == [
        "triggerConfig.eventSourceConfig",
        "triggerConfig.eventSinkConfig",
        "triggerConfig.runOptions",
    ]
