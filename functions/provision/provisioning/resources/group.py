"""The consumer group of the stream (D02)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from provisioning.operations import CREATE_GROUP, DELETE_GROUP, GET_GROUPS
from provisioning.resource import Resource

if TYPE_CHECKING:
    from provisioning.cloud import Cloud
    from provisioning.resource import Difference

PAGE = 100


@dataclass(frozen=True, slots=True)
class Group(Resource[str]):
    """The group, identified by its name, which is its state, too."""

    instance: str
    region: str
    name: str

    @property
    def title(self) -> str:
        """Return the kind and the name."""
        return f"group {self.name}"

    @property
    def creates(self) -> bool:
        """Return True: apply creates the resource."""
        return True

    @property
    def made_by_hand(self) -> str:
        """Return the instruction for a person who creates the resource."""
        return f"create the consumer group {self.name}"

    def look(self, cloud: Cloud) -> str | None:
        """Return the group's name, None if the group doesn't exist.

        The service's filter may be fuzzy, so names are compared here, page by page.
        """
        page, seen = 1, 0
        while True:
            pages = {"CurrentPage": page, "PageSize": PAGE}
            answer = cloud.control.call(GET_GROUPS, {**self._place(), **pages})
            listed = (answer.get("ConsumerList") or {}).get("ConsumerVO") or []
            if any(group["ConsumerId"] == self.name for group in listed):
                return self.name
            page, seen = page + 1, seen + len(listed)
            if not listed or seen >= int(answer.get("Total") or 0):
                return None

    def compare(self, state: str) -> tuple[Difference, ...]:  # noqa: ARG002 # required by `Resource`
        """Return no difference: only the existence of the resource matters."""
        return ()

    def make(self, cloud: Cloud) -> None:
        """Request the creation."""
        cloud.control.call(CREATE_GROUP, {**self._place(), "Remark": "kafka-maxcompute-stream"})

    def change(self, cloud: Cloud, state: str) -> None:
        """Do nothing: `compare` reports no difference."""

    def remove(self, cloud: Cloud) -> None:
        """Remove the group with its committed offsets."""
        cloud.control.find(DELETE_GROUP, self._place())

    def _place(self) -> dict[str, str]:
        return {"RegionId": self.region, "InstanceId": self.instance, "ConsumerId": self.name}
