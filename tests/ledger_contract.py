"""What a ledger has to do wherever its log is; the one in memory and the one in Kafka are held to it alike."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from kafka_maxcompute.errors import LedgerError
from kafka_maxcompute.ledger.ledger import REACH, LogLedger
from kafka_maxcompute.ledger.operations import Release, Settle
from tests.deadlines import soon
from tests.ledger_entries import GENESIS, PLACE, claim, divert

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from fc_powertools import Deadline
    from kafka_maxcompute.ledger.log import Log, LogRecord


class CountedLog:
    """A log that counts what is asked of it."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self.questions = 0
        self.read = 0

    def start(self, deadline: Deadline) -> int:
        self.questions += 1
        return self.log.start(deadline)

    def end(self, deadline: Deadline) -> int:
        self.questions += 1
        return self.log.end(deadline)

    def records(self, start: int, deadline: Deadline) -> tuple[Sequence[LogRecord], int]:
        found, position = self.log.records(start, deadline)
        self.read += len(found)
        return found, position

    def append(self, key: bytes, value: bytes, deadline: Deadline) -> int | None:
        return self.log.append(key, value, deadline)

    def tombstone(self, keys: Iterable[bytes], deadline: Deadline) -> None:
        self.log.tombstone(keys, deadline)


class LedgerContract:
    """Give it one fixture, `connect`: each call gives another way to one and the same new log."""

    @pytest.fixture
    def ledger(self, connect: Callable[[], Log]) -> LogLedger:
        ledger = LogLedger(connect())
        ledger.append(GENESIS, soon())
        return ledger

    def test_an_empty_log_is_refused_and_not_taken_for_an_empty_ledger(self, connect: Callable[[], Log]) -> None:
        with pytest.raises(LedgerError, match=r"expected the ledger to begin with its Genesis, found none.*apply"):
            LogLedger(connect()).read(soon())

    def test_a_genesis_begins_it(self, ledger: LogLedger) -> None:
        state = ledger.read(soon())
        assert (state.generation, state.identity, state.settled, state.pending) == (1, GENESIS.identity, {}, {})

    def test_a_claim_is_accepted_settled_and_stays_so(self, ledger: LogLedger) -> None:
        state = ledger.read(soon(), through=ledger.append(claim("s", 0, 9, timestamp=5), soon()))
        assert set(state.pending) == {"s"}
        assert state.pending["s"].timestamp > 0
        ledger.append(Settle(id="s"), soon())
        state = ledger.read(soon())
        assert (state.settled, state.timestamps, state.pending) == ({PLACE: ((0, 9),)}, {PLACE: 5}, {})

    def test_of_two_that_overlap_the_log_decides_and_all_readers_agree(
        self, ledger: LogLedger, connect: Callable[[], Log]
    ) -> None:
        other = LogLedger(connect())
        assert other.read(soon()) == ledger.read(soon())
        first = other.append(claim("theirs", 5, 14), soon())
        second = ledger.append(claim("mine", 0, 9), soon())
        assert first is not None
        assert second is not None
        assert first < second
        assert set(ledger.read(soon(), through=second).pending) == {"theirs"}
        assert set(other.read(soon(), through=first).pending) == {"theirs"}
        assert LogLedger(connect()).read(soon()) == ledger.read(soon()) == other.read(soon())

    def test_what_others_append_is_in_the_next_read(self, ledger: LogLedger, connect: Callable[[], Log]) -> None:
        other = LogLedger(connect())
        for number in range(5):
            ledger.read(soon())
            other.append(divert(f"d{number}", number, number), soon())
            assert set(ledger.read(soon()).pending) == {f"d{number}"}
            other.append(Release(id=f"d{number}"), soon())

    def test_several_threads_use_one_ledger(self, ledger: LogLedger) -> None:
        def write(number: int) -> bool:
            offset = ledger.append(claim(f"s{number}", 10 * number, 10 * number + 9), soon())
            accepted = f"s{number}" in ledger.read(soon(), through=offset).pending
            ledger.append(Settle(id=f"s{number}"), soon())
            return accepted

        with ThreadPoolExecutor(8) as pool:
            assert all(pool.map(write, range(24)))
        assert ledger.read(soon()).settled == {PLACE: ((0, 239),)}

    def test_a_cold_start_reads_the_tail_only(self, ledger: LogLedger, connect: Callable[[], Log]) -> None:
        self.work(ledger, 600)
        log = CountedLog(connect())
        assert LogLedger(log).read(soon()) == ledger.read(soon())
        assert ledger.read(soon()).settled == {PLACE: ((0, 5_999),)}
        assert log.read <= REACH

    def test_a_batch_asks_for_the_logs_end_once(self, ledger: LogLedger, connect: Callable[[], Log]) -> None:
        log = CountedLog(connect())
        mine = LogLedger(log)
        mine.read(soon())
        for number in range(3):
            log.questions = 0
            mine.read(soon())
            state = mine.read(soon(), through=mine.append(claim(f"s{number}", number, number), soon()))
            assert f"s{number}" in state.pending
            mine.append(Settle(id=f"s{number}"), soon())
            mine.maintain(soon())
            assert log.questions == 1
        assert ledger.read(soon()).settled == {PLACE: ((0, 2),)}

    def test_an_operation_of_a_newer_version_stops(self, ledger: LogLedger, connect: Callable[[], Log]) -> None:
        ledger.read(soon())
        connect().append(b"newer", b'{"v":4,"op":"vote"}', soon())
        for reader in (ledger, ledger, LogLedger(connect())):
            with pytest.raises(LedgerError, match="found version 4"):
                reader.read(soon())

    @staticmethod
    def work(ledger: LogLedger, batches: int) -> None:
        """Claim and settle ten records a batch."""
        for number in range(batches):
            ledger.append(claim(f"s{number}", 10 * number, 10 * number + 9, timestamp=number), soon())
            ledger.append(Settle(id=f"s{number}"), soon())
            if number % 5 == 0:
                ledger.read(soon())
                ledger.maintain(soon())
