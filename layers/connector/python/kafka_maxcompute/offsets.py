"""Offsets of topic-partitions as closed intervals: exact, and small while the log has few gaps.

The intervals of a topic-partition are kept in their one normal form: rising, neither overlapping nor adjacent. So equal
sets of offsets are equal values. Nothing is ever bridged: an offset that isn't given is in no interval.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable

Interval: TypeAlias = tuple[int, int]
"""The first and the last offset, both included."""

Intervals: TypeAlias = tuple[Interval, ...]
"""Offsets of one topic-partition, in normal form."""

TopicPartition: TypeAlias = tuple[str, int]
"""Topic and number of a topic-partition."""

Offsets: TypeAlias = Mapping[TopicPartition, Intervals]
"""Offsets of several topic-partitions; one without offsets isn't there."""


def intervals(offsets: Iterable[int]) -> Intervals:
    """The offsets, in any order and perhaps repeated, as the fewest intervals, in rising order."""
    ordered = sorted(set(offsets))
    if not ordered:
        return ()
    first, last = ordered[0], ordered[-1]
    if last - first + 1 == len(ordered):
        return ((first, last),)
    ends = [(before, after) for before, after in pairwise(ordered) if after != before + 1]
    return tuple(zip([first, *(after for _, after in ends)], [*(before for before, _ in ends), last], strict=True))


def union(one: Intervals, other: Intervals) -> Intervals:
    """What is in either."""
    if not one or not other:
        return one or other
    merged: list[Interval] = []
    for first, last in sorted(one + other):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    return tuple(merged)


def intersection(one: Intervals, other: Intervals) -> Intervals:
    """What is in both."""
    shared: list[Interval] = []
    left = right = 0
    while left < len(one) and right < len(other):
        first, last = max(one[left][0], other[right][0]), min(one[left][1], other[right][1])
        if first <= last:
            shared.append((first, last))
        if one[left][1] < other[right][1]:
            left += 1
        else:
            right += 1
    return tuple(shared)


def difference(one: Intervals, other: Intervals) -> Intervals:
    """What is in the first and not in the second."""
    if not one:
        return ()
    return intersection(one, gaps(other, within=(one[0][0], one[-1][1])))


def overlaps(one: Intervals, other: Intervals) -> bool:
    """Whether any offset is in both."""
    return bool(intersection(one, other))


def contains(these: Intervals, offset: int) -> bool:
    """Whether the offset is in one of the intervals."""
    index = bisect_right(these, offset, key=lambda interval: interval[0])
    return index > 0 and offset <= these[index - 1][1]


def count(these: Intervals) -> int:
    """How many offsets there are."""
    return sum(last - first + 1 for first, last in these)


def gaps(these: Intervals, *, within: Interval) -> Intervals:
    """The offsets from the first to the last of `within` that aren't in the intervals."""
    free: list[Interval] = []
    start, end = within
    for first, last in these:
        if first > end:
            break
        if first > start:
            free.append((start, first - 1))
        start = max(start, last + 1)
    if start <= end:
        free.append((start, end))
    return tuple(free)


def without(these: Offsets, those: Offsets) -> dict[TopicPartition, Intervals]:
    """What is in the first and not in the second, by topic-partition."""
    left = {where: difference(found, those.get(where, ())) for where, found in these.items()}
    return {where: found for where, found in left.items() if found}


def clash(these: Offsets, those: Offsets) -> bool:
    """Whether any offset of any topic-partition is in both."""
    return any(overlaps(found, those.get(where, ())) for where, found in these.items())
