"""Whatever snapshots and compaction do to the ledger's log, all readers get the state that the whole log has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafka_maxcompute.ledger import ledger as ledger_module
from kafka_maxcompute.ledger.ledger import LogLedger
from kafka_maxcompute.ledger.memory_log import MemoryLog
from kafka_maxcompute.ledger.operations import Empty, Release, Settle, Snapshot, decode
from kafka_maxcompute.ledger.state import Entry, State, advance, fold, taken
from kafka_maxcompute.offsets import clash, difference, union
from tests.deadlines import soon
from tests.ledger_entries import GENESIS, NOW, PLACE, claim, divert, log_of, reset

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fc_powertools import Deadline
    from kafka_maxcompute.ledger.log import LogRecord
    from kafka_maxcompute.ledger.operations import Operation

pytestmark = pytest.mark.quick

ids = st.sampled_from(["a", "b", "c", "d"])
firsts, lengths, generations = st.integers(0, 20), st.integers(0, 6), st.sampled_from([1, 1, 1, 2])
spans = st.tuples(firsts, lengths).map(lambda span: (span[0], span[0] + span[1]))
operations: st.SearchStrategy[Operation] = st.one_of(
    st.builds(lambda id_, span, generation: claim(id_, *span, generation=generation), ids, spans, generations),
    st.builds(lambda id_, span, generation: divert(id_, *span, generation=generation), ids, spans, generations),
    st.builds(lambda id_: Settle(id=id_), ids),
    st.builds(lambda id_: Settle(id=id_), ids),
    st.builds(lambda id_: Release(id=id_), ids),
    st.builds(lambda span, generation: Empty(offsets={PLACE: (span,)}, generation=generation), spans, generations),
    st.builds(lambda start, generation: reset(generation=generation, start=start), firsts, st.sampled_from([2, 3])),
    st.just(GENESIS),
)
logs = st.lists(operations, max_size=25).map(lambda found: log_of(GENESIS, *found))


def whole(log: Sequence[Entry]) -> State:
    state = State()
    for entry in log:
        state = fold(state, entry.operation, entry.offset, entry.timestamp)
    return state


@given(logs)
def test_every_prefix_has_each_offset_taken_once(log: list[Entry]) -> None:
    for length in range(len(log) + 1):
        state = whole(log[:length])
        held = state.settled
        for pending in state.pending.values():
            assert not clash(pending.operation.offsets, held)
            held = {PLACE: union(held.get(PLACE, ()), pending.operation.offsets[PLACE])}
        assert {PLACE: held.get(PLACE, ())} == {PLACE: taken(state).get(PLACE, ())}


@given(logs)
def test_settled_offsets_stay_settled_until_a_reset(log: list[Entry]) -> None:
    for length in range(1, len(log)):
        before, after = whole(log[:length]), whole(log[: length + 1])
        if after.generation == before.generation:
            assert not difference(before.settled.get(PLACE, ()), after.settled.get(PLACE, ()))


@given(logs, st.data())
def test_any_split_into_snapshot_and_rest_folds_to_the_same(log: list[Entry], data: st.DataObject) -> None:
    cover = data.draw(st.integers(0, len(log) - 1))
    snapshot = Snapshot(state=whole(log[: cover + 1]))
    later = data.draw(st.integers(cover + 1, len(log)), label="where the snapshot comes in the log")
    moved = [Entry(entry.offset + 1, entry.timestamp, entry.operation) for entry in log[later:]]
    with_snapshot = [*log[:later], Entry(later, NOW, snapshot), *moved]
    read = data.draw(st.integers(0, cover + 1), label="from where it is read")
    state = advance(State(), with_snapshot[read:])
    plain = whole(with_snapshot)
    assert state == plain
    warm = data.draw(st.integers(0, len(with_snapshot)), label="how far a reader had come")
    assert advance(whole(with_snapshot[:warm]), with_snapshot[warm:]) == plain


class Attacked(MemoryLog):
    """Remembers all that was ever appended, and lets something happen whenever it's asked something."""

    def __init__(self) -> None:
        super().__init__(lambda: NOW / 1_000, chunk=2)
        self.history: list[Entry] = []
        self.attacks: list[Any] = []
        self.is_attacked = False

    def append(self, key: bytes, value: bytes | None, deadline: Deadline) -> int:
        offset = super().append(key, value, deadline)
        if value is not None:
            self.history.append(Entry(offset, NOW, decode(value)))
        return offset

    def start(self, deadline: Deadline) -> int:
        found = super().start(deadline)
        self.attack()
        return found

    def end(self, deadline: Deadline) -> int:
        found = super().end(deadline)
        self.attack()
        return found

    def records(self, start: int, deadline: Deadline) -> tuple[Sequence[LogRecord], int]:
        found = super().records(start, deadline)
        self.attack()
        return found

    def attack(self) -> None:
        if self.attacks and not self.is_attacked:
            self.is_attacked = True
            try:
                self.attacks.pop()()
            finally:
                self.is_attacked = False


@given(st.data())
def test_readers_agree_with_the_whole_log_while_it_is_compacted(data: st.DataObject) -> None:
    log = Attacked()
    ledgers = [LogLedger(log, snapshot_every=3) for _ in range(3)]
    others = LogLedger(log, snapshot_every=3)
    ledgers[0].append(GENESIS, soon())
    parts = st.integers(0, 20)

    def shorten(**how: Any) -> None:
        others.read(soon())
        others.maintain(soon())
        log.compact(**how)

    attacks: dict[str, Callable[[], object]] = {
        "append": lambda: others.append(data.draw(operations), soon()),
        "shorten": shorten,
        "shorten and forget": lambda: shorten(tombstones=True),
        "shorten a part": lambda: shorten(before=data.draw(parts)),
        "compact": log.compact,
        "elect": log.elect,
        "nothing": lambda: None,
    }
    names = st.lists(st.sampled_from(sorted(attacks)), max_size=8)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ledger_module, "REACH", 3)
        for _ in range(data.draw(st.integers(1, 6))):
            for operation in data.draw(st.lists(operations, max_size=4)):
                ledgers[0].append(operation, soon())
            log.attacks = [attacks[name] for name in data.draw(names)]
            known = log.history[-1].offset
            for reader in (data.draw(st.sampled_from(ledgers)), LogLedger(log)):
                state = reader.read(soon())
                assert state.folded >= known
                assert state == whole([entry for entry in log.history if entry.offset <= state.folded])
            mine = ledgers[1].append(data.draw(operations), soon())
            state = ledgers[1].read(soon(), through=mine)
            assert mine is not None
            assert state.folded >= mine
            assert state == whole([entry for entry in log.history if entry.offset <= state.folded])
            data.draw(st.sampled_from(ledgers)).maintain(soon())
