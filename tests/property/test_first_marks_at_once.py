"""Several first claims of a topic-partition at once, each with a mark of its own, on brokers without topic ids.

The topic can be created again between them: then the mark that comes into force vouches for none of the other topic's.
If it isn't, a mark vouches for all of them, whatever becomes of the deliveries.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from kafka_maxcompute.errors import LedgerError
from tests.property.delivery_world import patched
from tests.property.test_batches_of_a_topic_before import PLACE
from tests.property.test_marks_of_several_instances import Several

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.property.delivery_world import World
    from tests.property.source_topic import Batch
    from tests.property.world_services import Delivery, Instance

pytestmark = [pytest.mark.quick, pytest.mark.usefixtures("silent")]


@pytest.fixture
def new_world(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], Several]]:
    worlds: list[World] = []
    patched(monkeypatch, worlds)

    def make() -> Several:
        world = Several()
        worlds.append(world)
        world.topic.produce(1, 20)
        return world

    yield make
    for world in worlds:
        world.close()


def go_on(world: Several, delivery: Delivery, steps: int) -> bool:
    """Let a delivery make some steps; return whether it is still under way."""
    for _ in range(steps):
        if delivery.worker.ended:
            break
        world.go(delivery)
    return not delivery.worker.ended


def to_commit(world: Several, delivery: Delivery) -> None:
    """Let a delivery claim, and stop before it commits."""
    while not world.truth.pending or delivery.worker.at == "log.append claim":
        world.go(delivery)


def warm_of_before(world: Several) -> Instance:
    """An instance that has read the ledger when the topic-partition had no claim."""
    return world.deliver_by(None, world.of(1, 0, 1))


def begun_by(world: Several, instance: Instance, delivered: Batch) -> Delivery:
    world.idle[:] = [instance]
    return world.begin(delivered, warm=True)


@pytest.mark.parametrize("is_killed", [False, True])
@pytest.mark.parametrize("ends_first", ["former", "present"])
def test_one_of_a_topic_that_was_created_again(
    new_world: Callable[[], Several], ends_first: str, *, is_killed: bool
) -> None:
    world = new_world()
    warm = warm_of_before(world)
    former = world.batch(0, 1, 2)
    held = world.begin(former)
    to_commit(world, held)
    world.recreate()
    other = begun_by(world, warm, world.batch(5, 6))
    if ends_first == "former":
        to_commit(world, other)
        world.finish(held)
        world.finish(other)
    else:
        world.finish(other)
        if is_killed:
            world.kill(held)
            assert world.deliver(former) is not None
        else:
            world.finish(held)
    world.check()
    assert isinstance(world.deliver(world.batch(0, 1, 2)), LedgerError)
    world.check()


@pytest.mark.parametrize("ends_first", ["former", "present"])
def test_one_of_a_former_topic_with_the_later_records(new_world: Callable[[], Several], ends_first: str) -> None:
    world = new_world()
    warm = warm_of_before(world)
    former = world.begin(world.batch(5, 6))
    to_commit(world, former)
    world.recreate()
    present = begun_by(world, warm, world.batch(0, 1, 2))
    if ends_first == "former":
        to_commit(world, present)
        world.finish(former)
    world.finish(present)
    world.finish(former)
    world.check()
    assert isinstance(world.deliver(world.batch(5, 6)), LedgerError)
    world.check()


@pytest.mark.parametrize("is_killed", [False, True])
def test_another_claim_at_any_step_of_a_first_one(new_world: Callable[[], Several], *, is_killed: bool) -> None:
    is_under_way, steps = True, 0
    while is_under_way:
        world = new_world()
        warm, steps = warm_of_before(world), steps + 1
        batches = world.batch(0, 1, 2), world.batch(3, 4, 5)
        first = world.begin(batches[0])
        is_under_way = go_on(world, first, steps)
        world.deliver_by(warm, batches[1])
        if is_killed:
            world.kill(first)
        world.finish(first)
        world.now += 60
        for delivered in (*batches, *reversed(batches)):
            world.deliver_by(None, delivered)
    assert steps > 10


@pytest.mark.parametrize("seed", range(60))
def test_some_at_once_some_of_which_are_killed(new_world: Callable[[], Several], seed: int) -> None:
    chance, world = random.Random(seed), new_world()  # noqa: S311 - it has to be repeatable
    batches = [world.batch(*range(first, first + 4)) for first in (0, 4, 8, 12)]
    deliveries = [world.begin(delivered, looks=chance.random() < 0.5) for delivered in batches]
    while running := [one for one in deliveries if not one.worker.ended]:
        delivery = chance.choice(running)
        go_on(world, delivery, chance.choice([1, 1, 2, 4, 16]))
        if chance.random() < 0.05 and not delivery.worker.ended:
            world.kill(delivery)
    world.now += 60
    for delivered in (*batches, *reversed(batches)):
        world.deliver_by(None, delivered)
    assert PLACE in world.truth.marks
