"""The stream's settings, read from the `triggerConfig` of an eventbridge trigger in template.yml.

Serverless Devs doesn't check a trigger's configuration, and the service reports its faults at deployment at best. Here
everything is checked, and all faults are reported at once. Key names and ranges are from the documents of the Function
Compute 3.0 trigger API, of the fc3 component and of its advanced features (batch window, concurrency).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

from local_emulator.eventbridge.errors import StreamConfigError
from local_emulator.eventbridge.event_pattern import EVERYTHING
from local_emulator.eventbridge.section import Section
from local_emulator.eventbridge.window import ASYNC_BODY_BYTES, BODY_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping

VALUE_TYPES = {"Text": "Text", "Json": "Json", "JSON": "Json", "Binary": "Binary"}
"""`ValueDataType` of EventBridge's own API, whose two sources spell JSON differently. Function Compute's trigger has no
such key and delivers Text in every sample; here the key is accepted, so that the other types can be tried."""

DEAD_LETTER_ARN = re.compile(r"acs:mns:[\w-]*:\d*:/?queues/[\w-]+|acs:mq:[\w-]*:\d*:/instances/[\w-]+/topic/[\w%-]+")
"""The documented forms of a dead-letter target: Simple Message Queue (both spellings), RocketMQ."""

TRIGGER_KEYS = (
    "asyncInvocationType",
    "eventRuleFilterPattern",
    "eventSinkConfig",
    "eventSourceConfig",
    "runOptions",
    "triggerEnable",
)
SOURCE_KEYS = (
    "RegionId",
    "InstanceId",
    "Topic",
    "ConsumerGroup",
    "OffsetReset",
    "Network",
    "VpcId",
    "VSwitchIds",
    "SecurityGroupId",
    "ValueDataType",
)


class KafkaSource(TypedDict):
    """The fields of a `StreamConfig` that describe its source."""

    topic: str
    group: str
    region: str
    instance_id: str
    offset_reset: str
    value_type: str


@dataclass(frozen=True, slots=True)
class RetryLimits:
    """Limits that end retries before the strategy does; 0: no such limit. Only EventBridge's own API sets them."""

    attempts: int = 0
    """The most retries after the first try."""
    age_seconds: int = 0
    """No retry begins later than so many seconds after the first try."""


@dataclass(frozen=True, slots=True)
class StreamConfig:
    """The settings of an event stream: its source, batches, deliveries, retries, and what follows the last retry."""

    topic: str
    group: str
    region: str
    instance_id: str
    offset_reset: str
    """earliest or latest: the offset at which a group without a committed offset begins."""
    value_type: str
    """Text, Json or Binary."""
    event_schema: str
    """CloudEvents (the whole element) or RawData (its `data` alone)."""
    batch_count: int
    """Events that close a batch, 1-10000."""
    batch_seconds: int
    """Seconds after its first event that close a batch, 0-15; with 0, available events are sent at once."""
    retry_strategy: str
    """BACKOFF_RETRY or EXPONENTIAL_DECAY_RETRY, see retry.py."""
    errors_tolerance: str
    """NONE: the stream stops after the last retry. ALL: it goes on, and the batch is a dead letter or dropped."""
    concurrency: int
    """Invocations at the same time, 1-300."""
    maximum_tasks: int
    """Consumers in the group; those beyond the topic's topic-partitions stay idle."""
    dead_letter_arn: str | None
    enabled: bool
    asynchronous: bool = False
    """Whether deliveries are asynchronous invocations: accepted, they have succeeded, whatever the function does."""
    retry_limits: RetryLimits = RetryLimits()
    pattern: str = EVERYTHING
    """The event pattern, as JSON: events that don't match are committed without a delivery."""

    @property
    def body_bytes(self) -> int:
        """The largest body of a batch."""
        return ASYNC_BODY_BYTES if self.asynchronous else BODY_BYTES

    @classmethod
    def from_trigger(cls, trigger: Mapping[str, object]) -> StreamConfig:
        """Read a `triggerConfig`; StreamConfigError lists every fault: the key, the allowed values, the value found.

        The sources disagree on asyncInvocationType; here true means asynchronous.
        """
        faults: list[str] = []
        root = Section("triggerConfig", trigger, faults)
        root.known(*TRIGGER_KEYS)
        kafka, delivery, run = _kafka(root), _delivery(root), _run(root)
        window, retry = _window(run), _retry(run)
        config = cls(
            **kafka_source(kafka),
            event_schema=delivery.choice("eventSchema", ("CloudEvents", "RawData"), default="CloudEvents"),
            batch_count=window.integer("CountBasedWindow", 1, 10_000),
            batch_seconds=window.integer("TimeBasedWindow", 0, 15),
            retry_strategy=retry.choice("PushRetryStrategy", ("BACKOFF_RETRY", "EXPONENTIAL_DECAY_RETRY")),
            errors_tolerance=run.choice("errorsTolerance", ("NONE", "ALL"), default="NONE"),
            concurrency=delivery.integer("concurrency", 1, 300, default=1),
            maximum_tasks=run.integer("maximumTasks", 1, None, default=1),
            dead_letter_arn=_dead_letter_arn(run),
            enabled=root.boolean("triggerEnable", default=True),
            asynchronous=root.boolean("asyncInvocationType", default=False),
            pattern=root.pattern("eventRuleFilterPattern"),
        )
        if faults:
            raise StreamConfigError(tuple(faults))
        return config


def kafka_section(parent: Section, key: str) -> Section:
    """Return the source's section, with its keys and network checked; triggers and EventBridge's API both have it."""
    kafka = parent.section(key)
    kafka.known(*SOURCE_KEYS)
    if kafka.choice("Network", ("Default", "PublicNetwork"), default="Default") == "PublicNetwork":
        for name in ("VpcId", "VSwitchIds", "SecurityGroupId"):
            kafka.text(name)
    return kafka


def kafka_source(kafka: Section) -> KafkaSource:
    """Read the source's section."""
    return KafkaSource(
        topic=kafka.text("Topic"),
        group=kafka.text("ConsumerGroup"),
        region=kafka.text("RegionId", default=""),
        instance_id=kafka.text("InstanceId"),
        offset_reset=kafka.choice("OffsetReset", ("earliest", "latest")),
        value_type=VALUE_TYPES[kafka.choice("ValueDataType", tuple(VALUE_TYPES), default="Text")],
    )


def _kafka(root: Section) -> Section:
    config = root.section("eventSourceConfig")
    config.known("eventSourceType", "eventSourceParameters")
    config.choice("eventSourceType", ("Kafka",))
    parameters = config.section("eventSourceParameters")
    parameters.known("sourceKafkaParameters")
    return kafka_section(parameters, "sourceKafkaParameters")


def _delivery(root: Section) -> Section:
    config = root.section("eventSinkConfig")
    config.known("deliveryOption")
    delivery = config.section("deliveryOption")
    delivery.known("mode", "eventSchema", "concurrency")
    delivery.choice("mode", ("event-streaming",), default="event-streaming")
    return delivery


def _run(root: Section) -> Section:
    run = root.section("runOptions")
    run.known("mode", "maximumTasks", "errorsTolerance", "retryStrategy", "deadLetterQueue", "batchWindow")
    run.choice("mode", ("event-streaming",))
    return run


def _window(run: Section) -> Section:
    window = run.section("batchWindow")
    window.known("CountBasedWindow", "TimeBasedWindow")
    return window


def _retry(run: Section) -> Section:
    """Return the section of retries; two keys are from Function Compute 2.0, where only 0 has a known meaning."""
    retry = run.section("retryStrategy")
    retry.known("PushRetryStrategy", "MaximumEventAgeInSeconds", "MaximumRetryAttempts")
    for key in ("MaximumEventAgeInSeconds", "MaximumRetryAttempts"):
        retry.integer(key, 0, 0, default=0)
    return retry


def _dead_letter_arn(run: Section) -> str | None:
    if not run.has("deadLetterQueue"):
        return None
    queue = run.section("deadLetterQueue")
    queue.known("Arn")
    arn = queue.text("Arn")
    if arn and not DEAD_LETTER_ARN.fullmatch(arn):
        queue.fault(
            "Arn",
            "must be acs:mns:<region>:<account>:/queues/<queue> or "
            f"acs:mq:<region>:<account>:/instances/<instance>/topic/<topic>; found {arn!r}",
        )
    return arn or None
