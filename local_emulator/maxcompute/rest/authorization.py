"""``/projects/P/authorization``: statements of access control, answered at once or later; bearer tokens."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from local_emulator.foundation.clock import CLOCK
from local_emulator.maxcompute.access.bearer import parse_request
from local_emulator.maxcompute.errors import invalid
from local_emulator.maxcompute.keys import ACCESS, ACCOUNTS, PRINCIPAL, QUERIES, STORE, in_thread
from local_emulator.maxcompute.rest.xml import body, element, read, reply

if TYPE_CHECKING:
    from aiohttp import web


async def submit_query(request: web.Request) -> web.Response:
    """``POST``: run a statement; 200 with the result, or 202 with an id for `poll_query`."""
    if "sign_bearer_token" in request.query:
        return await _sign_bearer_token(request)
    project = request.app[STORE].project(request.match_info["project"])
    queries, principal = request.app[QUERIES], request[PRINCIPAL]
    root = await read(request, "Authorization")
    text = root.findtext("Query", "").strip()
    if not text:
        raise invalid("expected a statement in the element Query, found none")
    as_json = root.findtext("ResponseInJsonFormat", "false").strip().lower() == "true"
    result, done = await in_thread(request, lambda: queries.submit(principal, project, text, as_json=as_json))
    status = HTTPStatus.OK if done else HTTPStatus.ACCEPTED
    return reply(element("Authorization", None, element("Result", result)), status)


async def poll_query(request: web.Request) -> web.Response:
    """``GET /ID``: return a statement's status and result."""
    project = request.app[STORE].project(request.match_info["project"])
    status, result = request.app[QUERIES].poll(project, request.match_info["query"])
    return reply(element("AuthorizationQuery", None, element("Result", result), element("Status", status)))


async def _sign_bearer_token(request: web.Request) -> web.Response:
    """``POST ?sign_bearer_token``: return a token with the sender's permissions at the time of use, within a policy."""
    project = request.app[STORE].project(request.match_info["project"])
    access, principal = request.app[ACCESS], request[PRINCIPAL]
    access.require_member(principal, project)
    access.require_key(principal, project, "sign a bearer token")
    policy, life = parse_request(await body(request))
    token = request.app[ACCOUNTS].sign_bearer(principal, policy, request.app[CLOCK].now() + life)
    return reply(element("Authorization", None, element("Result", token)))
