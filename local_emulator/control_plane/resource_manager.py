"""Resource Manager 2020-03-31: only its actions on roles, which are RAM's roles."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from local_emulator.control_plane.dispatch import Action, Product
from local_emulator.control_plane.ram import names, product, roles, service_linked
from local_emulator.control_plane.ram.entities import Ram

if TYPE_CHECKING:
    from local_emulator.control_plane.dispatch import Call

_LONGEST_PAGE = 100


def list_roles(call: Call) -> dict[str, object]:
    """ListRoles, in numbered pages."""
    number, size = call.number("PageNumber", 1, 1, 10**6), call.number("PageSize", 10, 1, _LONGEST_PAGE)
    listed = [role for _, role in sorted(call.state.part(Ram).roles.items())]
    page = listed[(number - 1) * size : number * size]
    return {
        "Roles": {"Role": [names.shown_role(call, role) for role in page]},
        "TotalCount": len(listed),
        "PageNumber": number,
        "PageSize": size,
    }


PRODUCT = Product(
    "ResourceManager",
    "2020-03-31",
    MappingProxyType(
        {
            "CreateServiceLinkedRole": product.CREATE_SERVICE_LINKED_ROLE,
            "DeleteServiceLinkedRole": product.DELETE_SERVICE_LINKED_ROLE,
            "GetServiceLinkedRoleDeletionStatus": product.SHOW_DELETION,
            "CheckServiceLinkedRoleExistence": Action(
                service_linked.check, "ram:CheckServiceLinkedRoleExistence", "acs:ram:*:{account}:role/*"
            ),
            "GetRole": Action(roles.get_role, "ram:GetRole", "acs:ram:*:{account}:role/{RoleName}"),
            "ListRoles": Action(list_roles, "ram:ListRoles", "acs:ram:*:{account}:role/*"),
        }
    ),
)
