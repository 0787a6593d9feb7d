"""The RAM role that the sink function assumes, and that is a user of MaxCompute (D16)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from provisioning.operations import CREATE_ROLE, DELETE_ROLE, GET_ROLE, UPDATE_ROLE
from provisioning.resource import Difference, Resource

if TYPE_CHECKING:
    from provisioning.cloud import Cloud

TRUSTED = ("alikafka.aliyuncs.com", "fc.aliyuncs.com")
"""The services that may assume the role: Function Compute assumes it, the connector document requires the other."""
DESCRIPTION = "Writes Kafka topics into MaxCompute"


@dataclass(frozen=True, slots=True)
class RoleState:
    """The role's ARN, which RAM may show in lower case, and its trust policy."""

    arn: str
    trust: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Role(Resource[RoleState]):
    """The role, identified by its name, and the services that may assume it."""

    name: str
    trusted: tuple[str, ...] = TRUSTED

    @property
    def title(self) -> str:
        """Return the kind and the name."""
        return f"role {self.name}"

    @property
    def creates(self) -> bool:
        """Return True: apply creates the resource."""
        return True

    @property
    def made_by_hand(self) -> str:
        """Return the instruction for a person who creates the resource."""
        return f"create the RAM role {self.name} with a trust for {' and '.join(self.trusted)}"

    def look(self, cloud: Cloud) -> RoleState | None:
        """Return the role as RAM has it; None if it doesn't exist."""
        answer = cloud.control.find(GET_ROLE, {"RoleName": self.name})
        if answer is None:
            return None
        role = answer["Role"]
        return RoleState(role["Arn"], json.loads(role["AssumeRolePolicyDocument"]))

    def compare(self, state: RoleState) -> tuple[Difference, ...]:
        """Return the difference between the trust policies.

        Their meaning is compared: the order doesn't matter, nor does a list around a single service.
        """
        wanted = trust(self.trusted)
        if _meaning(state.trust) == _meaning(wanted):
            return ()
        return (Difference("trust", _described(state.trust), _described(wanted)),)

    def make(self, cloud: Cloud) -> None:
        """Request the creation."""
        document = {"AssumeRolePolicyDocument": trust(self.trusted), "Description": DESCRIPTION}
        cloud.control.call(CREATE_ROLE, {"RoleName": self.name, **document})

    def change(self, cloud: Cloud, state: RoleState) -> None:  # noqa: ARG002 # required by `Resource`
        """Write the trust policy again."""
        cloud.control.call(UPDATE_ROLE, {"RoleName": self.name, "NewAssumeRolePolicyDocument": trust(self.trusted)})

    def remove(self, cloud: Cloud) -> None:
        """Request the removal; RAM refuses while policies are attached, which somebody else has attached then."""
        cloud.control.find(DELETE_ROLE, {"RoleName": self.name})


def trust(services: tuple[str, ...] = TRUSTED) -> dict[str, Any]:
    """Return the wanted trust policy."""
    statement = {"Action": "sts:AssumeRole", "Effect": "Allow", "Principal": {"Service": list(services)}}
    return {"Statement": [statement], "Version": "1"}


def principal(account: str, role: str) -> str:
    """Return MaxCompute's name of a role's user: in lower case, as in RAM's ARNs, even if the role isn't (D17)."""
    return f"RAM${account}:role/{role.lower()}"


def _meaning(document: dict[str, Any]) -> set[tuple[str, ...]]:
    """Return the single permissions of a trust policy."""
    return {
        (str(statement.get("Effect")), action, kind, who, json.dumps(statement.get("Condition", {}), sort_keys=True))
        for statement in _listed(document.get("Statement"))
        for action in _listed(statement.get("Action"))
        for kind, names in statement.get("Principal", {}).items()
        for who in _listed(names)
    }


def _described(document: dict[str, Any]) -> list[str]:
    """Return the trusted services as a plan shows them."""
    return sorted(
        who + ("" if (effect, action) == ("Allow", "sts:AssumeRole") else f" ({effect} {action})")
        for effect, action, _, who, _ in _meaning(document)
    )


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]
