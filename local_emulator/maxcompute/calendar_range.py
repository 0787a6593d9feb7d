"""The project's time zone, and the range of DATE and DATETIME: the years 1 to 9999 in this zone."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from datetime import tzinfo

PROJECT_ZONE = ZoneInfo("Asia/Shanghai")
"""The service's default outside of America and Europe; a project's property odps.sql.timezone shows the zone."""

_EPOCH, _SECOND = datetime(1970, 1, 1), timedelta(seconds=1)  # noqa: DTZ001 - local times are computed without a zone
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_DAY = 86_400


def local_text(seconds: int, zone: tzinfo | None) -> str:
    """Return the local time in a zone of a point in time (seconds since 1970 in UTC); without a zone, UTC."""
    return (_EPOCH + timedelta(seconds=seconds + _offset(seconds, zone))).isoformat(sep=" ")


def _offset(seconds: int, zone: tzinfo | None) -> int:
    """Return a zone's offset from UTC in seconds; the calendar's first and last year have the nearest year's offset."""
    if zone is None:
        return 0
    within = min(max(seconds, _FIRST + 366 * _DAY), _LAST - 366 * _DAY)
    moment = datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(seconds=within)
    return (moment.astimezone(zone).utcoffset() or timedelta()) // _SECOND


_FIRST, _LAST = (date.min.toordinal() - _EPOCH_DAY) * _DAY, (date.max.toordinal() + 1 - _EPOCH_DAY) * _DAY - 1
DATE_RANGE = (date.min.toordinal() - _EPOCH_DAY, date.max.toordinal() - _EPOCH_DAY)
"""The first and the last day, counted from 1970."""
DATETIME_RANGE = (
    (_FIRST - _offset(_FIRST, PROJECT_ZONE)) * 1_000,
    (_LAST - _offset(_LAST, PROJECT_ZONE)) * 1_000 + 999,
)
"""The first and the last millisecond, counted from 1970 in UTC."""
