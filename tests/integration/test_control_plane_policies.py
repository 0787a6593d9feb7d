"""Users with few permissions: each call needs its own, on its own resource, and says which one is missing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from alibabacloud_ram20150501 import models as m
from alibabacloud_resourcemanager20200331 import models as rm

from local_emulator.control_plane import server
from local_emulator.control_plane.ram.policy_language import PolicyError
from tests.control_plane_clients import ACCOUNT, policy, ram, refused, resource_manager, sts, trust

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from local_emulator.control_plane.server import ControlPlaneServer

NAME = "Connector"
ROLE = f"acs:ram:*:{ACCOUNT}:role/{NAME}"
ROLES = f"acs:ram:*:{ACCOUNT}:role/*"
POLICY = f"acs:ram:*:{ACCOUNT}:policy/log"
SERVICE = "source-kafka.eventbridge.aliyuncs.com"
SERVICE_ROLE = "AliyunServiceRoleForEventBridgeSourceKafka"
ATTACHMENT = {"policy_type": "System", "policy_name": "AliyunLogFullAccess", "role_name": NAME}
FC = trust(Service=["fc.aliyuncs.com"])
Key = tuple[str, str]


@pytest.fixture
def plane() -> Iterator[ControlPlaneServer]:
    with server.start() as running:
        yield running


def create_role(plane: ControlPlaneServer, key: Key) -> None:
    ram(plane, key).create_role(m.CreateRoleRequest(role_name=NAME, assume_role_policy_document=FC))


CALLS: dict[str, tuple[str, Callable[[ControlPlaneServer, Key], object]]] = {
    "ram:CreateRole": (ROLE, create_role),
    "ram:GetRole": (ROLE, lambda plane, key: ram(plane, key).get_role(m.GetRoleRequest(role_name=NAME))),
    "ram:UpdateRole": (ROLE, lambda plane, key: ram(plane, key).update_role(m.UpdateRoleRequest(role_name=NAME))),
    "ram:ListRoles": (ROLES, lambda plane, key: ram(plane, key).list_roles(m.ListRolesRequest())),
    "ram:AttachPolicyToRole": (
        ROLE,
        lambda plane, key: ram(plane, key).attach_policy_to_role(m.AttachPolicyToRoleRequest(**ATTACHMENT)),
    ),
    "ram:ListPoliciesForRole": (
        ROLE,
        lambda plane, key: ram(plane, key).list_policies_for_role(m.ListPoliciesForRoleRequest(role_name=NAME)),
    ),
    "ram:DetachPolicyFromRole": (
        ROLE,
        lambda plane, key: ram(plane, key).detach_policy_from_role(m.DetachPolicyFromRoleRequest(**ATTACHMENT)),
    ),
    "ram:DeleteRole": (ROLE, lambda plane, key: ram(plane, key).delete_role(m.DeleteRoleRequest(role_name=NAME))),
    "ram:CreatePolicy": (
        POLICY,
        lambda plane, key: ram(plane, key).create_policy(
            m.CreatePolicyRequest(policy_name="log", policy_document=policy("log:*"))
        ),
    ),
    "ram:GetPolicy": (
        POLICY,
        lambda plane, key: ram(plane, key).get_policy(m.GetPolicyRequest(policy_name="log", policy_type="Custom")),
    ),
    "ram:CreatePolicyVersion": (
        POLICY,
        lambda plane, key: ram(plane, key).create_policy_version(
            m.CreatePolicyVersionRequest(policy_name="log", policy_document=policy("log:*"))
        ),
    ),
    "ram:DeletePolicy": (
        POLICY,
        lambda plane, key: ram(plane, key).delete_policy(
            m.DeletePolicyRequest(policy_name="log", cascading_delete=True)
        ),
    ),
    "ram:CreateServiceLinkedRole": (
        ROLES,
        lambda plane, key: ram(plane, key).create_service_linked_role(
            m.CreateServiceLinkedRoleRequest(service_name=SERVICE)
        ),
    ),
    "ram:DeleteServiceLinkedRole": (
        f"acs:ram:*:{ACCOUNT}:role/{SERVICE_ROLE}",
        lambda plane, key: resource_manager(plane, key).delete_service_linked_role(
            rm.DeleteServiceLinkedRoleRequest(role_name=SERVICE_ROLE)
        ),
    ),
}


def least(without: str = "") -> list[str]:
    """A document for each permission, on its resource only."""
    return [policy(name, resource=resource) for name, (resource, _) in CALLS.items() if name != without]


def test_each_call_needs_one_permission_on_one_resource(plane: ControlPlaneServer) -> None:
    alice = plane.add_user("alice", *least())
    for _, call in CALLS.values():
        call(plane, alice)
    assert [(entry.status, entry.principal) for entry in plane.log] == [(200, f"acs:ram::{ACCOUNT}:user/alice")] * len(
        CALLS
    )


@pytest.mark.parametrize("permission", CALLS)
def test_one_permission_fewer(plane: ControlPlaneServer, permission: str) -> None:
    alice = plane.add_user("alice", *least(without=permission))
    resource, call = CALLS[permission]
    with refused(403, "NoPermission") as caught:
        call(plane, alice)
    assert f"user/alice lacks {permission} on {resource}." in caught.error.message
    detail = caught.error.access_denied_detail
    assert (detail["AuthAction"], detail["NoPermissionType"]) == (permission, "ImplicitDeny")


@pytest.mark.parametrize("permission", [name for name, (resource, _) in CALLS.items() if resource == ROLE])
def test_the_permission_on_another_role(plane: ControlPlaneServer, permission: str) -> None:
    bob = plane.add_user("bob", policy("ram:*", resource=f"acs:ram:*:{ACCOUNT}:role/{NAME}2"))
    with refused(403, "NoPermission"):
        CALLS[permission][1](plane, bob)


def test_a_denial_changes_nothing(plane: ControlPlaneServer) -> None:
    bob = plane.add_user("bob")
    with refused(403, "NoPermission"):
        create_role(plane, bob)
    assert ram(plane).list_roles(m.ListRolesRequest()).body.roles.role == []


def test_a_deny_is_stronger_and_is_named_so(plane: ControlPlaneServer) -> None:
    bob = plane.add_user("bob", policy("*"), policy("ram:Create*", effect="Deny"))
    with refused(403, "NoPermission") as caught:
        create_role(plane, bob)
    assert caught.error.access_denied_detail["NoPermissionType"] == "ExplicitDeny"
    ram(plane, bob).list_roles(m.ListRolesRequest())


def test_service_linked_roles_of_named_services_only(plane: ControlPlaneServer) -> None:
    condition = {"StringEquals": {"ram:ServiceName": [SERVICE, "connect-vpc.eventbridge.aliyuncs.com"]}}
    bob = plane.add_user("bob", policy("ram:CreateServiceLinkedRole", Condition=condition))
    make = resource_manager(plane, bob).create_service_linked_role
    make(rm.CreateServiceLinkedRoleRequest(service_name=SERVICE))
    with refused(403, "NoPermission"):
        make(rm.CreateServiceLinkedRoleRequest(service_name="fc.aliyuncs.com"))


def test_who_may_nothing_still_knows_who_he_is(plane: ControlPlaneServer) -> None:
    body = sts(plane, plane.add_user("bob")).get_caller_identity().body
    assert (body.account_id, body.identity_type) == (ACCOUNT, "RAMUser")


def test_a_user_has_the_policies_given_last(plane: ControlPlaneServer) -> None:
    before = plane.add_user("bob", policy("ram:*"))
    create_role(plane, before)
    plane.add_user("bob", policy("oss:*"))
    with refused(403, "NoPermission"):
        ram(plane, before).get_role(m.GetRoleRequest(role_name=NAME))


def test_a_user_with_something_else_than_a_policy(plane: ControlPlaneServer) -> None:
    with pytest.raises(PolicyError):
        plane.add_user("bob", json.dumps({"Version": "2"}))
