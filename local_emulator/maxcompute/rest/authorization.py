"""Security statements, as they come to ``/authorization``."""

from __future__ import annotations

import json

from aiohttp import web

from local_emulator.maxcompute.errors import ServiceError
from local_emulator.maxcompute.keys import PRINCIPAL, STORE
from local_emulator.maxcompute.rest.xml import element, read, reply


async def authorization(request: web.Request) -> web.Response:
    """Run one security statement and answer at once."""
    request.app[STORE].project(request.match_info["project"])
    root = await read(request, "Authorization")
    statement = (root.findtext("Query") or "").strip().rstrip(";").strip()
    as_json = (root.findtext("ResponseInJsonFormat") or "").strip().lower() == "true"
    if statement.lower() != "whoami":
        raise ServiceError(
            400, "ParseError", "ODPS-0130161:[1,1] Parse exception - this statement is not supported by the emulator"
        )
    principal = request[PRINCIPAL]
    if as_json:
        result = json.dumps({"ID": principal.id, "DisplayName": principal.name})
    else:
        result = f"Name: {principal.name}\nID: {principal.id}\n"
    return reply(element("Authorization", None, element("Result", result)))
