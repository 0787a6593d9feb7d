"""The fold of the ledger's log, operation by operation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from kafka_maxcompute.ledger.identity import genesis
from kafka_maxcompute.ledger.operations import Empty, Mark, Release, Reset, Settle, Snapshot
from kafka_maxcompute.ledger.state import LAST_OFFSET, Entry, State, advance, fold, former, taken
from tests.ledger_entries import CREATED, GENESIS, NOW, PLACE, claim, divert, folded, log_of, reset

if TYPE_CHECKING:
    from kafka_maxcompute.ledger.operations import Operation

pytestmark = pytest.mark.quick


def pending(*operations: Operation) -> set[str]:
    return set(folded(*operations).pending)


def settled(*operations: Operation) -> tuple[tuple[int, int], ...]:
    return folded(*operations).settled.get(PLACE, ())


def test_an_empty_log_has_no_generation() -> None:
    assert folded() == State()
    assert folded(claim("s", 0, 9)).pending == {}


def test_the_first_genesis_is_the_ledgers() -> None:
    later = genesis("other", "p.other", CREATED + 1, {})
    state = folded(GENESIS, later)
    assert (state.generation, state.identity) == (1, GENESIS.identity)


def test_a_claim_is_pending_with_the_brokers_time() -> None:
    state = folded(GENESIS, claim("s", 0, 9))
    assert state.pending["s"].timestamp == NOW + 1
    assert state.settled == {}
    assert taken(state) == {PLACE: ((0, 9),)}


@pytest.mark.parametrize("second", [claim("t", 9, 12), divert("t", 5, 5), claim("s", 20, 29)])
def test_the_first_claim_wins(second: Operation) -> None:
    state = folded(GENESIS, claim("s", 0, 9), second)
    assert set(state.pending) == {"s"}
    assert taken(state) == {PLACE: ((0, 9),)}


def test_disjoint_claims_are_both_pending() -> None:
    assert pending(GENESIS, claim("s", 0, 9), divert("t", 10, 12)) == {"s", "t"}


def test_settled_offsets_are_never_claimed_again() -> None:
    state = folded(GENESIS, claim("s", 0, 9), Settle(id="s"), claim("t", 5, 12))
    assert (set(state.pending), state.settled) == (set(), {PLACE: ((0, 9),)})


def test_settling_keeps_the_highest_timestamp() -> None:
    first, second = claim("s", 0, 9, timestamp=70), claim("t", 10, 12, timestamp=60)
    assert folded(GENESIS, first, second, Settle(id="s"), Settle(id="t")).timestamps == {PLACE: 70}


def test_released_offsets_are_free() -> None:
    assert pending(GENESIS, claim("s", 0, 9), Release(id="s"), claim("t", 5, 12)) == {"t"}


@pytest.mark.parametrize("late", [Settle(id="s"), Release(id="s")])
def test_what_was_released_or_settled_is_over(late: Operation) -> None:
    before: tuple[Operation, ...] = (GENESIS, claim("s", 0, 9), Release(id="s"), claim("t", 5, 12))
    assert folded(*before, late).pending == folded(*before).pending
    assert settled(*before, late) == ()
    before = (GENESIS, claim("s", 0, 9), Settle(id="s"))
    assert folded(*before, late).settled == folded(*before).settled


def test_empty_offsets_are_settled_but_not_under_a_claim() -> None:
    empty = Empty(offsets={PLACE: ((5, 12),)}, generation=1)
    assert settled(GENESIS, claim("s", 0, 9), empty) == ((10, 12),)
    assert settled(GENESIS, empty) == ((5, 12),)
    assert settled(GENESIS, reset(), empty) == ()


def test_a_reset_waits_for_what_is_pending() -> None:
    before = (GENESIS, claim("s", 0, 9))
    assert folded(*before, reset()).generation == 1
    assert folded(*before, Settle(id="s"), reset()).generation == 2


def test_of_two_resets_the_first_counts() -> None:
    state = folded(GENESIS, reset("one", start=5), reset("two", start=7))
    assert (state.generation, state.reset, state.starts) == (2, "one", {PLACE: 5})


def test_a_reset_of_a_ledger_without_genesis_has_no_effect() -> None:
    assert folded(reset(generation=1)).generation == 0


def test_a_reset_forgets_the_topic_partitions_that_it_names() -> None:
    other = ("bills", 3)
    elsewhere = replace(claim("t", 0, 4), offsets={other: ((0, 4),)}, timestamps={other: 8})
    both = (GENESIS, claim("s", 0, 9, timestamp=7), elsewhere, Settle(id="s"), Settle(id="t"))
    again = folded(*both, reset(start=0))
    assert (again.settled, again.timestamps) == ({other: ((0, 4),)}, {other: 8})
    later = folded(*both, reset(start=100))
    assert later.settled == {other: ((0, 4),), PLACE: ((0, 99),)}


def test_a_zombie_of_the_old_generation_claims_nothing() -> None:
    assert pending(GENESIS, reset(), claim("old", 0, 9, generation=1)) == set()
    assert pending(GENESIS, reset(), claim("new", 0, 9, generation=2)) == {"new"}


def test_what_is_folded_isnt_folded_again() -> None:
    state = folded(GENESIS, claim("s", 0, 9))
    assert fold(state, Settle(id="s"), 1, NOW) == state


def test_advance_takes_the_snapshot_that_reaches_furthest() -> None:
    log = log_of(GENESIS, claim("s", 0, 9), Settle(id="s"), claim("t", 10, 19), Settle(id="t"))
    whole = advance(State(), log)
    short, long = (Snapshot(state=advance(State(), log[:length])) for length in (2, 4))
    for snapshots in ([short, long], [long, short]):
        found = [entry for entry in log if entry.offset >= 4]
        found += [Entry(5 + index, NOW, one) for index, one in enumerate(snapshots)]
        state = advance(State(), found)
        assert (state.settled, state.pending) == (whole.settled, whole.pending)


def test_the_first_claim_of_a_topic_partition_begins_its_marks() -> None:
    first, second = claim("s", 0, 9, begins=9), claim("t", 10, 19, begins=19)
    assert folded(GENESIS, first).marks == {}
    assert folded(GENESIS, first, Settle(id="s")).marks == {PLACE: Mark(9, "s")}
    # Two deliveries at once may each think that they are the first, and be of different logs.
    assert folded(GENESIS, first, second, Settle(id="t"), Settle(id="s")).marks == {PLACE: Mark(19, "t")}


def test_what_was_claimed_without_a_mark_keeps_later_claims_from_beginning_one() -> None:
    unmarked = (GENESIS, claim("s", 0, 9), Settle(id="s"))
    assert folded(*unmarked, claim("t", 10, 19, begins=19), Settle(id="t")).marks == {}
    assert folded(*unmarked, claim("t", 10, 19, marks=9), Settle(id="t")).marks == {}


def test_what_lies_before_a_start_keeps_nobody_from_beginning_a_mark() -> None:
    state = folded(GENESIS, reset(start=5), claim("t", 5, 9, generation=2, begins=9), Settle(id="t"))
    assert state.marks == {PLACE: Mark(9, "t")}


def test_a_mark_moves_forward_only() -> None:
    begun = (GENESIS, claim("s", 0, 9, begins=9), Settle(id="s"))
    moved = (*begun, claim("t", 20, 29, marks=15), Settle(id="t"))
    assert folded(*moved).marks == {PLACE: Mark(15, "t")}
    assert folded(*moved, claim("u", 30, 39, marks=12), Settle(id="u")).marks == {PLACE: Mark(15, "t")}


def test_a_reset_replaces_the_marks_of_what_it_names() -> None:
    begun = (GENESIS, claim("s", 0, 9, begins=9), Settle(id="s"))
    assert folded(*begun, reset()).marks == {}
    assert folded(*begun, reset(mark=3)).marks == {PLACE: Mark(3, "r")}
    vouched = Reset(id="r", generation=2, identity=GENESIS.identity, starts={}, marks={PLACE: Mark(7, "r")})
    state = folded(*begun, vouched)
    assert (state.marks, state.settled, state.begun) == ({PLACE: Mark(7, "r")}, {PLACE: ((0, 9),)}, {})


def test_a_reset_remembers_what_earlier_generations_have_settled() -> None:
    one = (GENESIS, claim("s", 0, 9), Settle(id="s"), reset(start=3))
    state = folded(*one)
    assert (state.begun, former(state, PLACE)) == ({PLACE: 2}, ((3, 9),))
    state = folded(*one, claim("t", 15, 19, generation=2), Settle(id="t"), reset("two", generation=3, start=5))
    assert (state.begun, former(state, PLACE)) == ({PLACE: 3}, ((5, 9), (15, 19)))
    state = folded(*one, reset("two", generation=3, start=10))
    assert (state.former, former(state, PLACE)) == ({}, ())


def test_of_a_reset_by_an_earlier_release_everything_may_be_there_from_before() -> None:
    state = replace(folded(GENESIS, reset(start=3)), begun={}, former={})
    assert former(state, PLACE) == ((3, LAST_OFFSET),)
    again = fold(state, reset("two", generation=3, start=5), state.folded + 1, NOW)
    assert former(again, PLACE) == ((5, LAST_OFFSET),)
    assert former(State(), PLACE) == ()


def test_a_mark_at_the_same_offset_replaces_nothing() -> None:
    begun = (GENESIS, claim("s", 0, 9, begins=9), Settle(id="s"))
    assert folded(*begun, claim("t", 20, 29, marks=9), Settle(id="t")).marks == {PLACE: Mark(9, "s")}


def test_a_reset_says_what_the_ledger_is_about() -> None:
    another = genesis("orders", "p.t", CREATED + 5, {"orders": "id-2"}).identity
    begun = folded(GENESIS, Reset(id="r", generation=2, identity=another, starts={PLACE: 1}))
    assert begun.identity == another
    assert begun.settled == {PLACE: ((0, 0),)}


def test_an_empty_adds_to_what_is_settled() -> None:
    empty = Empty(offsets={PLACE: ((3, 4),)}, generation=1)
    assert settled(GENESIS, claim("s", 0, 1), Settle(id="s"), empty) == ((0, 1), (3, 4))
