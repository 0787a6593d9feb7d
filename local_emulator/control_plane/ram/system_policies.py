"""The cloud's system policies that a connector's roles and users may have.

Their texts are shortened to the emulated actions: the real policies contain more.
"""

from __future__ import annotations

import json
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_ACTIONS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "AdministratorAccess": ("*",),
        "ReadOnlyAccess": ("*:Get*", "*:List*", "*:Describe*", "*:Query*"),
        "AliyunRAMFullAccess": ("ram:*",),
        "AliyunRAMReadOnlyAccess": ("ram:Get*", "ram:List*"),
        "AliyunSTSAssumeRoleAccess": ("sts:AssumeRole",),
        "AliyunResourceDirectoryFullAccess": ("resourcemanager:*", "ram:CreateServiceLinkedRole"),
        "AliyunKafkaFullAccess": ("alikafka:*",),
        "AliyunKafkaReadOnlyAccess": ("alikafka:Get*", "alikafka:List*", "alikafka:Query*"),
        "AliyunEventBridgeFullAccess": ("eventbridge:*",),
        "AliyunEventBridgeReadOnlyAccess": ("eventbridge:Get*", "eventbridge:List*"),
        "AliyunFCFullAccess": ("fc:*",),
        "AliyunFCInvocationAccess": ("fc:InvokeFunction",),
        "AliyunFCReadOnlyAccess": ("fc:Get*", "fc:List*"),
        "AliyunLogFullAccess": ("log:*",),
        "AliyunFCDefaultRolePolicy": (
            "log:PostLogStoreLogs",
            "log:CreateLogStore",
            "vpc:Describe*",
            "ecs:*NetworkInterface*",
        ),
        "AliyunECSNetworkInterfaceManagementAccess": ("ecs:*NetworkInterface*",),
    }
)
SERVICE_LINKED_PREFIX = "AliyunServiceRolePolicyFor"


def document(name: str) -> str | None:
    """Return the text of a system policy; None if it is unknown.

    The policies of service-linked roles aren't published: their text here permits nothing.
    """
    if name.startswith(SERVICE_LINKED_PREFIX):
        return _text(("none:None",))
    allowed = next((actions for known, actions in _ACTIONS.items() if known.lower() == name.lower()), None)
    return _text(allowed) if allowed else None


def _text(actions: tuple[str, ...]) -> str:
    return json.dumps({"Version": "1", "Statement": [{"Effect": "Allow", "Action": list(actions), "Resource": "*"}]})
