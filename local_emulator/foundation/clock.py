"""The emulator's time, which tests and the fault API may move."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from aiohttp import web


class Clock:
    """UTC now, plus shifts.

    ``shift`` moves the time by which sessions and tokens live and end, ``skew`` the time that the dates of requests are
    held against: apart, so that a client whose own clock is right can outlive a day's session.
    """

    def __init__(self) -> None:
        self.shift = timedelta(0)
        self.skew = timedelta(0)

    def now(self) -> datetime:
        """The emulator's time, aware, UTC, whole milliseconds (the service's own resolution)."""
        return _milliseconds(datetime.now(timezone.utc) + self.shift)

    def wire_now(self) -> datetime:
        """The time that the service's front door sees when it checks a request's date."""
        return _milliseconds(datetime.now(timezone.utc) + self.skew)


def _milliseconds(time: datetime) -> datetime:
    return time.replace(microsecond=time.microsecond // 1000 * 1000)


CLOCK = web.AppKey("CLOCK", Clock)
