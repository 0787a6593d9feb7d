"""What a stream's Source, Sink and RunOptions mean to the stream that runs, and one that can't start."""

from __future__ import annotations

import time
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import pytest

from local_emulator.control_plane.eventbridge import definition
from local_emulator.control_plane.eventbridge.entities import Stream
from local_emulator.control_plane.eventbridge.running import RunningStreams
from local_emulator.eventbridge.config import RetryLimits, StreamConfig
from local_emulator.eventbridge.errors import StreamConfigError, StreamError
from local_emulator.eventbridge.progress import StreamStatus

if TYPE_CHECKING:
    from local_emulator.eventbridge.stream import EventStream

pytestmark = pytest.mark.quick

KAFKA = {"InstanceId": "alikafka_x", "Topic": "orders", "ConsumerGroup": "connect-orders", "OffsetReset": "latest"}


def constant(value: str) -> dict[str, str]:
    return {"Form": "CONSTANT", "Value": value, "Template": ""}


def stream(run: dict[str, Any], source: dict[str, Any] | None = None, **sink: Any) -> Stream:
    return Stream(
        "orders-stream",
        {"SourceKafkaParameters": {**KAFKA, **(source or {})}},
        {"SinkFcParameters": {"FunctionName": constant("sink"), **sink}},
        run,
        datetime(2020, 11, 17, tzinfo=timezone.utc),
    )


def test_what_is_left_out_has_the_services_defaults() -> None:
    assert definition.read(stream({})) == (
        StreamConfig(
            topic="orders",
            group="connect-orders",
            region="",
            instance_id="alikafka_x",
            offset_reset="latest",
            value_type="Text",
            event_schema="CloudEvents",
            batch_count=1,
            batch_seconds=0,
            retry_strategy="EXPONENTIAL_DECAY_RETRY",
            errors_tolerance="NONE",
            concurrency=1,
            maximum_tasks=1,
            dead_letter_arn=None,
            enabled=True,
        ),
        "sink",
    )


def test_everything_that_can_be_said() -> None:
    arn = "acs:mns:cn-hangzhou:1:/queues/lost"
    run = {
        "ErrorsTolerance": "ALL",
        "MaximumTasks": 6,
        "RetryStrategy": {
            "PushRetryStrategy": "BACKOFF_RETRY",
            "MaximumRetryAttempts": 2,
            "MaximumEventAgeInSeconds": 60,
        },
        "DeadLetterQueue": {"Arn": arn},
        "BatchWindow": {"CountBasedWindow": 10_000, "TimeBasedWindow": 15},
    }
    config, _ = definition.read(stream(run, {"ValueDataType": "JSON"}, Concurrency=constant("300")))
    assert (config.errors_tolerance, config.maximum_tasks, config.retry_strategy) == ("ALL", 6, "BACKOFF_RETRY")
    assert (config.batch_count, config.batch_seconds, config.concurrency) == (10_000, 15, 300)
    assert (config.value_type, config.dead_letter_arn) == ("Json", arn)
    assert config.retry_limits == RetryLimits(attempts=2, age_seconds=60)


@pytest.mark.parametrize(("kind", "most"), [("Sync", 32 * 1024 * 1024), ("Async", 128 * 1024)])
def test_the_invocation_type_decides_the_size_of_batches(kind: str, most: int) -> None:
    config, _ = definition.read(stream({}, InvocationType=constant(kind)))
    assert (config.asynchronous, config.body_bytes) == (kind == "Async", most)


def test_faults_name_their_place() -> None:
    with pytest.raises(StreamConfigError) as found:
        definition.read(stream({"maximumTasks": 6}, {"Offset": "x"}, Concurrency=constant("0")))
    assert [fault.split()[0] for fault in found.value.faults] == [
        "Source.SourceKafkaParameters.Offset",
        "RunOptions.maximumTasks",
        "Sink.SinkFcParameters.Concurrency",
    ]


@pytest.mark.parametrize("error", [StreamError("no broker"), RuntimeError("a bug")])
def test_a_stream_that_cannot_be_made(error: Exception) -> None:
    def make() -> EventStream:
        raise error

    streams = RunningStreams()
    assert streams.state("x") is None
    streams.start("x", make)
    deadline = time.monotonic() + 10
    while streams.state("x") is StreamStatus.STARTING and time.monotonic() < deadline:
        time.sleep(0.01)
    assert streams.state("x") is StreamStatus.STARTING_FAILED
    streams.close()
    assert streams.state("x") is None
