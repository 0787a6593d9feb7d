"""``/emulator``: the emulator's own HTTP paths for what event streams gave up.

Answers hold payloads, so each request needs the access key of the account's owner, as user name and password of HTTP's
basic authentication.
"""

from __future__ import annotations

import base64
import secrets
from http import HTTPStatus
from typing import TYPE_CHECKING

import msgspec
from aiohttp import web

from local_emulator.foundation.fault_api import PREFIX

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from local_emulator.eventbridge.dead_letters import DeadLetterQueues

MOST_MESSAGES = 1000


class _RefusedError(Exception):
    """A request that isn't carried out: the status and the message of its answer."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status


def add_routes(app: web.Application, access_id: str, access_key: str, queues: DeadLetterQueues) -> None:
    """Add the paths; the key is the owner's."""
    for method, handler in (("GET", _list_dead_letters), ("DELETE", _delete_dead_letters)):
        app.router.add_route(method, f"{PREFIX}/dead-letters", _guarded(handler, access_id, access_key, queues))


def _list_dead_letters(request: web.Request, queues: DeadLetterQueues) -> object:
    """Answer the queues, or with ?arn= a queue's messages after the number ?after=."""
    arn = request.query.get("arn")
    if arn is None:
        names = ("arn", "messages", "dropped")
        return {"queues": [dict(zip(names, counts, strict=True)) for counts in queues.counts()]}
    messages = queues.messages(arn, _number(request, "after", 0), min(_number(request, "limit", 100), MOST_MESSAGES))
    if messages is None:
        raise _unknown(arn)
    return {"messages": messages}


def _delete_dead_letters(request: web.Request, queues: DeadLetterQueues) -> object:
    """Delete the messages of the queue ?arn=."""
    arn = request.query.get("arn", "")
    deleted = queues.clear(arn)
    if deleted is None:
        raise _unknown(arn)
    return {"deleted": deleted}


def _unknown(arn: str) -> _RefusedError:
    return _RefusedError(HTTPStatus.NOT_FOUND, f"arn: expected the ARN of a queue that a stream names, found {arn!r}")


def _number(request: web.Request, name: str, default: int) -> int:
    text = request.query.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) <= 18):  # noqa: PLR2004 # fits into 64 bits
        raise _RefusedError(HTTPStatus.BAD_REQUEST, f"{name}: expected a whole number, found {text!r:.60}")
    return int(text)


def _guarded(
    handler: Callable[[web.Request, DeadLetterQueues], object],
    access_id: str,
    access_key: str,
    queues: DeadLetterQueues,
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    expected = b"Basic " + base64.b64encode(f"{access_id}:{access_key}".encode())

    async def answer(request: web.Request) -> web.StreamResponse:
        given = request.headers.get("Authorization", "")
        status, value = HTTPStatus.OK, object()
        if not secrets.compare_digest(given.encode(), expected):
            status = HTTPStatus.UNAUTHORIZED
            value = {"Message": "expected the access key of the account's owner in basic authentication"}
        else:
            try:
                value = handler(request, queues)
            except _RefusedError as error:
                status, value = error.status, {"Message": str(error)}
        return web.Response(status=status, body=msgspec.json.encode(value), content_type="application/json")

    return answer
