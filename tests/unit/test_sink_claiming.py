"""claiming: what claims and diverts tell of the logs that their records are from."""

from __future__ import annotations

import pytest

from kafka_maxcompute.ledger.operations import Mark, State
from kafka_maxcompute.maxcompute.upload_sessions import UploadSession
from maxcompute_sink.blocks import Block, Coverage
from maxcompute_sink.claiming import Claiming
from maxcompute_sink.staging import Staged
from tests.kafka_events import HOUR_14, element, payload
from tests.sink_delivery import ORDERS, Connector

pytestmark = pytest.mark.quick


def test_a_later_mark_of_a_generation_before_is_not_told() -> None:
    state = State(generation=2, marks={ORDERS: Mark(3, "old")})
    assert Claiming.of(state, {(1, ORDERS): Mark(9, "before")}, {}).marks == {}
    assert Claiming.of(state, {(2, ORDERS): Mark(9, "new")}, {}).marks == {ORDERS: Mark(9, "new")}
    assert Claiming.of(state, {(2, ORDERS): Mark(3, "same")}, {}).marks == {}


def test_a_mark_that_the_state_does_not_know_yet_is_told() -> None:
    """The later marks were read with a newer state: by now, the claim that begins the mark is settled."""
    begun, moved = Mark(3, "begun"), Mark(9, "moved")
    told = Claiming.of(State(generation=2), {(2, ORDERS): moved}, {ORDERS: begun, ("orders", 1): begun})
    assert (told.begins, told.marks) == ({("orders", 1): begun}, {ORDERS: moved})


def test_a_mark_that_begins_names_the_one_that_it_replaces() -> None:
    again, before = Mark(9, "new", 5), Mark(3, "old")
    told = Claiming.of(State(generation=2), {(2, ORDERS): again}, {})
    assert (told.begins, told.marks) == ({ORDERS: again}, {})
    assert Claiming.of(State(generation=2), {(2, ORDERS): Mark(9, "new", 1)}, {}).begins == {ORDERS: Mark(9, "new", 1)}
    told = Claiming.of(State(generation=2, marks={ORDERS: before}), {(2, ORDERS): again}, {})
    assert (told.begins, told.marks) == ({ORDERS: again}, {ORDERS: before})
    # One that moved has the beginning of the one before.
    told = Claiming.of(State(generation=2, marks={ORDERS: Mark(3, "old", 5)}), {(2, ORDERS): again}, {})
    assert (told.begins, told.marks) == ({}, {ORDERS: again})
    assert Claiming.of(State(generation=2, marks={ORDERS: Mark(3, "old", 6)}), {(2, ORDERS): again}, {}).begins == {}
    assert Claiming.of(State(generation=2), {(1, ORDERS): again}, {}).begins == {}
    assert Claiming.of(State(generation=2), {(2, ORDERS): Mark(9, "moved")}, {}).begins == {}


def test_no_mark_begins_in_some_topics() -> None:
    begins = {ORDERS: Mark(3, "m"), ("others", 0): Mark(4, "o")}
    claiming = Claiming(generation=2, begins=begins, marks=begins, differing=frozenset({ORDERS}))
    assert claiming.without({"others"}) == Claiming(2, {ORDERS: Mark(3, "m")}, begins, frozenset({ORDERS}))
    assert claiming.without(frozenset()) == claiming


def test_claims_and_diverts_tell_the_marks_of_their_topic_partitions_and_times() -> None:
    mark, other = Mark(3, "m"), Mark(4, "o")
    claiming = Claiming(generation=2, begins={ORDERS: mark, ("orders", 1): other}, marks={ORDERS: other})
    decoded = Connector().preparation.decode(payload(element(3, value=[], timestamp=HOUR_14 + 1)))
    divert = claiming.divert(decoded.rejected)
    assert (divert.begins, divert.marks, divert.timestamps) == ({ORDERS: mark}, {ORDERS: other}, {ORDERS: HOUR_14 + 1})
    block = Block("pt", 1, b"", Coverage({ORDERS: ((3, 3),)}, {ORDERS: HOUR_14}), (), ())
    claim = claiming.claim(Staged(block, UploadSession("s", "pt")))
    assert (claim.begins, claim.marks, claim.timestamps) == ({ORDERS: mark}, {ORDERS: other}, {ORDERS: HOUR_14})


def test_claims_and_diverts_name_the_offsets_that_differ_from_the_log() -> None:
    claiming = Claiming(generation=2, begins={}, marks={}, differing=frozenset({ORDERS}))
    decoded = Connector().preparation.decode(payload(element(3, value=[])))
    assert claiming.divert(decoded.rejected).differing == {ORDERS: ((3, 3),)}
    coverage = Coverage({ORDERS: ((3, 3),), ("orders", 7): ((1, 2),)}, {})
    claim = claiming.claim(Staged(Block("pt", 1, b"", coverage, (), ()), UploadSession("s", "pt")))
    assert claim.differing == {ORDERS: ((3, 3),)}
