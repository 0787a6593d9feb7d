"""Batches of a topic that was created again meanwhile, on brokers without topic ids: none of the new one's is lost."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from kafka_maxcompute.errors import LedgerError
from tests.property.delivery_world import World, patched
from tests.property.interleaving import Fate
from tests.property.source_topic import TOPIC, Kind, batch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.property.source_topic import Batch

pytestmark = [pytest.mark.quick, pytest.mark.usefixtures("silent")]
PLACE = (TOPIC, 0)


class Small(World):
    """A world of one topic-partition whose records all become rows."""

    def __init__(self, *, has_ids: bool = False) -> None:
        super().__init__(1, has_ids=has_ids, replaced=0.0, has_gaps=False, stops=False, is_slow=False)
        self.topic._weights = [1, 0, 0, 0, 0]
        self.topic.produce(0, 20)

    def batch(self, *offsets: int) -> Batch:
        return batch(random.Random(1), [self.topic.log[PLACE, offset] for offset in offsets])  # noqa: S311

    def deliver(self, delivered: Batch, *, looks: bool = False) -> BaseException | None:
        delivery = self.begin(delivered, looks=looks)
        self.finish(delivery)
        self.check()
        return delivery.worker.error

    def deliver_untold(self, delivered: Batch, *, looks: bool = False, warm: bool = False) -> BaseException | None:
        """Deliver a batch while the brokers don't report ids."""
        delivery = self.begin(delivered, looks=looks, warm=warm)
        while not delivery.worker.ended:
            self.go(delivery, Fate.UNTOLD if delivery.worker.at == "topic.ids" else Fate.DONE)
        return delivery.worker.error

    def recreate(self) -> None:
        """The same times again, by which no record is told from one of before."""
        self.topic.recreate(same_times=True)
        self.topic.produce(0, 20)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[Small]:
    worlds: list[World] = []
    patched(monkeypatch, worlds)
    made = Small(has_ids=getattr(request, "param", False))
    worlds.append(made)
    yield made
    made.close()


with_ids = pytest.mark.parametrize("world", [True], indirect=True)
"""Of brokers that report the ids of topics, as far as they answer."""


def unmarked(world: Small) -> None:
    """An earlier release has claimed the first records."""
    world.log.has_marks = False
    assert world.deliver(world.batch(0, 1, 2)) is None
    world.log.has_marks = True


def test_one_that_is_claimed_after_a_mark_began(world: Small) -> None:
    unmarked(world)
    under_way = world.batch(8, 9, 10)
    world.recreate()
    assert world.deliver(world.batch(3, 4, 5), looks=True) is None
    assert world.truth.marks[PLACE].since == 3
    assert world.deliver(under_way) is None
    assert isinstance(world.deliver(world.batch(8, 9, 10)), LedgerError)
    # What is claimed behind it is known again.
    assert world.deliver(world.batch(11, 12)) is None
    assert world.deliver(world.batch(11, 12, 13)) is None


def test_each_batch_of_the_same_topic_is_vouched_for(world: Small) -> None:
    unmarked(world)
    assert world.deliver(world.batch(3, 4, 5), looks=True) is None
    assert world.deliver(world.batch(9, 10)) is None
    assert world.deliver(world.batch(6, 7, 8)) is None
    assert world.deliver(world.batch(*range(3, 12))) is None


def test_one_that_comes_again_after_all_that_was_claimed_is_deleted(world: Small) -> None:
    assert world.deliver(world.batch(0, 1, 2)) is None
    world.recreate()
    under_way = world.batch(0, 1, 2)
    assert isinstance(world.deliver(under_way), LedgerError)
    world.topic.truncate(0, 8)
    assert world.deliver(world.batch(8, 9), looks=True) is None
    assert isinstance(world.deliver(under_way), LedgerError)
    assert world.deliver(world.batch(8, 9, 10)) is None


def test_one_that_is_pending_as_the_first_mark_begins(world: Small) -> None:
    under_way = world.batch(0, 1, 2)
    world.recreate()
    held = world.begin(under_way)
    while held.worker.at != "log.append settle":
        world.go(held)
    assert world.deliver(world.batch(5, 6)) is None
    world.finish(held)
    assert isinstance(world.deliver(world.batch(0, 1, 2)), LedgerError)


@pytest.mark.parametrize("looks", [False, True])
def test_one_that_is_claimed_after_the_first_claim_of_the_new_topic(world: Small, looks: bool) -> None:
    under_way = world.batch(8, 9, 10)
    world.recreate()
    assert world.deliver(world.batch(0, 1, 2)) is None
    assert world.truth.marks[PLACE].since == 0
    assert world.deliver(under_way, looks=looks) is None
    assert isinstance(world.deliver(world.batch(8, 9, 10)), LedgerError)
    # What is claimed behind it is known again.
    assert world.deliver(world.batch(11, 12), looks=looks) is None
    assert world.deliver(world.batch(11, 12, 13), looks=looks) is None


def test_one_that_has_records_of_both(world: Small) -> None:
    old = world.batch(8, 9, 10)
    world.recreate()
    assert world.deliver(world.batch(0, 1, 2)) is None
    both = batch(random.Random(1), [*old.records, *world.batch(11, 12).records])  # noqa: S311
    assert world.deliver(both) is None
    assert isinstance(world.deliver(world.batch(8, 9, 10)), LedgerError)


def test_one_that_is_claimed_after_a_reset(world: Small) -> None:
    assert world.deliver(world.batch(0, 1, 2)) is None
    under_way = world.batch(8, 9, 10)
    world.recreate()
    operator = world.reset({PLACE: 0})
    while not operator.ended:
        world.operate(operator)
    assert world.deliver(world.batch(0, 1, 2)) is None
    assert world.deliver(under_way) is None
    assert isinstance(world.deliver(world.batch(8, 9, 10)), LedgerError)


def test_each_batch_after_the_first_claim_of_a_topic_is_vouched_for(world: Small) -> None:
    assert world.deliver(world.batch(0, 1, 2)) is None
    assert world.deliver(world.batch(3, 4, 5)) is None
    assert world.deliver(world.batch(9, 10), looks=True) is None
    assert world.deliver(world.batch(6, 7, 8)) is None
    assert world.deliver(world.batch(*range(12))) is None


@pytest.mark.parametrize("is_timed", [False, True])
def test_one_with_nothing_but_an_event_that_is_no_record(world: Small, *, is_timed: bool) -> None:
    world.topic.log[PLACE, 8] = replace(world.topic.log[PLACE, 8], kind=Kind.BAD, flaw="value")
    under_way = world.batch(8)
    if not is_timed:
        (event,) = json.loads(under_way.payload)
        del event["data"]["timestamp"]
        under_way = replace(under_way, payload=json.dumps([event]).encode())
    world.recreate()
    assert world.deliver(world.batch(0, 1, 2)) is None
    assert world.deliver(under_way) is None
    assert isinstance(world.deliver(world.batch(8, 9)), LedgerError)


@pytest.mark.parametrize("is_first", [False, True])
def test_an_event_that_is_no_record_is_vouched_for(world: Small, *, is_first: bool) -> None:
    world.topic.log[PLACE, 8] = replace(world.topic.log[PLACE, 8], kind=Kind.BAD, flaw="value")
    if not is_first:
        assert world.deliver(world.batch(0, 1, 2)) is None
    for _ in range(2):
        assert world.deliver(world.batch(8)) is None
        assert world.deliver(world.batch(9, 10)) is None
    assert len(world.letters) == 1


@with_ids
def test_one_that_is_claimed_after_the_first_claim_of_a_topic_with_another_id(world: Small) -> None:
    under_way = world.batch(8, 9, 10)
    world.recreate()
    assert world.deliver(world.batch(0, 1, 2)) is None
    assert world.deliver(under_way) is None
    assert isinstance(world.deliver_untold(world.batch(8, 9, 10)), LedgerError)
    assert isinstance(world.deliver(world.batch(8, 9, 10)), LedgerError)


@with_ids
def test_a_mark_stands_for_an_id_that_is_not_reported_only_if_it_was_when_the_mark_began(world: Small) -> None:
    assert world.deliver(world.batch(0, 1, 2)) is None
    assert world.deliver_untold(world.batch(0, 1, 2)) is None
    assert world.truth.marks.keys() == {PLACE}


@with_ids
def test_no_mark_begins_while_the_id_is_not_reported(world: Small) -> None:
    assert world.deliver_untold(world.batch(0, 1, 2)) is None
    assert world.truth.marks == {}
    assert isinstance(world.deliver_untold(world.batch(0, 1, 2)), LedgerError)
    assert world.deliver(world.batch(0, 1, 2)) is None


@with_ids
def test_no_mark_with_since_begins_while_the_id_is_not_reported(world: Small) -> None:
    unmarked(world)
    assert world.deliver_untold(world.batch(3, 4), looks=True) is None
    assert world.truth.marks == {}
    assert world.deliver(world.batch(5, 6), looks=True) is None
    assert world.truth.marks[PLACE].since == 5


@with_ids
def test_one_that_an_instance_claims_that_knows_nothing_of_the_new_topic(world: Small) -> None:
    assert world.deliver(world.batch(0, 1, 2)) is None
    warm = list(world.idle)
    under_way = world.batch(10, 11)
    world.recreate()
    world.topic.truncate(0, 8)
    assert world.deliver_untold(world.batch(8, 9), looks=True) is None
    world.idle[:] = warm
    assert world.deliver_untold(under_way, warm=True) is None
    assert isinstance(world.deliver_untold(world.batch(10, 11)), LedgerError)
    world.check()
