"""The plan of one connector: its resources as they are, what is to be done, and all that stands against it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from kafka_maxcompute.errors import BatchError
from provisioning import facts as looking
from provisioning import preflight, refusals
from provisioning.connector import left_alone, resources
from provisioning.plan import Step, step
from provisioning.resources.settings_record import SettingsRecord

if TYPE_CHECKING:
    from provisioning.cloud import Cloud
    from provisioning.request import Request
    from provisioning.resource import Resource
    from provisioning.resources.settings_record import Recorded

State = Literal["blocked", "changes", "unchanged"]


@dataclass(frozen=True, slots=True)
class Item:
    """A resource, its state when it was looked at, and its step."""

    resource: Resource
    found: Any
    step: Step


@dataclass(frozen=True, slots=True)
class Survey:
    """What a plan says; `faults` are those that no single step has."""

    items: tuple[Item, ...]
    faults: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def state(self) -> State:
        """Whether it can be carried out, and whether there's anything to do."""
        done = {item.step.do for item in self.items}
        if self.faults or "blocked" in done:
            return "blocked"
        return "unchanged" if done == {"keep"} else "changes"

    def as_json(self) -> dict[str, Any]:
        """As a reply shows it."""
        return {
            "state": self.state,
            "faults": list(self.faults),
            "warnings": list(self.warnings),
            "steps": [item.step.as_json() for item in self.items],
        }


@dataclass(frozen=True, slots=True)
class _Look:
    """What a look found, or why it couldn't."""

    found: Any
    error: str = ""


def survey(cloud: Cloud) -> Survey:
    """Look at everything; changes nothing, and raises nothing that a reply can say."""
    record = _look(SettingsRecord(cloud.request), cloud)
    request = _completed(cloud.request, record.found)
    found = looking.gather(cloud)
    items = tuple(
        _item(resource, request, record if isinstance(resource, SettingsRecord) else _look(resource, cloud))
        for resource in resources(request, cloud.account)
    )
    steps = tuple(item.step for item in items)
    shown = {line for one in steps for line in one.why}
    faults = (
        *(fault for fault in found.unknown if fault not in shown),
        *preflight.faults(request, found, steps),
        *refusals.refusals(request, found, steps),
    )
    return Survey(items, faults, preflight.warnings(request, found))


def _completed(request: Request, recorded: Recorded | None) -> Request:
    """With the risks that are accepted already, unless the event says which are."""
    if request.accept_risk is not None or recorded is None:
        return request
    return replace(request, accept_risk=recorded.accept_risk)


def _look(resource: Resource, cloud: Cloud) -> _Look:
    try:
        return _Look(resource.look(cloud))
    except BatchError as error:
        return _Look(None, str(error))


def _item(resource: Resource, request: Request, look: _Look) -> Item:
    if look.error:
        return Item(resource, None, Step(resource.title, "blocked", why=(look.error,)))
    return Item(resource, look.found, step(resource, look.found, manual=left_alone(request, resource)))
