"""Functions that users register: there are none, which clients that draw a project's tree ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from local_emulator.maxcompute.rest.projects import project_of
from local_emulator.maxcompute.rest.xml import element, reply

if TYPE_CHECKING:
    from aiohttp import web


async def functions(request: web.Request) -> web.Response:
    """The list of none."""
    project_of(request, "List")
    return reply(element("Functions", None, element("Marker", ""), element("MaxItems", 0)))
