"""The step that each resource needs, as data. Pure: `plan` reads the states, `convergence` does the steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from provisioning.resource import shown

if TYPE_CHECKING:
    from provisioning.resource import AnyResource, Difference, Resource, StateT

Do = Literal["create", "change", "wait", "keep", "blocked"]


@dataclass(frozen=True, slots=True)
class Step:
    """What is to be done with one resource; `why` says what blocks the step and what to do."""

    resource: AnyResource
    do: Do
    differences: tuple[Difference, ...] = ()
    why: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return the step as a reply shows it."""
        document: dict[str, Any] = {"resource": self.resource.title, "do": self.do}
        if self.differences:
            document["differences"] = [
                {
                    "field": difference.field,
                    "found": shown(difference.actual),
                    "wanted": shown(difference.wanted),
                    **({"means": difference.advice} if difference.advice and difference.remedy != "by hand" else {}),
                }
                for difference in self.differences
            ]
        if self.why:
            document["why"] = list(self.why)
        return document


def step(resource: Resource[StateT], state: StateT | None, *, manual: bool) -> Step:
    """Return the step for a resource in a state.

    Manual mode creates and changes nothing, but switches streams on (D09).
    """
    if state is None:
        return _creation(resource, manual=manual)
    differences = resource.compare(state)
    remedies = {difference.remedy for difference in differences}
    blocking = [
        difference
        for difference in differences
        if difference.remedy == "by hand" or (manual and difference.remedy == "change")
    ]
    if blocking:
        return Step(resource, "blocked", differences, tuple(map(str, blocking)))
    if remedies & {"change", "switch", "restart"}:
        return Step(resource, "change", differences)
    return Step(resource, "wait" if remedies else "keep", differences)


def _creation(resource: AnyResource, *, manual: bool) -> Step:
    """Return the step for a resource that doesn't exist."""
    if resource.creates and not manual:
        return Step(resource, "create")
    reason = "resource_creation is manual" if manual and resource.creates else "it isn't there"
    return Step(resource, "blocked", why=(f"{reason}; {resource.made_by_hand}",))
