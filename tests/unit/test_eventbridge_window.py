"""When a batch is closed: by its count, its size or its time."""

from __future__ import annotations

import json

import pytest

from local_emulator.eventbridge.window import Batch, Window

pytestmark = pytest.mark.quick

PLACE = ("orders", 0)


def test_count_closes_a_batch() -> None:
    window = Window(count=3, seconds=15)
    for offset in range(3):
        assert not window.is_due(now=0.0)
        window.add(b"%d" % offset, PLACE, offset, now=0.0)
    assert window.has_count()
    assert window.is_due(now=0.0)


def test_a_first_batch_may_be_smaller() -> None:
    window = Window(count=3, seconds=15, first_count=1)
    sizes = []
    for offset in range(7):
        window.add(b"1", PLACE, offset, now=0.0)
        if window.has_count():
            sizes.append(window.take().count)
    assert sizes == [1, 3, 3]


def test_age_counts_from_the_first_event() -> None:
    window = Window(count=10, seconds=2)
    assert not window.is_due(now=100.0)
    window.add(b"1", PLACE, 0, now=100.0)
    window.add(b"2", PLACE, 1, now=101.9)
    assert not window.is_due(now=101.99)
    assert window.is_due(now=102.0)


def test_without_a_window_whatever_is_there_goes() -> None:
    window = Window(count=10, seconds=0)
    window.add(b"1", PLACE, 0, now=5.0)
    assert window.is_due(now=5.0)


def test_the_body_never_outgrows_its_limit() -> None:
    window = Window(count=10, seconds=15, body_bytes=12)
    window.add(b"1234", PLACE, 0, now=0.0)
    assert window.fits(b"1234")  # [1234,1234] has 11 bytes
    assert not window.fits(b"123456")
    window.add(b"1234", PLACE, 1, now=0.0)
    assert not window.fits(b"1")
    assert len(window.take().body) <= 12
    assert window.fits(b"x" * 100)  # alone it always fits


def test_a_batch_is_an_array_that_knows_its_records() -> None:
    window = Window(count=10, seconds=15)
    for partition, offset in ((0, 7), (1, 3), (0, 8), (0, 10)):
        window.add(json.dumps(offset).encode(), ("orders", partition), offset, now=0.0)
    batch = window.take()
    assert batch == Batch(b"[7,3,8,10]", 4, {("orders", 0): (7, 11), ("orders", 1): (3, 4)})
    assert str(batch) == "4 events (orders-0 offsets 7 to 10, orders-1 offsets 3 to 3)"


def test_the_next_batch_begins_empty() -> None:
    window = Window(count=1, seconds=2)
    window.add(b"1", PLACE, 0, now=0.0)
    window.take()
    assert len(window) == 0
    assert not window.is_due(now=99.0)
    window.add(b"2", PLACE, 1, now=100.0)
    assert window.take() == Batch(b"[2]", 1, {PLACE: (1, 2)})


def test_skipped_records_are_covered_by_the_batch_around_them() -> None:
    window = Window(count=10, seconds=5)
    assert not window.is_due(0)
    window.skip(PLACE, 3)
    assert window.is_due(0), "no skipped record waits for an event"
    window.add(b"1", PLACE, 4, now=0)
    window.skip(PLACE, 5)
    window.skip(("orders", 1), 9)
    assert not window.is_due(4)
    batch = window.take()
    assert (batch.body, batch.count, batch.ranges) == (b"[1]", 1, {PLACE: (3, 6), ("orders", 1): (9, 10)})
