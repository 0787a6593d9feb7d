"""The stream as the sink function's EventBridge trigger, which template.yml declares.

Function Compute creates the stream, and names it in the trigger's sourceArn. Provisioning only switches the trigger on
and off; a deploy sets everything else to the values of template.yml.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from provisioning.operations import GET_TRIGGER, GET_TRIGGERS_STREAM, UPDATE_TRIGGER
from provisioning.request import BATCH_RECORDS, BATCH_SECONDS
from provisioning.resource import Difference, Stream
from provisioning.resources.event_stream import FAILED, STILL, status_differences

if TYPE_CHECKING:
    from collections.abc import Iterator

    from provisioning.cloud import Cloud
    from provisioning.request import Request

Path = tuple[str, ...]

_SOURCE: Path = ("eventSourceConfig", "eventSourceParameters", "sourceKafkaParameters")
_DELIVERY: Path = ("eventSinkConfig", "deliveryOption")
EVENT_BYTES = 400
"""The least size of an event: its envelope without key and value; Alibaba Cloud's own sample has 460 with them."""
ASYNC_BYTES = 131_072
"""The largest payload of an asynchronous invocation (Function Compute's limits); a synchronous one takes 32 MB, and the
stream closes a batch before that."""
ENABLED = "triggerEnable"


@dataclass(frozen=True, slots=True)
class TriggerState:
    """The trigger's configuration, and its stream's status; "" if the service doesn't name the stream."""

    config: dict[str, Any]
    status: str = ""

    @property
    def enabled(self) -> bool:
        """Return whether the trigger is switched on."""
        return _same(self.config.get(ENABLED, True), wanted=True)


@dataclass(frozen=True, slots=True)
class Trigger(Stream[TriggerState]):
    """The trigger, identified by its name."""

    request: Request

    @property
    def title(self) -> str:
        """Return the kind and the name."""
        return f"trigger {self.request.trigger} of {self.request.function}"

    @property
    def creates(self) -> bool:
        """Return False: a deploy of template.yml creates the trigger."""
        return False

    @property
    def made_by_hand(self) -> str:
        """Return the instruction for a person who creates the resource."""
        return "deploy the function with its trigger: s deploy -t template.yml"

    def look(self, cloud: Cloud) -> TriggerState | None:
        """Return the trigger's configuration and its stream's status; None if there is no trigger."""
        answer = cloud.control.find(GET_TRIGGER, self._place())
        if answer is None:
            return None
        config = json.loads(answer["triggerConfig"])
        name = str(answer.get("sourceArn") or "").rpartition("/")[2]
        stream = cloud.control.find(GET_TRIGGERS_STREAM, {"EventStreamingName": name}) if name else None
        status = "" if stream is None else str((stream.get("Data") or {}).get("Status", "")).upper()
        return TriggerState(config if isinstance(config, dict) else {}, status)

    def compare(self, state: TriggerState) -> tuple[Difference, ...]:
        """Return the differences from the settings, and the values that lose data, unless that risk is accepted."""
        wrong = [
            Difference(".".join(path), has, wanted, "by hand", _advice(risk))
            for path, wanted, risk in self._wanted()
            if not _same(has := _at(state.config, path), wanted) and risk not in self.request.accepted
        ]
        wrong += _window(state.config)
        if not state.enabled:
            return (*wrong, Difference("enabled", actual=False, wanted=True, remedy="switch"))
        return (*wrong, *(status_differences(state.status) if state.status else ()))

    def make(self, cloud: Cloud) -> None:
        """Do nothing; see `creates`."""

    def change(self, cloud: Cloud, state: TriggerState) -> None:
        """Switch the trigger on; first off, if its stream failed or stands still."""
        if state.enabled and state.status in FAILED | STILL:
            self._enable(cloud, state, on=False)
        self._enable(cloud, state, on=True)

    def pause(self, cloud: Cloud) -> None:
        """Switch the trigger off; the group keeps its committed offsets."""
        state = self.look(cloud)
        if state is not None and state.enabled:
            self._enable(cloud, state, on=False)

    def is_paused(self, state: TriggerState) -> bool:
        """Return whether the stream delivers nothing."""
        return not state.enabled and state.status in {"", *STILL}

    def status(self, state: TriggerState) -> str:
        """Return the status in one word."""
        if not state.enabled:
            return "paused" if self.is_paused(state) else "pausing"
        return state.status.lower() or "enabled"

    def window(self, state: TriggerState | None) -> int:
        """Return the trigger's window, the request's if the trigger has none."""
        seconds = None if state is None else _at(state.config, ("runOptions", "batchWindow", "TimeBasedWindow"))
        return self.request.batch_seconds if seconds is None else int(str(seconds))

    def remove(self, cloud: Cloud) -> None:
        """Switch the trigger off; `s remove` removes it with the function."""
        self.pause(cloud)

    def _enable(self, cloud: Cloud, state: TriggerState, *, on: bool) -> None:
        config = json.dumps({**state.config, ENABLED: on})
        cloud.control.call(UPDATE_TRIGGER, self._place(), triggerConfig=config)

    def _place(self) -> dict[str, str]:
        return {"function": self.request.function, "trigger": self.request.trigger}

    def _wanted(self) -> Iterator[tuple[Path, object, str]]:
        """Yield the path in the configuration, the wanted value, and the risk that another value takes ("": none)."""
        settings = self.request.settings
        yield ("eventSourceConfig", "eventSourceType"), "Kafka", ""
        yield (*_SOURCE, "InstanceId"), settings.instance_id, ""
        yield (*_SOURCE, "Topic"), settings.source_topic, ""
        yield (*_SOURCE, "ConsumerGroup"), settings.group, ""
        yield (*_SOURCE, "OffsetReset"), settings.consumer_offset, ""
        yield (*_DELIVERY, "eventSchema"), "CloudEvents", ""
        yield ("asyncInvocationType",), False, "asynchronous"
        yield ("eventRuleFilterPattern",), "{}", "filter"
        yield ("runOptions", "errorsTolerance"), "NONE", "tolerance"
        yield ("runOptions", "retryStrategy", "PushRetryStrategy"), "EXPONENTIAL_DECAY_RETRY", "retry"
        yield ("runOptions", "maximumTasks"), settings.concurrency, ""


_DEFAULTS = {
    "eventSchema": "CloudEvents",
    "asyncInvocationType": False,
    "eventRuleFilterPattern": "{}",
    "errorsTolerance": "NONE",
}
"""The meaning of a missing field (the models of alibabacloud_fc20230330 4.8.3)."""


def _window(config: dict[str, Any]) -> Iterator[Difference]:
    """Yield the faults of a batch window that the service refuses, or whose batches are too large."""
    window = _at(config, ("runOptions", "batchWindow"))
    given = window if isinstance(window, dict) else {}
    for field, (least, most) in (("CountBasedWindow", BATCH_RECORDS), ("TimeBasedWindow", BATCH_SECONDS)):
        has = given.get(field)
        if has is not None and not least <= int(str(has)) <= most:
            yield Difference(f"batchWindow.{field}", has, f"{least} to {most}", "by hand", _advice(""))
    records = int(str(given.get("CountBasedWindow") or 1))
    if _same(_at(config, ("asyncInvocationType",)), wanted=True) and records * EVENT_BYTES > ASYNC_BYTES:
        needs = (
            f"{records} events take {records * EVENT_BYTES} bytes at least, and an asynchronous delivery {ASYNC_BYTES}"
        )
        yield Difference("batchWindow.CountBasedWindow", records, ASYNC_BYTES // EVENT_BYTES, "by hand", needs)


def _at(config: dict[str, Any], path: Path) -> object:
    value: Any = config
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return _DEFAULTS.get(path[-1]) if value is None else value


def _same(actual: object, wanted: object) -> bool:
    """Compare values as text: the service returns numbers and booleans as text, too."""
    return str(actual).lower() == str(wanted).lower()


def _advice(risk: str) -> str:
    remedy = "fix template.yml and deploy it"
    return f"{remedy}, or accept the risk {risk!r}" if risk else remedy
