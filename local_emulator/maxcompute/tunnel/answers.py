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

# Says to the Java SDK that datetimes are milliseconds since 1970 UTC, as in the record stream.
SESSION_HEADERS = {"odps-tunnel-date-transform": "true"}


def session_answer(request: web.Request, session: dict[str, Any]) -> web.Response:
    """Return a session's JSON with the request's quota; the emulator accepts any quota, and ignores it."""
    quota = request.query.get("quotaName", "")
    return web.Response(
        text=json.dumps({**session, "QuotaName": quota, "quota_name": quota}, ensure_ascii=False),
        content_type="application/json",
        headers=SESSION_HEADERS,
    )


def requested_table(request: web.Request) -> Table:
    """Return the current state of the path's table.

    ServiceError NoSuchProject, NoSuchTable, or MethodNotAllowed for a view: Tunnel moves no rows of views.
    """
    path = request.match_info
    schema = path.get("schema") or request.query.get("curr_schema", "")
    table = request.app[STORE].table(path["project"], schema, path["table"])
    if table.view:
        raise tunnel_error("MethodNotAllowed", f"{table.project}.{table.name} is a view; use SELECT.")
    return table


async def body(request: web.Request) -> list[bytes]:
    """Return a request's body in received pieces; ServiceError IncompleteBody or MaxMessageLengthExceeded."""
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
    """Return a body's joined pieces, and clear the list, so that a large body isn't in memory twice."""
    whole = b"".join(pieces)
    pieces.clear()
    return whole


def number(request: web.Request, name: str, default: int | None = None) -> int:
    """Return a whole number from the query; ServiceError InvalidArgument for other text, or a missing parameter."""
    text = request.query.get(name)
    if text is None and default is not None:
        return default
    try:
        return int(text or "")
    except ValueError:
        raise tunnel_error("InvalidArgument", f"'{name}' has to be a whole number, found '{text}'.") from None


def flag(request: web.Request, name: str) -> bool:
    """Return whether the query has a flag that isn't false; PyODPS sends some flags without a value."""
    return request.query.get(name, "false").lower() in {"", "true", "1"}
