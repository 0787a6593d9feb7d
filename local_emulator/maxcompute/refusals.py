"""Answers that aren't success: the service's error body, and the rest of a request that has to be read for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import aiohttp
from aiohttp import web

from local_emulator.maxcompute.keys import REQUEST_ID
from local_emulator.maxcompute.rest.routes import PREFIX

if TYPE_CHECKING:
    from local_emulator.maxcompute.errors import ServiceError


def refusal(request: web.Request, error: ServiceError) -> web.Response:
    """The answer for an error: XML below the REST prefix, JSON elsewhere."""
    if request.path.startswith(PREFIX + "/"):
        body, kind = error.xml(request[REQUEST_ID]), "application/xml"
    else:
        body, kind = error.json(request[REQUEST_ID]), "application/json"
    return web.Response(status=error.status, text=body, content_type=kind, headers=error.headers)


async def drain(request: web.Request) -> None:
    """Read what is still being sent, and keep none of it: a client that is still sending doesn't see an answer."""
    try:
        async for _ in request.content.iter_any():
            pass
    except (aiohttp.ClientPayloadError, web.RequestPayloadError):
        pass  # It has gone, or stopped half-way; whatever comes next is for who listens.
