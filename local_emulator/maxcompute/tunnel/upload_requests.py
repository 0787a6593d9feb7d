"""The request handlers of batch upload sessions."""

from __future__ import annotations

from aiohttp import web

from local_emulator.maxcompute.keys import in_thread
from local_emulator.maxcompute.tunnel.answers import body, flag, joined, number, requested_table, session_answer
from local_emulator.maxcompute.tunnel.errors import tunnel_error
from local_emulator.maxcompute.tunnel.partition_parameter import named_spec, requested_spec
from local_emulator.maxcompute.tunnel.uploads import Uploads, UploadSession
from local_emulator.maxcompute.tunnel.wires import sent_wire

UPLOADS = web.AppKey("UPLOADS", Uploads)


async def create(request: web.Request) -> web.Response:
    """``POST ?uploads``: open a session."""
    table = requested_table(request)
    spec = requested_spec(table, request.query)
    overwrite, create_partition = flag(request, "overwrite"), flag(request, "create_partition")
    uploads = request.app[UPLOADS]
    session = await in_thread(
        request, lambda: uploads.open(table, spec, overwrite=overwrite, create_partition=create_partition)
    )
    return session_answer(request, uploads.describe(session))


async def status(request: web.Request) -> web.Response:
    """``GET ?uploadid``: return a session and its status."""
    return session_answer(request, request.app[UPLOADS].describe(_session(request)))


async def put_block(request: web.Request) -> web.Response:
    """``PUT ?uploadid&blockid``: store one block."""
    # Read the body first: a client doesn't see an answer while it sends.
    pieces = await body(request)
    session, block_id, wire = _session(request), number(request, "blockid"), sent_wire(request.query, request.headers)
    if not pieces and not request.content_length:
        raise tunnel_error("IncompleteBody", "The block has no bytes; a block without rows has a stream's end.")
    await in_thread(request, lambda: request.app[UPLOADS].put(session, block_id, joined(pieces), wire))
    return web.Response()


async def commit(request: web.Request) -> web.Response:
    """``POST ?uploadid``: commit all blocks into the table."""
    session, uploads = _session(request), request.app[UPLOADS]
    await in_thread(request, lambda: uploads.commit(session))
    return session_answer(request, uploads.describe(session))


def _session(request: web.Request) -> UploadSession:
    table = requested_table(request)
    return request.app[UPLOADS].get(request.query["uploadid"], table, named_spec(table, request.query))
