"""The roles with which EventBridge reaches Kafka and the function: one of each in an account, never removed (D18).

The connector document names only the first; a stream from a topic in a VPC to a function needs all three (Serverless
Devs' component fc3 creates the same roles).
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
    """A role that is linked to a service; the state is whether the role with this name is linked to one."""

    name: str
    service: str

    @property
    def title(self) -> str:
        """Return the kind and the name."""
        return f"service-linked role {self.name}"

    @property
    def creates(self) -> bool:
        """Return True: apply creates the resource."""
        return True

    @property
    def made_by_hand(self) -> str:
        """Return the instruction for a person who creates the resource."""
        return f"create the service-linked role for {self.service}"

    def look(self, cloud: Cloud) -> bool | None:
        """Return whether the role of this name is linked to a service; None if there is no such role."""
        answer = cloud.control.find(GET_SERVICE_LINKED_ROLE, {"RoleName": self.name})
        return None if answer is None else str(answer["Role"].get("IsServiceLinkedRole", "")).lower() == "true"

    def compare(self, state: bool) -> tuple[Difference, ...]:
        """Return a difference if the role isn't linked to a service."""
        if state:
            return ()
        advice = "a plain role has this name; remove it, then apply again"
        return (Difference("linked to a service", actual=False, wanted=True, remedy="by hand", advice=advice),)

    def make(self, cloud: Cloud) -> None:
        """Request the creation."""
        cloud.control.call(CREATE_SERVICE_LINKED_ROLE, {"ServiceName": self.service})

    def change(self, cloud: Cloud, state: bool) -> None:
        """Do nothing: `compare` reports no difference."""

    def remove(self, cloud: Cloud) -> None:
        """Do nothing: the account's other streams need the role."""
