"""Parses the time zone of partition values (D25).

The connector document has the form `GMT 08:00`: `GMT+08:00` whose plus was lost in a web form. Both forms are read, and
names of the IANA database such as `Asia/Shanghai`.
"""

from __future__ import annotations

import re
from datetime import timedelta, timezone, tzinfo

EXPECTED = "GMT, an offset such as 'GMT 08:00', GMT+08:00 or GMT-05:30, or an IANA name such as Asia/Shanghai"

WEST, EAST, STEP = -12 * 60, 14 * 60, 15
"""Minutes: clocks on Earth run from UTC-12:00 to UTC+14:00, since 1972 in steps of a quarter of an hour."""

_OFFSET = re.compile(r"(?:GMT|UTC)(?:(?P<sign>[ +-])(?P<hours>[0-9]{1,2})(?::?(?P<minutes>[0-9]{2}))?)?", re.IGNORECASE)


def parse(text: str) -> tzinfo:
    """Return the zone that the text names; raises ValueError."""
    offset = _OFFSET.fullmatch(text)
    return _named(text) if offset is None else _fixed(offset, text)


def _fixed(match: re.Match[str], text: str) -> tzinfo:
    """Return the zone of an offset; a space stands for a plus."""
    minutes = int(match["hours"] or 0) * 60 + int(match["minutes"] or 0)
    if match["sign"] == "-":
        minutes = -minutes
    if int(match["minutes"] or 0) >= 60 or not WEST <= minutes <= EAST or minutes % STEP:  # noqa: PLR2004 # an hour
        raise ValueError(f"{text!r} is no offset in use: -12:00 to +14:00, in quarters of an hour")
    return timezone(timedelta(minutes=minutes)) if minutes else timezone.utc


def _named(text: str) -> tzinfo:
    """Return the zone of an IANA name."""
    # Imported here because the document's own forms, and so most connectors, don't need the database.
    from zoneinfo import ZoneInfo  # noqa: PLC0415

    try:
        return ZoneInfo(text)
    except (LookupError, OSError, ValueError) as error:
        raise ValueError(f"{text!r} is neither an offset nor in this machine's time zone database") from error
