"""The records that `send --orders` makes."""

from __future__ import annotations

import json

import pytest

from local_emulator.kafka.orders import LARGE_BYTES, SPAN_MS, START_MS, TEST_MESSAGE, orders

pytestmark = pytest.mark.quick


def test_the_same_seed_gives_the_same_orders() -> None:
    assert list(orders(500)) == list(orders(500))
    assert list(orders(500, seed=1)) != list(orders(500, seed=2))


def test_they_hold_every_oddity_of_a_topic() -> None:
    made = list(orders(1000, 6))
    assert {record.partition for record in made} == set(range(6))
    assert sum(record.key is None for record in made) == 99  # one of the hundred is a tombstone, and has a key
    assert sum(record.value is None for record in made) == 10
    assert not any(record.key is None and record.value is None for record in made)
    assert [len(record.value) > LARGE_BYTES for record in made if record.value].count(True) == 1
    assert any("杭州" in record.value.decode() for record in made if record.value)
    assert all(set(json.loads(record.value)) >= {"order", "lines"} for record in made if record.value)


def test_their_times_run_over_two_hours_in_order() -> None:
    times = [record.timestamp or 0 for record in orders(1000)]
    assert times[0] == START_MS
    assert times == sorted(times)
    assert START_MS + SPAN_MS * 0.99 < times[-1] < START_MS + SPAN_MS


def test_the_document_s_message_is_of_the_hour_that_the_document_shows() -> None:
    assert (TEST_MESSAGE.key, TEST_MESSAGE.value, TEST_MESSAGE.partition) == (b"1", b"1", 0)
    assert TEST_MESSAGE.timestamp is not None
    hours_in_hangzhou = TEST_MESSAGE.timestamp // 3_600_000 + 8
    assert hours_in_hangzhou % 24 == 14
