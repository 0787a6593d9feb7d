"""The stream as EventBridge's own: the way to have values as bytes, which triggers can't.

Its states are READY (made, never started), STARTING, RUNNING, PAUSED, STARTING_FAILED and RUNNING_FAILED (Terraform's
provider for Alibaba Cloud, 1.293).
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
    """The stream by its name, from the topic to the function."""

    request: Request

    @property
    def title(self) -> str:
        """What it is."""
        return f"event stream {self.request.stream_name}"

    @property
    def creates(self) -> bool:
        """It is made here."""
        return True

    @property
    def made_by_hand(self) -> str:
        """How to make it."""
        source, name = self.request.settings.source_topic, self.request.stream_name
        return f"create the event stream {name} from the topic {source} to the function {self.request.function}"

    def look(self, cloud: Cloud) -> StreamState | None:
        """The stream as EventBridge has it."""
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

    def compare(self, found: StreamState) -> tuple[Difference, ...]:
        """A stream of another source is somebody else's; other values are corrected, but for the values' type."""
        settings = self.request.settings
        wrong = [
            Difference(f"source {field}", found.source.get(field), wanted, "by hand", "take another connector name")
            for field, wanted in (("InstanceId", settings.instance_id), ("Topic", settings.source_topic))
            if found.source.get(field) != wanted
        ]
        has, wanted = found.source.get("ValueDataType") or "Text", settings.value_type
        if str(has).lower() != wanted.lower():
            advice = "set value_type to the stream's, or destroy the stream and apply again"
            wrong.append(Difference("value type", has, wanted, "by hand", advice))
        wrong += [
            Difference(field, has, wanted)
            for field, has, wanted in self._mended(found)
            if str(has).lower() != str(wanted).lower()
        ]
        return (*wrong, *status_differences(found.status))

    def make(self, cloud: Cloud) -> None:
        """Ask for it to be made; it is started afterwards."""
        cloud.control.call(CREATE_STREAM, self._definition(cloud))

    def change(self, cloud: Cloud, found: StreamState) -> None:
        """Correct what differs, then start it."""
        if any(difference.remedy == "change" for difference in self.compare(found)):
            cloud.control.call(UPDATE_STREAM, self._definition(cloud))
        if found.status not in {RUNNING, STARTING}:
            cloud.control.call(START_STREAM, self._name())

    def pause(self, cloud: Cloud) -> None:
        """Pause it; where it has come to stays with the group."""
        found = self.look(cloud)
        if found is not None and not self.is_paused(found):
            cloud.control.call(PAUSE_STREAM, self._name())

    def is_paused(self, found: StreamState) -> bool:
        """Whether it delivers nothing."""
        return found.status in STILL

    def state(self, found: StreamState) -> str:
        """In a word."""
        return found.status.lower()

    def window(self, found: StreamState | None) -> int:  # noqa: ARG002 # the shape of all streams
        """As it is wanted, which apply makes it."""
        return self.request.batch_seconds

    def remove(self, cloud: Cloud) -> None:
        """Ask for it to be removed."""
        cloud.control.find(DELETE_STREAM, self._name())

    def _name(self) -> dict[str, object]:
        return {"EventStreamingName": self.request.stream_name}

    def _mended(self, found: StreamState) -> list[tuple[str, object, object]]:
        """Fields that are corrected: name, what is there, what is wanted."""
        wanted, options = self._run_options(), found.run_options
        settings = self.request.settings
        return [
            ("source ConsumerGroup", found.source.get("ConsumerGroup"), settings.group),
            ("source OffsetReset", found.source.get("OffsetReset"), settings.consumer_offset),
            ("function", _value(found.sink, "FunctionName"), self.request.function),
            ("invocation", _value(found.sink, "InvocationType"), "Sync"),
            ("concurrency", _value(found.sink, "Concurrency"), settings.concurrency),
            ("filter", found.filter_pattern, EVERYTHING),
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
        """NONE and a day of retries whatever the failure policy is: an outage must never skip a batch (D08)."""
        window = {"CountBasedWindow": self.request.batch_records, "TimeBasedWindow": self.request.batch_seconds}
        return {
            "ErrorsTolerance": "NONE",
            "MaximumTasks": self.request.settings.concurrency,
            "RetryStrategy": {"PushRetryStrategy": "EXPONENTIAL_DECAY_RETRY"},
            "BatchWindow": window,
        }


def status_differences(status: str) -> tuple[Difference, ...]:
    """How a stream's state differs from running."""
    if status == RUNNING:
        return ()
    remedy: Remedy = "wait" if status == STARTING else "restart" if status in FAILED else "switch"
    return (Difference("status", status, RUNNING, remedy),)


def _constant(value: str) -> dict[str, str]:
    return {"Form": "CONSTANT", "Value": value, "Template": ""}


def _value(sink: dict[str, Any], field: str) -> object:
    found = sink.get(field)
    return found.get("Value") if isinstance(found, dict) else found


def _object(value: object) -> dict[str, Any]:
    """An object, which may come as JSON text."""
    found = json.loads(value) if isinstance(value, str) and value else value
    return found if isinstance(found, dict) else {}
