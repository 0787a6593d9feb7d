"""Applies a fault to a request: instead of carrying the request out, or to the answer after that."""

from __future__ import annotations

import asyncio
import socket
import struct
from http import HTTPStatus
from typing import TYPE_CHECKING

import aiohttp
from aiohttp import web

from local_emulator.foundation.faults import FAULTS, GATEWAY, Fault, SetFault

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
    Refuse = Callable[[web.Request, Fault], web.Response]

FAULT_HEADER = "x-emulator-fault"
WHOLE = web.RequestKey("WHOLE", bool)
"""Set if the handler has to return the answer whole, not stream it, because the fault changes or replaces it."""


async def stop(app: web.Application) -> None:
    """End all delays, because the emulator stops."""
    app[FAULTS].stopping.set()


async def apply_fault(
    request: web.Request, handler: Handler, set_fault: SetFault, refuse: Refuse
) -> web.StreamResponse:
    """Apply a fault to a request and return the answer; `refuse` makes the service's own answer for an error.

    `handler` has to answer the service's errors itself, and not to raise them.
    """
    fault = set_fault.fault
    if fault.answer == "delay":
        return await _delay(request, handler, set_fault)
    if fault.applied or fault.answer == "truncate":
        answer = await _carry_out(request, handler, set_fault)
    else:
        answer = web.Response()
        await drain(request)
    stopping = await _wait(request, fault.delay_seconds)
    if fault.answer == "reset" or stopping:
        return _reset(request)
    if fault.answer == "truncate":
        return await _truncate(request, answer)
    error = _gateway_page(fault) if fault.status in GATEWAY and not fault.code else refuse(request, fault)
    error.headers[FAULT_HEADER] = str(set_fault.number)
    return error


async def _delay(request: web.Request, handler: Handler, set_fault: SetFault) -> web.StreamResponse:
    seconds, applied = set_fault.fault.delay_seconds, set_fault.fault.applied
    if not applied and await _wait(request, seconds):
        return _reset(request)
    answer = await _carry_out(request, handler, set_fault)
    if applied:
        await _wait(request, seconds)
    return answer


async def _wait(request: web.Request, seconds: float) -> bool:
    """Wait so many seconds; return True, early, if the emulator stops meanwhile."""
    try:
        await asyncio.wait_for(request.app[FAULTS].stopping.wait(), seconds)
    except asyncio.TimeoutError:
        return False
    return True


async def _carry_out(request: web.Request, handler: Handler, set_fault: SetFault) -> web.StreamResponse:
    request[WHOLE] = set_fault.fault.answer != "delay"
    answer = await handler(request)
    set_fault.applied += answer.status < HTTPStatus.BAD_REQUEST
    return answer


async def drain(request: web.Request) -> None:
    """Read the rest of the request's body and discard it: a client that is still sending doesn't see an answer."""
    try:
        async for _ in request.content.iter_any():
            pass
    except (aiohttp.ClientPayloadError, web.RequestPayloadError):
        pass  # the client has disconnected; the answer then reaches nobody


def _gateway_page(fault: Fault) -> web.Response:
    title = f"{fault.status} {GATEWAY[fault.status or 502]}"
    text = fault.message or f"<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>\n"
    return web.Response(status=fault.status or 502, text=text, content_type="text/html")


def _reset(request: web.Request) -> web.Response:
    """End the connection with a TCP reset."""
    transport = request.transport
    if transport is not None:  # else the client has gone
        linger = struct.pack("ii", 1, 0)  # l_onoff 1, l_linger 0: close() sends RST instead of FIN
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        transport.abort()
    return web.Response()  # aiohttp needs one; the connection is gone


async def _truncate(request: web.Request, answer: web.StreamResponse) -> web.StreamResponse:
    """Send half of the body under the whole Content-Length (at least 1), then close the connection."""
    body = answer.body if isinstance(answer, web.Response) and isinstance(answer.body, bytes) else b""
    half = web.StreamResponse(status=answer.status, headers=answer.headers)
    half.content_length = max(len(body), 1)
    await half.prepare(request)
    await half.write(body[: len(body) // 2])
    if request.transport is not None:
        request.transport.close()
    return half
