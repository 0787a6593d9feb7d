"""The emulator's time, which tests and the fault API may move."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone


class Clock:
    """UTC now, plus a shift."""

    def __init__(self) -> None:
        self.shift = timedelta(0)

    def now(self) -> datetime:
        """The emulator's time, aware, UTC, whole milliseconds (the service's own resolution)."""
        now = datetime.now(timezone.utc) + self.shift
        return now.replace(microsecond=now.microsecond // 1000 * 1000)
