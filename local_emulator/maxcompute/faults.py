"""Lets the faults that were set happen to the requests that they are for.

One middleware does it, around everything that a request passes. While no fault is armed, a request costs one look at an
empty tuple.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from aiohttp import web

from local_emulator.foundation.faults import FAULTS
from local_emulator.foundation.injection import happen
from local_emulator.maxcompute.authentication import expired_token
from local_emulator.maxcompute.errors import ServiceError
from local_emulator.maxcompute.keys import REQUEST_ID
from local_emulator.maxcompute.operations import name_of, session_of
from local_emulator.maxcompute.refusals import refusal
from local_emulator.maxcompute.tunnel.errors import sentence_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from local_emulator.foundation.faults import Fault

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

# The service's code where a status alone is asked for.
_CODES = MappingProxyType(
    {408: "RequestTimeOut", 429: "FlowExceeded", 500: "InternalServerError", 503: "ServiceUnavailable"}
)


@web.middleware
async def inject(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let the armed faults happen."""
    faults = request.app[FAULTS]
    if not faults.armed:
        return await handler(request)
    operation = name_of(request)
    if not operation:
        return await handler(request)
    found = faults.take(operation, session_of(request), signed=_signed(request))
    if found is None:
        return await handler(request)

    async def answered(request: web.Request) -> web.StreamResponse:
        try:
            right = await handler(request)
        except ServiceError as error:
            right = refusal(request, error)
        if not right.prepared:
            right.headers["x-odps-request-id"] = request[REQUEST_ID]
        return right

    return await happen(request, answered, found, _refuse)


def _signed(request: web.Request) -> bool:
    return "Authorization" in request.headers or "x-odps-bearer-token" in request.headers


def _refuse(request: web.Request, fault: Fault) -> web.Response:
    if fault.status is None:
        return refusal(request, expired_token())
    code = fault.code or _CODES[fault.status]
    message = fault.message or sentence_of(code) or "A fault that was set."
    return refusal(request, ServiceError(fault.status, code, message))
