"""``/emulator``: the emulator's own paths, which no client of the service uses: faults, and the time.

JSON both ways, and unsigned: whoever may reach the emulator at all may set faults.
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
    """By how much the emulator's times are off; what is left out stays as it is. See `Clock`."""

    shift_seconds: Seconds | None = None
    skew_seconds: Seconds | None = None


def add_routes(app: web.Application) -> None:
    """Serve everything below `PREFIX`."""
    app.router.add_get(f"{PREFIX}/faults", _answered(list_faults))
    app.router.add_post(f"{PREFIX}/faults", _answered(set_fault))
    app.router.add_delete(f"{PREFIX}/faults", _answered(clear_faults))
    app.router.add_get(_FAULT, _answered(get_fault))
    app.router.add_delete(_FAULT, _answered(clear_fault))
    app.router.add_get(f"{PREFIX}/operations", _answered(list_operations))
    app.router.add_get(f"{PREFIX}/clock", _answered(get_clock))
    app.router.add_put(f"{PREFIX}/clock", _answered(put_clock))


async def list_faults(request: web.Request) -> web.Response:
    """All that were set and not cleared, with what became of them."""
    return _faults(request.app[FAULTS].all())


async def set_fault(request: web.Request) -> web.Response:
    """One more, as `Fault` describes it; its number is in the answer."""
    faults = request.app[FAULTS]
    return _answer(_described(faults.set(parse(await request.read(), faults.names))), HTTPStatus.CREATED)


async def clear_faults(request: web.Request) -> web.Response:
    """Take back all; the answer is what became of them."""
    return _faults(request.app[FAULTS].clear())


async def get_fault(request: web.Request) -> web.Response:
    """What became of one."""
    return _answer(_described(request.app[FAULTS].get(int(request.match_info["fault"]))))


async def clear_fault(request: web.Request) -> web.Response:
    """Take back one."""
    return _faults(request.app[FAULTS].clear(int(request.match_info["fault"])))


async def list_operations(request: web.Request) -> web.Response:
    """The names that a fault's operation may have."""
    return _answer({"operations": request.app[FAULTS].names})


async def get_clock(request: web.Request) -> web.Response:
    """What the emulator takes for the time."""
    return _clock(request.app[CLOCK])


async def put_clock(request: web.Request) -> web.Response:
    """Shift the time by which sessions and tokens live, or the one that requests' dates are held against."""
    try:
        wanted = msgspec.json.decode(await request.read(), type=Shift)
    except msgspec.MsgspecError as error:
        raise FaultError(HTTPStatus.BAD_REQUEST, "InvalidArgument", str(error)) from None
    clock = request.app[CLOCK]
    if wanted.shift_seconds is not None:
        clock.shift = timedelta(seconds=wanted.shift_seconds)
    if wanted.skew_seconds is not None:
        clock.skew = timedelta(seconds=wanted.skew_seconds)
    return _clock(clock)


def _answered(handler: Handler) -> Handler:
    """The same, with what is wrong with a request for its answer."""

    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except FaultError as error:
            return _answer({"Code": error.code, "Message": error.message}, error.status)

    return answer


def _faults(found: list[SetFault]) -> web.Response:
    return _answer({"faults": [_described(one) for one in found]})


def _described(one: SetFault) -> dict[str, Any]:
    return {
        "id": one.number,
        **msgspec.to_builtins(one.fault),
        "times": one.fault.times,
        "fired": one.fired,
        "applied_count": one.applied,
        "hits": dict(one.hits),
        "spent": one.spent,
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
