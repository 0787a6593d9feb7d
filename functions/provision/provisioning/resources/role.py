"""The RAM role that the function assumes and that MaxCompute knows as a user (D16)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from provisioning.operations import CREATE_ROLE, DELETE_ROLE, GET_ROLE, UPDATE_ROLE
from provisioning.resource import Difference, Resource

if TYPE_CHECKING:
    from provisioning.cloud import Cloud

TRUSTED = ("alikafka.aliyuncs.com", "fc.aliyuncs.com")
"""The services that may assume the role: Function Compute does, the connector document asks for the other."""
DESCRIPTION = "Writes Kafka topics into MaxCompute"


@dataclass(frozen=True, slots=True)
class RoleState:
    """The role's ARN, which RAM may show in lower case, and its trust policy."""

    arn: str
    trust: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Role(Resource[RoleState]):
    """The role by its name, and the services that may assume it."""

    name: str
    trusted: tuple[str, ...] = TRUSTED

    @property
    def title(self) -> str:
        """What it is."""
        return f"role {self.name}"

    @property
    def creates(self) -> bool:
        """It is made here."""
        return True

    @property
    def made_by_hand(self) -> str:
        """How to make it."""
        return f"create the RAM role {self.name} with a trust for {' and '.join(self.trusted)}"

    def look(self, cloud: Cloud) -> RoleState | None:
        """The role as RAM has it."""
        answer = cloud.control.find(GET_ROLE, {"RoleName": self.name})
        if answer is None:
            return None
        role = answer["Role"]
        return RoleState(role["Arn"], json.loads(role["AssumeRolePolicyDocument"]))

    def compare(self, found: RoleState) -> tuple[Difference, ...]:
        """The trust policies as what they mean: order, and one service alone or in a list, make no difference."""
        wanted = trust(self.trusted)
        if _meaning(found.trust) == _meaning(wanted):
            return ()
        return (Difference("trust", _told(found.trust), _told(wanted)),)

    def make(self, cloud: Cloud) -> None:
        """Ask for it to be made."""
        document = {"AssumeRolePolicyDocument": trust(self.trusted), "Description": DESCRIPTION}
        cloud.control.call(CREATE_ROLE, {"RoleName": self.name, **document})

    def change(self, cloud: Cloud, found: RoleState) -> None:  # noqa: ARG002 # the shape of all resources
        """Write the trust policy again."""
        cloud.control.call(UPDATE_ROLE, {"RoleName": self.name, "NewAssumeRolePolicyDocument": trust(self.trusted)})

    def remove(self, cloud: Cloud) -> None:
        """Ask for it to be removed; RAM refuses while policies are attached, which are then somebody else's."""
        cloud.control.find(DELETE_ROLE, {"RoleName": self.name})


def trust(services: tuple[str, ...] = TRUSTED) -> dict[str, Any]:
    """The trust policy that is wanted."""
    statement = {"Action": "sts:AssumeRole", "Effect": "Allow", "Principal": {"Service": list(services)}}
    return {"Statement": [statement], "Version": "1"}


def principal(account: str, role: str) -> str:
    """A role as MaxCompute names its user: in lower case, as RAM's ARNs show it, however it was created (D17)."""
    return f"RAM${account}:role/{role.lower()}"


def _meaning(document: dict[str, Any]) -> set[tuple[str, ...]]:
    """Each permission of a trust policy by itself."""
    return {
        (str(statement.get("Effect")), action, kind, who, json.dumps(statement.get("Condition", {}), sort_keys=True))
        for statement in _listed(document.get("Statement"))
        for action in _listed(statement.get("Action"))
        for kind, names in statement.get("Principal", {}).items()
        for who in _listed(names)
    }


def _told(document: dict[str, Any]) -> list[str]:
    """Who is trusted, in a plan."""
    return sorted(
        who + ("" if (effect, action) == ("Allow", "sts:AssumeRole") else f" ({effect} {action})")
        for effect, action, _, who, _ in _meaning(document)
    )


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]
