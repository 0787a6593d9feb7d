"""The roles with which EventBridge reaches Kafka and the function; one of each in an account, never removed here (D18).

The connector document names the first only; a stream from a topic in a VPC to a function needs all three (Serverless
Devs' component fc3 makes the same ones).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from provisioning.operations import CREATE_SERVICE_LINKED_ROLE, GET_SERVICE_LINKED_ROLE
from provisioning.resource import Difference, Resource

if TYPE_CHECKING:
    from provisioning.cloud import Cloud

NEEDED = {
    "AliyunServiceRoleForEventBridgeSourceKafka": "source-kafka.eventbridge.aliyuncs.com",
    "AliyunServiceRoleForEventBridgeConnectVPC": "connect-vpc.eventbridge.aliyuncs.com",
    "AliyunServiceRoleForEventBridgeSendToFC": "sendevent-fc.eventbridge.aliyuncs.com",
}


@dataclass(frozen=True, slots=True)
class ServiceLinkedRole(Resource[bool]):
    """A role that belongs to a service; its state is whether the role of that name does."""

    name: str
    service: str

    @property
    def title(self) -> str:
        """What it is."""
        return f"service-linked role {self.name}"

    @property
    def creates(self) -> bool:
        """It is made here."""
        return True

    @property
    def made_by_hand(self) -> str:
        """How to make it."""
        return f"create the service-linked role for {self.service}"

    def look(self, cloud: Cloud) -> bool | None:
        """Whether the role of that name is linked to a service; None where there is no such role."""
        answer = cloud.control.find(GET_SERVICE_LINKED_ROLE, {"RoleName": self.name})
        return None if answer is None else str(answer["Role"].get("IsServiceLinkedRole", "")).lower() == "true"

    def compare(self, found: bool) -> tuple[Difference, ...]:
        """Nothing but whose it is can differ."""
        if found:
            return ()
        advice = "a plain role has this name; remove it, then apply again"
        return (Difference("linked to a service", found=False, wanted=True, remedy="by hand", advice=advice),)

    def make(self, cloud: Cloud) -> None:
        """Ask for it to be made."""
        cloud.control.call(CREATE_SERVICE_LINKED_ROLE, {"ServiceName": self.service})

    def change(self, cloud: Cloud, found: bool) -> None:
        """Nothing of it can be changed."""

    def remove(self, cloud: Cloud) -> None:
        """It stays: every other stream of the account stands on it."""
