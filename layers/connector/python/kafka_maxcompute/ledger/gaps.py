"""Gaps between settled offsets: markers of transactions, aborted and compacted records leave them for ever.

They are never bridged by assumption. When a topic-partition has many, the source topic is read there; offsets at which
it holds no record, or one of a probe, are settled by an `Empty`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kafka_maxcompute import probe
from kafka_maxcompute.ledger.operations import Empty
from kafka_maxcompute.ledger.state import taken
from kafka_maxcompute.offsets import Intervals, TopicPartition, gaps, intervals, without

if TYPE_CHECKING:
    from collections.abc import Callable

    from fc_powertools import Deadline
    from kafka_maxcompute.ledger.operations import ByTopicPartition, State
    from kafka_maxcompute.originals import Originals

MANY = 64
"""Gaps of one topic-partition that are let be: they take some 1,300 bytes of a snapshot."""
NEWEST = 16
"""Gaps that are never looked at, the newest ones: what is to fill them may be on its way."""
WIDEST = 1_000
"""A gap of more offsets isn't one of markers; whether records are missing there is the audit's question."""
MOST = 10_000
"""Offsets that are looked at together, for what is found there is held in memory."""


def doubtful(state: State, starts: ByTopicPartition) -> dict[TopicPartition, Intervals]:
    """The gaps to look at: of topic-partitions with many, the oldest. `starts` has where each log begins now.

    What lies before a log's start can't be looked at any more, so nothing is known of it.
    """
    held = taken(state)
    wanted: dict[TopicPartition, Intervals] = {}
    left = MOST
    for where, settled in state.settled.items():
        between = gaps(held[where], within=(settled[0][0], settled[-1][1]))
        if len(between) <= MANY or where not in starts:
            continue
        chosen = []
        for first, last in between[:-NEWEST]:
            width = last - first + 1
            if first >= starts[where] and width <= min(WIDEST, left):
                chosen.append((first, last))
                left -= width
        if chosen:
            wanted[where] = tuple(chosen)
    return wanted


def prove_gaps(
    state: State, originals: Originals, ask: Callable[[], ByTopicPartition], deadline: Deadline
) -> Empty | None:
    """What settles the doubtful gaps, or those offsets of them that hold no record; None where nothing is to be done.

    `ask` gives where the logs begin now. It's asked again after the read: a record that was lost to retention meanwhile
    isn't one that never was. Raises what the read and `ask` raise.
    """
    wanted = doubtful(state, ask())
    if not wanted:
        return None
    found: dict[TopicPartition, list[int]] = {}
    for (where, offset), record in originals.read(wanted, deadline).items():
        if not probe.is_one(record):
            found.setdefault(where, []).append(offset)
    starts = ask()
    lost = {where: ((0, starts[where] - 1),) for where in wanted if starts[where] > 0}
    empty = without(without(wanted, {where: intervals(offsets) for where, offsets in found.items()}), lost)
    return Empty(offsets=empty, generation=state.generation) if empty else None
