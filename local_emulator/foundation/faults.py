"""Faults that are set from outside: what happens, to which requests, and what became of it.

`injection` lets them happen, `fault_api` has them set over HTTP.
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections import Counter
from difflib import get_close_matches
from fnmatch import fnmatchcase
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Sequence

Answer = Literal["status", "reset", "delay", "truncate", "expired-token"]
LONGEST_DELAY = 600.0  # seconds: more than any client waits
# The statuses for which each service has a code of its own, so that a fault needs none.
WITH_CODE = frozenset({408, 429, 500, 503})
# What stands in front of a service answers with pages of its own, without a code.
GATEWAY = {502: "Bad Gateway", 504: "Gateway Time-out"}
LONGEST_PATTERN = 200


class FaultError(Exception):
    """A fault that can't be set, or that isn't there: HTTP status, code word and message of the answer."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.status = status
        self.code = code
        self.message = message


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
        if self.status is not None and not self.code and self.status not in WITH_CODE | GATEWAY.keys():
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

    def __init__(self, names: Sequence[str]) -> None:
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
        """One of them; FaultError NoSuchFault."""
        found = self._known.get(number)
        if found is None:
            known = ", ".join(map(str, self._known)) or "none"
            raise FaultError(HTTPStatus.NOT_FOUND, "NoSuchFault", f"there is no fault {number}; there are: {known}")
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


def parse(body: bytes, names: Sequence[str]) -> Fault:
    """A fault from its JSON, for one of these operations; FaultError InvalidArgument names what is wrong with it."""
    try:
        found = msgspec.json.decode(body, type=Fault)
    except msgspec.MsgspecError as error:
        raise _invalid(str(error)) from None
    if len(found.operation) > LONGEST_PATTERN:
        # Patterns are compiled in a time that is quadratic in their length, while no request is answered.
        raise _invalid(f"expected an operation of at most {LONGEST_PATTERN} characters, found {len(found.operation)}")
    if not any(fnmatchcase(name, found.operation) for name in names):
        near = get_close_matches(found.operation, names) or names
        raise _invalid(f"no operation is called {found.operation!r}; expected one of {', '.join(near)}, or '*'")
    return found


def _invalid(message: str) -> FaultError:
    return FaultError(HTTPStatus.BAD_REQUEST, "InvalidArgument", message)


FAULTS = web.AppKey("FAULTS", Faults)
