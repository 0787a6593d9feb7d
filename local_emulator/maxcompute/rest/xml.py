"""XML as the REST side reads and writes it; times in the two forms that clients expect."""

from __future__ import annotations

from email.utils import format_datetime
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from aiohttp import web

from local_emulator.maxcompute.errors import invalid

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

# A request's XML is a job or a security statement; SQL text is at most 2 MB.
BODY_BYTES = 8 << 20


def element(tag: str, text: object = None, *children: ET.Element, **attributes: str) -> ET.Element:
    """An element with a text or children."""
    made = ET.Element(tag, attributes)
    made.text = None if text is None else str(text)
    made.extend(children)
    return made


def reply(root: ET.Element, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """An answer with an XML body."""
    text = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return web.Response(status=status, body=text, content_type="application/xml", headers=headers)


async def body(request: web.Request) -> bytes:
    """A request's whole body; ServiceError InvalidArgument if it's too long."""
    found = await request.content.read(BODY_BYTES + 1)
    while len(found) <= BODY_BYTES and (more := await request.content.read(BODY_BYTES)):
        found += more
    if len(found) > BODY_BYTES:
        raise invalid(f"the body is longer than {BODY_BYTES} bytes")
    return found


async def read(request: web.Request, root: str) -> ET.Element:
    """A request's XML body, which has to have that root; ServiceError InvalidArgument if not."""
    text = await body(request)
    try:
        # Written by the client on this machine; expat has no network and bounds entities by itself.
        found = ET.fromstring(text)  # noqa: S314
    except ET.ParseError as error:
        raise invalid(f"expected an XML body with root {root}: {error}") from error
    if found.tag != root:
        raise invalid(f"expected an XML body with root {root}, found {found.tag}")
    return found


def http_time(time: datetime) -> str:
    """RFC 822, as in ``Tue, 17 Nov 2020 06:00:00 GMT``."""
    return format_datetime(time, usegmt=True)


def epoch(time: datetime) -> int:
    """Whole seconds."""
    return int(time.timestamp())
