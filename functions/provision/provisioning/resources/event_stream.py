"""The stream as an EventBridge event stream, which can deliver values as bytes; a trigger can't.

Its states are READY (created, never started), STARTING, RUNNING, PAUSED, STARTING_FAILED and RUNNING_FAILED
(Terraform's provider for Alibaba Cloud, 1.293).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from provisioning.operations import (
    CREATE_STREAM,
    DELETE_STREAM,
    GET_STREAM,
    PAUSE_STREAM,
    START_STREAM,
    UPDATE_STREAM,
)
from provisioning.resource import Difference, Stream

if TYPE_CHECKING:
    from provisioning.cloud import Cloud
    from provisioning.request import Request
    from provisioning.resource import Remedy

RUNNING, STARTING, PAUSED, READY = "RUNNING", "STARTING", "PAUSED", "READY"
FAILED = frozenset({"STARTING_FAILED", "RUNNING_FAILED"})
STILL = frozenset({PAUSED, READY})
EVERYTHING = "{}"


@dataclass(frozen=True, slots=True)
class StreamState:
    """The stream as EventBridge has it."""

    status: str
    source: dict[str, Any]
    sink: dict[str, Any]
    run_options: dict[str, Any]
    filter_pattern: str = EVERYTHING


@dataclass(frozen=True, slots=True)
class EventStream(Stream[StreamState]):
    """The event stream from the source topic to the sink function, identified by its name."""

    request: Request

    @property
    def title(self) -> str:
        """Return the kind and the name."""
        return f"event stream {self.request.stream_name}"

    @property
    def creates(self) -> bool:
        """Return True: apply creates the resource."""
        return True

    @property
    def made_by_hand(self) -> str:
        """Return the instruction for a person who creates the resource."""
        source, name = self.request.settings.source_topic, self.request.stream_name
        return f"create the event stream {name} from the topic {source} to the function {self.request.function}"

    def look(self, cloud: Cloud) -> StreamState | None:
        """Return the stream as EventBridge has it; None if it doesn't exist."""
        answer = cloud.control.find(GET_STREAM, self._name())
        if answer is None:
            return None
        data = answer["Data"]
        return StreamState(
            status=str(data.get("Status", "")).upper(),
            source=_object(data.get("Source")).get("SourceKafkaParameters") or {},
            sink=_object(data.get("Sink")).get("SinkFcParameters") or {},
            run_options=_object(data.get("RunOptions")),
            filter_pattern=str(data.get("FilterPattern") or EVERYTHING),
        )

    def compare(self, state: StreamState) -> tuple[Difference, ...]:
        """Return the differences; a person has to fix source and value type, `change` corrects the others."""
        settings = self.request.settings
        wrong = [
            Difference(f"source {field}", state.source.get(field), wanted, "by hand", "take another connector name")
            for field, wanted in (("InstanceId", settings.instance_id), ("Topic", settings.source_topic))
            if state.source.get(field) != wanted
        ]
        has, wanted = state.source.get("ValueDataType") or "Text", settings.value_type
        if str(has).lower() != wanted.lower():
            advice = "set value_type to the stream's, or destroy the stream and apply again"
            wrong.append(Difference("value type", has, wanted, "by hand", advice))
        wrong += [
            Difference(field, has, wanted)
            for field, has, wanted in self._correctable(state)
            if str(has).lower() != str(wanted).lower()
        ]
        return (*wrong, *status_differences(state.status))

    def make(self, cloud: Cloud) -> None:
        """Request the creation; `change` starts the stream afterwards."""
        cloud.control.call(CREATE_STREAM, self._definition(cloud))

    def change(self, cloud: Cloud, state: StreamState) -> None:
        """Correct the differences, then start the stream."""
        if any(difference.remedy == "change" for difference in self.compare(state)):
            cloud.control.call(UPDATE_STREAM, self._definition(cloud))
        if state.status not in {RUNNING, STARTING}:
            cloud.control.call(START_STREAM, self._name())

    def pause(self, cloud: Cloud) -> None:
        """Pause the stream; the group keeps its committed offsets."""
        state = self.look(cloud)
        if state is not None and not self.is_paused(state):
            cloud.control.call(PAUSE_STREAM, self._name())

    def is_paused(self, state: StreamState) -> bool:
        """Return whether the stream delivers nothing."""
        return state.status in STILL

    def status(self, state: StreamState) -> str:
        """Return the status in one word."""
        return state.status.lower()

    def window(self, state: StreamState | None) -> int:  # noqa: ARG002 # required by `Stream`
        """Return the wanted window, which apply sets."""
        return self.request.batch_seconds

    def remove(self, cloud: Cloud) -> None:
        """Request the removal."""
        cloud.control.find(DELETE_STREAM, self._name())

    def _name(self) -> dict[str, object]:
        return {"EventStreamingName": self.request.stream_name}

    def _correctable(self, state: StreamState) -> list[tuple[str, object, object]]:
        """Return the fields that `change` corrects: name, actual value, wanted value."""
        wanted, options = self._run_options(), state.run_options
        settings = self.request.settings
        return [
            ("source ConsumerGroup", state.source.get("ConsumerGroup"), settings.group),
            ("source OffsetReset", state.source.get("OffsetReset"), settings.consumer_offset),
            ("function", _value(state.sink, "FunctionName"), self.request.function),
            ("invocation", _value(state.sink, "InvocationType"), "Sync"),
            ("concurrency", _value(state.sink, "Concurrency"), settings.concurrency),
            ("filter", state.filter_pattern, EVERYTHING),
            ("tolerance", options.get("ErrorsTolerance"), wanted["ErrorsTolerance"]),
            ("consumers", options.get("MaximumTasks"), wanted["MaximumTasks"]),
            *(
                (field, (options.get(part) or {}).get(field), value)
                for part in ("RetryStrategy", "BatchWindow")
                for field, value in wanted[part].items()
            ),
        ]

    def _definition(self, cloud: Cloud) -> dict[str, object]:
        settings = self.request.settings
        source = {
            "RegionId": settings.region,
            "InstanceId": settings.instance_id,
            "Topic": settings.source_topic,
            "ConsumerGroup": settings.group,
            "OffsetReset": settings.consumer_offset,
            "ValueDataType": settings.value_type,
            "Network": "PublicNetwork" if settings.vpc_id else "Default",
            "VpcId": settings.vpc_id,
            "VSwitchIds": settings.vswitch_id,
            "SecurityGroupId": self.request.security_group,
        }
        sink = {
            "FunctionName": _constant(self.request.function),
            "InvocationType": _constant("Sync"),
            "Concurrency": _constant(str(settings.concurrency)),
            "Body": {"Form": "ORIGINAL", "Value": "", "Template": ""},
        }
        return {
            **self._name(),
            "Description": f"Writes {settings.source_topic} into {settings.project}.{settings.table} ({cloud.account})",
            "FilterPattern": EVERYTHING,
            "Source": {"SourceKafkaParameters": {field: value for field, value in source.items() if value}},
            "Sink": {"SinkFcParameters": sink},
            "RunOptions": self._run_options(),
        }

    def _run_options(self) -> dict[str, Any]:
        """Return the options: no tolerance and a day of retries, so that no outage skips a batch (D08)."""
        window = {"CountBasedWindow": self.request.batch_records, "TimeBasedWindow": self.request.batch_seconds}
        return {
            "ErrorsTolerance": "NONE",
            "MaximumTasks": self.request.settings.concurrency,
            "RetryStrategy": {"PushRetryStrategy": "EXPONENTIAL_DECAY_RETRY"},
            "BatchWindow": window,
        }


def status_differences(status: str) -> tuple[Difference, ...]:
    """Return the difference between a stream's status and RUNNING."""
    if status == RUNNING:
        return ()
    remedy: Remedy = "wait" if status == STARTING else "restart" if status in FAILED else "switch"
    return (Difference("status", status, RUNNING, remedy),)


def _constant(value: str) -> dict[str, str]:
    return {"Form": "CONSTANT", "Value": value, "Template": ""}


def _value(sink: dict[str, Any], field: str) -> object:
    value = sink.get(field)
    return value.get("Value") if isinstance(value, dict) else value


def _object(value: object) -> dict[str, Any]:
    """Return a JSON object that the service sends as an object or as text."""
    parsed = json.loads(value) if isinstance(value, str) and value else value
    return parsed if isinstance(parsed, dict) else {}
