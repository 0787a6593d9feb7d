"""partition: the record's time decides the partition value (D24), told in the connector's time zone (D25)."""

from __future__ import annotations

import zoneinfo
from datetime import datetime, timedelta, timezone

import pytest

from kafka_maxcompute.settings import time_zone
from maxcompute_sink.partitioner import ABSENT, ABSURD, Partitioned, Partitioner
from maxcompute_sink.records import AnyRecord, TextRecord
from tests.kafka_events import HOUR_14

pytestmark = pytest.mark.quick

EARLIEST = 946_684_800_000  # 2000-01-01
LATEST = 4_102_444_800_000  # 2100-01-01
MINUTE = 60_000
HOUR = 60 * MINUTE


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1_000)


def group(*times: int | None, window: str = "HOUR", names: str = "document", zone: str = "GMT 08:00") -> Partitioned:
    records: list[AnyRecord] = [TextRecord("orders", 0, offset, time) for offset, time in enumerate(times)]
    partitioner = Partitioner(window, names, time_zone.parse(zone))
    return partitioner.group(records, earliest=EARLIEST, latest=LATEST)


def offsets(partitioned: Partitioned) -> dict[str, list[int]]:
    return {value: [record.offset for record in records] for value, records in partitioned.by_value.items()}


@pytest.mark.parametrize(
    ("window", "names", "value"),
    [
        ("DAY", "document", "11-17-2020"),
        ("HOUR", "document", "11-17-2020 14"),
        ("MINUTE", "document", "11-17-2020 14:20"),
        ("DAY", "iso", "2020-11-17"),
        ("HOUR", "iso", "2020-11-17 14"),
        ("MINUTE", "iso", "2020-11-17 14:20"),
    ],
)
def test_values_are_named_as_the_document_or_iso_has_them(window: str, names: str, value: str) -> None:
    assert offsets(group(HOUR_14, window=window, names=names)) == {value: [0]}


@pytest.mark.parametrize(
    ("zone", "value"),
    [
        ("GMT 08:00", "11-17-2020 14"),
        ("GMT+08:00", "11-17-2020 14"),
        ("GMT-05:30", "11-17-2020 00"),
        ("GMT", "11-17-2020 06"),
        ("Asia/Kathmandu", "11-17-2020 12"),
        ("America/New_York", "11-17-2020 01"),
    ],
)
def test_values_are_told_in_the_time_zone(zone: str, value: str) -> None:
    assert offsets(group(HOUR_14, zone=zone)) == {value: [0]}


def test_records_are_grouped_and_keep_their_order() -> None:
    found = group(HOUR_14 + HOUR, HOUR_14, HOUR_14 + HOUR + 1, HOUR_14 + 1, HOUR_14)
    assert offsets(found) == {"11-17-2020 14": [1, 3, 4], "11-17-2020 15": [0, 2]}


def test_the_last_millisecond_belongs_to_the_hour_and_the_next_to_the_next() -> None:
    hour = ms("2020-11-17T15:00:00+08:00")
    assert offsets(group(hour - 1, hour)) == {"11-17-2020 14": [0], "11-17-2020 15": [1]}
    assert offsets(group(hour - 1, hour, window="DAY")) == {"11-17-2020": [0, 1]}
    assert offsets(group(hour - 1, hour, window="MINUTE")) == {"11-17-2020 14:59": [0], "11-17-2020 15:00": [1]}


def test_summer_time_repeats_an_hour_and_leaves_one_out() -> None:
    # New York, 2020-11-01: 01:30 comes twice. 2021-03-14: 01:59 is followed by 03:00.
    first, second = ms("2020-11-01T01:30:00-04:00"), ms("2020-11-01T01:30:00-05:00")
    assert offsets(group(first, second, zone="America/New_York")) == {"11-01-2020 01": [0, 1]}
    before = ms("2021-03-14T01:59:59-05:00")
    found = offsets(group(before, before + 1_000, zone="America/New_York"))
    assert found == {"03-14-2021 01": [0], "03-14-2021 03": [1]}


def test_a_quarter_hour_zone_turns_at_its_own_full_hours() -> None:
    turn = ms("2020-11-17T12:00:00+05:45")
    found = offsets(group(turn - 1, turn, zone="Asia/Kathmandu"))
    assert found == {"11-17-2020 11": [0], "11-17-2020 12": [1]}


@pytest.mark.parametrize("time", [None, -1])
def test_absent_times_are_set_aside(time: int | None) -> None:
    found = group(HOUR_14, time, HOUR_14)
    assert offsets(found) == {"11-17-2020 14": [0, 2]}
    (error,) = [one.error for one in found.rejected]
    assert (error.reason, error.where, error.path) == (ABSENT, "orders-0-1", "$.data.timestamp")


@pytest.mark.parametrize("time", [-2, 0, EARLIEST - 1, LATEST + 1, 2**63 - 1, -(2**63), HOUR_14 // 1_000])
def test_absurd_times_are_set_aside(time: int) -> None:
    found = group(time, HOUR_14)
    assert offsets(found) == {"11-17-2020 14": [1]}
    (error,) = [one.error for one in found.rejected]
    assert (error.reason, error.where) == (ABSURD, "orders-0-0")
    assert f"expected a time from 2000-01-01 00:00:00+00:00 to 2100-01-01 00:00:00+00:00, found {time} ms" in str(error)


def test_the_bounds_themselves_are_sensible_times() -> None:
    assert offsets(group(EARLIEST, LATEST, window="DAY")) == {"01-01-2000": [0], "01-01-2100": [1]}


def test_nothing_and_nothing_sensible_make_no_group() -> None:
    assert offsets(group()) == {}
    assert offsets(group(-1, None)) == {}


def test_every_zone_keeps_to_five_minutes_from_the_first_time_that_settings_allow() -> None:
    """What the grouping by slots stands on; looked up once a fortnight."""
    start = datetime(1973, 1, 1, tzinfo=timezone.utc)
    moments = [start + timedelta(days=14 * step) for step in range(26 * 80)]
    odd = {
        key
        for key in zoneinfo.available_timezones()
        for moment in moments
        if (moment.astimezone(zoneinfo.ZoneInfo(key)).utcoffset() or timedelta()) % timedelta(minutes=5)
    }
    assert odd == set()


@pytest.mark.parametrize(
    ("time", "reason", "said"),
    [
        (None, ABSENT, "expected milliseconds since 1970, found none; make the producer set the record's time"),
        (-1, ABSENT, "found -1, which is Kafka's value for none; make the producer set the record's time"),
        (EARLIEST - 1, ABSURD, "expected a time from 2000-01-01 00:00:00+00:00 to 2100-01-01 00:00:00+00:00, found "),
    ],
)
def test_a_time_that_gives_no_value_is_told_with_its_path(time: int | None, reason: str, said: str) -> None:
    (rejected,) = group(time).rejected
    assert (rejected.error.reason, rejected.error.path) == (reason, "$.data.timestamp")
    assert said in rejected.error.message


def test_the_bounds_themselves_are_believed_also_beside_a_time_that_is_not() -> None:
    found = group(EARLIEST, LATEST, None, window="DAY")
    assert offsets(found) == {"01-01-2000": [0], "01-01-2100": [1]}
    assert [one.offset for one in found.rejected] == [2]
    assert group(EARLIEST, LATEST).rejected == []
