"""The faults that block a reset: each by itself, and all together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from kafka_maxcompute.errors import RefusedError
from kafka_maxcompute.ledger.ledger import LogLedger
from kafka_maxcompute.ledger.memory_log import MemoryLog
from kafka_maxcompute.ledger.operations import Claim, Genesis, Identity, Mark, Pending, Reset, Settle, State
from provisioning.reset import ResetFacts, obstacles
from provisioning.resources.ledger import begin
from tests.deadlines import soon

if TYPE_CHECKING:
    from kafka_maxcompute.offsets import Intervals, TopicPartition

pytestmark = pytest.mark.quick

TOPIC = "orders-in"
NOW = Identity(connector="orders", table="p.t", table_created=1, topics={TOPIC: "one"})
CLAIM = Claim(id="s", partition_value="x", blocks=(0,), rows=1, offsets={(TOPIC, 0): ((0, 9),)}, generation=1)
SETTLED: dict[TopicPartition, Intervals] = {(TOPIC, 0): ((0, 4),), (TOPIC, 1): ((0, 9),)}
BEGUN = State(folded=3, generation=1, identity=NOW, settled=SETTLED)


def faults(**changes: Any) -> list[str]:
    sound: dict[str, Any] = {
        "starts": {0: 2},
        "logs": {0: (0, 10), 1: (0, 10)},
        "committed": {0: 5, 1: 10},
        "now": NOW,
        "running": False,
        "state": BEGUN,
    }
    return list(obstacles(TOPIC, ResetFacts(**(sound | changes))))


def test_nothing_stands_against_a_sound_one() -> None:
    assert faults() == []
    assert faults(state=None) == []  # at least once: there's no ledger
    assert faults(starts={0: 10, 1: 0}) == []


def test_a_group_alone_is_moved_if_there_is_a_ledger_to_drop_its_records() -> None:
    pending = State(folded=3, generation=1, identity=NOW, pending={"s": Pending(CLAIM, 0)})
    assert faults(keep_settled=True, state=pending, now=replace(NOW, table_created=2)) == []
    (fault,) = faults(keep_settled=True, state=None)
    assert "keep_settled: expected a ledger that drops settled records, found none" in fault
    (fault,) = faults(keep_settled=True, state=None, lost="its topic is gone")
    assert "found one that can't be relied on (its topic is gone)" in fault
    assert faults(keep_settled=True, running=True) == ["the stream is running; pause it first"]
    assert "ends at 10, before 11" in faults(keep_settled=True, starts={0: 11})[0]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"running": True}, "the stream is running; pause it first"),
        ({"starts": {2: 0}}, "start: orders-in has no topic-partition 2; it has 2"),
        ({"starts": {0: 11}}, "start: orders-in-0 ends at 10, before 11"),
        (
            {"starts": {0: 3}, "logs": {0: (4, 10), 1: (0, 10)}},
            "start: orders-in-0 begins at 4, after 3; set it to 4 or later",
        ),
        (
            {"state": State(folded=3, generation=1, identity=NOW, pending={"s": Pending(CLAIM, 0)})},
            "claims are pending: s; call status, which completes them",
        ),
        (
            {"state": None, "lost": "no Genesis"},
            "can't be relied on (no Genesis), so name every topic-partition; 1 are",
        ),
        ({"logs": {0: (0, 10), 1: (0, 3)}}, "name these topic-partitions as well: "),
        (
            {"now": Identity(connector="orders", table="p.t", table_created=1, topics={TOPIC: "two"})},
            "name these topic-partitions as well: topic orders-in: expected the topic with id ",
        ),
    ],
)
def test_each_reason(changes: dict[str, Any], told: str) -> None:
    (fault,) = faults(**changes)
    assert told in fault


WITHOUT_ID = Identity(connector="orders", table="p.t", table_created=1)
UNPROVEN = replace(BEGUN, identity=WITHOUT_ID)


def test_what_is_not_named_has_to_be_proven_or_vouched_for() -> None:
    unproven = {"state": UNPROVEN, "now": WITHOUT_ID}
    (fault,) = faults(**unproven)
    assert "orders-in-1: expected the topic's id, but the ledger has none" in fault
    assert "give same_topic; else name every topic-partition" in fault
    assert faults(**unproven, same_topic=True) == []
    assert faults(**unproven, same_topic=True, starts={}) == []
    marked = replace(UNPROVEN, marks={(TOPIC, 1): Mark(9, "d")})
    assert faults(state=marked, now=WITHOUT_ID, marked={(TOPIC, 1): "d"}) == []
    # The id that the brokers didn't tell now.
    assert len(faults(now=WITHOUT_ID)) == 1


def test_nobody_can_vouch_for_what_is_another_topic_or_table() -> None:
    another = {(TOPIC, 1): "other"}
    (fault,) = faults(state=replace(UNPROVEN, marks={(TOPIC, 1): Mark(9, "d")}), marked=another, same_topic=True)
    assert "orders-in-1: expected the record at offset 9 that the ledger has marked, found another" in fault
    (fault,) = faults(now=replace(NOW, table_created=2), starts={}, same_topic=True)
    assert "table p.t: expected the one created at 1 (epoch ms), found 2; name the topic-partitions" in fault
    assert faults(now=replace(NOW, table_created=2), same_topic=True) == []
    (fault,) = faults(now=replace(NOW, table_created=0))
    assert "expected its creation time from MaxCompute, found none" in fault
    (fault,) = faults(state=None, starts={}, same_topic=True)
    assert "same_topic: expected a ledger to go on with, found none" in fault


def test_all_reasons_at_once() -> None:
    pending = State(folded=3, generation=1, identity=NOW, settled=SETTLED, pending={"s": Pending(CLAIM, 0)})
    found = faults(running=True, starts={0: 99, 5: 0}, state=pending, logs={0: (0, 10), 1: (0, 3)})
    assert len(found) == 5


@pytest.mark.parametrize("lost", ["", "no Genesis"])
def test_naming_every_topic_partition_is_enough(lost: str) -> None:
    again = Identity(connector="orders", table="p.t", table_created=1, topics={TOPIC: "two"})
    assert faults(starts={0: 0, 1: 0}, now=again, state=None if lost else BEGUN, lost=lost) == []


def test_a_generation_that_a_claim_came_before_has_not_begun() -> None:
    ledger = LogLedger(MemoryLog())
    ledger.append(Genesis(identity=NOW), soon())
    ledger.append(CLAIM, soon())  # by an instance, after the look at what is pending
    begun = Reset(id="r", generation=2, identity=NOW, starts={(TOPIC, 0): 3})
    with pytest.raises(RefusedError, match="a claim was appended to the ledger meanwhile; pause the stream"):
        begin(ledger, begun, "r", soon())
    ledger.append(Settle(id="s"), soon())
    assert begin(ledger, begun, "r", soon()).generation == 2
