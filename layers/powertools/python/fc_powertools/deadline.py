"""The time that an invocation still has.

The runtime's context holds the function's timeout but no point in time, so the invocation's start is taken when the
handler is entered. Some callers wait for less than the timeout allows (EventBridge's triggers: 5 minutes, whatever the
function's timeout is), so the time can be capped. A monotonic clock is read: a corrected wall clock changes nothing.
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
"""Assumed where the context names no timeout; the service's runtimes always name one, a hand-made context may not."""


@dataclass(frozen=True, slots=True)
class Deadline:
    """A point in time on `clock`, in its seconds."""

    at: float
    clock: Callable[[], float] = time.monotonic

    @classmethod
    def after(cls, seconds: float, clock: Callable[[], float] = time.monotonic) -> Deadline:
        """The deadline that many seconds from now."""
        return cls(clock() + seconds, clock)

    @classmethod
    def of_invocation(
        cls, context: Context, *, limit_seconds: float | None = None, clock: Callable[[], float] = time.monotonic
    ) -> Deadline:
        """The end of an invocation that starts now: the function's timeout, or `limit_seconds` where that is less."""
        timeout = context.function.timeout
        known = [float(seconds) for seconds in (timeout, limit_seconds) if seconds is not None]
        return cls.after(min(known, default=UNKNOWN_TIMEOUT_SECONDS), clock)

    def remaining(self) -> float:
        """Seconds left, never less than 0."""
        return max(0.0, self.at - self.clock())

    @property
    def expired(self) -> bool:
        """Whether no time is left."""
        return self.clock() >= self.at

    def earlier(self, seconds: float) -> Deadline:
        """The deadline that leaves so many seconds of this one for what comes after."""
        return Deadline(self.at - seconds, self.clock)

    def within(self, seconds: float) -> Deadline:
        """The deadline so many seconds from now, or this one where it comes first."""
        return Deadline(min(self.at, self.clock() + seconds), self.clock)
