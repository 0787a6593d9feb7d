"""The service's error answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from local_emulator.maxcompute.keys import REQUEST_ID
from local_emulator.maxcompute.rest.routes import PREFIX

if TYPE_CHECKING:
    from local_emulator.maxcompute.errors import ServiceError


def refusal(request: web.Request, error: ServiceError) -> web.Response:
    """Return the answer for an error: XML below the REST prefix, JSON elsewhere."""
    if request.path.startswith(PREFIX + "/"):
        body, kind = error.xml(request[REQUEST_ID]), "application/xml"
    else:
        body, kind = error.json(request[REQUEST_ID]), "application/json"
    return web.Response(status=error.status, text=body, content_type=kind, headers=error.headers)
