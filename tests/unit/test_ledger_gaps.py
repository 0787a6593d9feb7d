"""Gaps between settled offsets: only a reading of the log settles one, and only what can't be delivered any more."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from fc_powertools import Deadline
from kafka_maxcompute.brokers.originals import MemoryOriginals, Original
from kafka_maxcompute.errors import DeadlineError, UnavailableError
from kafka_maxcompute.ledger import gaps as gaps_module
from kafka_maxcompute.ledger.gaps import AGAIN_SECONDS, APART, ENDING_SECONDS, MANY, Gaps
from kafka_maxcompute.ledger.operations import Empty, State
from kafka_maxcompute.ledger.state import Entry, advance
from kafka_maxcompute.offsets import contains, intervals, within
from provisioning.probe import probe_originals
from tests.deadlines import soon
from tests.ledger_entries import GENESIS, NOW, PLACE, claim, folded
from tests.sink_delivery import Timed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from kafka_maxcompute.brokers.originals import Found, Wanted
    from kafka_maxcompute.ledger.gaps import Limits
    from kafka_maxcompute.ledger.operations import Operation
    from kafka_maxcompute.offsets import Intervals, TopicPartition

pytestmark = pytest.mark.quick

RECORD = Original(key=b"k", value=b"not written yet")
SETTLED = tuple((2 * number, 2 * number) for number in range(MANY + 2))
"""Every second offset: a gap more than is let be."""
END = SETTLED[-1][1] + 1
STATE = State(generation=3, settled={PLACE: SETTLED})


class Source(MemoryOriginals):
    """A source topic that tells what is read of it.

    `aborted` are offsets of records whose transaction was aborted, `stable` is where the first open one begins. A
    reading fails with `error` after so many steps.
    """

    def __init__(self, log: Found | None = None, *, aborted: Iterable[int] = (), stable: int | None = None) -> None:
        super().__init__(log)
        self.aborted, self.stable = frozenset(aborted), stable
        self.readings: list[tuple[bool, Intervals]] = []
        self.until: list[float] = []
        self.error: Exception | None = None
        self.steps = 0

    def passed(
        self, wanted: Wanted, deadline: Deadline, *, committed: bool
    ) -> Iterator[tuple[TopicPartition, int, Original | None]]:
        self.until.append(deadline.at)
        self.readings += [(committed, tuple(found)) for found in wanted.values()]
        if committed and self.stable is not None:
            cut = {place: within(tuple(found), 0, self.stable - 1) for place, found in wanted.items()}
            wanted = {place: found for place, found in cut.items() if found}
        for number, (place, offset, record) in enumerate(super().passed(wanted, deadline, committed=committed)):
            if self.error is not None and number == self.steps:
                raise self.error
            yield place, offset, None if committed and offset in self.aborted else record


@dataclass
class Kept:
    """A ledger in a state; `appended` is what was appended to it."""

    state: State = STATE
    appended: list[Operation] = field(default_factory=list)
    error: Exception | None = None

    def read(self, deadline: Deadline, *, through: int | None = None) -> State:  # noqa: ARG002 # it never waits
        return self.state

    def append(self, operation: Operation, deadline: Deadline) -> int | None:  # noqa: ARG002 # it never waits
        if self.error is not None:
            raise self.error
        self.appended.append(operation)
        return None

    def maintain(self, deadline: Deadline) -> None:
        """Nothing."""


@dataclass
class Search:
    """A search that begins at the first gap, in a log that begins at `start`; its group has come to `committed`."""

    source: MemoryOriginals = field(default_factory=Source)
    start: list[int] = field(default_factory=lambda: [0])
    committed: int | None = END
    now: float = 10 * AGAIN_SECONDS
    asked: int = 0
    ledger: Kept = field(default_factory=Kept)

    def __post_init__(self) -> None:
        def pick(count: int) -> int:
            return range(count)[0]

        self.gaps = Gaps(Timed(self.ledger), Timed(self.source), self.limits, lambda: self.now, pick)

    def limits(self, places: Iterable[TopicPartition], deadline: Deadline) -> Limits:
        """The start is the next of those given, the last one for ever."""
        assert isinstance(deadline, Deadline)
        self.asked += 1
        start = self.start.pop(0) if len(self.start) > 1 else self.start[0]
        return {} if self.committed is None else dict.fromkeys(places, (start, self.committed))

    def settle(self, state: State = STATE) -> Intervals:
        """The offsets that one search settles; no operation without any."""
        self.ledger.state, before = state, len(self.ledger.appended)
        count = self.gaps.settle(state, soon())
        if len(self.ledger.appended) == before:
            assert count == 0
            return ()
        operation = self.ledger.appended[-1]
        assert isinstance(operation, Empty)
        assert (operation.generation, count) == (state.generation, len(operation.offsets[PLACE]))
        return operation.offsets[PLACE]


def test_few_gaps_are_let_be() -> None:
    search = Search()
    assert search.settle(State(generation=3, settled={PLACE: SETTLED[1:]})) == ()
    assert search.asked == 0


def test_gaps_that_are_pending_or_were_looked_at_are_not_among_the_many() -> None:
    pending = folded(GENESIS, claim("s", 1, 1)).pending
    search = Search()
    assert search.settle(State(generation=3, settled={PLACE: SETTLED}, pending=pending)) == ()
    assert search.asked == 0


def test_few_gaps_that_others_have_left_are_let_be() -> None:
    search = Search(source := Source())
    search.ledger.state = State(generation=3, settled={PLACE: SETTLED[1:]})
    assert search.gaps.settle(STATE, soon()) == 0
    assert source.readings == []


def test_gaps_of_all_topic_partitions_count_together() -> None:
    other = ("orders", 1)
    search = Search()
    state = State(generation=3, settled={PLACE: SETTLED[:MANY], other: ((7, 7), (9, 9), (11, 11))})
    search.ledger.state = state
    assert search.gaps.settle(state, soon()) == MANY + 1
    settled = advance(state, [Entry(1, NOW, search.ledger.appended[0])]).settled
    assert settled == {PLACE: ((0, 2 * MANY - 2),), other: ((7, 11),)}


def test_all_gaps_without_records_are_settled_at_once() -> None:
    found = Search().settle()
    assert advance(STATE, [Entry(1, NOW, Empty(offsets={PLACE: found}, generation=3))]).settled == {
        PLACE: ((0, END - 1),)
    }


@pytest.mark.parametrize(("committed", "last"), [(None, None), (0, None), (1, None), (2, 1), (100, 99), (101, 99)])
def test_what_the_stream_has_not_acknowledged_may_still_come(committed: int | None, last: int | None) -> None:
    found = Search(committed=committed).settle()
    assert (found[-1][1] if found else None) == last


def test_a_record_in_a_gap_keeps_it_open_even_with_the_mark_of_a_probe() -> None:
    """Anybody can write a mark, and the record is to be written."""
    marked = probe_originals("0123456789abcdef" * 2, 0)["tombstone"]
    found = Search(Source({(PLACE, 1): marked, (PLACE, 3): RECORD})).settle()
    assert found[0] == (5, 5)


def test_what_the_log_has_lost_is_not_taken_for_empty() -> None:
    search = Search(start=[4])
    assert search.settle()[0] == (5, 5)
    assert Search(start=[10**6]).settle() == ()


def test_what_the_log_has_lost_is_not_asked_for_again() -> None:
    search = Search(start=[END])
    assert search.settle() == search.settle() == ()
    assert search.asked == 1


def test_what_the_log_loses_while_it_is_read_is_not_taken_for_empty() -> None:
    assert Search(start=[0, 4]).settle()[0] == (5, 5)


def test_a_pending_claim_is_no_gap() -> None:
    pending = folded(GENESIS, claim("s", 1, 1)).pending
    state = State(generation=3, settled={PLACE: (*SETTLED, (END + 1, END + 1))}, pending=pending)
    assert Search().settle(state)[0] == (3, 3)


def test_no_gap_is_too_wide() -> None:
    far = 10**12
    state = State(generation=3, settled={PLACE: (*SETTLED, (far, far))})
    search = Search(committed=far + 1)
    assert search.settle(state)[-1] == (END, far - 1)


def test_what_lies_between_gaps_is_read_only_where_they_are_near() -> None:
    near, far = END + APART, END + APART + 1 + APART + 1
    settled = (*SETTLED, (END + 1, near - 1), (near + 1, far - 1), (far + 1, far + 1))
    search = Search(source := Source(), committed=10**9)
    assert search.settle(State(generation=3, settled={PLACE: settled}))[-2:] == ((near, near), (far, far))
    assert source.readings == [(True, ((1, near), (far, far)))]


@pytest.mark.parametrize(
    ("settled", "read"),
    [
        # A gap is wide itself.
        ([0, 10, 12], [(1, 11)]),
        ([0, 2, 3 * APART], [(1, 3 * APART - 1)]),
        # The first two lie apart, or the last two.
        ([0, *range(2, APART + 2), APART + 3], [(1, 1), (APART + 2, APART + 2)]),
        ([0, *range(2, APART + 1), APART + 2], [(1, APART + 1)]),
        ([0, 2, *range(4, APART + 6), APART + 7], [(1, 3), (APART + 6, APART + 6)]),
    ],
)
def test_near_gaps_are_read_together(
    monkeypatch: pytest.MonkeyPatch, settled: list[int], read: list[tuple[int, int]]
) -> None:
    monkeypatch.setattr(gaps_module, "MANY", 0)
    search = Search(source := Source(), committed=10**9)
    search.settle(State(generation=3, settled={PLACE: intervals(settled)}))
    assert source.readings == [(True, tuple(read))]


def test_reading_ends_before_the_time_does() -> None:
    search = Search(source := Source({(PLACE, offset): RECORD for offset in range(END)}))
    deadline = soon()
    assert search.gaps.settle(STATE, deadline) == 0
    assert source.until == [deadline.at - ENDING_SECONDS]


def test_gaps_full_of_records_are_read_once_and_again_after_a_while() -> None:
    search = Search(source := Source({(PLACE, offset): RECORD for offset in range(END)}))
    assert search.settle() == search.settle() == ()
    assert len(source.readings) == 1
    source.log.clear()
    search.now += AGAIN_SECONDS - 1
    assert search.settle() == ()
    search.now += 1
    assert len(search.settle()) == MANY + 1


def test_a_new_generation_looks_at_everything_again() -> None:
    search = Search(source := Source({(PLACE, offset): RECORD for offset in range(END)}))
    assert search.settle() == ()
    source.log.clear()
    assert len(search.settle(State(generation=4, settled={PLACE: SETTLED}))) == MANY + 1


@pytest.mark.parametrize("name", ["READ_BYTES", "READ_RECORDS"])
def test_a_long_reading_is_done_in_parts(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    log = {(PLACE, offset): RECORD for offset, _ in SETTLED}
    size = len(RECORD.key or b"") + len(RECORD.value or b"")
    monkeypatch.setattr(gaps_module, name, 2_000 * (size if name == "READ_BYTES" else 1))
    search, state, rounds = Search(Source(log)), STATE, 0
    while found := search.settle(state):
        assert len(found) == (1_001 if rounds == 2 else 2_000)
        state = advance(state, [Entry(rounds, NOW, Empty(offsets={PLACE: found}, generation=3))])
        rounds += 1
        monkeypatch.setattr(gaps_module, "MANY", 0)
    assert state.settled == {PLACE: ((0, END - 1),)}
    assert rounds == 3


def test_gaps_full_of_records_that_are_read_in_parts_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gaps_module, "READ_RECORDS", 4_000)
    monkeypatch.setattr(gaps_module, "MANY", 0)
    search = Search(source := Source({(PLACE, offset): RECORD for offset in range(END)}))
    for _ in range(5):
        assert search.settle() == ()
    assert [found for _, found in source.readings] == [((first, END - 2),) for first in (1, 4_001, 8_001)]


def test_what_was_read_before_the_time_was_over_counts() -> None:
    source = Source({(PLACE, offset): RECORD for offset, _ in SETTLED})
    source.error, source.steps = DeadlineError("no time was left"), 10
    found = Search(source).settle()
    assert found == tuple((2 * number + 1, 2 * number + 1) for number in range(10))
    assert len(source.readings) == 1
    source.steps = 0
    assert Search(source).settle() == ()


def test_a_log_that_cannot_be_read_or_a_ledger_that_cannot_be_written_proves_nothing() -> None:
    source = Source()
    source.error = UnavailableError("no broker")
    search = Search(source)
    with pytest.raises(UnavailableError):
        search.settle()
    source.error = None

    search.ledger.error = UnavailableError("no broker")
    with pytest.raises(UnavailableError):
        search.settle()
    search.ledger.error = None
    assert len(search.settle()) == MANY + 1


def test_an_aborted_record_that_was_never_delivered_leaves_an_empty_gap() -> None:
    aborted = {(PLACE, offset): RECORD for offset in (1, 3)}
    assert Search(Source(aborted, aborted=[1, 3])).settle()[:2] == ((1, 1), (3, 3))


def test_behind_an_open_transaction_every_record_counts() -> None:
    """What is open, aborted or committed there may all be delivered; only what holds no record at all is empty."""
    there = {(PLACE, offset): RECORD for offset in (1, 51, 53, 55)}
    found = Search(source := Source(there, aborted=[1, 55], stable=51)).settle()
    assert [committed for committed, _ in source.readings] == [True, False]
    assert not any(contains(found, offset) for offset in (51, 53, 55))
    assert all(contains(found, offset) for offset in (1, 49, 57, END - 2))


def test_some_gaps_are_looked_at_together_and_any_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gaps_module, "AT_ONCE", 100)
    monkeypatch.setattr(gaps_module, "MANY", 0)
    search = Search(source := Source())
    assert len(search.settle()) == 100
    search.gaps.pick = lambda count: count // 2
    middle = 100 + (MANY + 1 - 100) // 2
    assert search.settle()[0] == (2 * middle + 1, 2 * middle + 1)
    search.gaps.pick = lambda count: count - 1
    assert search.settle()[-1] == (END - 2, END - 2)
    assert [found[0][1] - found[0][0] for _, found in source.readings] == [198, 198, 198]


def test_some_gaps_of_several_topic_partitions_begin_with_any(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gaps_module, "AT_ONCE", MANY + 1 + 10)
    others = [("orders", number) for number in (1, 2)]
    state = State(generation=3, settled=dict.fromkeys([PLACE, *others], SETTLED))
    search = Search(ledger=Kept(state))
    search.gaps.pick = lambda count: count - 1
    assert search.gaps.settle(state, soon()) == MANY + 11
    operation = search.ledger.appended[0]
    assert isinstance(operation, Empty)
    assert {place: len(found) for place, found in operation.offsets.items()} == {others[1]: MANY + 1, PLACE: 10}


def test_what_others_have_settled_meanwhile_is_not_read() -> None:
    search = Search(source := Source())
    search.ledger.state = State(generation=3, settled={PLACE: ((0, END - 1),)})
    assert search.gaps.settle(STATE, soon()) == 0
    assert source.readings == []
