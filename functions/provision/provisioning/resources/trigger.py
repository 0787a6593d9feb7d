"""The stream as the sink function's EventBridge trigger, which template.yml declares.

Function Compute makes the stream itself. Only whether it runs is changed here: a trigger that is deployed again gets
what template.yml says.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from provisioning.operations import GET_TRIGGER, UPDATE_TRIGGER
from provisioning.resource import Difference

if TYPE_CHECKING:
    from collections.abc import Iterator

    from provisioning.cloud import Cloud
    from provisioning.request import Request

Path = tuple[str, ...]

_SOURCE: Path = ("eventSourceConfig", "eventSourceParameters", "sourceKafkaParameters")
_DELIVERY: Path = ("eventSinkConfig", "deliveryOption")
ENABLED = "triggerEnable"


@dataclass(frozen=True, slots=True)
class Trigger:
    """The trigger by its name; its state is the trigger's configuration."""

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

    def look(self, cloud: Cloud) -> dict[str, Any] | None:
        """The trigger's configuration."""
        answer = cloud.control.find(GET_TRIGGER, self._place())
        if answer is None:
            return None
        config = json.loads(answer["triggerConfig"])
        return config if isinstance(config, dict) else {}

    def compare(self, found: dict[str, Any]) -> tuple[Difference, ...]:
        """What isn't as the settings need it, and what would lose data unless that risk is accepted."""
        wrong = [
            Difference(".".join(path), has, wanted, "by hand", _advice(risk))
            for path, wanted, risk in self._wanted()
            if not _same(has := _at(found, path), wanted) and risk not in self.request.accept_risk
        ]
        if not _same(found.get(ENABLED, True), wanted=True):
            wrong.append(Difference("enabled", found=False, wanted=True, remedy="switch"))
        return tuple(wrong)

    def make(self, cloud: Cloud) -> None:
        """Not here; see `creates`."""

    def change(self, cloud: Cloud, found: dict[str, Any]) -> None:
        """Switch the stream on."""
        self._enable(cloud, found, on=True)

    def pause(self, cloud: Cloud) -> None:
        """Switch the stream off; where it has come to stays with the group."""
        found = self.look(cloud)
        if found is not None and _same(found.get(ENABLED, True), wanted=True):
            self._enable(cloud, found, on=False)

    def is_paused(self, found: dict[str, Any]) -> bool:
        """Whether it delivers nothing."""
        return not _same(found.get(ENABLED, True), wanted=True)

    def state(self, found: dict[str, Any]) -> str:
        """In a word."""
        return "paused" if self.is_paused(found) else "enabled"

    def remove(self, cloud: Cloud) -> None:
        """Switch it off; it goes with the function, by `s remove`."""
        self.pause(cloud)

    def _enable(self, cloud: Cloud, found: dict[str, Any], *, on: bool) -> None:
        config = json.dumps({**found, ENABLED: on})
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


def _at(config: dict[str, Any], path: Path) -> object:
    value: Any = config
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return _DEFAULTS.get(path[-1]) if value is None else value


def _same(found: object, wanted: object) -> bool:
    """Numbers and truth values come back from the service as text, too."""
    return str(found).lower() == str(wanted).lower()


def _advice(risk: str) -> str:
    mended = "mend template.yml and deploy it"
    return f"{mended}, or accept the risk {risk!r}" if risk else mended
