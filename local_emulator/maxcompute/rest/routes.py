"""The REST side's paths."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from local_emulator.maxcompute.keys import ADDRESS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

PREFIX = "/api"


def add_routes(app: web.Application) -> None:
    """Serve everything below `PREFIX`."""
    routes: list[tuple[str, str, Callable[[web.Request], Awaitable[web.StreamResponse]]]] = [
        ("GET", "/logview/host", _host),
        ("GET", "/webconsole/host", _host),
    ]
    for method, path, handler in routes:
        app.router.add_route(method, PREFIX + path, handler)


async def _host(request: web.Request) -> web.Response:
    return web.Response(text=f"http://{request.app[ADDRESS]}", content_type="text/plain")
