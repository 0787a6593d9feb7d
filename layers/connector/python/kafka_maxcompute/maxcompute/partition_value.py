"""The name of a partition by time: `pt` of the connector document, such as `11-17-2020 14`."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import tzinfo

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_FORMATS = {
    ("DAY", "document"): "%m-%d-%Y",
    ("HOUR", "document"): "%m-%d-%Y %H",
    ("MINUTE", "document"): "%m-%d-%Y %H:%M",
    ("DAY", "iso"): "%Y-%m-%d",
    ("HOUR", "iso"): "%Y-%m-%d %H",
    ("MINUTE", "iso"): "%Y-%m-%d %H:%M",
}


def partition_value(milliseconds: int, window: str, names: str, zone: tzinfo) -> str:
    """Return the partition value of a time in epoch ms; `window` and `names` are settings."""
    moment = EPOCH + timedelta(milliseconds=milliseconds)
    return moment.astimezone(zone).strftime(_FORMATS[window, names])


def is_partition_value(text: str, window: str, names: str) -> bool:
    """Whether a partition can have this name with these settings."""
    try:
        return datetime.strptime(text, _FORMATS[window, names]).strftime(_FORMATS[window, names]) == text  # noqa: DTZ007
    except ValueError:
        return False
