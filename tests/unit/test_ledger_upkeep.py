"""How a ledger keeps its log short, and what it asks of its log: neither more often, nor more of it, than it has to."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from kafka_maxcompute.errors import LedgerError, UnavailableError
from kafka_maxcompute.ledger import ledger as ledger_module
from kafka_maxcompute.ledger.ledger import LogLedger
from kafka_maxcompute.ledger.memory_log import MemoryLog
from kafka_maxcompute.ledger.operations import Claim, Divert, Empty, Operation, Settle, Snapshot, decode, encode
from tests.deadlines import soon
from tests.ledger_contract import CountedLog
from tests.ledger_entries import GENESIS, NOW, PLACE, claim
from tests.sink_delivery import Hooked, Timed

if TYPE_CHECKING:
    from kafka_maxcompute.ledger.operations import Operation
    from kafka_maxcompute.offsets import Intervals, TopicPartition

pytestmark = pytest.mark.quick

THREE: dict[TopicPartition, Intervals] = {PLACE: ((0, 0), (2, 2), (4, 4))}
TWO: dict[TopicPartition, Intervals] = {("returns", 0): ((0, 0),), ("returns", 1): ((3, 5),)}


@pytest.fixture
def log() -> MemoryLog:
    return MemoryLog(lambda: NOW / 1_000, chunk=1)


def begun(log: MemoryLog, *operations: Operation, **settings: int) -> LogLedger:
    ledger = LogLedger(Timed(log), **settings)
    for operation in (GENESIS, *operations):
        ledger.append(operation, soon())
    return ledger


def snapshots(log: MemoryLog) -> int:
    return sum(record.key.startswith(b"snapshot") and record.value is not None for record in log.kept())


def upkept(ledger: LogLedger, log: MemoryLog) -> int:
    """How many snapshots there are after an upkeep."""
    ledger.read(soon())
    ledger.maintain(soon())
    return snapshots(log)


def test_a_snapshot_is_due_after_so_many_operations_and_no_earlier(log: MemoryLog) -> None:
    ledger = begun(log, claim("s", 0, 9), Settle(id="s"), snapshot_every=4)
    assert upkept(ledger, log) == 0
    ledger.append(claim("t", 10, 19), soon())
    assert upkept(ledger, log) == 1
    # The snapshot itself lies behind what it covers.
    for id_ in ("t", "u"):
        ledger.append(Settle(id=id_), soon())
        assert upkept(ledger, log) == 1
    ledger.append(claim("v", 20, 29), soon())
    assert upkept(ledger, log) == 2


@pytest.mark.parametrize(
    ("operation", "intervals"),
    [
        (Claim(id="s", partition_value="", blocks=(0,), rows=3, offsets=THREE, generation=1), 3),
        (Divert(id="s", offsets=TWO, reasons={"x": TWO}, generation=1), 2),
        (Empty(offsets={**THREE, **TWO}, generation=1), 5),
    ],
)
def test_a_snapshot_is_due_after_so_many_intervals_and_no_earlier(
    log: MemoryLog, operation: Operation, intervals: int
) -> None:
    ledger = begun(log, Settle(id="none"), operation, snapshot_intervals=2 * intervals)
    assert upkept(ledger, log) == 0
    ledger.append(operation, soon())
    assert upkept(ledger, log) == 1
    ledger.append(operation, soon())
    assert upkept(ledger, log) == 1
    ledger.append(operation, soon())
    assert upkept(ledger, log) == 2


def test_what_another_instance_has_shortened_meanwhile_is_not_due(log: MemoryLog) -> None:
    ledger, other = begun(log, claim("s", 0, 9), snapshot_every=2), LogLedger(log, snapshot_every=2)
    ledger.read(soon())
    assert upkept(other, log) == 1
    ledger.maintain(soon())
    assert snapshots(log) == 1


def test_nothing_is_due_before_anything_was_read(log: MemoryLog) -> None:
    ledger = begun(log, claim("s", 0, 9), snapshot_every=1)
    ledger.maintain(soon())
    assert snapshots(log) == 0


def test_how_large_a_state_may_be(caplog: pytest.LogCaptureFixture) -> None:
    """It's warned of above half of what is written, and isn't written above all of it."""

    def written(largest: int) -> int:
        log = MemoryLog(lambda: NOW / 1_000)
        caplog.clear()
        return upkept(begun(log, claim("s", 0, 9), snapshot_every=2, largest_bytes=largest), log)

    caplog.set_level(logging.WARNING)
    size = len(encode(Snapshot(state=begun(MemoryLog(lambda: NOW / 1_000), claim("s", 0, 9)).read(soon()))))
    assert (written(2 * size), caplog.text) == (1, "")
    for largest, count in ((2 * size - 1, 1), (size, 1), (size - 1, 0)):
        assert written(largest) == count
        assert f"takes {size} bytes; above {largest} bytes its log" in caplog.text


def test_an_upkeep_asks_for_the_logs_end_once(log: MemoryLog) -> None:
    counted = CountedLog(log)
    ledger = LogLedger(counted, snapshot_every=2)
    for operation in (GENESIS, claim("s", 0, 9)):
        ledger.append(operation, soon())
    ledger.read(soon())
    counted.questions = 0
    ledger.maintain(soon())
    assert (snapshots(log), counted.questions) == (1, 1)


def test_a_cold_start_doubles_its_reach_and_reads_no_more(log: MemoryLog, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = begun(log, *(Settle(id=f"none-{number}") for number in range(40)))
    ledger.append(Snapshot(state=ledger.read(soon())), soon())
    for number in range(6):
        ledger.append(claim(f"s{number}", number, number), soon())
    monkeypatch.setattr(ledger_module, "REACH", 4)
    counted = CountedLog(log)
    assert LogLedger(counted).read(soon()) == ledger.read(soon())
    assert counted.read == 8


def test_a_warm_reader_decodes_a_snapshot_once(log: MemoryLog, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger, other = begun(log), LogLedger(log)
    other.read(soon())
    state = ledger.read(soon(), through=ledger.append(claim("s", 0, 9), soon()))
    ledger.append(Snapshot(state=state), soon())
    decoded: list[bytes] = []

    def noted(value: bytes) -> Operation:
        decoded.append(value)
        return decode(value)

    monkeypatch.setattr(ledger_module, "decode", noted)
    assert other.read(soon()).pending == state.pending
    assert decoded == [encode(Snapshot(state=state))]


def test_a_snapshot_of_nothing_but_the_genesis_is_a_beginning(log: MemoryLog) -> None:
    ledger = begun(log)
    state = ledger.read(soon())
    assert state.folded == 0
    ledger.append(Snapshot(state=state), soon())
    log.delete_before(1)
    assert LogLedger(log).read(soon()).identity == GENESIS.identity


def test_a_reader_that_cannot_read_anew_tries_again_and_says_why(
    log: MemoryLog, caplog: pytest.LogCaptureFixture
) -> None:
    ledger, other = begun(log), LogLedger(log)
    other.read(soon())
    log.elect()
    ledger.append(claim("s", 0, 9), soon())

    def gone(*_: object) -> None:
        raise UnavailableError("the brokers are gone")

    other._log = Hooked(log, {"start": gone})  # the attack
    with pytest.raises(UnavailableError, match="the brokers are gone"):
        other.read(soon())
    assert "the ledger is read again: the log has another leader" in caplog.text
    other._log = log
    assert set(other.read(soon()).pending) == {"s"}


def test_operations_before_a_genesis_do_not_make_it_another_log(
    log: MemoryLog, caplog: pytest.LogCaptureFixture
) -> None:
    ledger = LogLedger(log)
    for _ in range(2):
        with pytest.raises(LedgerError, match="found none"):
            ledger.read(soon())
        ledger.append(Settle(id="s"), soon())
    assert caplog.text == ""
