"""``/projects/P/authorization``: statements of access control, answered at once or later."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from local_emulator.maxcompute.errors import ServiceError, invalid
from local_emulator.maxcompute.keys import PRINCIPAL, QUERIES, STORE, in_thread
from local_emulator.maxcompute.rest.xml import element, read, reply

if TYPE_CHECKING:
    from aiohttp import web


async def submit_query(request: web.Request) -> web.Response:
    """``POST``: 200 with the result of a statement, or 202 with an id to ask for it."""
    if "sign_bearer_token" in request.query:
        raise ServiceError(HTTPStatus.NOT_IMPLEMENTED, "NotImplemented", "bearer tokens are not emulated")
    project = request.app[STORE].project(request.match_info["project"])
    queries, principal = request.app[QUERIES], request[PRINCIPAL]
    body = await read(request, "Authorization")
    text = body.findtext("Query", "").strip()
    if not text:
        raise invalid("expected a statement in the element Query, found none")
    as_json = body.findtext("ResponseInJsonFormat", "false").strip().lower() == "true"
    result, done = await in_thread(request, lambda: queries.submit(principal, project, text, as_json=as_json))
    status = HTTPStatus.OK if done else HTTPStatus.ACCEPTED
    return reply(element("Authorization", None, element("Result", result)), status)


async def poll_query(request: web.Request) -> web.Response:
    """``GET /ID``: whether a statement has ended, and with what."""
    project = request.app[STORE].project(request.match_info["project"])
    status, result = request.app[QUERIES].poll(project, request.match_info["query"])
    return reply(element("AuthorizationQuery", None, element("Result", result), element("Status", status)))
