"""What would be done: one step a resource, as data. Pure: looking and doing are others'."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from provisioning.resource import shown

if TYPE_CHECKING:
    from provisioning.resource import AnyResource, Difference, Resource, StateT

Do = Literal["create", "change", "wait", "keep", "blocked"]


@dataclass(frozen=True, slots=True)
class Step:
    """What becomes of one resource; `why` says what blocks it and what to do."""

    resource: AnyResource
    do: Do
    differences: tuple[Difference, ...] = ()
    why: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """As a reply shows it."""
        told: dict[str, Any] = {"resource": self.resource.title, "do": self.do}
        if self.differences:
            told["differences"] = [
                {
                    "field": one.field,
                    "found": shown(one.found),
                    "wanted": shown(one.wanted),
                    **({"means": one.advice} if one.advice and one.remedy != "by hand" else {}),
                }
                for one in self.differences
            ]
        if self.why:
            told["why"] = list(self.why)
        return told


def step(resource: Resource[StateT], found: StateT | None, *, manual: bool) -> Step:
    """The step for a resource in the state found; manual mode makes and changes nothing, but switches streams (D09)."""
    if found is None:
        return _creation(resource, manual=manual)
    differences = resource.compare(found)
    remedies = {difference.remedy for difference in differences}
    blocking = [one for one in differences if one.remedy == "by hand" or (manual and one.remedy == "change")]
    if blocking:
        return Step(resource, "blocked", differences, tuple(map(str, blocking)))
    if remedies & {"change", "switch", "restart"}:
        return Step(resource, "change", differences)
    return Step(resource, "wait" if remedies else "keep", differences)


def _creation(resource: AnyResource, *, manual: bool) -> Step:
    """The step for a resource that isn't there."""
    if resource.creates and not manual:
        return Step(resource, "create")
    reason = "resource_creation is manual" if manual and resource.creates else "it isn't there"
    return Step(resource, "blocked", why=(f"{reason}; {resource.made_by_hand}",))
