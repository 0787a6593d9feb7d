"""The middleware that applies the armed faults to matching requests.

While no fault is armed, a request costs one look at an empty tuple.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from aiohttp import web

from local_emulator.foundation.faults import FAULTS
from local_emulator.foundation.injection import apply_fault
from local_emulator.maxcompute.authentication import expired_token
from local_emulator.maxcompute.errors import ServiceError
from local_emulator.maxcompute.keys import REQUEST_ID
from local_emulator.maxcompute.operations import operation_name, session_id
from local_emulator.maxcompute.refusals import refusal
from local_emulator.maxcompute.tunnel.errors import default_message

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from local_emulator.foundation.faults import Fault

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

# The service's code for a fault that sets a status without a code.
_CODES = MappingProxyType(
    {408: "RequestTimeOut", 429: "FlowExceeded", 500: "InternalServerError", 503: "ServiceUnavailable"}
)


@web.middleware
async def inject(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Apply the armed fault that matches a request, if any."""
    faults = request.app[FAULTS]
    if not faults.armed:
        return await handler(request)
    operation = operation_name(request)
    if not operation:
        return await handler(request)
    fault = faults.take(operation, session_id(request), signed=_signed(request))
    if fault is None:
        return await handler(request)

    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            answer = await handler(request)
        except ServiceError as error:
            answer = refusal(request, error)
        if not answer.prepared:
            answer.headers["x-odps-request-id"] = request[REQUEST_ID]
        return answer

    return await apply_fault(request, handle, fault, _refuse)


def _signed(request: web.Request) -> bool:
    return "Authorization" in request.headers or "x-odps-bearer-token" in request.headers


def _refuse(request: web.Request, fault: Fault) -> web.Response:
    if fault.status is None:
        return refusal(request, expired_token())
    code = fault.code or _CODES[fault.status]
    message = fault.message or default_message(code) or "A fault that was set."
    return refusal(request, ServiceError(fault.status, code, message))
