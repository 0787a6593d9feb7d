"""The arithmetic of intervals against sets of offsets, which can do the same without any thought."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafka_maxcompute import offsets
from kafka_maxcompute.offsets import intervals

if TYPE_CHECKING:
    from kafka_maxcompute.offsets import Intervals

pytestmark = pytest.mark.quick

sets = st.frozensets(st.integers(0, 40), max_size=30)
places = st.dictionaries(st.tuples(st.sampled_from(["orders", "bills"]), st.integers(0, 2)), sets, max_size=4)


def all_of(these: Intervals) -> frozenset[int]:
    return frozenset(offset for first, last in these for offset in range(first, last + 1))


def is_normal(these: Intervals) -> bool:
    ends = [number for interval in these for number in interval]
    touching = any(later[0] <= earlier[1] + 1 for earlier, later in pairwise(these))
    return ends == sorted(ends) and not touching


@given(sets, sets)
def test_two_sets_of_offsets(one: frozenset[int], other: frozenset[int]) -> None:
    left, right = intervals(one), intervals(other)
    for found, wanted in [
        (offsets.union(left, right), one | other),
        (offsets.intersection(left, right), one & other),
        (offsets.difference(left, right), one - other),
    ]:
        assert all_of(found) == wanted
        assert is_normal(found)
    assert offsets.overlaps(left, right) == bool(one & other)


@given(sets, st.integers(0, 40), st.integers(0, 40))
def test_one_set_of_offsets(one: frozenset[int], first: int, last: int) -> None:
    these = intervals(one)
    assert all_of(these) == one
    assert offsets.count(these) == len(one)
    assert [offsets.contains(these, offset) for offset in range(42)] == [offset in one for offset in range(42)]
    assert all_of(offsets.gaps(these, within=(first, last))) == frozenset(range(first, last + 1)) - one
    assert all_of(offsets.within(these, first, last)) == frozenset(range(first, last + 1)) & one


@given(places, places)
def test_offsets_of_several_topic_partitions(
    one: dict[tuple[str, int], frozenset[int]], other: dict[tuple[str, int], frozenset[int]]
) -> None:
    left = {where: intervals(found) for where, found in one.items()}
    right = {where: intervals(found) for where, found in other.items()}
    missing = {where: found - other.get(where, frozenset()) for where, found in one.items()}
    assert {where: all_of(found) for where, found in offsets.without(left, right).items()} == {
        where: found for where, found in missing.items() if found
    }
    either = {where: one.get(where, frozenset()) | other.get(where, frozenset()) for where in one.keys() | other}
    assert {where: all_of(found) for where, found in offsets.joined(left, right).items()} == either
    assert offsets.joined({}, left, right, left) == offsets.joined(left, right)
    assert offsets.clash(left, right) == any(found & other.get(where, frozenset()) for where, found in one.items())
