"""The deadline of an invocation.

The runtime's context has the function's timeout but no point in time, so the time counts from the handler's entry. Some
callers wait for less time than the timeout (EventBridge's triggers 5 minutes, whatever the timeout is), so the time can
be limited. The clock is monotonic: a corrected wall clock changes nothing.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from fc_powertools.context import Context

EVENTBRIDGE_LIMIT_SECONDS = 300.0
"""How long EventBridge's triggers wait for a function (Function Compute, "advanced features of triggers", 2026)."""

UNKNOWN_TIMEOUT_SECONDS = 60.0
"""Assumed if the context has no timeout; the service's contexts always have one, a context made by hand may not."""


@dataclass(frozen=True, slots=True)
class Deadline:
    """A point in time on `clock`, in its seconds."""

    at: float
    clock: Callable[[], float] = time.monotonic

    @classmethod
    def after(cls, seconds: float, clock: Callable[[], float] = time.monotonic) -> Deadline:
        """Return the deadline `seconds` from now."""
        return cls(clock() + seconds, clock)

    @classmethod
    def of_invocation(
        cls, context: Context, *, limit_seconds: float | None = None, clock: Callable[[], float] = time.monotonic
    ) -> Deadline:
        """Return the end of an invocation that starts now: after the timeout, or after `limit_seconds` if less."""
        timeout = context.function.timeout
        limits = [float(seconds) for seconds in (timeout, limit_seconds) if seconds is not None]
        return cls.after(min(limits, default=UNKNOWN_TIMEOUT_SECONDS), clock)

    def remaining(self) -> float:
        """Return the remaining seconds, never less than 0."""
        return max(0.0, self.at - self.clock())

    @property
    def expired(self) -> bool:
        """Whether no time is left."""
        return self.clock() >= self.at

    def earlier(self, seconds: float) -> Deadline:
        """Return the deadline `seconds` before this one, which leaves this time for later work."""
        return Deadline(self.at - seconds, self.clock)

    def within(self, seconds: float) -> Deadline:
        """Return the deadline `seconds` from now, or this one if it's earlier."""
        return Deadline(min(self.at, self.clock() + seconds), self.clock)
