"""Registered functions: none; clients that show a project's tree request the list."""

from __future__ import annotations

from typing import TYPE_CHECKING

from local_emulator.maxcompute.rest.projects import requested_project
from local_emulator.maxcompute.rest.xml import element, reply

if TYPE_CHECKING:
    from aiohttp import web


async def functions(request: web.Request) -> web.Response:
    """Return the empty list."""
    requested_project(request, "List")
    return reply(element("Functions", None, element("Marker", ""), element("MaxItems", 0)))
