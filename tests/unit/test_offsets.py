"""Intervals of offsets: exact, whatever the order."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafka_maxcompute.offsets import intervals

pytestmark = pytest.mark.quick


@pytest.mark.parametrize(
    ("offsets", "expected"),
    [
        ([], ()),
        ([7], ((7, 7),)),
        ([3, 1, 2], ((1, 3),)),
        ([1, 1, 2, 2], ((1, 2),)),
        ([1, 3], ((1, 1), (3, 3))),
        ([9, 1, 2, 5, 6], ((1, 2), (5, 6), (9, 9))),
        ([0, 2**63 - 1], ((0, 0), (2**63 - 1, 2**63 - 1))),
    ],
)
def test_the_fewest_intervals_that_bridge_nothing(offsets: list[int], expected: tuple[tuple[int, int], ...]) -> None:
    assert intervals(offsets) == expected


@given(st.lists(st.integers(0, 60)))
def test_they_hold_the_offsets_and_no_other(offsets: list[int]) -> None:
    found = intervals(iter(offsets))
    assert {offset for first, last in found for offset in range(first, last + 1)} == set(offsets)
    assert all(first <= last for first, last in found)
    assert all(after > before + 1 for (_, before), (after, _) in pairwise(found))
