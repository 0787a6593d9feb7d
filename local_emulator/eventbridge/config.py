"""The stream's settings, read from the `triggerConfig` of an eventbridge trigger in template.yml.

Serverless Devs passes a trigger's configuration on unchecked, and the service finds its faults at deployment at best:
here everything is checked, and every fault is reported at once. Key names and ranges: docs of the Function Compute 3.0
trigger API, of the fc3 component and of its advanced features (batch window, concurrency).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

from local_emulator.eventbridge.errors import StreamConfigError
from local_emulator.eventbridge.section import Section

if TYPE_CHECKING:
    from collections.abc import Mapping

VALUE_TYPES = {"Text": "Text", "Json": "Json", "JSON": "Json", "Binary": "Binary"}
"""`ValueDataType` of EventBridge's own API; its two sources spell JSON differently. Function Compute's trigger has no
such key, and delivers Text by every sample; it is accepted here so that the other forms can be tried."""

DEAD_LETTER_ARN = re.compile(r"acs:mns:[\w-]*:\d*:/?queues/[\w-]+|acs:mq:[\w-]*:\d*:/instances/[\w-]+/topic/[\w%-]+")
"""The forms of a dead-letter target that are documented: Simple Message Queue (both spellings), RocketMQ."""

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
    """The fields of a `StreamConfig` that say what it reads."""

    topic: str
    group: str
    region: str
    instance_id: str
    offset_reset: str
    value_type: str


@dataclass(frozen=True, slots=True)
class StreamConfig:
    """One event stream: what it reads, how it batches, delivers, retries, and what it does when all retries fail."""

    topic: str
    group: str
    region: str
    instance_id: str
    offset_reset: str
    """earliest or latest: where a group without a committed offset begins."""
    value_type: str
    """Text, Json or Binary."""
    event_schema: str
    """CloudEvents (the whole element) or RawData (its `data` alone)."""
    batch_count: int
    """Events that close a batch, 1-10000."""
    batch_seconds: int
    """Seconds after its first event that close a batch, 0-15; 0: whatever is there goes at once."""
    retry_strategy: str
    """BACKOFF_RETRY or EXPONENTIAL_DECAY_RETRY, see retry.py."""
    errors_tolerance: str
    """NONE: the stream stops when retries are used up. ALL: it goes on, and the batch is a dead letter or dropped."""
    concurrency: int
    """Invocations at one time, 1-300."""
    maximum_tasks: int
    """Consumers in the group; those beyond the topic's topic-partitions stay idle."""
    dead_letter_arn: str | None
    enabled: bool

    @classmethod
    def from_trigger(cls, trigger: Mapping[str, object]) -> StreamConfig:
        """Read a `triggerConfig`; StreamConfigError lists every fault: its key, what is allowed, what was found."""
        faults: list[str] = []
        root = Section("triggerConfig", trigger, faults)
        root.known(*TRIGGER_KEYS)
        _refuse_what_is_not_emulated(root)
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
        )
        if faults:
            raise StreamConfigError(tuple(faults))
        return config


def kafka_section(parent: Section, key: str) -> Section:
    """The source's section, its keys and network checked; a trigger and EventBridge's own API write it alike."""
    kafka = parent.section(key)
    kafka.known(*SOURCE_KEYS)
    if kafka.choice("Network", ("Default", "PublicNetwork"), default="Default") == "PublicNetwork":
        for name in ("VpcId", "VSwitchIds", "SecurityGroupId"):
            kafka.text(name)
    return kafka


def kafka_source(kafka: Section) -> KafkaSource:
    """What the source's section says."""
    return KafkaSource(
        topic=kafka.text("Topic"),
        group=kafka.text("ConsumerGroup"),
        region=kafka.text("RegionId", default=""),
        instance_id=kafka.text("InstanceId"),
        offset_reset=kafka.choice("OffsetReset", ("earliest", "latest")),
        value_type=VALUE_TYPES[kafka.choice("ValueDataType", tuple(VALUE_TYPES), default="Text")],
    )


def _refuse_what_is_not_emulated(root: Section) -> None:
    if root.boolean("asyncInvocationType", default=False):
        root.fault(
            "asyncInvocationType",
            "must be false: the stream delivers synchronously, or neither retries nor dead letters would see the "
            "function's errors (the documents disagree on what true means; false is the default)",
        )
    if root.text("eventRuleFilterPattern", default="{}").strip() != "{}":
        root.fault("eventRuleFilterPattern", "must be '{}', which lets all events through: filters aren't emulated")


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
    """Function Compute 2.0 alone has two further keys, with texts that don't say what they do; its sample sets 0."""
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
