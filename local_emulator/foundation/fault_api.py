"""``/emulator``: the emulator's own HTTP paths for faults and the time; no client of the service uses them.

Requests and answers are JSON. Requests are unsigned: every client that can connect to the emulator may set faults.
"""

from __future__ import annotations

import json
from datetime import timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from aiohttp import web

from local_emulator.foundation.clock import CLOCK
from local_emulator.foundation.faults import FAULTS, FaultError, SetFault, parse

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from local_emulator.foundation.clock import Clock

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

PREFIX = "/emulator"
_FAULT = f"{PREFIX}/faults/{{fault:[0-9]+}}"
_TEN_YEARS = 10 * 365 * 86_400.0
Seconds = Annotated[float, msgspec.Meta(ge=-_TEN_YEARS, le=_TEN_YEARS)]


class Shift(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """New shifts of the emulator's `Clock`; None leaves a shift as it is."""

    shift_seconds: Seconds | None = None
    skew_seconds: Seconds | None = None


def add_routes(app: web.Application) -> None:
    """Add the routes below `PREFIX`."""
    app.router.add_get(f"{PREFIX}/faults", _answering_faults(list_faults))
    app.router.add_post(f"{PREFIX}/faults", _answering_faults(set_fault))
    app.router.add_delete(f"{PREFIX}/faults", _answering_faults(clear_faults))
    app.router.add_get(_FAULT, _answering_faults(get_fault))
    app.router.add_delete(_FAULT, _answering_faults(clear_fault))
    app.router.add_get(f"{PREFIX}/operations", _answering_faults(list_operations))
    app.router.add_get(f"{PREFIX}/clock", _answering_faults(get_clock))
    app.router.add_put(f"{PREFIX}/clock", _answering_faults(put_clock))


async def list_faults(request: web.Request) -> web.Response:
    """Answer all faults that were set and not cleared, with their hits."""
    return _faults(request.app[FAULTS].all())


async def set_fault(request: web.Request) -> web.Response:
    """Set a fault from its JSON, see `Fault`; its number is in the answer."""
    faults = request.app[FAULTS]
    return _answer(_to_json(faults.set(parse(await request.read(), faults.names))), HTTPStatus.CREATED)


async def clear_faults(request: web.Request) -> web.Response:
    """Clear all faults; answer them with their hits."""
    return _faults(request.app[FAULTS].clear())


async def get_fault(request: web.Request) -> web.Response:
    """Answer one fault with its hits."""
    return _answer(_to_json(request.app[FAULTS].get(int(request.match_info["fault"]))))


async def clear_fault(request: web.Request) -> web.Response:
    """Clear one fault; answer it with its hits."""
    return _faults(request.app[FAULTS].clear(int(request.match_info["fault"])))


async def list_operations(request: web.Request) -> web.Response:
    """Answer the operations that a fault can be set for."""
    return _answer({"operations": request.app[FAULTS].names})


async def get_clock(request: web.Request) -> web.Response:
    """Answer the emulator's time and its shifts."""
    return _clock(request.app[CLOCK])


async def put_clock(request: web.Request) -> web.Response:
    """Shift the time by which sessions and tokens expire, or the time that requests' dates are compared with."""
    try:
        shift = msgspec.json.decode(await request.read(), type=Shift)
    except msgspec.MsgspecError as error:
        raise FaultError(HTTPStatus.BAD_REQUEST, "InvalidArgument", str(error)) from None
    clock = request.app[CLOCK]
    if shift.shift_seconds is not None:
        clock.shift = timedelta(seconds=shift.shift_seconds)
    if shift.skew_seconds is not None:
        clock.skew = timedelta(seconds=shift.skew_seconds)
    return _clock(clock)


def _answering_faults(handler: Handler) -> Handler:
    """Return a handler that answers each FaultError of `handler` as JSON."""

    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except FaultError as error:
            return _answer({"Code": error.code, "Message": error.message}, error.status)

    return answer


def _faults(faults: list[SetFault]) -> web.Response:
    return _answer({"faults": [_to_json(fault) for fault in faults]})


def _to_json(fault: SetFault) -> dict[str, Any]:
    return {
        "id": fault.number,
        **msgspec.to_builtins(fault.fault),
        "times": fault.fault.times,
        "fired": fault.fired,
        "applied_count": fault.applied,
        "hits": dict(fault.hits),
        "spent": fault.spent,
    }


def _clock(clock: Clock) -> web.Response:
    return _answer(
        {
            "now": clock.now().isoformat(),
            "shift_seconds": clock.shift.total_seconds(),
            "skew_seconds": clock.skew.total_seconds(),
        }
    )


def _answer(value: object, status: int = HTTPStatus.OK) -> web.Response:
    return web.Response(status=status, text=json.dumps(value) + "\n", content_type="application/json")
