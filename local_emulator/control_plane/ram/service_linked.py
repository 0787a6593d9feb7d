"""Service-linked roles: created for a named service, changed and used only by that service, deleted by a task.

RAM and Resource Manager share these actions. EventBridge's own actions create the same roles by other parameters.
"""

from __future__ import annotations

import json
import uuid
from types import MappingProxyType
from typing import TYPE_CHECKING

from local_emulator.control_plane.errors import ApiError
from local_emulator.control_plane.ram import names, roles
from local_emulator.control_plane.ram.entities import Attachment, DeletionTask, Ram, Role, new_id
from local_emulator.control_plane.ram.system_policies import SERVICE_LINKED_PREFIX

if TYPE_CHECKING:
    from collections.abc import Mapping

    from local_emulator.control_plane.dispatch import Call

PREFIX = "AliyunServiceRoleFor"
# Each service's name, and the suffix of its role's name (control plane facts, section b).
SERVICES: Mapping[str, str] = MappingProxyType(
    {
        "source-kafka.eventbridge.aliyuncs.com": "EventBridgeSourceKafka",
        "connect-vpc.eventbridge.aliyuncs.com": "EventBridgeConnectVPC",
        "sendevent-fc.eventbridge.aliyuncs.com": "EventBridgeSendToFC",
        "sendevent-kafka.eventbridge.aliyuncs.com": "EventBridgeSendToKafka",
        "fc.aliyuncs.com": "FC",
        "alikafka.aliyuncs.com": "Alikafka",
        "connector.alikafka.aliyuncs.com": "AlikafkaConnector",
    }
)


def create(call: Call) -> dict[str, object]:
    """CreateServiceLinkedRole."""
    service = _service(call)
    for parameter in ("CustomSuffix", "Description"):
        if call.text(parameter):
            raise ApiError(
                400,
                f"InvalidParameter.{parameter}.NotAllowed",
                f"{parameter} is not allowed for this Service Linked Role: {service} has one role only.",
            )
    return {"Role": names.shown_role(call, make(call, service))}


def make(call: Call, service: str) -> Role:
    """Create the role of a service in `SERVICES`; ApiError EntityAlreadyExists.Role."""
    suffix = SERVICES[service]
    statement = {"Action": "sts:AssumeRole", "Effect": "Allow", "Principal": {"Service": [service]}}
    role = Role(
        new_id(),
        f"{PREFIX}{suffix}",
        json.dumps({"Statement": [statement], "Version": "1"}),
        call.now,
        call.now,
        f"The service-linked role of {service}.",
        service=service,
        policies=[Attachment("System", f"{SERVICE_LINKED_PREFIX}{suffix}", call.now)],
    )
    roles.add_role(call, call.state.part(Ram), role)
    return role


def show_template(call: Call) -> dict[str, object]:
    """GetServiceLinkedRoleTemplate."""
    service = _service(call)
    return {
        "ServiceLinkedRoleTemplate": {
            "ServiceName": service,
            "RoleNamePrefix": f"{PREFIX}{SERVICES[service]}",
            "SystemPolicyName": f"{SERVICE_LINKED_PREFIX}{SERVICES[service]}",
            "MultipleRolesAllowed": False,
        }
    }


def check(call: Call) -> dict[str, object]:
    """CheckServiceLinkedRoleExistence."""
    service = _service(call)
    return {"Exists": any(role.service == service for role in call.state.part(Ram).roles.values())}


def delete(call: Call) -> dict[str, object]:
    """DeleteServiceLinkedRole: start a task; the role is deleted when the task succeeds."""
    ram = call.state.part(Ram)
    role = ram.existing_role(call.required("RoleName"))
    if not role.service:
        raise ApiError(
            404, "EntityNotExist.ServiceLinkedRole", f"This role exists but is not a Service Linked Role: {role.name}."
        )
    running = next(
        (task_id for task_id, task in ram.deletions.items() if task.role == role.name and task.polls >= 0), None
    )
    task_id = running or f"task/acs-service-role/{role.service}/{role.name}/{uuid.uuid4()}"
    ram.deletions.setdefault(task_id, DeletionTask(role.name, call.now, call.rules.deletion_polls))
    return {"DeletionTaskId": task_id}


def show_deletion(call: Call) -> dict[str, object]:
    """GetServiceLinkedRoleDeletionStatus: each poll advances the task."""
    ram, task_id = call.state.part(Ram), call.required("DeletionTaskId")
    task = ram.deletions.get(task_id)
    if task is None:
        raise ApiError(404, "EntityNotExist.DeletionTask", f"The deletion task does not exist: {task_id}.")
    if task.polls > 0:
        task.polls -= 1
        return {"Status": "IN_PROGRESS"}
    if task.polls == 0:
        ram.roles.pop(task.role.lower(), None)
        task.polls = -1
    return {"Status": "SUCCEEDED"}


def _service(call: Call) -> str:
    service = call.required("ServiceName")
    if service not in SERVICES:
        raise ApiError(
            404,
            "EntityNotExist.ServiceLinkedRoleTemplate",
            f"No service-linked role is known for {service}; known here are {', '.join(SERVICES)}.",
        )
    return service
