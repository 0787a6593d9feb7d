"""csv_rows: times of CSV fields, to the ends of their columns and in any zone."""

from __future__ import annotations

import re
from datetime import datetime

import pytest

from kafka_maxcompute.maxcompute.column import Column
from tests.kafka_events import element
from tests.unit.test_sink_mapping import POSITION, rows

pytestmark = pytest.mark.quick


def epoch(*parts: int) -> int:
    """Seconds since 1970 of a time in UTC."""
    return int((datetime(*parts) - datetime(1970, 1, 1)).total_seconds())  # type: ignore[arg-type]  # noqa: DTZ001 # as above


@pytest.mark.parametrize(
    ("type_", "text", "value"),
    [
        ("DATETIME", "0001-01-01 00:00:00", (epoch(1, 1, 1) - 8 * 3_600) * 1_000),
        ("DATETIME", "9999-12-31 23:59:59.999", (epoch(9999, 12, 31, 15, 59, 59) * 1_000) + 999),
        ("DATETIME", "9999-12-31T23:59:59+08:00", epoch(9999, 12, 31, 15, 59, 59) * 1_000),
        ("DATETIME", "1969-12-31 23:59:59.999Z", -1),
        ("TIMESTAMP", "2020-11-17 14:20:00.123456789", epoch(2020, 11, 17, 6, 20) * 10**9 + 123_456_789),
        ("TIMESTAMP", "1969-12-31T23:59:59.999999999Z", -1),
        ("TIMESTAMP", "1900-01-01 00:00:00.5+08:05:43", (epoch(1899, 12, 31, 15, 54, 17) * 10**9) + 5 * 10**8),
        ("TIMESTAMP", "2262-04-11T23:47:16.854775807Z", 2**63 - 1),
        ("TIMESTAMP_NTZ", "1677-09-21 00:12:43.145224193", -(2**63) + 1),
    ],
)
def test_times_reach_to_the_ends_of_their_columns_in_all_digits(type_: str, text: str, value: int) -> None:
    found = rows((*POSITION, Column("c", type_)), element(1, value=text), format="CSV", mode="VALUE")
    assert [one.error.message for one in found.rejected] == []
    assert found.batch.column(3).cast("int64").to_pylist() == [value]


def seconds_of(zone: str, text: str, type_: str = "DATETIME") -> int | str:
    """The seconds since 1970 of a local time, or what is said of it."""
    found = rows((*POSITION, Column("c", type_)), element(1, value=text), format="CSV", mode="VALUE", zone=zone)
    if found.rejected:
        return found.rejected[0].error.message.partition("; found ")[2]
    ((value,),) = (found.batch.column(3).cast("int64").to_pylist(),)
    return int(value) // (1_000 if type_ == "DATETIME" else 10**9)


@pytest.mark.parametrize("type_", ["DATETIME", "TIMESTAMP"])
@pytest.mark.parametrize(
    ("zone", "text", "utc"),
    [
        ("Asia/Shanghai", "2020-11-17 14:20:00", (2020, 11, 17, 6, 20)),
        ("Asia/Shanghai", "1988-07-01 12:00:00", (1988, 7, 1, 3)),
        ("Asia/Shanghai", "1900-01-01 00:00:00", (1899, 12, 31, 15, 54, 17)),
        ("GMT 08:00", "1988-07-01 12:00:00", (1988, 7, 1, 4)),
        ("Europe/Berlin", "2024-03-31 01:59:59", (2024, 3, 31, 0, 59, 59)),
        ("Europe/Berlin", "2024-03-31 03:00:00", (2024, 3, 31, 1)),
        ("Europe/Berlin", "2024-10-27 01:59:59", (2024, 10, 26, 23, 59, 59)),
        ("Europe/Berlin", "2024-10-27 02:30:00", (2024, 10, 27, 0, 30)),
        ("Europe/Berlin", "2024-10-27 02:30:00+01:00", (2024, 10, 27, 1, 30)),
        ("Europe/Berlin", "2024-10-27 03:00:00", (2024, 10, 27, 2)),
    ],
)
def test_local_times_are_those_of_the_zone_at_that_time(zone: str, text: str, utc: tuple[int, ...], type_: str) -> None:
    assert seconds_of(zone, text, type_) == epoch(*utc)


@pytest.mark.parametrize(
    ("zone", "text"),
    [
        ("Europe/Berlin", "2024-03-31 02:00:00"),
        ("Europe/Berlin", "2024-03-31 02:59:59"),
        ("Asia/Shanghai", "1986-05-04 02:30:00"),
        ("Pacific/Apia", "2011-12-30 12:00:00"),
    ],
)
def test_a_local_time_that_clocks_skipped_is_never_moved(zone: str, text: str) -> None:
    assert seconds_of(zone, text) == "a time that clocks in that zone skipped"
    assert seconds_of("UTC", text) == epoch(*map(int, re.findall(r"\d+", text)))


@pytest.mark.parametrize("zone", ["Asia/Shanghai", "Europe/Berlin", "America/New_York"])
def test_the_whole_range_of_datetime_is_there_in_each_zone(zone: str) -> None:
    first, last = seconds_of(zone, "0001-01-01 00:00:00"), seconds_of(zone, "9999-12-31 23:59:59")
    assert isinstance(first, int)
    assert isinstance(last, int)
    assert seconds_of(zone, "0001-01-02 00:00:00") == first + 86_400
    assert seconds_of(zone, "9999-12-30 23:59:59") == last - 86_400
