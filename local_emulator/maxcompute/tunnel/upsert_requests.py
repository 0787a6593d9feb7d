"""The request handlers of upsert sessions."""

from __future__ import annotations

import asyncio
import logging

from aiohttp import web

from local_emulator.maxcompute.keys import ADDRESS, in_thread
from local_emulator.maxcompute.tunnel.answers import number, requested_table, session_answer
from local_emulator.maxcompute.tunnel.errors import tunnel_error
from local_emulator.maxcompute.tunnel.partition_parameter import named_spec, requested_spec
from local_emulator.maxcompute.tunnel.slots import SLOTS, slotted_body
from local_emulator.maxcompute.tunnel.upserts import COMMITTING, LONGEST_LIFE, Upserts, UpsertSession
from local_emulator.maxcompute.tunnel.wires import sent_wire

UPSERTS = web.AppKey("UPSERTS", Upserts)
_log = logging.getLogger(__name__)


async def create(request: web.Request) -> web.Response:
    """``POST ?slotnum``: open a session."""
    table = requested_table(request)
    spec = requested_spec(table, request.query)
    slots, hours = number(request, "slotnum", 1), number(request, "lifecycle", LONGEST_LIFE)
    request.app[SLOTS].require(slots)
    upserts = request.app[UPSERTS]
    return _description(request, await in_thread(request, lambda: upserts.open(table, spec, slots=slots, hours=hours)))


async def status(request: web.Request) -> web.Response:
    """``GET ?upsertid``: return a session and its status."""
    return _description(request, _session(request))


async def write(request: web.Request) -> web.Response:
    """``PUT ?upsertid&bucketid&slotid``: write one pack of rows of a bucket."""
    async with slotted_body(request) as data:
        session, wire = _session(request), sent_wire(request.query, request.headers)
        bucket, slot = number(request, "bucketid"), number(request, "slotid")
        if not 0 <= bucket < session.buckets or slot != bucket % session.slots:
            raise tunnel_error("InvalidArgument", f"Bucket {bucket} doesn't belong to slot {slot}.")
        count = number(request, "record_count") if "record_count" in request.query else None
        await in_thread(request, lambda: request.app[UPSERTS].write(session, data, wire, count))
    return web.Response()


async def commit(request: web.Request) -> web.Response:
    """``POST ?upsertid``: commit all packs; while the commit runs, the answer says so, and the client asks again."""
    session, upserts = _session(request), request.app[UPSERTS]
    if session.status == COMMITTING:
        return _description(request, session)
    work = asyncio.ensure_future(in_thread(request, lambda: upserts.commit(session)))
    done, _ = await asyncio.wait({work}, timeout=upserts.patience)
    if done:
        work.result()
    else:
        work.add_done_callback(_log_failure)
    return _description(request, session)


async def abort(request: web.Request) -> web.Response:
    """``DELETE ?upsertid``: abort a session and drop its packs."""
    session, upserts = _session(request), request.app[UPSERTS]
    await in_thread(request, lambda: upserts.abort(session))
    return web.Response()


def _description(request: web.Request, session: UpsertSession) -> web.Response:
    return session_answer(request, request.app[UPSERTS].describe(session, request.app[ADDRESS]))


def _session(request: web.Request) -> UpsertSession:
    table = requested_table(request)
    return request.app[UPSERTS].get(request.query["upsertid"], table, named_spec(table, request.query))


def _log_failure(work: asyncio.Future[None]) -> None:
    """Log a failure after the answer; the client requests the commit again, which then runs again."""
    if not work.cancelled() and (error := work.exception()) is not None:
        _log.warning("a commit failed after it was answered: %s", error)
