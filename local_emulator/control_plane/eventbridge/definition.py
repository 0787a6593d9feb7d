"""Read a stream's Source, Sink and RunOptions, and report all their faults at once.

Keys and ranges: the SDK's models (alibabacloud_eventbridge20200401 8.7.0) and Serverless Devs' pages on event streams.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from local_emulator.eventbridge.config import (
    DEAD_LETTER_ARN,
    RetryLimits,
    StreamConfig,
    kafka_section,
    kafka_source,
)
from local_emulator.eventbridge.errors import StreamConfigError
from local_emulator.eventbridge.section import Section

if TYPE_CHECKING:
    from local_emulator.control_plane.eventbridge.entities import Stream

RETRIES = ("BACKOFF_RETRY", "EXPONENTIAL_DECAY_RETRY")
_TRIPLE = ("Form", "Value", "Template")
_SINK_KEYS = (
    "FunctionName",
    "ServiceName",
    "Qualifier",
    "InvocationType",
    "Concurrency",
    "DataFormat",
    "Body",
)
_RUN_KEYS = (
    "ErrorsTolerance",
    "MaximumTasks",
    "RetryStrategy",
    "DeadLetterQueue",
    "BatchWindow",
    "Throttling",
    "BusinessOption",
)
_MOST_INVOCATIONS = 300


def read(stream: Stream) -> tuple[StreamConfig, str]:
    """Return the stream's settings, and the name of its function; StreamConfigError lists every fault."""
    faults: list[str] = []
    kafka, sink = _source(stream, faults), _sink(stream, faults)
    run = Section("RunOptions", stream.run_options, faults)
    run.known(*_RUN_KEYS)
    window, retry = _optional(run, "BatchWindow"), _optional(run, "RetryStrategy")
    window.known("CountBasedWindow", "TimeBasedWindow")
    retry.known("PushRetryStrategy", "MaximumEventAgeInSeconds", "MaximumRetryAttempts")
    function = _constant(sink, "FunctionName")
    config = StreamConfig(
        **kafka_source(kafka),
        event_schema=stream.schema,
        batch_count=window.integer("CountBasedWindow", 1, 10_000, default=1),
        batch_seconds=window.integer("TimeBasedWindow", 0, 15, default=0),
        retry_strategy=retry.choice("PushRetryStrategy", RETRIES, default=RETRIES[1]),
        errors_tolerance=run.choice("ErrorsTolerance", ("NONE", "ALL"), default="NONE"),
        concurrency=_concurrency(sink),
        maximum_tasks=run.integer("MaximumTasks", 1, None, default=1),
        dead_letter_arn=_dead_letter_arn(run),
        enabled=True,
        asynchronous=_is_asynchronous(sink),
        pattern=Section("Stream", {"FilterPattern": stream.pattern}, faults).pattern("FilterPattern"),
        retry_limits=RetryLimits(
            retry.integer("MaximumRetryAttempts", 0, None, default=0),
            retry.integer("MaximumEventAgeInSeconds", 0, None, default=0),
        ),
    )
    if faults:
        raise StreamConfigError(tuple(faults))
    return config, function


def _source(stream: Stream, faults: list[str]) -> Section:
    source = Section("Source", stream.source, faults)
    source.known("SourceKafkaParameters")
    return kafka_section(source, "SourceKafkaParameters")


def _sink(stream: Stream, faults: list[str]) -> Section:
    root = Section("Sink", stream.sink, faults)
    root.known("SinkFcParameters")
    sink = root.section("SinkFcParameters")
    sink.known(*_SINK_KEYS)
    if _constant(sink, "Qualifier", "LATEST") != "LATEST":
        sink.fault("Qualifier", "must be LATEST: functions have no other version here")
    if sink.has("Body"):
        sink.section("Body").choice("Form", ("ORIGINAL",))
    return sink


def _constant(sink: Section, key: str, default: str | None = None) -> str:
    """Return the Value of a parameter that consists of Form, Value and Template; the Form must be CONSTANT."""
    if default is not None and not sink.has(key):
        return default
    triple = sink.section(key)
    triple.known(*_TRIPLE)
    triple.choice("Form", ("CONSTANT",), default="CONSTANT")
    return triple.text("Value", default=default)


def _is_asynchronous(sink: Section) -> bool:
    kind = _constant(sink, "InvocationType", "Sync")
    if kind not in {"Sync", "Async"}:
        sink.fault("InvocationType", f"must be Sync or Async; found {kind!r}")
    return kind == "Async"


def _concurrency(sink: Section) -> int:
    """Return the number of concurrent invocations, which the API has as text."""
    text = _constant(sink, "Concurrency", "1")
    if text.isascii() and text.isdigit() and 1 <= int(text) <= _MOST_INVOCATIONS:
        return int(text)
    sink.fault("Concurrency", f"must be a number from 1 to {_MOST_INVOCATIONS}; found {text!r}")
    return 1


def _dead_letter_arn(run: Section) -> str | None:
    queue = _optional(run, "DeadLetterQueue")
    arn = queue.text("Arn", default="")
    if arn and not DEAD_LETTER_ARN.fullmatch(arn):
        queue.fault("Arn", f"must be the name of a queue of MNS or a topic of RocketMQ; found {arn!r}")
    return arn or None


def _optional(parent: Section, key: str) -> Section:
    """Return a section of the parent; an empty section if it is absent."""
    if parent.has(key):
        return parent.section(key)
    return Section(f"{parent.path}.{key}", {}, parent.faults)
