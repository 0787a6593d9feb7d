"""Marks on brokers without topic ids, with the real `Upkeep` and several warm instances.

No record of the present topic is lost, and no redelivery of its own records is refused.
"""

from __future__ import annotations

import random
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from kafka_maxcompute.errors import DeadlineError, LedgerError
from maxcompute_sink.upkeep import Upkeep
from tests.property.delivery_world import patched
from tests.property.source_topic import TOPIC, Kind, batch
from tests.property.test_batches_of_a_topic_before import PLACE, Small, unmarked

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fc_powertools import Deadline
    from kafka_maxcompute.dead_letters.error_topic import Known
    from kafka_maxcompute.ledger.marks import Later
    from kafka_maxcompute.ledger.state import State
    from kafka_maxcompute.offsets import Offsets, TopicPartition
    from maxcompute_sink.connections import Connections
    from tests.property.delivery_world import World
    from tests.property.source_topic import Batch
    from tests.property.world_services import Delivery, Instance

pytestmark = [pytest.mark.quick, pytest.mark.usefixtures("silent")]


class Several(Small):
    """The small world in which each instance has an `Upkeep`."""

    def __init__(self) -> None:
        super().__init__()
        self.upkeeps: dict[int, Upkeep] = {}

    def _later(self, delivery: Delivery, state: State, covered: Offsets, known: Known, deadline: Deadline) -> Later:
        instance = delivery.instance
        if id(instance) not in self.upkeeps:
            originals = instance.gate.before(self.topic, "originals")
            parts = SimpleNamespace(ledger=instance.ledger, originals=originals)
            self.upkeeps[id(instance)] = Upkeep("c", cast("Connections", parts), lambda: self.now)
        return self.upkeeps[id(instance)].later_marks(state, covered, known, deadline)

    def deliver_by(self, instance: Instance | None, delivered: Batch) -> Instance:
        """Deliver by a warm instance, or by a new one; return the instance."""
        self.idle[:] = [] if instance is None else [instance]
        delivery = self.begin(delivered, warm=instance is not None)
        self.finish(delivery)
        self.check()
        assert delivery.worker.error is None
        return delivery.instance

    def deliver_again(self, *batches: Batch) -> None:
        """Deliver all batches to new instances, three times in three minutes."""
        for _ in range(3):
            self.now += 60
            for delivered in batches:
                self.deliver_by(None, delivered)

    def of(self, number: int, *offsets: int) -> Batch:
        """A batch of a partition of the topic."""
        return batch(random.Random(1), [self.topic.log[(TOPIC, number), offset] for offset in offsets])  # noqa: S311

    def spoil(self, *offsets: int) -> None:
        """Let the events of records be no valid records."""
        for offset in offsets:
            self.topic.log[PLACE, offset] = replace(self.topic.log[PLACE, offset], kind=Kind.BAD, flaw="value")


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[Several]:
    worlds: list[World] = []
    patched(monkeypatch, worlds)
    made = Several()
    worlds.append(made)
    yield made
    made.close()


@pytest.mark.parametrize("seconds", [0, 40])
def test_an_instance_whose_state_is_from_before_the_first_claim(world: Several, seconds: int) -> None:
    world.topic.produce(1, 20)
    first = world.deliver_by(None, world.of(1, 0, 1))
    second = world.deliver_by(None, world.of(1, 2, 3))
    world.deliver_by(first, world.batch(0, 1, 2))
    world.now += seconds
    world.deliver_by(second, world.batch(3, 4, 5))
    world.deliver_again(world.batch(0, 1, 2), world.batch(3, 4, 5))


@pytest.mark.parametrize("seconds", [0, 40])
def test_an_instance_whose_state_has_the_first_claim_as_pending(world: Several, seconds: int) -> None:
    first = world.deliver_by(None, world.batch(0, 1, 2))
    world.deliver_by(None, world.batch(3, 4, 5))
    world.now += seconds
    world.deliver_by(first, world.batch(6, 7, 8))
    world.deliver_again(world.batch(0, 1, 2), world.batch(3, 4, 5), world.batch(6, 7, 8))


def test_two_first_batches_at_once(world: Several) -> None:
    first, second = world.begin(world.batch(0, 1, 2)), world.begin(world.batch(3, 4, 5))
    for delivery in (first, second):
        while delivery.worker.at != "log.append claim":
            world.go(delivery)
    world.finish(first)
    world.finish(second)
    world.deliver_again(world.batch(0, 1, 2), world.batch(3, 4, 5))


def test_a_mark_that_moves_between_the_settles_of_the_first_batch(world: Several) -> None:
    first, settles = world.begin(world.batch(*range(8))), 0
    while settles < 2:
        world.go(first)
        settles += first.worker.at == "log.append settle"
    world.deliver_by(None, world.batch(10, 11))
    world.finish(first)
    world.deliver_again(world.batch(*range(8)), world.batch(10, 11))


def test_a_mark_that_retention_takes_while_the_instance_has_batches_of_another_topic_partition(world: Several) -> None:
    world.topic.produce(1, 20)
    instance = world.deliver_by(None, world.batch(0, 1, 2))
    world.deliver_by(instance, world.of(1, 0, 1))
    world.topic.truncate(0, 3)
    world.now += 86_400
    world.deliver_by(instance, world.of(1, 2, 3))
    world.deliver_by(instance, world.batch(3, 4))
    world.deliver_again(world.batch(3, 4))


def test_a_record_that_is_compacted_before_its_claim(world: Several) -> None:
    world.deliver_by(None, world.batch(0, 1, 2))
    delivered = world.batch(3)
    world.topic.compact(delivered.records)
    world.deliver_by(None, delivered)
    world.deliver_again(world.batch(0, 1, 2), delivered)


def test_a_batch_of_a_deleted_topic_with_events_that_are_no_records_at_both_ends(world: Several) -> None:
    world.topic.produce(0, 40)
    world.spoil(*range(8, 24), *range(30, 46))
    in_flight = world.batch(*range(8, 46))
    world.recreate()
    world.topic.produce(0, 40)
    assert world.deliver(world.batch(0, 1, 2)) is None
    assert world.deliver(in_flight) is None
    assert isinstance(world.deliver(world.batch(24)), LedgerError)


def test_a_first_batch_of_both_topics_whose_earlier_records_the_log_has_lost(world: Several) -> None:
    old = world.batch(5, 6)
    world.recreate()
    fetched = world.batch(5, 6)
    world.topic.truncate(0, 10)
    both = batch(random.Random(1), [*old.records, *world.batch(10, 11).records])  # noqa: S311
    assert world.deliver(both) is None
    assert isinstance(world.deliver(fetched), LedgerError)


def test_a_record_twice_in_a_batch_whose_text_is_restored(world: Several) -> None:
    record = replace(world.topic.log[PLACE, 5], kind=Kind.REPLACED, key="k0-0-5", value="v0-0-5\ufffd")
    world.topic.log[PLACE, 5] = record
    assert world.deliver(batch(random.Random(1), [world.topic.log[PLACE, 4], record, record])) is None  # noqa: S311
    assert len(world.letters) == 1


def test_a_record_of_each_topic_at_one_settled_offset(world: Several) -> None:
    old = world.batch(5).records[0]
    world.recreate()
    assert world.deliver(world.batch(*range(5))) is None
    assert world.deliver(world.batch(5)) is None
    new = world.batch(5).records[0]
    assert world.deliver(batch(random.Random(1), [old, new])) is None  # noqa: S311
    assert any("k0-0-5" in str(letter) or "v0-0-5" in str(letter) for letter in world.letters)


def test_an_instance_whose_state_is_from_before_a_mark_with_since(world: Several) -> None:
    world.topic.produce(1, 20)
    warm = world.deliver_by(None, world.of(1, 0, 1))
    first = world.batch(0, 1, 2)
    world.topic.compact(first.records)
    world.deliver_by(None, first)
    assert world.truth.marks.keys() == {(TOPIC, 1)}
    world.now += 60
    world.deliver_by(None, world.batch(3, 4, 5))
    assert world.truth.marks[PLACE].since == 3
    world.deliver_by(warm, world.batch(6, 7, 8))
    world.deliver_again(world.batch(6, 7, 8))


@pytest.mark.parametrize("seconds", [0, 10])
def test_two_instances_after_an_upgrade(world: Several, seconds: int) -> None:
    unmarked(world)
    first, second = world.begin(world.batch(3, 4)), world.begin(world.batch(5, 6))
    for delivery in (first, second):
        while delivery.worker.at != "log.append claim":
            world.go(delivery)
    world.finish(second)
    world.finish(first)
    world.now += seconds
    world.deliver_by(first.instance, world.batch(7, 8))
    world.deliver_by(second.instance, world.batch(9, 10))
    world.deliver_again(world.batch(7, 8), world.batch(9, 10))


def test_a_warm_instance_that_read_marks_right_before_another_one_began_a_mark(world: Several) -> None:
    unmarked(world)
    lost = world.batch(3)
    world.topic.compact(lost.records)
    warm = world.deliver_by(None, lost)
    world.deliver_by(None, world.batch(4, 5))
    assert world.truth.marks[PLACE].since == 4
    world.now += 10
    world.deliver_by(warm, world.batch(6, 7))
    world.deliver_again(world.batch(6, 7))


def test_a_mark_with_since_that_moves_between_the_settles_of_the_batch_that_begins_it(world: Several) -> None:
    unmarked(world)
    first, settles = world.begin(world.batch(*range(3, 11))), 0
    while settles < 2:
        world.go(first)
        settles += first.worker.at == "log.append settle"
    assert world.truth.marks[PLACE].since == 3
    world.deliver_by(None, world.batch(12, 13))
    assert world.truth.marks[PLACE].offset == 13
    world.finish(first)
    world.deliver_again(world.batch(*range(3, 11)), world.batch(12, 13))


def test_an_event_that_is_no_record_in_a_batch_after_a_mark_with_since(world: Several) -> None:
    world.spoil(7)
    unmarked(world)
    world.deliver_by(None, world.batch(3, 4, 5))
    world.deliver_by(None, world.batch(6, 7, 8))
    world.deliver_again(world.batch(3, 4, 5), world.batch(6, 7, 8))


def test_no_claim_without_time_after_a_slow_comparison(world: Several, monkeypatch: pytest.MonkeyPatch) -> None:
    compare = world._differing

    def slowly(*arguments: Any) -> frozenset[TopicPartition]:
        world.ticks += 239.0
        return compare(*arguments)

    monkeypatch.setattr(world, "_differing", slowly)
    assert isinstance(world.deliver(world.batch(0, 1, 2)), DeadlineError)
