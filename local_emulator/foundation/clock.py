"""The emulator's time, which tests and the fault API may move."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from aiohttp import web


class Clock:
    """UTC now, plus shifts.

    ``shift`` moves the time by which sessions and tokens expire. ``skew`` moves the time that the dates of requests are
    compared with. They are separate so that a session can expire for a client whose own clock is right.
    """

    def __init__(self) -> None:
        self.shift = timedelta(0)
        self.skew = timedelta(0)

    def now(self) -> datetime:
        """Return the emulator's time: UTC, aware, whole milliseconds (the service's own resolution)."""
        return _milliseconds(datetime.now(timezone.utc) + self.shift)

    def wire_now(self) -> datetime:
        """Return the time with which the service compares a request's date."""
        return _milliseconds(datetime.now(timezone.utc) + self.skew)


def _milliseconds(time: datetime) -> datetime:
    return time.replace(microsecond=time.microsecond // 1000 * 1000)


CLOCK = web.AppKey("CLOCK", Clock)
