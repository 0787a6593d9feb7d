"""Offsets of topic-partitions as closed intervals: exact, and small while the log has few gaps.

The intervals of a topic-partition are kept in their one normal form: rising, neither overlapping nor adjacent. So equal
sets of offsets are equal values. Nothing is ever bridged: an offset that isn't given is in no interval.

Topics whose offsets have gaps everywhere have ten thousand intervals a batch. So whatever goes through all of them is a
sort or a map in C, and where the intervals of another set lie is found by bisection.
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
"""The first and the last offset, both included."""

Intervals: TypeAlias = tuple[Interval, ...]
"""Offsets of one topic-partition, in normal form."""

TopicPartition: TypeAlias = tuple[str, int]
"""Topic and number of a topic-partition."""

Offsets: TypeAlias = Mapping[TopicPartition, Intervals]
"""Offsets of several topic-partitions; one without offsets isn't there."""

_FIRST: Callable[[Interval], int] = itemgetter(0)
_LAST: Callable[[Interval], int] = itemgetter(1)


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
    """What is in either; costs no more than a copy of what lies outside of where both are."""
    if not one or not other:
        return one or other
    if len(one) < len(other):
        one, other = other, one
    low = bisect_left(one, other[0][0] - 1, key=_LAST)
    high = bisect_right(one, other[-1][1] + 1, low, key=_FIRST)
    if low == high:
        return one[:low] + other + one[low:]
    firsts, lasts = _ends(one[low:high], other)
    # So many intervals begin before the break as end before it, exactly if none goes across.
    is_break = list(map(gt, firsts[1:], map((1).__add__, lasts)))
    merged = zip([firsts[0], *compress(firsts[1:], is_break)], [*compress(lasts, is_break), lasts[-1]], strict=True)
    return (*one[:low], *merged, *one[high:])


def intersection(one: Intervals, other: Intervals) -> Intervals:
    """What is in both."""
    if not one or not other:
        return ()
    one, other = within(one, other[0][0], other[-1][1]), within(other, one[0][0], one[-1][1])
    if len(one) == 1 or len(other) == 1:
        return within(one, *other[0]) if len(other) == 1 else within(other, *one[0])
    firsts, lasts = _ends(one, other)
    # No two of one set overlap. So where one more has begun than has ended, both sets are, until the next end.
    is_shared = list(map(le, firsts[1:], lasts))
    return tuple(zip(compress(firsts[1:], is_shared), compress(lasts, is_shared), strict=True))


def within(these: Intervals, first: int, last: int) -> Intervals:
    """Those offsets from the first to the last."""
    if first > last:
        return ()
    low = bisect_left(these, first, key=_LAST)
    found = these[low : bisect_right(these, last, low, key=_FIRST)]
    if not found or (found[0][0] >= first and found[-1][1] <= last):
        return found
    if len(found) == 1:
        return ((max(found[0][0], first), min(found[0][1], last)),)
    return ((max(found[0][0], first), found[0][1]), *found[1:-1], (found[-1][0], min(found[-1][1], last)))


def difference(one: Intervals, other: Intervals) -> Intervals:
    """What is in the first and not in the second."""
    if not one or not within(other, one[0][0], one[-1][1]):
        return one
    return intersection(one, gaps(other, within=(one[0][0], one[-1][1])))


def overlaps(one: Intervals, other: Intervals) -> bool:
    """Whether any offset is in both."""
    return bool(intersection(one, other))


def _ends(one: Intervals, other: Intervals) -> tuple[list[int], list[int]]:
    """The first offsets of all intervals of both, and the last ones, each in rising order."""
    both = one + other
    return sorted(map(_FIRST, both)), sorted(map(_LAST, both))


def contains(these: Intervals, offset: int) -> bool:
    """Whether the offset is in one of the intervals."""
    index = bisect_right(these, offset, key=_FIRST)
    return index > 0 and offset <= these[index - 1][1]


def count(these: Intervals) -> int:
    """How many offsets there are."""
    return sum(last - first + 1 for first, last in these)


def gaps(these: Intervals, *, within: Interval) -> Intervals:
    """The offsets from the first to the last of `within` that aren't in the intervals."""
    start, end = within
    low = bisect_left(these, start, key=_LAST)
    held = these[low : bisect_right(these, end, low, key=_FIRST)]
    starts = [start, *map((1).__add__, map(_LAST, held))]
    ends = [*map((-1).__add__, map(_FIRST, held)), end]
    # Between two intervals there is always a gap, before the first one and after the last perhaps not.
    begin, stop = int(starts[0] > ends[0]), len(starts) - int(starts[-1] > ends[-1])
    return tuple(zip(starts[begin:stop], ends[begin:stop], strict=True))


def joined(these: Offsets, *others: Offsets) -> dict[TopicPartition, Intervals]:
    """What is in any of them, by topic-partition."""
    found = dict(these)
    for those in others:
        for where, more in those.items():
            found[where] = union(found.get(where, ()), more)
    return found


def without(these: Offsets, those: Offsets) -> dict[TopicPartition, Intervals]:
    """What is in the first and not in the second, by topic-partition."""
    left = {where: difference(found, those.get(where, ())) for where, found in these.items()}
    return {where: found for where, found in left.items() if found}


def clash(these: Offsets, those: Offsets) -> bool:
    """Whether any offset of any topic-partition is in both."""
    return any(overlaps(found, those.get(where, ())) for where, found in these.items())
