"""Reading Tunnel's requests and writing its answers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp import web

from local_emulator.maxcompute.keys import STORE
from local_emulator.maxcompute.tunnel.compression import LARGEST_BODY
from local_emulator.maxcompute.tunnel.errors import tunnel_error

if TYPE_CHECKING:
    from local_emulator.maxcompute.entities import Table

# Tells the Java SDK that datetimes are milliseconds since 1970 UTC, as the record stream has them.
SESSION_HEADERS = {"odps-tunnel-date-transform": "true"}


def session_answer(request: web.Request, session: dict[str, Any]) -> web.Response:
    """A session's description, with the quota that the request names: any is taken, and makes no difference."""
    quota = request.query.get("quotaName", "")
    return web.Response(
        text=json.dumps({**session, "QuotaName": quota, "quota_name": quota}, ensure_ascii=False),
        content_type="application/json",
        headers=SESSION_HEADERS,
    )


def requested_table(request: web.Request) -> Table:
    """The table that the path names, as it is now; ServiceError NoSuchProject or NoSuchTable."""
    path = request.match_info
    schema = path.get("schema") or request.query.get("curr_schema", "")
    return request.app[STORE].table(path["project"], schema, path["table"])


async def body(request: web.Request) -> list[bytes]:
    """A request's whole body in the pieces that came; ServiceError IncompleteBody or MaxMessageLengthExceeded."""
    pieces: list[bytes] = []
    size = 0
    try:
        async for piece in request.content.iter_any():
            pieces.append(piece)
            size += len(piece)
            if size > LARGEST_BODY:
                raise tunnel_error("MaxMessageLengthExceeded", f"More than {LARGEST_BODY} bytes came.")
    except (aiohttp.ClientPayloadError, web.RequestPayloadError):
        raise tunnel_error("IncompleteBody", f"The connection ended after {size} bytes.") from None
    return pieces


def joined(pieces: list[bytes]) -> bytes:
    """A body's pieces as one, which are let go, so that a large body isn't in memory twice."""
    whole = b"".join(pieces)
    pieces.clear()
    return whole


def number(request: web.Request, name: str, default: int | None = None) -> int:
    """A whole number from the query; ServiceError InvalidArgument if it isn't one, or absent without a default."""
    text = request.query.get(name)
    if text is None and default is not None:
        return default
    try:
        return int(text or "")
    except ValueError:
        raise tunnel_error("InvalidArgument", f"'{name}' has to be a whole number, found '{text}'.") from None


def flag(request: web.Request, name: str) -> bool:
    """Whether the query switches something on; PyODPS sends some switches without a value."""
    return request.query.get(name, "false").lower() in {"", "true", "1"}
