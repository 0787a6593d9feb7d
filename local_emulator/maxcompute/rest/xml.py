"""Reading and writing the XML of the REST API, and times in the two forms that clients expect."""

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
    """Return an element with a text or children."""
    new_element = ET.Element(tag, attributes)
    new_element.text = None if text is None else str(text)
    new_element.extend(children)
    return new_element


def reply(root: ET.Element, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """Return an answer with an XML body."""
    text = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return web.Response(status=status, body=text, content_type="application/xml", headers=headers)


async def body(request: web.Request) -> bytes:
    """Return a request's whole body; ServiceError InvalidArgument for a body that is too long."""
    data = await request.content.read(BODY_BYTES + 1)
    while len(data) <= BODY_BYTES and (more := await request.content.read(BODY_BYTES)):
        data += more
    if len(data) > BODY_BYTES:
        raise invalid(f"the body is longer than {BODY_BYTES} bytes")
    return data


async def read(request: web.Request, root: str) -> ET.Element:
    """Return a request's XML body; ServiceError InvalidArgument for other text or another root element."""
    text = await body(request)
    try:
        # The client on this machine writes the body; expat doesn't use the network, and limits entities.
        root_element = ET.fromstring(text)  # noqa: S314
    except ET.ParseError as error:
        raise invalid(f"expected an XML body with root {root}: {error}") from error
    if root_element.tag != root:
        raise invalid(f"expected an XML body with root {root}, found {root_element.tag}")
    return root_element


def http_time(time: datetime) -> str:
    """Return a time in RFC 822's form, as in ``Tue, 17 Nov 2020 06:00:00 GMT``."""
    return format_datetime(time, usegmt=True)


def epoch(time: datetime) -> int:
    """Return the whole seconds since 1970."""
    return int(time.timestamp())
