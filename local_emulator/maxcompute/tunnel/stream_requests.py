"""The request handlers of stream sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from local_emulator.maxcompute.keys import ADDRESS, in_thread
from local_emulator.maxcompute.tunnel.answers import flag, number, requested_table, session_answer
from local_emulator.maxcompute.tunnel.errors import tunnel_error
from local_emulator.maxcompute.tunnel.partition_parameter import named_spec, requested_spec
from local_emulator.maxcompute.tunnel.slots import SLOTS, slotted_body
from local_emulator.maxcompute.tunnel.streams import Pack, Streams, StreamSession
from local_emulator.maxcompute.tunnel.wires import sent_wire

if TYPE_CHECKING:
    from local_emulator.maxcompute.entities import Table

STREAMS = web.AppKey("STREAMS", Streams)
SLOT_HEADER, ROUTE_HEADER, BATCH_HEADER = "odps-tunnel-slot-num", "odps-tunnel-routed-server", "odps-tunnel-batch-id"
# PyODPS's header for the wanted number of slots; the Java SDK uses `SLOT_HEADER`, as the answers to writes do.
_WANTED_HEADER = "odps-slot-num"


async def create(request: web.Request) -> web.Response:
    """``POST``: open a session."""
    table, dynamic = requested_table(request), flag(request, "dynamic_partition")
    _check_version(request, table)
    _check_zorder(request, table)
    slots = _wanted_slots(request)
    request.app[SLOTS].require(slots)
    streams = request.app[STREAMS]
    spec = () if dynamic and not request.query.get("partition") else requested_spec(table, request.query)
    create_partition = flag(request, "create_partition")
    session = await in_thread(
        request,
        lambda: streams.open(table, spec, slots=slots, dynamic=dynamic, create_partition=create_partition),
    )
    return _description(request, session)


async def status(request: web.Request) -> web.Response:
    """``GET ?uploadid``: return a session, its slots and its last batch."""
    return _description(request, _session(request))


async def write(request: web.Request) -> web.Response:
    """``PUT ?uploadid&slotid``: write one pack of rows."""
    async with slotted_body(request) as data:
        session = _session(request)
        slot = number(request, "slotid")
        if not 0 <= slot < session.slots:
            raise tunnel_error("InvalidArgument", f"'slotid' has to be 0 to {session.slots - 1}, found {slot}.")
        _check_version(request, session.table)
        pack = Pack(
            data,
            sent_wire(request.query, request.headers),
            requested_spec(session.table, request.query) if session.dynamic else session.spec,
            request.query.get("check_latest_schema", "false").lower() == "true",
            number(request, "record_count") if "record_count" in request.query else None,
        )
        batch = await in_thread(request, lambda: request.app[STREAMS].write(session, pack))
    headers = {
        ROUTE_HEADER: request.app[ADDRESS],
        SLOT_HEADER: str(session.slots),
        BATCH_HEADER: str(batch),
    }
    return web.Response(headers=headers)


async def abort(request: web.Request) -> web.Response:
    """``POST ?uploadid``: end a session."""
    request.app[STREAMS].abort(_session(request))
    return web.Response()


def _description(request: web.Request, session: StreamSession) -> web.Response:
    return session_answer(request, request.app[STREAMS].describe(session, request.app[ADDRESS]))


def _session(request: web.Request) -> StreamSession:
    table = requested_table(request)
    return request.app[STREAMS].get(request.query["uploadid"], table, named_spec(table, request.query))


def _check_version(request: web.Request, table: Table) -> None:
    """Refuse any other schema version than the table's current one, since the emulator keeps no former columns."""
    wanted = request.query.get("schema_version", "")
    if wanted not in {"", str(table.schema_version)}:
        raise tunnel_error("NoSuchSchema", f"Version '{wanted}' of {table.name}; it is at {table.schema_version}.")


def _check_zorder(request: web.Request, table: Table) -> None:
    """Check the names of the columns for the rows' layout; the emulator ignores the layout."""
    names = [name for name in request.query.get("zorder_columns", "").split(",") if name]
    unknown = [name for name in names if table.column(name) is None]
    if unknown:
        raise tunnel_error("InvalidColumnSpec", f"{table.name} has no column {', '.join(unknown)}.")


def _wanted_slots(request: web.Request) -> int:
    text = request.headers.get(_WANTED_HEADER) or request.headers.get(SLOT_HEADER) or "0"
    if not text.isdecimal():
        raise tunnel_error("InvalidArgument", f"'{_WANTED_HEADER}' has to be a whole number, found '{text}'.")
    return int(text) or 1
