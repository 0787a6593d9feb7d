"""Commits that the service takes its time for: what the attack's world makes of them, and the sink over it."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from fc_powertools import Deadline
from kafka_maxcompute.ledger.operations import Release
from tests.property.delivery_world import HOUR, World, patched
from tests.property.interleaving import Fate
from tests.property.source_topic import batch
from tests.property.table_in_memory import SLOWEST_SECONDS
from tests.property.world_services import JudgedLedger

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.property.world_services import Delivery

pytestmark = [pytest.mark.quick, pytest.mark.usefixtures("silent")]


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A world in which a killed delivery has left a claim, and its session's commit under way."""
    worlds: list[World] = []
    patched(monkeypatch, worlds)
    made = World(1, replaced=0.0)
    worlds.append(made)
    made.topic._weights = [1, 0, 0, 0, 0]
    made.topic.produce(0, 1)
    made.table._is_slow = lambda: True
    begun = held(made, "sessions.commit")
    made.go(begun)
    made.kill(begun)
    made.table._is_slow = lambda: False
    assert not made.table.rows
    assert made.truth.pending
    yield made
    made.close()


def held(world: World, step: str) -> Delivery:
    """A delivery of the record that stands before a step."""
    begun = world.begin(batch(random.Random(1), world.topic.delivered()))  # noqa: S311 - it has to be repeatable
    while begun.worker.at != step:
        world.go(begun)
    return begun


def test_one_that_nobody_looks_at_is_done_by_its_time(world: World) -> None:
    world.wait(SLOWEST_SECONDS - 1)
    assert not world.table.rows
    world.wait(1)
    assert len(world.table.rows) == 1
    world.wait(SLOWEST_SECONDS)
    assert len(world.table.rows) == 1


def test_one_that_a_404_hides_is_counted_a_day_later(world: World) -> None:
    """Another worker, that was held before its own look, finds the same session."""
    world.wait(26 * HOUR)
    late = held(world, "sessions.look claimed")
    hidden = held(world, "sessions.look claimed")
    world.go(hidden, Fate.NOT_FOUND)
    world.finish(hidden)
    world.finish(late)
    world.check()
    assert len(world.table.rows) == 1
    assert len(world.opened) == 1, "the claim was released, and its record written anew"


def test_rows_of_a_commit_under_way_that_was_released_are_there_twice(world: World) -> None:
    """Though no delivery looks at the session again, the last check sees its rows."""
    (claimed,) = world.truth.pending
    JudgedLedger(world.log, world.log).append(Release(id=claimed), Deadline.after(1.0))
    with pytest.raises(AssertionError, match="rows twice"):
        world.end(lambda records: [batch(random.Random(1), records)])  # noqa: S311 - it has to be repeatable
