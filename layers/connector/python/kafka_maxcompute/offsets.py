"""Offsets of topic-partitions as closed intervals: exact, and small while the log has few gaps.

The intervals of a topic-partition have one normal form: rising, neither overlapping nor adjacent. So equal sets of
offsets are equal values. Gaps are never bridged: an offset that isn't given is in no interval.

Topics whose offsets have gaps everywhere have ten thousand intervals a batch. So code that goes through all intervals
is a sort or a map in C, and the place of another set's intervals is found by bisection.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping
from itertools import compress, pairwise
from operator import gt, itemgetter, le
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable

Interval: TypeAlias = tuple[int, int]
"""The first and the last offset, both inclusive."""

Intervals: TypeAlias = tuple[Interval, ...]
"""Offsets of one topic-partition, in normal form."""

TopicPartition: TypeAlias = tuple[str, int]
"""Topic and number of a topic-partition; a variable of this type is a `place`."""

Offsets: TypeAlias = Mapping[TopicPartition, Intervals]
"""Offsets of several topic-partitions; topic-partitions without offsets are left out."""

_FIRST: Callable[[Interval], int] = itemgetter(0)
_LAST: Callable[[Interval], int] = itemgetter(1)


def intervals(offsets: Iterable[int]) -> Intervals:
    """Return offsets, which may be unordered and repeated, as intervals in normal form."""
    ordered = sorted(set(offsets))
    if not ordered:
        return ()
    first, last = ordered[0], ordered[-1]
    if last - first + 1 == len(ordered):
        return ((first, last),)
    ends = [(before, after) for before, after in pairwise(ordered) if after != before + 1]
    return tuple(zip([first, *(after for _, after in ends)], [*(before for before, _ in ends), last], strict=True))


def union(left: Intervals, right: Intervals) -> Intervals:
    """Return the offsets in either set; costs no more than a copy of the intervals outside of the common range."""
    if not left or not right:
        return left or right
    if len(left) < len(right):
        left, right = right, left
    low = bisect_left(left, right[0][0] - 1, key=_LAST)
    high = bisect_right(left, right[-1][1] + 1, low, key=_FIRST)
    if low == high:
        return left[:low] + right + left[low:]
    firsts, lasts = _ends(left[low:high], right)
    # A break is where as many intervals have ended as have begun: then no interval lies across.
    is_break = list(map(gt, firsts[1:], map((1).__add__, lasts)))
    merged = zip([firsts[0], *compress(firsts[1:], is_break)], [*compress(lasts, is_break), lasts[-1]], strict=True)
    return (*left[:low], *merged, *left[high:])


def intersection(left: Intervals, right: Intervals) -> Intervals:
    """Return the offsets in both sets."""
    if not left or not right:
        return ()
    left, right = within(left, right[0][0], right[-1][1]), within(right, left[0][0], left[-1][1])
    if len(left) == 1 or len(right) == 1:
        return within(left, *right[0]) if len(right) == 1 else within(right, *left[0])
    firsts, lasts = _ends(left, right)
    # Intervals of one set don't overlap. So if two more intervals have begun than have ended, both sets overlap there,
    # until the next end.
    is_shared = list(map(le, firsts[1:], lasts))
    return tuple(zip(compress(firsts[1:], is_shared), compress(lasts, is_shared), strict=True))


def within(offsets: Intervals, first: int, last: int) -> Intervals:
    """Return the offsets from `first` to `last`."""
    if first > last:
        return ()
    low = bisect_left(offsets, first, key=_LAST)
    inside = offsets[low : bisect_right(offsets, last, low, key=_FIRST)]
    if not inside or (inside[0][0] >= first and inside[-1][1] <= last):
        return inside
    if len(inside) == 1:
        return ((max(inside[0][0], first), min(inside[0][1], last)),)
    return ((max(inside[0][0], first), inside[0][1]), *inside[1:-1], (inside[-1][0], min(inside[-1][1], last)))


def difference(left: Intervals, right: Intervals) -> Intervals:
    """Return the offsets in the first set that aren't in the second."""
    if not left or not within(right, left[0][0], left[-1][1]):
        return left
    return intersection(left, gaps(right, within=(left[0][0], left[-1][1])))


def overlaps(left: Intervals, right: Intervals) -> bool:
    """Whether any offset is in both sets."""
    return bool(intersection(left, right))


def _ends(left: Intervals, right: Intervals) -> tuple[list[int], list[int]]:
    """Return the first and the last offsets of all intervals of both sets, each in rising order."""
    both = left + right
    return sorted(map(_FIRST, both)), sorted(map(_LAST, both))


def contains(offsets: Intervals, offset: int) -> bool:
    """Whether the offset is in one of the intervals."""
    index = bisect_right(offsets, offset, key=_FIRST)
    return index > 0 and offset <= offsets[index - 1][1]


def count(offsets: Intervals) -> int:
    """Return the number of offsets."""
    return sum(last - first + 1 for first, last in offsets)


def gaps(offsets: Intervals, *, within: Interval) -> Intervals:
    """Return the offsets from the first to the last of `within` that aren't in the intervals."""
    start, end = within
    low = bisect_left(offsets, start, key=_LAST)
    inside = offsets[low : bisect_right(offsets, end, low, key=_FIRST)]
    starts = [start, *map((1).__add__, map(_LAST, inside))]
    ends = [*map((-1).__add__, map(_FIRST, inside)), end]
    # Between two intervals there is always a gap; before the first and after the last interval there may be none.
    begin, stop = int(starts[0] > ends[0]), len(starts) - int(starts[-1] > ends[-1])
    return tuple(zip(starts[begin:stop], ends[begin:stop], strict=True))


def joined(offsets: Offsets, *others: Offsets) -> dict[TopicPartition, Intervals]:
    """Return the offsets in any of the sets, by topic-partition."""
    result = dict(offsets)
    for other in others:
        for place, more in other.items():
            result[place] = union(result.get(place, ()), more)
    return result


def without(offsets: Offsets, removed: Offsets) -> dict[TopicPartition, Intervals]:
    """Return the offsets in the first set that aren't in the second, by topic-partition."""
    remaining = {place: difference(kept, removed.get(place, ())) for place, kept in offsets.items()}
    return {place: kept for place, kept in remaining.items() if kept}


def clash(left: Offsets, right: Offsets) -> bool:
    """Whether any offset of any topic-partition is in both sets."""
    return any(overlaps(offsets, right.get(place, ())) for place, offsets in left.items())
