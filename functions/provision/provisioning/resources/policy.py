"""Custom policies: of the provisioning function's role, and of the roles that read a connector's secret.

The provisioning function's policy allows exactly the function's calls, for all connectors.
"""

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
"""The name of the role and of its policy; in lower case, because RAM shows roles in lower case."""
FUNCTIONS_ONLY = ("fc.aliyuncs.com",)
CUSTOM = "Custom"


@dataclass(frozen=True, slots=True)
class Policy(Resource[dict[str, Any]]):
    """A custom policy, identified by its name; the state is the policy's document."""

    name: str
    document: dict[str, Any]

    @property
    def title(self) -> str:
        """Return the kind and the name."""
        return f"policy {self.name}"

    @property
    def creates(self) -> bool:
        """Return True: apply creates the resource."""
        return True

    @property
    def made_by_hand(self) -> str:
        """Return the instruction for a person who creates the resource."""
        return f"create the custom policy {self.name}: {json.dumps(self.document)}"

    def look(self, cloud: Cloud) -> dict[str, Any] | None:
        """Return the document of the default version; None if the policy doesn't exist."""
        answer = cloud.control.find(GET_POLICY, {"PolicyName": self.name, "PolicyType": CUSTOM})
        if answer is None:
            return None
        document = json.loads(answer["DefaultPolicyVersion"]["PolicyDocument"])
        return document if isinstance(document, dict) else {}

    def compare(self, state: dict[str, Any]) -> tuple[Difference, ...]:
        """Return the difference between the documents as JSON."""
        if state == self.document:
            return ()
        return (Difference("document", json.dumps(state), json.dumps(self.document)),)

    def make(self, cloud: Cloud) -> None:
        """Request the creation."""
        cloud.control.call(CREATE_POLICY, {"PolicyName": self.name, "PolicyDocument": self.document})

    def change(self, cloud: Cloud, state: dict[str, Any]) -> None:  # noqa: ARG002 # required by `Resource`
        """Write a new default version; RAM deletes the oldest version, since a policy may have five."""
        parameters = {"PolicyName": self.name, "PolicyDocument": self.document, "SetAsDefault": True}
        rotation = {"RotateStrategy": "DeleteOldestNonDefaultVersionWhenLimitExceeded"}
        cloud.control.call(CREATE_POLICY_VERSION, {**parameters, **rotation})

    def remove(self, cloud: Cloud) -> None:
        """Do nothing: other connectors need the policy and its role."""


@dataclass(frozen=True, slots=True)
class Attachment(Resource[bool]):
    """The attachment of a custom policy to a role; the state is True."""

    policy: str
    role: str

    @property
    def title(self) -> str:
        """Return the kind and the name."""
        return f"policy {self.policy} of role {self.role}"

    @property
    def creates(self) -> bool:
        """Return True: apply creates the resource."""
        return True

    @property
    def made_by_hand(self) -> str:
        """Return the instruction for a person who creates the resource."""
        return f"attach the custom policy {self.policy} to the role {self.role}"

    def look(self, cloud: Cloud) -> bool | None:
        """Return True if the policy is attached, else None."""
        answer = cloud.control.call(GET_POLICIES_OF_ROLE, {"RoleName": self.role})
        listed = (answer.get("Policies") or {}).get("Policy") or []
        is_attached = any((policy["PolicyName"], policy["PolicyType"]) == (self.policy, CUSTOM) for policy in listed)
        return True if is_attached else None

    def compare(self, state: bool) -> tuple[Difference, ...]:  # noqa: ARG002 # required by `Resource`
        """Return no difference: only the existence of the resource matters."""
        return ()

    def make(self, cloud: Cloud) -> None:
        """Request the attachment."""
        parameters = {"PolicyType": CUSTOM, "PolicyName": self.policy, "RoleName": self.role}
        cloud.control.call(ATTACH_POLICY, parameters)

    def change(self, cloud: Cloud, state: bool) -> None:
        """Do nothing: `compare` reports no difference."""

    def remove(self, cloud: Cloud) -> None:
        """Do nothing; see `Policy`."""


def least_policy(account: str, region: str, role: str, instance: str, secret: str = "") -> dict[str, Any]:
    """Return the provisioning function's policy, for every connector of an instance that writes with one role.

    `secret` is the name of the KMS secret with the brokers' password, "" if there is none.
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
    """Return the policy that lets a role read the secret."""
    return policy((GET_SECRET_VALUE,), {"account": account, "region": region, "secret": secret})
