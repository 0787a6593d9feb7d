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
    """The group by its name; there is nothing to it but that it is there."""

    instance: str
    region: str
    name: str

    @property
    def title(self) -> str:
        """What it is."""
        return f"group {self.name}"

    @property
    def creates(self) -> bool:
        """It is made here."""
        return True

    @property
    def made_by_hand(self) -> str:
        """How to make it."""
        return f"create the consumer group {self.name}"

    def look(self, cloud: Cloud) -> str | None:
        """The group's name, where it is there; page by page, for the filter may be fuzzy."""
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

    def compare(self, found: str) -> tuple[Difference, ...]:  # noqa: ARG002 # the shape of all resources
        """Nothing of it can differ."""
        return ()

    def make(self, cloud: Cloud) -> None:
        """Ask for it to be made."""
        cloud.control.call(CREATE_GROUP, {**self._place(), "Remark": "kafka-maxcompute-stream"})

    def change(self, cloud: Cloud, found: str) -> None:
        """Nothing of it can be changed."""

    def remove(self, cloud: Cloud) -> None:
        """Remove it, and with it how far the stream has come."""
        cloud.control.find(DELETE_GROUP, self._place())

    def _place(self) -> dict[str, str]:
        return {"RegionId": self.region, "InstanceId": self.instance, "ConsumerId": self.name}
