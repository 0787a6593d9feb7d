"""RAM 2015-05-01: the actions, with the permission and the resource that each needs."""

from __future__ import annotations

from types import MappingProxyType

from local_emulator.control_plane.dispatch import Action, Product
from local_emulator.control_plane.ram import policy_actions, roles, service_linked

_ROLE = "acs:ram:*:{account}:role/{RoleName}"
_ROLES = "acs:ram:*:{account}:role/*"
_POLICY = "acs:ram:*:{account}:policy/{PolicyName}"
_SERVICE = MappingProxyType({"ram:ServiceName": "ServiceName"})

CREATE_SERVICE_LINKED_ROLE = Action(service_linked.create, "ram:CreateServiceLinkedRole", _ROLES, _SERVICE)
DELETE_SERVICE_LINKED_ROLE = Action(service_linked.delete, "ram:DeleteServiceLinkedRole", _ROLE)
SHOW_DELETION = Action(service_linked.show_deletion, "ram:GetServiceLinkedRoleDeletionStatus", _ROLES)

PRODUCT = Product(
    "Ram",
    "2015-05-01",
    MappingProxyType(
        {
            "CreateRole": Action(roles.create_role, "ram:CreateRole", _ROLE),
            "GetRole": Action(roles.get_role, "ram:GetRole", _ROLE),
            "UpdateRole": Action(roles.update_role, "ram:UpdateRole", _ROLE),
            "DeleteRole": Action(roles.delete_role, "ram:DeleteRole", _ROLE),
            "ListRoles": Action(roles.list_roles, "ram:ListRoles", _ROLES),
            # RAM's page of permissions names the role and the policy; the emulator checks the role.
            "AttachPolicyToRole": Action(roles.attach_policy, "ram:AttachPolicyToRole", _ROLE),
            "DetachPolicyFromRole": Action(roles.detach_policy, "ram:DetachPolicyFromRole", _ROLE),
            "ListPoliciesForRole": Action(roles.list_policies, "ram:ListPoliciesForRole", _ROLE),
            "CreatePolicy": Action(policy_actions.create_policy, "ram:CreatePolicy", _POLICY),
            "GetPolicy": Action(policy_actions.get_policy, "ram:GetPolicy", _POLICY),
            "CreatePolicyVersion": Action(policy_actions.create_policy_version, "ram:CreatePolicyVersion", _POLICY),
            "DeletePolicy": Action(policy_actions.delete_policy, "ram:DeletePolicy", _POLICY),
            "CreateServiceLinkedRole": CREATE_SERVICE_LINKED_ROLE,
            "DeleteServiceLinkedRole": DELETE_SERVICE_LINKED_ROLE,
            "GetServiceLinkedRoleDeletionStatus": SHOW_DELETION,
            "GetServiceLinkedRoleTemplate": Action(
                service_linked.show_template, "ram:GetServiceLinkedRoleTemplate", _ROLES
            ),
        }
    ),
)
