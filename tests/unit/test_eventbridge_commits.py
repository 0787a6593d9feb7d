"""What may be committed once batches have finished, in whatever order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local_emulator.eventbridge.commits import CommitTracker

pytestmark = pytest.mark.quick

A, B = ("orders", 0), ("orders", 1)


def test_what_finishes_in_order_is_committed_at_once() -> None:
    tracker = CommitTracker()
    tracker.dispatched(0, {A: (0, 10)})
    tracker.dispatched(1, {A: (10, 15)})
    assert tracker.finished(0) == {A: 10}
    assert tracker.finished(1) == {A: 15}


def test_what_has_something_unfinished_before_it_waits() -> None:
    tracker = CommitTracker()
    for batch in range(3):
        tracker.dispatched(batch, {A: (batch * 10, batch * 10 + 10)})
    assert tracker.finished(2) == {}
    assert tracker.finished(1) == {}
    assert tracker.finished(0) == {A: 30}


def test_topic_partitions_don_t_wait_for_each_other() -> None:
    tracker = CommitTracker()
    tracker.dispatched(0, {A: (0, 1)})
    tracker.dispatched(1, {A: (1, 2), B: (0, 5)})
    assert tracker.finished(1) == {B: 5}
    assert tracker.finished(0) == {A: 2}


@given(st.lists(st.dictionaries(st.sampled_from([A, B]), st.integers(1, 5), min_size=1), max_size=8), st.data())
def test_no_commit_passes_an_unfinished_batch(batches: list[dict[tuple[str, int], int]], data: st.DataObject) -> None:
    tracker, ends = CommitTracker(), {A: 0, B: 0}
    ranges: list[dict[tuple[str, int], tuple[int, int]]] = []
    for number, sizes in enumerate(batches):
        ranges.append({place: (ends[place], ends[place] + size) for place, size in sizes.items()})
        ends.update({place: following for place, (_, following) in ranges[-1].items()})
        tracker.dispatched(number, ranges[-1])
    committed, unfinished = {A: 0, B: 0}, set(range(len(batches)))
    for number in data.draw(st.permutations(range(len(batches)))):
        unfinished.discard(number)
        for place, offset in tracker.finished(number).items():
            assert offset > committed[place]
            committed[place] = offset
            assert all(offset <= ranges[open_one][place][0] for open_one in unfinished if place in ranges[open_one])
    assert committed == ends
