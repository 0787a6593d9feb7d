"""How large a ledger gets, and what its operations cost, on topics whose offsets have gaps everywhere."""

from __future__ import annotations

import random
from itertools import accumulate

import pytest

from kafka_maxcompute.ledger import ledger as ledger_module
from kafka_maxcompute.ledger.ledger import LogLedger
from kafka_maxcompute.ledger.memory_log import MemoryLog
from kafka_maxcompute.ledger.operations import Claim, Operation, Settle, Snapshot, cover, decode, encode
from kafka_maxcompute.ledger.state import fold, taken
from kafka_maxcompute.offsets import count, intervals
from tests.deadlines import soon
from tests.ledger_entries import GENESIS, PLACE, folded

pytestmark = pytest.mark.quick

RECORDS = 10_000


def sparse(number: int, seed: int) -> Claim:
    """The claim of the so many-th batch of a topic that has a record at a third of its offsets, at random."""
    drawn = random.Random(seed)  # noqa: S311 - nothing is secret here
    steps = [drawn.choice((1, 2, 3, 4, 5)) for _ in range(RECORDS)]
    offsets = accumulate(steps, initial=number * 6 * RECORDS)
    return Claim(
        id=f"s{number}",
        partition_value="",
        blocks=(0,),
        rows=RECORDS,
        offsets={PLACE: intervals(offsets)},
        generation=1,
        timestamps={PLACE: 1},
    )


def test_six_claims_of_sparse_offsets_fit_a_snapshot_many_times() -> None:
    claims = [sparse(number, number) for number in range(6)]
    assert max(len(encode(claim)) for claim in claims) < 10_000
    assert len(encode(Snapshot(state=folded(GENESIS, *claims)))) < 60_000


def test_the_offsets_of_a_hundred_sparse_claims_are_settled() -> None:
    """What folding them costs is measured by benchmarks/ledger.py."""
    state, claims = folded(GENESIS), [sparse(number, number) for number in range(100)]
    for number, claim in enumerate(claims):
        state = fold(state, claim, 2 * number + 1, 0)
        state = fold(state, Settle(id=claim.id), 2 * number + 2, 0)
    assert len(state.settled[PLACE]) > 500_000
    assert count(state.settled[PLACE]) == sum(count(claim.offsets[PLACE]) for claim in claims)
    assert taken(state) == state.settled


def test_many_intervals_make_a_snapshot_due_before_many_operations_do() -> None:
    log = MemoryLog()
    ledger = LogLedger(log)
    ledger.append(GENESIS, soon())
    longest = 0
    for number in range(40):
        claim = sparse(number, number)
        ledger.append(claim, soon())
        ledger.append(Settle(id=claim.id), soon())
        ledger.read(soon())
        ledger.maintain(soon())
        log.compact(tombstones=True)
        kinds = [type(decode(record.value or b"")) for record in log.kept()]
        longest = max(longest, kinds.count(Claim))
    each = len(sparse(0, 0).offsets[PLACE])
    assert longest == ledger_module.SNAPSHOT_INTERVALS // each
    assert longest < ledger_module.SNAPSHOT_EVERY // 10
    assert LogLedger(log).read(soon()) == ledger.read(soon())


def test_a_cold_start_decodes_nothing_that_a_snapshot_covers(monkeypatch: pytest.MonkeyPatch) -> None:
    log = MemoryLog()
    ledger = LogLedger(log, snapshot_every=20)
    ledger.append(GENESIS, soon())
    for number in range(12):
        claim = sparse(number, number)
        ledger.append(claim, soon())
        ledger.append(Settle(id=claim.id), soon())
        ledger.read(soon())
        ledger.maintain(soon())
    decoded = list[bytes]()

    def noted(value: bytes) -> Operation:
        decoded.append(value)
        return decode(value)

    monkeypatch.setattr(ledger_module, "decode", noted)
    assert LogLedger(log).read(soon()) == ledger.read(soon())
    values = [record.value for record in log.kept() if record.value is not None]
    first = next(offset for offset, value in enumerate(values) if cover(value) >= 0)
    assert 0 < first < len(values)
    assert not set(decoded) & set(values[:first])
