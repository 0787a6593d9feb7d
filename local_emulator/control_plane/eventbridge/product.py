"""EventBridge 2020-04-01: the actions, with the permission and the resource that each needs, and the answers' form."""

from __future__ import annotations

from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING

from local_emulator.control_plane.dispatch import Action, Product
from local_emulator.control_plane.errors import ApiError, Refusal, invalid_argument
from local_emulator.control_plane.eventbridge import streams
from local_emulator.control_plane.ram import service_linked
from local_emulator.control_plane.ram.entities import Ram

if TYPE_CHECKING:
    from collections.abc import Callable

    from local_emulator.control_plane.dispatch import Call

    Handler = Callable[[Call], dict[str, object]]

_STREAM = "acs:eventbridge:{region}:{account}:eventstreaming/{EventStreamingName}"
_STREAMS = "acs:eventbridge:{region}:{account}:eventstreaming/*"
_EVENTBRIDGE = ".eventbridge.aliyuncs.com"


def check_role(call: Call) -> dict[str, object]:
    """CheckServiceLinkedRoleForProduct: whether a role of that name exists."""
    name = call.required("ProductName")
    return {"Data": {"CheckPass": call.state.part(Ram).role(name) is not None, "StsRoleName": name}}


def create_role(call: Call) -> dict[str, object]:
    """CreateServiceLinkedRoleForProduct: only for EventBridge's own roles."""
    name = call.required("ProductName")
    for service, suffix in service_linked.SERVICES.items():
        if service.endswith(_EVENTBRIDGE) and f"{service_linked.PREFIX}{suffix}" == name:
            service_linked.make(call, service)
            return {"HttpCode": 200}
    raise invalid_argument(f"ProductName: expected the name of one of EventBridge's roles, found {name}.")


def answer(handler: Handler, call: Call) -> dict[str, object]:
    """Return the handler's answer in the product's envelope; also a failure, if `failures_as_200` is set."""
    try:
        return {"Code": "Success", "Success": True, "Message": "success", **handler(call)}
    except ApiError as error:
        if not call.rules.event_bridge.failures_as_200:
            raise
        return {"Code": error.code, "Success": False, "Message": error.message}


def _action(handler: Handler, name: str = "", resource: str = _STREAM) -> Action:
    return Action(partial(answer, handler), name and f"eventbridge:{name}", resource)


PRODUCT = Product(
    "EventBridge",
    "2020-04-01",
    MappingProxyType(
        {
            "CreateEventStreaming": _action(streams.create, "CreateEventStreaming"),
            "UpdateEventStreaming": _action(streams.update, "UpdateEventStreaming"),
            "StartEventStreaming": _action(streams.start, "StartEventStreaming"),
            "PauseEventStreaming": _action(streams.pause, "PauseEventStreaming"),
            "DeleteEventStreaming": _action(streams.delete, "DeleteEventStreaming"),
            "GetEventStreaming": _action(streams.show, "GetEventStreaming"),
            "ListEventStreamings": _action(streams.list_streams, "ListEventStreaming", _STREAMS),
            # Documented as needing no permission.
            "CheckServiceLinkedRoleForProduct": _action(check_role),
            "CreateServiceLinkedRoleForProduct": _action(create_role),
        }
    ),
    codes=MappingProxyType(
        {
            Refusal.UNKNOWN_KEY: (403, "InvalidAccessKeyId"),
            Refusal.WRONG_SIGNATURE: (403, "SignatureDoesNotMatch"),
            Refusal.WRONG_TOKEN: (403, "SecurityTokenInvalid"),
            Refusal.EXPIRED_TOKEN: (403, "StsAccessIdExpired"),
            Refusal.DENIED: (403, "AccessDenied"),
        }
    ),
)
