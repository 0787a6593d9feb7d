"""Faults that are set from outside, and happen to the requests that they are for.

One middleware does it, around everything that a request passes: before it, so that nothing was applied, or after it, so
that only the answer is lost. While no fault is armed, a request costs one look at an empty tuple.
"""

from __future__ import annotations

import asyncio
import random
import socket
import struct
import threading
from collections import Counter
from difflib import get_close_matches
from fnmatch import fnmatchcase
from http import HTTPStatus
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
from aiohttp import web

from local_emulator.maxcompute.errors import ServiceError, invalid, missing
from local_emulator.maxcompute.keys import REQUEST_ID, WHOLE
from local_emulator.maxcompute.operations import NAMES, name_of, session_of
from local_emulator.maxcompute.refusals import drain, refusal
from local_emulator.maxcompute.security import expired_token
from local_emulator.maxcompute.tunnel.errors import sentence_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
    Refuse = Callable[[web.Request, "Fault"], web.Response]

Answer = Literal["status", "reset", "delay", "truncate", "expired-token"]
LONGEST_DELAY = 600.0  # seconds: more than any client waits
FAULT_HEADER = "x-emulator-fault"
# The service's code where a status alone is asked for.
_CODES = MappingProxyType(
    {408: "RequestTimeOut", 429: "FlowExceeded", 500: "InternalServerError", 503: "ServiceUnavailable"}
)
# What stands in front of the service answers with pages of its own, without a code.
_GATEWAY = MappingProxyType({502: "Bad Gateway", 504: "Gateway Time-out"})


class Fault(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """What happens, to which requests, and how often.

    Fields:
        operation: a name or a pattern of names, such as ``upload.*``; which there are is for `parse` to know.
        answer: ``status``: an error; ``reset``: none, the connection is reset; ``truncate``: half of the right one,
            then the connection ends; ``delay``: the right one, late; ``expired-token``: the refusal of a token that is
            out of date, for signed requests.
        status, code, message: of ``status``; 502 and 504 without a code are a gateway's page.
        applied: what was asked for is done first, and only its answer is lost. ``truncate`` is always so.
        delay_seconds: to wait before the answer; of a plain delay, before (or, if applied, after) the work. A client
            that gives up meanwhile doesn't stop the work, but a reset after the delay means that it's never done.
        times: how many requests it's for; null: all until it is cleared.
        probability, seed: of each request that it's for, and of the random numbers for it.
        session: only requests about the session, or the instance, with that id.
    """

    operation: str
    answer: Answer
    status: Annotated[int, msgspec.Meta(ge=400, le=599)] | None = None
    code: str = ""
    message: str = ""
    applied: bool = False
    delay_seconds: Annotated[float, msgspec.Meta(ge=0, le=LONGEST_DELAY)] = 0
    times: Annotated[int, msgspec.Meta(ge=1)] | None = 1
    probability: Annotated[float, msgspec.Meta(gt=0, le=1)] = 1
    seed: int = 0
    session: str = ""

    def __post_init__(self) -> None:
        """Refuse what says nothing, or two things."""
        if (self.answer == "status") != (self.status is not None):
            raise ValueError("the answer 'status', and no other, needs a status")
        if (self.code or self.message) and self.answer != "status":
            raise ValueError(f"the answer {self.answer!r} has no code or message")
        if self.status is not None and not self.code and self.status not in {*_CODES, *_GATEWAY}:
            raise ValueError(f"a code is needed for status {self.status}")
        if self.answer == "delay" and not self.delay_seconds:
            raise ValueError("a delay needs delay_seconds")
        if self.answer == "expired-token" and self.applied:
            raise ValueError("a request with an expired token is never applied")


class SetFault:
    """A fault that was set, and what became of it."""

    def __init__(self, number: int, fault: Fault) -> None:
        self.number = number
        self.fault = fault
        self.hits: Counter[str] = Counter()
        self.applied = 0
        """How many of the requests that it hit were done nevertheless."""
        self._random = random.Random(fault.seed)  # noqa: S311 - not for secrets, and to be repeated

    @property
    def fired(self) -> int:
        """How many requests it hit."""
        return self.hits.total()

    @property
    def spent(self) -> bool:
        """Whether it won't hit another request."""
        return self.fault.times is not None and self.fired >= self.fault.times

    def hit(self, operation: str, session: str, *, signed: bool) -> bool:
        """Whether this request is hit; it is counted then."""
        fault = self.fault
        meant = (
            fnmatchcase(operation, fault.operation)
            and fault.session in ("", session)
            and (signed or fault.answer != "expired-token")
        )
        if not meant or (fault.probability < 1 and self._random.random() >= fault.probability):
            return False
        self.hits[operation] += 1
        return True


class Faults:
    """All faults that were set and not cleared since, oldest first; of those that fit a request, the oldest hits it."""

    def __init__(self, names: Sequence[str] = NAMES) -> None:
        self.names = names
        """Of the operations that a fault can be for."""
        self.armed: tuple[SetFault, ...] = ()
        """Those that are not spent."""
        self.stopping = asyncio.Event()
        self._known: dict[int, SetFault] = {}
        self._last = 0
        self._lock = threading.Lock()

    def set(self, fault: Fault) -> SetFault:
        """Arm one more fault."""
        with self._lock:
            self._last += 1
            made = self._known[self._last] = SetFault(self._last, fault)
            self.armed += (made,)
            return made

    def all(self) -> list[SetFault]:
        """Those that are spent, too."""
        with self._lock:
            return list(self._known.values())

    def get(self, number: int) -> SetFault:
        """One of them; ServiceError NoSuchFault."""
        found = self._known.get(number)
        if found is None:
            known = ", ".join(map(str, self._known)) or "none"
            raise missing("NoSuchFault", f"there is no fault {number}; there are: {known}")
        return found

    def clear(self, number: int | None = None) -> list[SetFault]:
        """Take back one fault, or all; those that were."""
        with self._lock:
            gone = list(self._known.values()) if number is None else [self.get(number)]
            for one in gone:
                del self._known[one.number]
            self.armed = tuple(one for one in self.armed if one.number in self._known)
            return gone

    def take(self, operation: str, session: str, *, signed: bool) -> SetFault | None:
        """The fault that hits a request, or None."""
        with self._lock:
            for one in self.armed:
                if one.hit(operation, session, signed=signed):
                    if one.spent:
                        self.armed = tuple(other for other in self.armed if other is not one)
                    return one
        return None


FAULTS = web.AppKey("FAULTS", Faults)
LONGEST_PATTERN = 200


def parse(body: bytes, names: Sequence[str] = NAMES) -> Fault:
    """A fault from its JSON, for one of these operations; ServiceError InvalidArgument names what is wrong with it."""
    try:
        found = msgspec.json.decode(body, type=Fault)
    except msgspec.MsgspecError as error:
        raise invalid(str(error)) from None
    if len(found.operation) > LONGEST_PATTERN:
        # Patterns are compiled in a time that is quadratic in their length, while no request is answered.
        raise invalid(f"expected an operation of at most {LONGEST_PATTERN} characters, found {len(found.operation)}")
    if not any(fnmatchcase(name, found.operation) for name in names):
        near = get_close_matches(found.operation, names) or names
        raise invalid(f"no operation is called {found.operation!r}; expected one of {', '.join(near)}, or '*'")
    return found


async def stop(app: web.Application) -> None:
    """End all delays: the emulator stops."""
    app[FAULTS].stopping.set()


@web.middleware
async def inject(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let the armed faults happen."""
    faults = request.app[FAULTS]
    if not faults.armed:
        return await handler(request)
    operation = name_of(request)
    if not operation:
        return await handler(request)
    found = faults.take(operation, session_of(request), signed=_signed(request))
    return await (handler(request) if found is None else happen(request, handler, found, _refuse))


async def happen(request: web.Request, handler: Handler, found: SetFault, refuse: Refuse) -> web.StreamResponse:
    """Let a fault happen to a request; `refuse` makes the service's own answer to one that has an error."""
    fault = found.fault
    if fault.answer == "delay":
        return await _late(request, handler, found)
    if fault.applied or fault.answer == "truncate":
        right = await _applied(request, handler, found)
    else:
        right = web.Response()
        await drain(request)
    ended = await _wait(request, fault.delay_seconds)
    if fault.answer == "reset" or ended:
        return _reset(request)
    if fault.answer == "truncate":
        return await _truncated(request, right)
    wrong = _gateway_page(fault) if fault.status in _GATEWAY and not fault.code else refuse(request, fault)
    wrong.headers[FAULT_HEADER] = str(found.number)
    return wrong


async def _late(request: web.Request, handler: Handler, found: SetFault) -> web.StreamResponse:
    seconds, applied = found.fault.delay_seconds, found.fault.applied
    if not applied and await _wait(request, seconds):
        return _reset(request)
    right = await _applied(request, handler, found)
    if applied:
        await _wait(request, seconds)
    return right


async def _wait(request: web.Request, seconds: float) -> bool:
    """Let the time pass; True if the emulator is told to stop meanwhile."""
    try:
        await asyncio.wait_for(request.app[FAULTS].stopping.wait(), seconds)
    except asyncio.TimeoutError:
        return False
    return True


async def _applied(request: web.Request, handler: Handler, found: SetFault) -> web.StreamResponse:
    request[WHOLE] = found.fault.answer != "delay"
    try:
        right = await handler(request)
    except ServiceError as error:
        return refusal(request, error)
    found.applied += right.status < HTTPStatus.BAD_REQUEST
    return right


def _signed(request: web.Request) -> bool:
    return "Authorization" in request.headers or "x-odps-bearer-token" in request.headers


def _refuse(request: web.Request, fault: Fault) -> web.Response:
    if fault.status is None:
        return refusal(request, expired_token())
    code = fault.code or _CODES[fault.status]
    message = fault.message or sentence_of(code) or "A fault that was set."
    return refusal(request, ServiceError(fault.status, code, message))


def _gateway_page(fault: Fault) -> web.Response:
    title = f"{fault.status} {_GATEWAY[fault.status or 502]}"
    text = fault.message or f"<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>\n"
    return web.Response(status=fault.status or 502, text=text, content_type="text/html")


def _reset(request: web.Request) -> web.Response:
    """End the connection with a TCP reset."""
    transport = request.transport
    if transport is not None:  # else the client has gone
        linger = struct.pack("ii", 1, 0)  # on, for no time: the kernel then sends a reset instead of an end
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        transport.abort()
    return web.Response()  # to nobody


async def _truncated(request: web.Request, right: web.StreamResponse) -> web.StreamResponse:
    """Half of an answer under its whole length (of one without a body: a byte that never comes), then the end."""
    body = right.body if isinstance(right, web.Response) and isinstance(right.body, bytes) else b""
    half = web.StreamResponse(status=right.status, headers=right.headers)
    if REQUEST_ID in request:
        half.headers["x-odps-request-id"] = request[REQUEST_ID]
    half.content_length = max(len(body), 1)
    await half.prepare(request)
    await half.write(body[: len(body) // 2])
    if request.transport is not None:
        request.transport.close()
    return half
