"""The stream as the sink function's EventBridge trigger, which template.yml declares.

Function Compute makes the stream itself, and names it in the trigger's sourceArn. Only whether it runs is changed here;
a trigger that is deployed again gets what template.yml says.
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
"""The least that an event takes: its envelope without key and value; Alibaba Cloud's own sample has 460 with them."""
ASYNC_BYTES = 131_072
"""The most that an asynchronous invocation takes (Function Compute's limits); a synchronous one takes 32 MB, and the
stream closes a batch before that."""
ENABLED = "triggerEnable"


@dataclass(frozen=True, slots=True)
class TriggerState:
    """The trigger's configuration, and its stream's status; "" where the service doesn't tell which stream it is."""

    config: dict[str, Any]
    status: str = ""

    @property
    def enabled(self) -> bool:
        """Whether the stream is to run."""
        return _same(self.config.get(ENABLED, True), wanted=True)


@dataclass(frozen=True, slots=True)
class Trigger(Stream[TriggerState]):
    """The trigger by its name."""

    request: Request

    @property
    def title(self) -> str:
        """What it is."""
        return f"trigger {self.request.trigger} of {self.request.function}"

    @property
    def creates(self) -> bool:
        """It is made by deploying template.yml."""
        return False

    @property
    def made_by_hand(self) -> str:
        """How to make it."""
        return "deploy the function with its trigger: s deploy -t template.yml"

    def look(self, cloud: Cloud) -> TriggerState | None:
        """The trigger's configuration, and how its stream is."""
        answer = cloud.control.find(GET_TRIGGER, self._place())
        if answer is None:
            return None
        config = json.loads(answer["triggerConfig"])
        name = str(answer.get("sourceArn") or "").rpartition("/")[2]
        stream = cloud.control.find(GET_TRIGGERS_STREAM, {"EventStreamingName": name}) if name else None
        status = "" if stream is None else str((stream.get("Data") or {}).get("Status", "")).upper()
        return TriggerState(config if isinstance(config, dict) else {}, status)

    def compare(self, found: TriggerState) -> tuple[Difference, ...]:
        """What isn't as the settings need it, and what would lose data unless that risk is accepted."""
        wrong = [
            Difference(".".join(path), has, wanted, "by hand", _advice(risk))
            for path, wanted, risk in self._wanted()
            if not _same(has := _at(found.config, path), wanted) and risk not in self.request.accepted
        ]
        wrong += _window(found.config)
        if not found.enabled:
            return (*wrong, Difference("enabled", found=False, wanted=True, remedy="switch"))
        return (*wrong, *(status_differences(found.status) if found.status else ()))

    def make(self, cloud: Cloud) -> None:
        """Not here; see `creates`."""

    def change(self, cloud: Cloud, found: TriggerState) -> None:
        """Switch the stream on; off first where it is to start again."""
        if found.enabled and found.status in FAILED | STILL:
            self._enable(cloud, found, on=False)
        self._enable(cloud, found, on=True)

    def pause(self, cloud: Cloud) -> None:
        """Switch the stream off; where it has come to stays with the group."""
        found = self.look(cloud)
        if found is not None and found.enabled:
            self._enable(cloud, found, on=False)

    def is_paused(self, found: TriggerState) -> bool:
        """Whether it delivers nothing."""
        return not found.enabled and found.status in {"", *STILL}

    def state(self, found: TriggerState) -> str:
        """In a word."""
        if not found.enabled:
            return "paused" if self.is_paused(found) else "pausing"
        return found.status.lower() or "enabled"

    def window(self, found: TriggerState | None) -> int:
        """As template.yml has it."""
        has = None if found is None else _at(found.config, ("runOptions", "batchWindow", "TimeBasedWindow"))
        return self.request.batch_seconds if has is None else int(str(has))

    def remove(self, cloud: Cloud) -> None:
        """Switch it off; it goes with the function, by `s remove`."""
        self.pause(cloud)

    def _enable(self, cloud: Cloud, found: TriggerState, *, on: bool) -> None:
        config = json.dumps({**found.config, ENABLED: on})
        cloud.control.call(UPDATE_TRIGGER, self._place(), triggerConfig=config)

    def _place(self) -> dict[str, str]:
        return {"function": self.request.function, "trigger": self.request.trigger}

    def _wanted(self) -> Iterator[tuple[Path, object, str]]:
        """Where in the configuration, what is wanted there, and which risk another value is."""
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
"""What a field that isn't there means (the models of alibabacloud_fc20230330 4.8.3)."""


def _window(config: dict[str, Any]) -> Iterator[Difference]:
    """A batch window that the service refuses, or whose batches can't be delivered."""
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


def _same(found: object, wanted: object) -> bool:
    """Numbers and truth values come back from the service as text, too."""
    return str(found).lower() == str(wanted).lower()


def _advice(risk: str) -> str:
    fixed = "fix template.yml and deploy it"
    return f"{fixed}, or accept the risk {risk!r}" if risk else fixed
