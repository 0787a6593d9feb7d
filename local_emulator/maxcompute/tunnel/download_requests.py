"""The request handlers of download sessions on tables, and of the preview of a table's first rows."""

from __future__ import annotations

from itertools import islice

from aiohttp import web

from local_emulator.foundation.injection import WHOLE
from local_emulator.maxcompute.keys import STORE, in_thread
from local_emulator.maxcompute.tunnel import preview as previews
from local_emulator.maxcompute.tunnel.answers import number, requested_table, session_answer
from local_emulator.maxcompute.tunnel.cells import padded
from local_emulator.maxcompute.tunnel.downloads import (
    Downloads,
    DownloadSession,
    describe,
    requested_columns,
    row_batches,
    row_range,
    table_resource,
)
from local_emulator.maxcompute.tunnel.partition_parameter import parse_spec, requested_spec
from local_emulator.maxcompute.tunnel.wires import wanted_wire

DOWNLOADS = web.AppKey("DOWNLOADS", Downloads)
# The start or rows of a stream, the stream's end, and the compression's end.
PIECES_OF_A_SHORT_ANSWER = 4


async def create(request: web.Request) -> web.Response:
    """``POST ?downloads``: open a session; the session is ready at once, also with ``asyncmode``."""
    table = requested_table(request)
    spec = requested_spec(table, request.query)
    downloads = request.app[DOWNLOADS]
    return session_answer(request, describe(await in_thread(request, lambda: downloads.open_table(table, spec))))


async def status(request: web.Request) -> web.Response:
    """``GET ?downloadid``: return a session."""
    return session_answer(request, describe(_session(request)))


async def data(request: web.Request) -> web.StreamResponse:
    """``GET ?data&downloadid&rowrange``: return rows, as records or Arrow."""
    return await rows_answer(request, _session(request))


async def rows_answer(request: web.Request, session: DownloadSession, *, structs: bool = False) -> web.StreamResponse:
    """Return a session's requested rows; with ``structs``, Arrow data has timestamps as pairs.

    A short answer is sent at once. A long answer is sent in pieces, of which only the current piece is in memory.
    """
    wire = wanted_wire(request.query, request.headers)
    start, count = row_range(session, request.query.get("rowrange", f"(0,{session.count})"))
    columns = requested_columns(session, request.query.get("columns", ""), in_order=wire.arrow)
    batches = padded(row_batches(session, [column.name for column in columns], start, count), columns)
    if wire.arrow and structs:
        batches = map(previews.timestamps_as_structs, batches)
    pieces = wire.encode(batches, columns)
    headers = {"Content-Encoding": wire.encoding} if wire.encoding else {}
    whole = request.get(WHOLE, False)
    first = await in_thread(request, lambda: list(islice(pieces, None if whole else PIECES_OF_A_SHORT_ANSWER + 1)))
    if whole or len(first) <= PIECES_OF_A_SHORT_ANSWER:
        return web.Response(body=b"".join(first), content_type="application/octet-stream", headers=headers)
    answer = web.StreamResponse(headers={"Content-Type": "application/octet-stream", **headers})
    await answer.prepare(request)
    while first:
        await answer.write(b"".join(first))
        first = await in_thread(request, lambda: list(islice(pieces, 1)))
    await answer.write_eof()
    return answer


async def preview(request: web.Request) -> web.Response:
    """``GET /preview?limit``: return the first rows of a table or partition as an Arrow stream with a schema."""
    table = requested_table(request)
    text = request.query.get("partition", "")
    spec = parse_spec(table, text) if text else ()
    limit = number(request, "limit", -1)
    names = [name for name in request.query.get("columns", "").split(",") if name]
    codec = request.headers.get("Accept-Encoding", "")
    store = request.app[STORE]
    body = await in_thread(
        request, lambda: previews.preview(store, table, spec, names=names, limit=limit, accepted=codec)
    )
    return web.Response(body=body, content_type="application/octet-stream")


def _session(request: web.Request) -> DownloadSession:
    table = requested_table(request)
    return request.app[DOWNLOADS].get(request.query["downloadid"], table_resource(table))
