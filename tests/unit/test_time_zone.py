"""Time zones as the connector document writes them, as offsets, and by IANA name."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from kafka_maxcompute.settings import time_zone

pytestmark = pytest.mark.quick

WINTER = datetime(2020, 11, 17, 6, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("text", "minutes"),
    [
        ("GMT 08:00", 480),
        ("GMT+08:00", 480),
        ("GMT+8", 480),
        ("GMT 8", 480),
        ("GMT+0800", 480),
        ("UTC+08:00", 480),
        ("gmt 08:00", 480),
        ("GMT-05:30", -330),
        ("GMT+05:45", 345),
        ("GMT", 0),
        ("UTC", 0),
        ("GMT+00:00", 0),
        ("GMT-00:00", 0),
        ("GMT-12:00", -720),
        ("GMT+14:00", 840),
        ("Asia/Shanghai", 480),
        ("Asia/Kathmandu", 345),
        ("America/New_York", -300),
    ],
)
def test_offset(text: str, minutes: int) -> None:
    assert WINTER.astimezone(time_zone.parse(text)).utcoffset() == timedelta(minutes=minutes)


def test_iana_names_know_summer() -> None:
    summer = datetime(2020, 7, 17, 6, tzinfo=timezone.utc)
    assert summer.astimezone(time_zone.parse("America/New_York")).utcoffset() == timedelta(hours=-4)


@pytest.mark.parametrize(
    "text",
    ["GMT+14:15", "GMT-12:15", "GMT+99:00", "GMT+08:60", "GMT+08:07", "GMT 08:01"],
)
def test_offsets_that_no_clock_has_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no offset in use: -12:00 to \+14:00, in quarters of an hour"):
        time_zone.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            " ",
            "08:00",
            "+08:00",
            "GMT  08:00",
            "GMT+08:00 ",
            "GMT+",
            "GMT08:00",
            "GMT+\N{ARABIC-INDIC DIGIT EIGHT}",
        ),
        *("Asia/Atlantis", "Asia", "../../etc/passwd", "/etc/passwd", "Asia\0Shanghai", "x" * 5_000),
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is neither an offset nor in this machine's time zone database"):
        time_zone.parse(text)
