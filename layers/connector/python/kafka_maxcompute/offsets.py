"""Offsets of one topic-partition as closed intervals: exact, and small while the log has few gaps."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable

Interval: TypeAlias = tuple[int, int]
"""The first and the last offset, both included."""


def intervals(offsets: Iterable[int]) -> tuple[Interval, ...]:
    """The offsets, in any order and perhaps repeated, as the fewest intervals, in rising order.

    Nothing is bridged: an offset that isn't given is in no interval.
    """
    ordered = sorted(set(offsets))
    if not ordered:
        return ()
    first, last = ordered[0], ordered[-1]
    if last - first + 1 == len(ordered):
        return ((first, last),)
    ends = [(before, after) for before, after in pairwise(ordered) if after != before + 1]
    return tuple(zip([first, *(after for _, after in ends)], [*(before for before, _ in ends), last], strict=True))
