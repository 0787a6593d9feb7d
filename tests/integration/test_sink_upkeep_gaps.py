"""Gaps are settled after each batch as long as that gets anywhere, and only up to what the group has committed."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import pytest
from confluent_kafka import Consumer, TopicPartition
from msgspec import structs

from fc_powertools import Deadline, Metrics
from kafka_maxcompute.brokers.originals import MemoryOriginals, Original
from kafka_maxcompute.dead_letters.dead_letter import MemoryDeadLetters
from kafka_maxcompute.dead_letters.error_topic import DeliveredRecord, nothing
from kafka_maxcompute.errors import UnavailableError
from kafka_maxcompute.ledger import marks
from kafka_maxcompute.ledger.gaps import MANY
from kafka_maxcompute.ledger.identity import genesis
from kafka_maxcompute.ledger.ledger import LogLedger
from kafka_maxcompute.ledger.memory_log import MemoryLog
from kafka_maxcompute.ledger.operations import Empty, Mark, Snapshot, State, decode, encode
from maxcompute_sink.connections import Connections
from maxcompute_sink.upkeep import GAP_PAUSE_SECONDS, LOOK_SECONDS, Upkeep
from tests.deadlines import soon

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kafka_maxcompute.brokers.originals import Found, Wanted
    from kafka_maxcompute.brokers.status_topic import StatusTopic
    from kafka_maxcompute.offsets import Intervals
    from local_emulator.kafka.embedded import EmbeddedBroker

PLACE = ("orders", 0)
SETTLED = tuple((2 * number, 2 * number) for number in range(MANY + 2))
END = SETTLED[-1][1] + 1
STATE = State(folded=0, generation=1, settled={PLACE: SETTLED})


class Quiet:
    """A status topic of which nothing is wanted."""

    def write(self, *_: object) -> None:
        """Nothing."""


class Counted(MemoryOriginals):
    """A source topic whose readings are counted."""

    readings = 0

    def passed(
        self, wanted: Wanted, deadline: Deadline, *, committed: bool
    ) -> Iterator[tuple[tuple[str, int], int, Original | None]]:
        """As it is."""
        self.readings += 1
        return super().passed(wanted, deadline, committed=committed)


@dataclass
class Sink:
    """An instance's upkeep, with a ledger in memory and a real group."""

    broker: EmbeddedBroker
    originals: Counted = field(default_factory=Counted)
    log: MemoryLog = field(default_factory=MemoryLog)
    now: float = 0.0

    def __post_init__(self) -> None:
        self.broker.create_topic("orders", 1)
        self.properties = {
            "bootstrap.servers": self.broker.bootstrap_servers,
            "group.id": "connect-c",
            "log_level": 0,
        }
        connections = Connections(
            self.properties,
            MemoryDeadLetters(),
            self.originals,
            cast("StatusTopic", Quiet()),
            ledger := LogLedger(self.log),
            lambda: None,
        )
        ledger.append(genesis("c", "p.t", 1, {}), soon())
        ledger.append(Snapshot(state=STATE), soon())
        self.upkeep = Upkeep("c", connections, clock=lambda: self.now)

    def commit(self, offset: int) -> None:
        with closing(Consumer(self.properties)) as consumer:
            consumer.commit(offsets=[TopicPartition(*PLACE, offset)], asynchronous=False)

    def after_batch(self) -> None:
        self.upkeep.after_batch({PLACE: ((0, 0),)}, STATE, Metrics("test"), Deadline.after(60))

    @property
    def settled(self) -> list[Intervals]:
        operations = [decode(record.value or b"") for record in self.log.kept()]
        return [operation.offsets[PLACE] for operation in operations if isinstance(operation, Empty)]


@pytest.fixture
def sink(embedded_kafka: EmbeddedBroker) -> Sink:
    return Sink(embedded_kafka)


def test_gaps_before_what_the_group_has_committed_are_settled_after_a_batch(sink: Sink) -> None:
    sink.commit(101)
    sink.after_batch()
    assert [(found[0], found[-1]) for found in sink.settled] == [((1, 1), (99, 99))]


def test_what_came_of_a_look_decides_when_the_next_one_is(sink: Sink) -> None:
    sink.after_batch()
    assert sink.originals.readings == 0, "the group has committed nothing"
    sink.commit(END)
    sink.now = GAP_PAUSE_SECONDS - 0.1
    sink.after_batch()
    assert sink.originals.readings == 0
    sink.now = GAP_PAUSE_SECONDS
    sink.after_batch()
    assert (sink.originals.readings, len(sink.settled)) == (1, 1)
    sink.after_batch()
    assert sink.originals.readings == 1, "this instance has read all of it"


def test_brokers_that_do_not_answer_are_let_be_and_fail_no_batch(sink: Sink) -> None:
    sink.commit(END)
    sink.broker.stop()
    sink.upkeep.after_batch({PLACE: ((0, 0),)}, STATE, Metrics("test"), Deadline.after(1))
    sink.now = LOOK_SECONDS - 1
    sink.after_batch()
    assert sink.originals.readings == 0


def test_marks_that_can_not_be_read_fail_no_batch_and_are_let_be_for_a_while(
    sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    marked = structs.replace(STATE, marks={PLACE: Mark(0, "d")})
    sink.log.append(b"snapshot", encode(Snapshot(state=structs.replace(marked, folded=1))), soon())
    reads: list[Wanted] = []

    def unanswered(wanted: Wanted, deadline: Deadline) -> Found:  # noqa: ARG001 # it never answers
        reads.append(wanted)
        raise UnavailableError("no answer")

    monkeypatch.setattr(sink.originals, "read", unanswered)
    covered = {PLACE: ((END, END + 9),)}
    for now, asked in ((0.0, 1), (LOOK_SECONDS - 1, 1), (LOOK_SECONDS, 2)):
        sink.now = now
        assert sink.upkeep.later_marks(marked, covered, nothing, soon()) == {}
        assert len(reads) == asked


def test_a_mark_that_begins_is_told_with_the_batch_that_it_was_read_with_and_no_other(sink: Sink) -> None:
    record = Original(key=b"k", value=b"v", timestamp=1)
    sink.originals.log |= {(PLACE, offset): record for offset in range(END, END + 20)}
    first, second = {PLACE: ((END, END + 9),)}, {PLACE: ((END + 10, END + 19),)}

    def known(*_: object) -> DeliveredRecord:
        return DeliveredRecord(record)

    assert sink.upkeep.later_marks(STATE, first, known, soon()) == {
        (1, PLACE): Mark(END + 9, marks.digest(record), END)
    }
    assert sink.upkeep.later_marks(STATE, second, known, soon()) == {}
    sink.now = LOOK_SECONDS
    assert sink.upkeep.later_marks(STATE, second, known, soon())[1, PLACE].since == END + 10
    # Nothing is claimed there, so the first claim marks it.
    sink.now += LOOK_SECONDS
    assert sink.upkeep.later_marks(STATE, {("orders", 1): ((0, 9),)}, known, soon()) == {}


def test_a_mark_that_moves_is_told_with_later_batches_too(sink: Sink) -> None:
    record = Original(key=b"k", value=b"v", timestamp=1)
    marked = structs.replace(STATE, folded=1, marks={PLACE: Mark(0, marks.digest(record), 0)})
    sink.log.append(b"snapshot", encode(Snapshot(state=marked)), soon())
    sink.originals.log |= {(PLACE, offset): record for offset in (0, END)}
    for covered in ({PLACE: ((END, END),)}, {PLACE: ((END + 1, END + 9),)}):
        told = sink.upkeep.later_marks(marked, covered, lambda *_: DeliveredRecord(record), soon())
        assert told == {(1, PLACE): Mark(END, marks.digest(record))}


def test_each_topic_partition_has_its_own_turn(sink: Sink) -> None:
    """The mark of one can be lost by retention while only the other one has batches."""
    other = (PLACE[0], 1)
    record = Original(key=b"k", value=b"v", timestamp=1)
    settled = {PLACE: SETTLED, other: SETTLED}
    marked = structs.replace(STATE, folded=1, settled=settled, marks={at: Mark(0, "lost") for at in settled})
    sink.log.append(b"snapshot", encode(Snapshot(state=marked)), soon())
    for now, place in ((0.0, other), (1.0, PLACE)):
        sink.now = now
        sink.originals.log |= {(place, offset): record for offset in range(END, END + 10)}
        told = sink.upkeep.later_marks(marked, {place: ((END, END + 9),)}, lambda *_: DeliveredRecord(record), soon())
        assert told[1, place] == Mark(END + 9, marks.digest(record), END)
