"""Refuses requests that no service of the local cloud takes: headers that aren't UTF-8, requests of web pages.

Clients sign their requests to the services. Requests to the paths below ``/emulator`` are unsigned, so a web page in
a browser on this machine could set faults. A browser names the page's origin in the request. A page whose own name
resolves to this machine (DNS rebinding) has that name in Host.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

OWN_PATHS = "/emulator/"
BEARER_HEADER = "x-odps-bearer-token"
"""MaxCompute compares this header's bytes with the tokens that it issued, and refuses other bytes as unknown."""


@web.middleware
async def admit(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer 400 for a header that isn't UTF-8, 403 for a web page's request to the emulator's own paths."""
    for name, value in request.headers.items():
        if name.lower() != BEARER_HEADER and not _is_text(value):
            return _refuse(400, f"expected text in the header {name}, found bytes that aren't UTF-8")
    if request.path.startswith(OWN_PATHS):
        for name in ("Origin", "Sec-Fetch-Site"):
            if request.headers.get(name, "none") != "none":
                return _refuse(403, f"a web page can't use {OWN_PATHS}: found the header {name}")
        if not _is_this_machine(request.headers.get("Host", "")):
            return _refuse(403, f"expected localhost or an IP address in the header Host to use {OWN_PATHS}")
    return await handler(request)


def _is_text(value: str) -> bool:
    """Whether a header was UTF-8: aiohttp turns other bytes into half surrogates."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_this_machine(host: str) -> bool:
    """Whether a Host header is localhost or an IP address, which no foreign name server can resolve."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or bool(ip_address(name))
    except ValueError:
        return False


def _refuse(status: int, text: str) -> web.Response:
    return web.Response(status=status, text=f"{text}\n")
