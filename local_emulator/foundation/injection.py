"""Lets a fault happen: before a request is carried out, so that nothing is applied, or after it, to its answer."""

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
"""Whether the answer may not be sent piece by piece, because something is to be done to it as a whole."""


async def stop(app: web.Application) -> None:
    """End all delays: the emulator stops."""
    app[FAULTS].stopping.set()


async def happen(request: web.Request, handler: Handler, found: SetFault, refuse: Refuse) -> web.StreamResponse:
    """Let a fault happen to a request; `refuse` makes the service's own answer to one that has an error.

    `handler` answers errors itself: it raises nothing that is the service's own.
    """
    fault = found.fault
    if fault.answer == "delay":
        return await _late(request, handler, found)
    if fault.applied or fault.answer == "truncate":
        right = await _applied(request, handler, found)
    else:
        right = web.Response()
        await drain(request)
    ended = await _wait(request, fault.delay_seconds)
    if fault.answer == "reset" or ended:
        return _reset(request)
    if fault.answer == "truncate":
        return await _truncated(request, right)
    wrong = _gateway_page(fault) if fault.status in GATEWAY and not fault.code else refuse(request, fault)
    wrong.headers[FAULT_HEADER] = str(found.number)
    return wrong


async def _late(request: web.Request, handler: Handler, found: SetFault) -> web.StreamResponse:
    seconds, applied = found.fault.delay_seconds, found.fault.applied
    if not applied and await _wait(request, seconds):
        return _reset(request)
    right = await _applied(request, handler, found)
    if applied:
        await _wait(request, seconds)
    return right


async def _wait(request: web.Request, seconds: float) -> bool:
    """Let the time pass; True if the emulator is told to stop meanwhile."""
    try:
        await asyncio.wait_for(request.app[FAULTS].stopping.wait(), seconds)
    except asyncio.TimeoutError:
        return False
    return True


async def _applied(request: web.Request, handler: Handler, found: SetFault) -> web.StreamResponse:
    request[WHOLE] = found.fault.answer != "delay"
    right = await handler(request)
    found.applied += right.status < HTTPStatus.BAD_REQUEST
    return right


async def drain(request: web.Request) -> None:
    """Read what is still being sent, and keep none of it: a client that is still sending doesn't see an answer."""
    try:
        async for _ in request.content.iter_any():
            pass
    except (aiohttp.ClientPayloadError, web.RequestPayloadError):
        pass  # It has gone, or stopped half-way; whatever comes next is for who listens.


def _gateway_page(fault: Fault) -> web.Response:
    title = f"{fault.status} {GATEWAY[fault.status or 502]}"
    text = fault.message or f"<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>\n"
    return web.Response(status=fault.status or 502, text=text, content_type="text/html")


def _reset(request: web.Request) -> web.Response:
    """End the connection with a TCP reset."""
    transport = request.transport
    if transport is not None:  # else the client has gone
        linger = struct.pack("ii", 1, 0)  # on, for no time: the kernel then sends a reset instead of an end
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        transport.abort()
    return web.Response()  # to nobody


async def _truncated(request: web.Request, right: web.StreamResponse) -> web.StreamResponse:
    """Half of an answer under its whole length (of one without a body: a byte that never comes), then the end."""
    body = right.body if isinstance(right, web.Response) and isinstance(right.body, bytes) else b""
    half = web.StreamResponse(status=right.status, headers=right.headers)
    half.content_length = max(len(body), 1)
    await half.prepare(request)
    await half.write(body[: len(body) // 2])
    if request.transport is not None:
        request.transport.close()
    return half
