"""Exactly once under attack, by the real delivery over ledgers, sessions and topics in memory.

Deliveries overlap, interleave, fail and die at any call, while the clock jumps and the ledger's log is compacted.
"""

from __future__ import annotations

import os
import sys

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from tests.property.delivery_world import HOUR, RECORDS, TOPIC_PARTITIONS, World, patched
from tests.property.interleaving import Fate, Worker

pytestmark = pytest.mark.quick

AT_ONCE = 3
"""Deliveries that are under way at a time."""
EXAMPLES = int(os.environ.get("ATTACKS", "150"))
"""`make soak` sets a larger number, and then they are others each time."""
WORLDS: list[World] = []
CALLS = [
    "open",
    "put_block",
    "append",
    "append",
    "bounds",
    "records",
    "commit",
    "commit",
    "look",
    "write",
    "tombstone",
    "count",
]
FATES = [None, None, None, *Fate]
"""None: it stays before the call."""

slices = st.tuples(st.integers(0, TOPIC_PARTITIONS - 1), st.integers(0, RECORDS - 1), st.integers(1, RECORDS)).map(
    lambda cut: frozenset((cut[0], offset) for offset in range(cut[1], min(RECORDS, cut[1] + cut[2])))
)
batches = st.lists(slices, min_size=1, max_size=2).map(lambda several: frozenset().union(*several))


class Deliveries(RuleBasedStateMachine):
    """What EventBridge, the operating system, MaxCompute, Kafka and the clock may do to deliveries."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        WORLDS[:] = [self.world]

    def _worker(self, choice: int) -> Worker:
        return self.world.running[choice % len(self.world.running)][0]

    @precondition(lambda self: len(self.world.running) < AT_ONCE)
    @rule(batch=batches, warm=st.booleans(), strict=st.sampled_from([False, False, True]))
    def deliver(self, batch: frozenset[tuple[int, int]], warm: bool, strict: bool) -> None:
        """A batch comes, cut in any way, perhaps again."""
        self.world.begin(batch, warm=warm, strict=strict)

    @precondition(lambda self: self.world.running)
    @rule(choice=st.integers(0, AT_ONCE - 1), call=st.sampled_from(CALLS), fate=st.sampled_from(FATES))
    def meet(self, choice: int, call: str, fate: Fate | None) -> None:
        """One delivery runs until it stands before a certain call, which may then fail or be its last."""
        worker = self._worker(choice)
        while worker.at not in {call, None}:
            self.world.go(worker)
        if fate is not None and not worker.ended:
            self.world.go(worker, fate)

    @precondition(lambda self: self.world.running)
    @rule(choice=st.integers(0, AT_ONCE - 1))
    def finish(self, choice: int) -> None:
        """One delivery runs to its end."""
        self.world.finish(self._worker(choice))

    @rule(hours=st.sampled_from([0.1, 1.0, 23.0, 26.0]))
    def wait(self, hours: float) -> None:
        """Time passes for everybody; zombies wake."""
        self.world.now += hours * HOUR

    @rule(tombstones=st.booleans())
    def compact(self, tombstones: bool) -> None:
        """The broker's cleaner comes by."""
        self.world.log.compact(tombstones=tombstones)

    @rule()
    def elect(self) -> None:
        """The ledger's log gets another leader."""
        self.world.log.elect()

    @invariant()
    def nothing_is_twice_or_lost(self) -> None:
        """At any moment."""
        self.world.check()

    def teardown(self) -> None:
        """And in the end."""
        try:
            if sys.exc_info()[0] is None:
                self.world.end()
        finally:
            self.world.close()


@pytest.fixture
def _one_thread_each(monkeypatch: pytest.MonkeyPatch) -> None:
    patched(monkeypatch, WORLDS)


ATTACK = settings(
    max_examples=EXAMPLES,
    stateful_step_count=30,
    deadline=None,
    derandomize="ATTACKS" not in os.environ,  # the same ones each time, unless one asks for more
    database=None,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)


@pytest.mark.usefixtures("_one_thread_each")
def test_every_record_is_there_once_whatever_happens() -> None:
    run_state_machine_as_test(Deliveries, settings=ATTACK)
