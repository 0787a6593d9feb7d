"""The ledger over a log in memory: the contract, and what the log itself does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kafka_maxcompute.errors import UnavailableError
from kafka_maxcompute.ledger.log import PositionLostError
from kafka_maxcompute.ledger.memory_log import MemoryLog
from tests.deadlines import soon
from tests.ledger_contract import LedgerContract

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.quick


class TestMemory(LedgerContract):
    @pytest.fixture
    def connect(self) -> Callable[[], MemoryLog]:
        log = MemoryLog()
        return lambda: log


@pytest.fixture
def log() -> MemoryLog:
    log = MemoryLog(lambda: 1_605_594_000.5, chunk=2)
    for key in (b"a", b"b", b"a", b"c"):
        log.append(key, key, soon())
    return log


def test_records_come_in_chunks_with_the_brokers_time(log: MemoryLog) -> None:
    found, position = log.records(1, soon())
    assert [(record.offset, record.key) for record in found] == [(1, b"b"), (2, b"a")]
    assert position == 3
    assert found[0].timestamp == 1_605_594_000_500


def test_compaction_keeps_the_last_of_each_key_and_the_offsets(log: MemoryLog) -> None:
    log.tombstone([b"b"], soon())
    log.compact()
    assert [(record.offset, record.value) for record in log.kept()] == [(2, b"a"), (3, b"c"), (4, None)]
    log.compact(tombstones=True)
    assert [record.offset for record in log.kept()] == [2, 3]
    assert (log.start(soon()), log.end(soon())) == (0, 5)
    assert log.records(4, soon()) == ([], 5)


def test_compaction_before_an_offset_leaves_what_comes_from_there_on(log: MemoryLog) -> None:
    log.append(b"b", b"b", soon())
    log.append(b"a", b"a", soon())
    log.compact(before=2)
    assert [(record.offset, record.key) for record in log.kept()] == [(2, b"a"), (3, b"c"), (4, b"b"), (5, b"a")]


def test_a_record_tells_which_leader_it_was_written_by(log: MemoryLog) -> None:
    """Kafka's epochs begin at 0; an unclean election is one of the log's, too."""
    for change in (log.elect, log.elect, lambda: log.truncate(6), lambda: log.truncate(7)):
        change()
        log.append(b"d", b"d", soon())
    assert [record.epoch for record in log.kept()] == [0, 0, 0, 0, 1, 2, 3, 4]


def test_nothing_comes_from_outside_the_log(log: MemoryLog) -> None:
    log.delete_before(2)
    with pytest.raises(PositionLostError, match="expected log offset 1 in 2 to 4"):
        log.records(1, soon())
    with pytest.raises(UnavailableError, match="the log's end"):
        log.records(4, soon())
    log.truncate(3)
    assert (log.start(soon()), log.end(soon())) == (2, 3)
    with pytest.raises(PositionLostError):
        log.records(4, soon())
