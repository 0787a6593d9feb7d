"""Gaps are proven empty as fast as batches of a compacted topic make new ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

from fc_powertools import Deadline, Metrics
from kafka_maxcompute.dead_letters import MemoryDeadLetters
from kafka_maxcompute.ledger.ledger import LogLedger
from kafka_maxcompute.ledger.memory_log import MemoryLog
from kafka_maxcompute.ledger.operations import Empty, State, decode
from kafka_maxcompute.originals import MemoryOriginals, Original
from maxcompute_sink.connections import Connections
from maxcompute_sink.upkeep import PRESSING, Upkeep

if TYPE_CHECKING:
    from kafka_maxcompute.originals import Found, Wanted
    from kafka_maxcompute.status_topic import StatusTopic
    from local_emulator.kafka.embedded import EmbeddedBroker

PLACE = ("orders", 0)


class Quiet:
    """A status topic of which nothing is wanted."""

    def write(self, *_: object) -> None:
        """Nothing."""


class Counted(MemoryOriginals):
    """A source topic whose readings are counted."""

    readings = 0

    def read(self, wanted: Wanted, deadline: Deadline) -> Found:
        """As it is."""
        self.readings += 1
        return super().read(wanted, deadline)


@pytest.mark.parametrize(
    ("gaps", "filled", "looks", "settled"),
    [(PRESSING // 2, False, 1, 1), (PRESSING + 1, False, 3, 3), (PRESSING + 1, True, 1, 0)],
)
def test_many_gaps_do_not_wait(
    embedded_kafka: EmbeddedBroker, gaps: int, looks: int, settled: int, *, filled: bool
) -> None:
    embedded_kafka.create_topic("orders", 1)
    there = {(PLACE, 2 * number + 1): Original(key=None, value=None) for number in range(gaps if filled else 0)}
    originals = Counted(there)
    configuration = {"bootstrap.servers": embedded_kafka.bootstrap_servers, "log_level": 0}
    log = MemoryLog()
    connections = Connections(
        configuration,
        MemoryDeadLetters(),
        originals,
        cast("StatusTopic", Quiet()),
        LogLedger(log),
        lambda: None,
    )
    state = State(generation=1, settled={PLACE: tuple((2 * number, 2 * number) for number in range(gaps + 1))})
    upkeep = Upkeep("c", connections, clock=lambda: 0.0)
    for _ in range(3):
        upkeep.after_batch({PLACE: ((0, 0),)}, state, Metrics("test"), Deadline.after(60))
    kept = [decode(record.value or b"") for record in log.kept()]
    assert [type(operation) for operation in kept] == [Empty] * settled
    assert originals.readings == looks
