"""The policy of the provisioning function's own role: what its calls need and nothing else, for all connectors."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kafka_maxcompute.control.kms import GET_SECRET_VALUE
from provisioning.operations import (
    ATTACH_POLICY,
    CREATE_POLICY,
    CREATE_POLICY_VERSION,
    GET_POLICIES_OF_ROLE,
    GET_POLICY,
    OPERATIONS,
    policy,
)
from provisioning.resource import Difference, Resource

if TYPE_CHECKING:
    from provisioning.cloud import Cloud

PROVISIONER = "kafka-maxcompute-provisioner"
"""The name of the role and of its policy; in lower case, as RAM shows roles."""
FUNCTIONS_ONLY = ("fc.aliyuncs.com",)
CUSTOM = "Custom"


@dataclass(frozen=True, slots=True)
class Policy(Resource[dict[str, Any]]):
    """A custom policy by its name; its state is its document."""

    name: str
    document: dict[str, Any]

    @property
    def title(self) -> str:
        """What it is."""
        return f"policy {self.name}"

    @property
    def creates(self) -> bool:
        """It is made here."""
        return True

    @property
    def made_by_hand(self) -> str:
        """How to make it."""
        return f"create the custom policy {self.name}: {json.dumps(self.document)}"

    def look(self, cloud: Cloud) -> dict[str, Any] | None:
        """The document of its default version."""
        answer = cloud.control.find(GET_POLICY, {"PolicyName": self.name, "PolicyType": CUSTOM})
        if answer is None:
            return None
        found = json.loads(answer["DefaultPolicyVersion"]["PolicyDocument"])
        return found if isinstance(found, dict) else {}

    def compare(self, found: dict[str, Any]) -> tuple[Difference, ...]:
        """The documents as JSON."""
        if found == self.document:
            return ()
        return (Difference("document", json.dumps(found), json.dumps(self.document)),)

    def make(self, cloud: Cloud) -> None:
        """Ask for it to be made."""
        cloud.control.call(CREATE_POLICY, {"PolicyName": self.name, "PolicyDocument": self.document})

    def change(self, cloud: Cloud, found: dict[str, Any]) -> None:  # noqa: ARG002 # the shape of all resources
        """Write a new default version; the oldest goes, for a policy may have five."""
        parameters = {"PolicyName": self.name, "PolicyDocument": self.document, "SetAsDefault": True}
        rotation = {"RotateStrategy": "DeleteOldestNonDefaultVersionWhenLimitExceeded"}
        cloud.control.call(CREATE_POLICY_VERSION, {**parameters, **rotation})

    def remove(self, cloud: Cloud) -> None:
        """It stays, as its role does: other connectors are provisioned with it."""


@dataclass(frozen=True, slots=True)
class Attachment(Resource[bool]):
    """A custom policy attached to a role; its state is that it is."""

    policy: str
    role: str

    @property
    def title(self) -> str:
        """What it is."""
        return f"policy {self.policy} of role {self.role}"

    @property
    def creates(self) -> bool:
        """It is made here."""
        return True

    @property
    def made_by_hand(self) -> str:
        """How to make it."""
        return f"attach the custom policy {self.policy} to the role {self.role}"

    def look(self, cloud: Cloud) -> bool | None:
        """Whether it is attached."""
        answer = cloud.control.call(GET_POLICIES_OF_ROLE, {"RoleName": self.role})
        listed = (answer.get("Policies") or {}).get("Policy") or []
        there = any((one["PolicyName"], one["PolicyType"]) == (self.policy, CUSTOM) for one in listed)
        return True if there else None

    def compare(self, found: bool) -> tuple[Difference, ...]:  # noqa: ARG002 # the shape of all resources
        """Nothing of it can differ."""
        return ()

    def make(self, cloud: Cloud) -> None:
        """Ask for it."""
        parameters = {"PolicyType": CUSTOM, "PolicyName": self.policy, "RoleName": self.role}
        cloud.control.call(ATTACH_POLICY, parameters)

    def change(self, cloud: Cloud, found: bool) -> None:
        """Nothing of it can be changed."""

    def remove(self, cloud: Cloud) -> None:
        """It stays; see `Policy`."""


def least_policy(account: str, region: str, role: str, instance: str, secret: str = "") -> dict[str, Any]:
    """What the provisioning function may do: for every connector of an instance that writes as one role.

    `secret` is the one with the brokers' password, where KMS keeps it.
    """
    names = {
        "account": account,
        "region": region,
        "role": role,
        "instance": instance,
        "stream": "connect-*",
        "function": "maxcompute-sink-*",
        "trigger": "*",
        "secret": secret,
    }
    return policy((*OPERATIONS, GET_SECRET_VALUE) if secret else OPERATIONS, names)


def secret_policy(account: str, region: str, secret: str) -> dict[str, Any]:
    """What the sink's role needs besides: to read that one secret."""
    return policy((GET_SECRET_VALUE,), {"account": account, "region": region, "secret": secret})
