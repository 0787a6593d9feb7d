"""What no service of the local cloud takes, whatever is asked: bytes that are no text, and what a web page sends.

Services answer requests of clients, which sign them. The paths below ``/emulator`` are unsigned, so a page that a
browser on this machine shows could set faults. A browser names the page's origin in the request, and a page that has
its own name resolved to this machine names itself in Host.
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
"""MaxCompute compares it as it is: one that MaxCompute didn't issue is refused as unknown."""


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
    """Whether it has none of the half surrogates that aiohttp makes of bytes that aren't UTF-8."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_this_machine(host: str) -> bool:
    """Whether a Host header has no name that somebody's own name server could resolve."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or bool(ip_address(name))
    except ValueError:
        return False


def _refuse(status: int, text: str) -> web.Response:
    return web.Response(status=status, text=f"{text}\n")
