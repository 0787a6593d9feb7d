"""``/emulator``: the emulator's own HTTP paths for what event streams delivered and gave up.

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

    from local_emulator.control_plane.surroundings import Surroundings

MOST_MESSAGES = 1000
MOST_BYTES = 8 * 1024 * 1024
"""The size of the batches in an answer with more than one delivery."""


class _RefusedError(Exception):
    """A request that isn't carried out: the status and the message of its answer."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status


def add_routes(app: web.Application, access_id: str, access_key: str, surroundings: Surroundings) -> None:
    """Add the paths; the key is the owner's."""
    for method, path, handler in (
        ("GET", "dead-letters", _list_dead_letters),
        ("DELETE", "dead-letters", _delete_dead_letters),
        ("GET", "deliveries", _list_deliveries),
    ):
        app.router.add_route(method, f"{PREFIX}/{path}", _guarded(handler, access_id, access_key, surroundings))


def _list_deliveries(request: web.Request, surroundings: Surroundings) -> object:
    """Answer some deliveries after the number ?after=, and how many after this number aren't kept any more."""
    deliveries, dropped = surroundings.deliveries.after(_number(request, "after", 0), MOST_BYTES)
    return {"deliveries": deliveries, "dropped": dropped}


def _list_dead_letters(request: web.Request, surroundings: Surroundings) -> object:
    """Answer the queues, or with ?arn= a queue's messages after the number ?after=."""
    queues = surroundings.dead_letters
    arn = request.query.get("arn")
    if arn is None:
        names = ("arn", "messages", "dropped")
        return {"queues": [dict(zip(names, counts, strict=True)) for counts in queues.counts()]}
    messages = queues.messages(arn, _number(request, "after", 0), min(_number(request, "limit", 100), MOST_MESSAGES))
    if messages is None:
        raise _unknown(arn)
    return {"messages": messages}


def _delete_dead_letters(request: web.Request, surroundings: Surroundings) -> object:
    """Delete the messages of the queue ?arn=."""
    arn = request.query.get("arn", "")
    deleted = surroundings.dead_letters.clear(arn)
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
    handler: Callable[[web.Request, Surroundings], object],
    access_id: str,
    access_key: str,
    surroundings: Surroundings,
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
                value = handler(request, surroundings)
            except _RefusedError as error:
                status, value = error.status, {"Message": str(error)}
        return web.Response(status=status, body=msgspec.json.encode(value), content_type="application/json")

    return answer
