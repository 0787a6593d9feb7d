"""Counting the requests for each table, and refusing requests above the limits.

The service's pages document the limits, but not the error codes. The emulator answers FlowExceeded for too many
requests in a time and SlotExceeded for too many at once. Both have status 429, after which SDKs wait and try again.
"""

from __future__ import annotations

from collections import Counter, deque
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING

from aiohttp import web

from local_emulator.foundation.injection import drain
from local_emulator.maxcompute.errors import ServiceError
from local_emulator.maxcompute.operations import operation_name
from local_emulator.maxcompute.tunnel.answers import requested_table
from local_emulator.maxcompute.tunnel.errors import tunnel_error

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from local_emulator.maxcompute.entities import Table
    from local_emulator.maxcompute.limits import Limits

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class _Rate:
    """A limit of requests in a window of time; ``limit`` is the name of a field of `Limits`, ``what`` a plural noun."""

    limit: str
    window: timedelta
    what: str


_RATES = MappingProxyType(
    {
        "upload.create": _Rate("sessions", timedelta(minutes=5), "upload sessions"),
        "upload.block": _Rate("blocks", timedelta(minutes=5), "blocks"),
        "upload.commit": _Rate("commits", timedelta(seconds=15), "commits"),
    }
)


class Traffic:
    """The recent requests for each table; used by one thread. ``now`` may jump."""

    def __init__(self, limits: Limits, now: Callable[[], datetime]) -> None:
        self._limits = limits
        self._now = now
        self._recent: dict[tuple[str, str], deque[datetime]] = {}
        self._committing: Counter[str] = Counter()

    @contextmanager
    def admitted(self, operation: str, table: Table) -> Iterator[None]:
        """Count a request for as long as it runs; ServiceError SlotExceeded or FlowExceeded if it exceeds a limit."""
        commits = operation == "upload.commit"
        most = self._limits.commits_at_once
        if commits and most is not None and self._committing[table.id] >= most:
            raise tunnel_error("SlotExceeded", f"Table {table.name}: {most} commits at once are allowed.")
        self._count(operation, table)
        self._committing[table.id] += commits
        try:
            yield
        finally:
            self._committing[table.id] -= commits
            if not self._committing[table.id]:
                del self._committing[table.id]

    def _count(self, operation: str, table: Table) -> None:
        rate, now = _RATES[operation], self._now()
        most: int | None = getattr(self._limits, rate.limit)
        if most is None:
            return
        key = (operation, table.id)
        if key not in self._recent:
            self._forget(now)
        times = self._recent.setdefault(key, deque())
        # A time in the future was counted before the clock was set back.
        while times and not timedelta(0) <= now - times[0] < rate.window:
            times.popleft()
        if len(times) >= most:
            allowed = f"{most} {rate.what} in {rate.window.total_seconds():g} seconds are allowed"
            raise tunnel_error("FlowExceeded", f"Table {table.name}: {allowed}.")
        times.append(now)

    def _forget(self, now: datetime) -> None:
        for key, times in list(self._recent.items()):
            if now - times[-1] >= _RATES[key[0]].window:
                del self._recent[key]


TRAFFIC = web.AppKey("TRAFFIC", Traffic)


@web.middleware
async def count(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse a request that exceeds a limit of its table."""
    operation = operation_name(request)
    if operation not in _RATES:
        return await handler(request)
    try:
        with request.app[TRAFFIC].admitted(operation, requested_table(request)):
            return await handler(request)
    except ServiceError:
        await drain(request)
        raise
