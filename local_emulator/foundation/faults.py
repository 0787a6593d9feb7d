"""Faults that a client sets: which requests they hit, how the emulator answers those, and how many were hit.

`injection` applies faults to requests, `fault_api` lets clients set them over HTTP.
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
# The statuses for which each service has an error code, so that a fault may omit the code.
WITH_CODE = frozenset({408, 429, 500, 503})
# The statuses of a gateway in front of a service; a gateway answers with an HTML page, without an error code.
GATEWAY = {502: "Bad Gateway", 504: "Gateway Time-out"}
LONGEST_PATTERN = 200


class FaultError(Exception):
    """A fault that can't be set, or that doesn't exist: HTTP status, error code and message of the answer."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.status = status
        self.code = code
        self.message = message


class Fault(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """Which requests a fault hits, how often, and how the emulator answers them.

    Fields:
        operation: a name or a pattern of names, such as ``upload.*``; `parse` checks that it matches an operation.
        answer: ``status``: an error; ``reset``: no answer, the connection is reset; ``truncate``: half of the right
            answer, then the connection ends; ``delay``: the right answer, late; ``expired-token``: the error of an
            expired token (hits signed requests only).
        status, code, message: the error of ``status``; 502 and 504 without a code answer with a gateway's page.
        applied: the request is carried out, and only its answer is lost; always the case with ``truncate``.
        delay_seconds: time to wait before the answer. With ``delay`` the request is carried out after the wait, or
            before the wait if `applied`. A client that gives up during the wait doesn't stop the request.
        times: how many requests the fault hits; null: all until the fault is cleared.
        probability, seed: probability to hit a matching request, and the seed of the random numbers.
        session: hit only requests about the session, or the instance, with this id.
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
        """Refuse fields that contradict each other or have no effect; ValueError."""
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
    """A fault that was set, and its hits: the number of hit requests for each operation."""

    def __init__(self, number: int, fault: Fault) -> None:
        self.number = number
        self.fault = fault
        self.hits: Counter[str] = Counter()
        self.applied = 0
        """How many of the hit requests were carried out nevertheless."""
        self._random = random.Random(fault.seed)  # noqa: S311 - not for secrets, and repeatable

    @property
    def fired(self) -> int:
        """How many requests the fault has hit."""
        return self.hits.total()

    @property
    def spent(self) -> bool:
        """Whether the fault will hit no further request."""
        return self.fault.times is not None and self.fired >= self.fault.times

    def hit(self, operation: str, session: str, *, signed: bool) -> bool:
        """Whether the fault hits this request; counts the hit."""
        fault = self.fault
        matches = (
            fnmatchcase(operation, fault.operation)
            and fault.session in ("", session)
            and (signed or fault.answer != "expired-token")
        )
        if not matches or (fault.probability < 1 and self._random.random() >= fault.probability):
            return False
        self.hits[operation] += 1
        return True


class Faults:
    """All faults that were set and not cleared, oldest first; if several match a request, the oldest hits it."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names
        """The operations that a fault can be set for."""
        self.armed: tuple[SetFault, ...] = ()
        """The faults that are not spent."""
        self.stopping = asyncio.Event()
        self._known: dict[int, SetFault] = {}
        self._last = 0
        self._lock = threading.Lock()

    def set(self, fault: Fault) -> SetFault:
        """Add a fault and return it with its number."""
        with self._lock:
            self._last += 1
            added = self._known[self._last] = SetFault(self._last, fault)
            self.armed += (added,)
            return added

    def all(self) -> list[SetFault]:
        """Return all faults, spent ones too."""
        with self._lock:
            return list(self._known.values())

    def get(self, number: int) -> SetFault:
        """Return the fault with a number; FaultError NoSuchFault."""
        fault = self._known.get(number)
        if fault is None:
            known = ", ".join(map(str, self._known)) or "none"
            raise FaultError(HTTPStatus.NOT_FOUND, "NoSuchFault", f"there is no fault {number}; there are: {known}")
        return fault

    def clear(self, number: int | None = None) -> list[SetFault]:
        """Remove one fault, or all if `number` is None; return the removed faults."""
        with self._lock:
            removed = list(self._known.values()) if number is None else [self.get(number)]
            for fault in removed:
                del self._known[fault.number]
            self.armed = tuple(fault for fault in self.armed if fault.number in self._known)
            return removed

    def take(self, operation: str, session: str, *, signed: bool) -> SetFault | None:
        """Return the fault that hits a request, or None; counts the hit."""
        with self._lock:
            for fault in self.armed:
                if fault.hit(operation, session, signed=signed):
                    if fault.spent:
                        self.armed = tuple(other for other in self.armed if other is not fault)
                    return fault
        return None


def parse(body: bytes, names: Sequence[str]) -> Fault:
    """Return the fault that a JSON body describes; FaultError InvalidArgument if `names` has no such operation."""
    try:
        fault = msgspec.json.decode(body, type=Fault)
    except msgspec.MsgspecError as error:
        raise _invalid(str(error)) from None
    if len(fault.operation) > LONGEST_PATTERN:
        # The time to compile a pattern is quadratic in its length, and no request is answered meanwhile.
        raise _invalid(f"expected an operation of at most {LONGEST_PATTERN} characters, found {len(fault.operation)}")
    if not any(fnmatchcase(name, fault.operation) for name in names):
        near = get_close_matches(fault.operation, names) or names
        raise _invalid(f"no operation is called {fault.operation!r}; expected one of {', '.join(near)}, or '*'")
    return fault


def _invalid(message: str) -> FaultError:
    return FaultError(HTTPStatus.BAD_REQUEST, "InvalidArgument", message)


FAULTS = web.AppKey("FAULTS", Faults)
