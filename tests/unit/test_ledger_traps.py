"""The traps that were found by attacking the ledger's design, each as a test of the code that reads and writes its log.

The log is in memory and is attacked while it's read. What a delivery has to do about traps 6 and 9 (checks before
settled records are dropped; rolling forward what nobody delivers again) is tested with deliveries; trap 8, gaps between
offsets, has a file of its own.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from kafka_maxcompute.errors import LedgerError, UnavailableError
from kafka_maxcompute.ledger import ledger as ledger_module
from kafka_maxcompute.ledger.identity import new_beginning
from kafka_maxcompute.ledger.ledger import LogLedger
from kafka_maxcompute.ledger.memory_log import MemoryLog
from kafka_maxcompute.ledger.operations import Release, Settle, Snapshot, decode, encode
from tests.deadlines import soon
from tests.ledger_contract import CountedLog, LedgerContract
from tests.ledger_entries import GENESIS, NOW, PLACE, claim, folded
from tests.sink_delivery import Timed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fc_powertools import Deadline
    from kafka_maxcompute.ledger.log import LogRecord

pytestmark = pytest.mark.quick

NO_STATE = b'{"v":2,"op":"snapshot","state":{"folded":1000000,"pending":7}}'
"""It begins as a snapshot of more than all there is."""


class AttackedLog(CountedLog):
    """Calls an attack once, after so many reads."""

    def __init__(self, log: MemoryLog, after: int, attack: Callable[[], object]) -> None:
        super().__init__(log)
        self.after, self.attack = after, attack

    def records(self, start: int, deadline: Deadline) -> tuple[Sequence[LogRecord], int]:
        found = super().records(start, deadline)
        self.after -= 1
        if self.after == 0:
            self.attack()
        return found


@pytest.fixture
def log() -> MemoryLog:
    return MemoryLog(lambda: NOW / 1_000, chunk=1)


@pytest.fixture
def ledger(log: MemoryLog) -> LogLedger:
    ledger = LogLedger(Timed(log), snapshot_every=5)
    ledger.append(GENESIS, soon())
    return ledger


def claimed(ledger: LogLedger, *numbers: int) -> None:
    for number in numbers:
        ledger.append(claim(f"s{number}", number, number), soon())
        ledger.append(Settle(id=f"s{number}"), soon())


def shorten(ledger: LogLedger, log: MemoryLog, *, before: int | None = None) -> None:
    """A snapshot, tombstones, and compaction at once, of a part only if so wanted."""
    ledger.read(soon())
    ledger.maintain(soon())
    log.compact(tombstones=True, before=before)


class TestTrap1CompactionWhileReading:
    @pytest.mark.parametrize("before", [None, 4, 5, 6])
    @pytest.mark.parametrize("after", range(1, 7))
    def test_a_cold_reader_meets_a_hole(
        self, log: MemoryLog, ledger: LogLedger, after: int, before: int | None
    ) -> None:
        claimed(ledger, 0, 1, 2)
        whole = ledger.read(soon())

        def attack() -> None:
            claimed(ledger, 3)
            shorten(ledger, log, before=before)

        state = LogLedger(Timed(AttackedLog(log, after, attack))).read(soon())
        assert state in (whole, ledger.read(soon()))
        assert before is not None or state != whole

    @pytest.mark.parametrize("before", [None, 4, 5, 6])
    @pytest.mark.parametrize("after", range(1, 6))
    def test_a_warm_reader_meets_a_hole(
        self, log: MemoryLog, ledger: LogLedger, after: int, before: int | None
    ) -> None:
        attacked = AttackedLog(log, 0, lambda: None)
        warm = LogLedger(Timed(attacked))
        warm.read(soon())
        claimed(ledger, 0, 1, 2)
        whole = ledger.read(soon())

        def attack() -> None:
            claimed(ledger, 3)
            shorten(ledger, log, before=before)

        attacked.after, attacked.attack = after, attack
        state = warm.read(soon())
        assert state in (whole, ledger.read(soon()))
        assert before is not None or state != whole

    def test_ones_own_append_is_no_end_where_something_is_missing(self, log: MemoryLog, ledger: LogLedger) -> None:
        warm = LogLedger(log)
        warm.read(soon())
        claimed(ledger, 0, 1, 2)
        mine = warm.append(claim("mine", 2, 2), soon())
        shorten(ledger, log)
        state = warm.read(soon(), through=mine)
        assert (state.settled, state.pending) == ({PLACE: ((0, 2),)}, {})


class TestTrap2ASlowSnapshotReplacesTooMuch:
    def test_what_lies_between_the_cover_and_the_snapshot_counts(self, log: MemoryLog, ledger: LogLedger) -> None:
        old = ledger.read(soon())
        ledger.append(claim("s", 0, 9), soon())
        ledger.append(Snapshot(state=old), soon())
        for reader in (ledger, LogLedger(log)):
            assert set(reader.read(soon()).pending) == {"s"}

    def test_a_snapshot_with_a_lower_cover_is_ignored(self, log: MemoryLog, ledger: LogLedger) -> None:
        old = ledger.read(soon())
        claimed(ledger, 0, 1, 2)
        shorten(ledger, log)
        ledger.append(Snapshot(state=old), soon())
        for reader in (ledger, LogLedger(log)):
            assert reader.read(soon()).settled == {PLACE: ((0, 2),)}

    def test_the_slower_of_two_snapshots_writes_no_tombstones(self, log: MemoryLog, ledger: LogLedger) -> None:
        other = LogLedger(log, snapshot_every=5)
        claimed(ledger, 0, 1, 2)
        state = other.read(soon())
        ledger.read(soon())
        ledger._log = AttackedLog(log, 1, lambda: other._shorten(state, soon()))  # between snapshot and tombstones
        ledger.maintain(soon())
        assert sum(record.value is None for record in log.kept()) == 7
        assert [record.key.partition(b"-")[0] for record in log.kept()[7:9]] == [b"snapshot", b"snapshot"]


class TestTrap3EveryAppendHasItsOwnKey:
    def test_the_same_operation_twice_has_two_keys(self, log: MemoryLog, ledger: LogLedger) -> None:
        for _ in range(3):
            ledger.append(claim("s", 0, 9), soon())
        keys = [record.key for record in log.kept()]
        assert len(set(keys)) == len(keys) == 4

    def test_compaction_keeps_the_order_of_what_is_sent_again(self, log: MemoryLog, ledger: LogLedger) -> None:
        for id_ in ("mine", "theirs", "mine"):
            ledger.append(claim(id_, 0, 9), soon())
        before = ledger.read(soon())
        log.compact()
        assert set(before.pending) == {"mine"}
        assert LogLedger(log).read(soon()) == before

    def test_an_append_whose_answer_is_lost_is_not_sent_again(self, log: MemoryLog) -> None:
        """The same operation again, under the same key, would let compaction move it behind another's."""

        class Answerless(CountedLog):
            def append(self, key: bytes, value: bytes, deadline: Deadline) -> int | None:
                super().append(key, value, deadline)
                raise UnavailableError("no answer")

        with pytest.raises(UnavailableError, match="no answer"):
            LogLedger(Answerless(log)).append(GENESIS, soon())
        assert len(log.kept()) == 1


class TestTrap4OnlyTheStateDecides:
    def test_a_claim_that_was_refused_can_be_accepted_later(self, log: MemoryLog, ledger: LogLedger) -> None:
        ledger.append(claim("first", 0, 9), soon())
        ledger.append(claim("again", 0, 9), soon())
        assert set(ledger.read(soon()).pending) == {"first"}
        ledger.append(Release(id="first"), soon())
        ledger.append(claim("again", 0, 9), soon())
        assert set(ledger.read(soon()).pending) == {"again"}
        shorten(ledger, log)
        assert LogLedger(log).read(soon()).pending == ledger.read(soon()).pending


class TestTrap5TombstonesTooEarly:
    def test_only_what_the_snapshot_in_force_covers(self, log: MemoryLog, ledger: LogLedger) -> None:
        claimed(ledger, 0, 1, 2)
        ledger.read(soon())
        late: list[bytes] = []
        appended = log.append

        def append_behind(key: bytes, value: bytes | None, deadline: Deadline) -> int:
            # Somebody else's claim comes between the fold and its snapshot.
            if key.startswith(b"snapshot") and not late:
                late.append(b"claim-late")
                appended(b"claim-late", encode(claim("late", 9, 9)), deadline)
            return appended(key, value, deadline)

        log.append = append_behind  # type: ignore[method-assign] # the attack
        shorten(ledger, log)
        assert {record.key for record in log.kept() if record.value} >= {b"claim-late"}
        assert set(LogLedger(log).read(soon()).pending) == {"late"}

    def test_none_where_the_snapshot_isnt_read_back(
        self, log: MemoryLog, ledger: LogLedger, caplog: pytest.LogCaptureFixture
    ) -> None:
        def attack() -> None:
            raise UnavailableError("the brokers are gone")

        claimed(ledger, 0, 1, 2)
        ledger.read(soon())
        ledger._log = AttackedLog(log, 1, attack)
        ledger.maintain(soon())
        assert "the ledger's log isn't shortened now: the brokers are gone" in caplog.text
        assert [record.key.partition(b"-")[0] for record in log.kept()][-1] == b"snapshot"
        assert all(record.value is not None for record in log.kept())

    def test_a_large_state_is_warned_of_and_then_kept_without_tombstones(
        self, log: MemoryLog, caplog: pytest.LogCaptureFixture
    ) -> None:
        size = len(encode(Snapshot(state=folded(GENESIS, claim("s", 0, 0), Settle(id="s")))))
        for largest, tombstones in ((size * 3 // 2, True), (size // 2, False)):
            log = MemoryLog()
            ledger = LogLedger(log, snapshot_every=5, largest_bytes=largest)
            ledger.append(GENESIS, soon())
            claimed(ledger, 0, 1, 2)
            caplog.clear()
            with caplog.at_level(logging.WARNING):
                shorten(ledger, log)
            assert "bytes; above" in caplog.text
            assert (len(log.kept()) == 1) == tombstones
            assert LogLedger(log).read(soon()).settled == {PLACE: ((0, 2),)}

    def test_a_small_state_is_no_news(
        self, log: MemoryLog, ledger: LogLedger, caplog: pytest.LogCaptureFixture
    ) -> None:
        claimed(ledger, 0, 1, 2)
        with caplog.at_level(logging.WARNING):
            shorten(ledger, log)
        assert caplog.text == ""


class TestTrap7TheLedgerIsGone:
    def test_a_log_without_genesis(self, log: MemoryLog, ledger: LogLedger) -> None:
        claimed(ledger, 0)
        ledger.read(soon())
        log.truncate(0)
        for reader in (ledger, LogLedger(log)):
            with pytest.raises(LedgerError, match="expected the ledger to begin with its Genesis, found none"):
                reader.read(soon())

    def test_a_log_that_lost_its_beginning(self, log: MemoryLog, ledger: LogLedger) -> None:
        claimed(ledger, 0)
        log.delete_before(1)
        expected = r"start at 1 and no such snapshot: .*policy to compact, .* audit, and then reset"
        with pytest.raises(LedgerError, match=expected):
            LogLedger(log).read(soon())

    def test_a_beginning_that_a_snapshot_stands_for(self, log: MemoryLog, ledger: LogLedger) -> None:
        claimed(ledger, 0, 1, 2)
        shorten(ledger, log)
        log.delete_before(log.kept()[0].offset)
        assert LogLedger(log).read(soon()).settled == {PLACE: ((0, 2),)}

    def test_a_warm_reader_that_is_overtaken_by_retention_reads_anew(self, log: MemoryLog, ledger: LogLedger) -> None:
        warm = LogLedger(log)
        warm.read(soon())
        claimed(ledger, 0, 1, 2)
        shorten(ledger, log)
        log.delete_before(log.kept()[0].offset)
        assert warm.read(soon()).settled == {PLACE: ((0, 2),)}

    def test_a_log_that_became_shorter_is_read_anew(self, log: MemoryLog, ledger: LogLedger) -> None:
        claimed(ledger, 0, 1)
        assert ledger.read(soon()).settled == {PLACE: ((0, 1),)}
        log.truncate(3)
        assert ledger.read(soon()).settled == {PLACE: ((0, 0),)}

    def test_a_log_that_lost_its_end_and_grew_again_is_read_anew(self, log: MemoryLog, ledger: LogLedger) -> None:
        other = LogLedger(log)
        claimed(ledger, 0, 1)
        ledger.read(soon())
        log.truncate(3)
        claimed(other, 7, 8, 9)
        assert ledger.read(soon()).settled == {PLACE: ((0, 0), (7, 9))}

    def test_another_leader_is_no_harm(
        self, log: MemoryLog, ledger: LogLedger, caplog: pytest.LogCaptureFixture
    ) -> None:
        claimed(ledger, 0)
        ledger.read(soon())
        log.elect()
        claimed(ledger, 1)
        assert ledger.read(soon()).settled == {PLACE: ((0, 1),)}
        assert caplog.text.count("the ledger is read again") == 1
        claimed(ledger, 2)
        assert ledger.read(soon()).settled == {PLACE: ((0, 2),)}
        assert caplog.text.count("the ledger is read again") == 1

    @pytest.mark.parametrize("lost", [3, 5])
    def test_a_lost_ledger_is_begun_anew(self, log: MemoryLog, ledger: LogLedger, lost: int) -> None:
        claimed(ledger, 0, 1)
        log.delete_before(lost)
        with pytest.raises(LedgerError):
            LogLedger(log).read(soon())
        end = log.end(soon())
        ledger.append(claim("zombie", 60, 69), soon())
        ledger.append(new_beginning(GENESIS.identity, {PLACE: 50}, end=end, now=NOW, id_="r"), soon())
        mine = claim("mine", 50, 59, generation=NOW)
        state = LogLedger(log).read(soon(), through=ledger.append(mine, soon()))
        assert (state.settled, set(state.pending)) == ({PLACE: ((0, 49),)}, {"mine"})
        assert (state.identity, state.starts, state.reset) == (GENESIS.identity, {PLACE: 50}, "r")
        assert ledger.read(soon()) == state

    @pytest.mark.parametrize("value", [b"something else", b'{"v":99,"op":"claim"}', NO_STATE])
    def test_what_cannot_be_read_is_left_behind_by_a_new_beginning(
        self, log: MemoryLog, ledger: LogLedger, value: bytes
    ) -> None:
        claimed(ledger, 0, 1)
        ledger.read(soon())
        log.append(b"stranger", value, soon())
        for reader in (ledger, LogLedger(log)):
            with pytest.raises(LedgerError):
                reader.read(soon())
        end = log.end(soon())
        ledger.append(new_beginning(GENESIS.identity, {PLACE: 50}, end=end, now=NOW, id_="r"), soon())
        for reader in (ledger, LogLedger(log)):
            assert reader.read(soon()).settled == {PLACE: ((0, 49),)}
        log.append(b"stranger", value, soon())
        for reader in (ledger, LogLedger(log)):
            with pytest.raises(LedgerError):
                reader.read(soon())


class TestTrap9AClaimWhoseRedeliveryNeverComes:
    def test_it_stays_pending_with_its_age_whatever_becomes_of_the_log(self, log: MemoryLog, ledger: LogLedger) -> None:
        ledger.append(claim("left", 100, 109), soon())
        claimed(ledger, *range(20))
        shorten(ledger, log)
        claimed(ledger, *range(20, 40))
        shorten(ledger, log)
        pending = LogLedger(log).read(soon()).pending["left"]
        assert (pending.operation, pending.timestamp) == (claim("left", 100, 109), NOW)


class TestColdStart:
    def test_it_goes_back_in_doubling_steps(self, log: MemoryLog, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(ledger_module, "REACH", 4)
        ledger = LogLedger(log, snapshot_every=30)
        ledger.append(GENESIS, soon())
        claimed(ledger, *range(20))
        counted = CountedLog(log)
        assert LogLedger(counted).read(soon()) == ledger.read(soon())
        assert counted.read == 41
        ledger.maintain(soon())
        log.compact(tombstones=True)
        claimed(ledger, *range(20, 23))
        counted = CountedLog(log)
        assert LogLedger(counted).read(soon()) == ledger.read(soon())
        assert counted.read <= 10  # 7 are kept, and a step over a hole reads one of the next step's

    def test_compaction_while_it_goes_back(self, log: MemoryLog, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(ledger_module, "REACH", 4)
        for after in range(1, 22):
            log = MemoryLog(chunk=1)
            ledger = LogLedger(log, snapshot_every=5)
            ledger.append(GENESIS, soon())
            claimed(ledger, *range(10))

            def attack(ledger: LogLedger = ledger, log: MemoryLog = log) -> None:
                claimed(ledger, 10)
                shorten(ledger, log)

            assert LogLedger(Timed(AttackedLog(log, after, attack))).read(soon()).settled == {PLACE: ((0, 10),)}

    def test_the_log_stays_short(self, log: MemoryLog) -> None:
        ledger = LogLedger(log)
        ledger.append(GENESIS, soon())
        longest = 0
        for _ in range(5):
            LedgerContract.work(ledger, 100)
            log.compact(tombstones=True)
            longest = max(longest, len(log.kept()))
        assert longest < 2 * ledger_module.SNAPSHOT_EVERY

    def test_records_in_the_log_are_operations_or_tombstones(self, log: MemoryLog, ledger: LogLedger) -> None:
        claimed(ledger, 0, 1, 2)
        ledger.read(soon())
        ledger.maintain(soon())
        kinds = {type(decode(record.value)).__name__ for record in log.kept() if record.value is not None}
        assert kinds == {"Genesis", "Claim", "Settle", "Snapshot"}
