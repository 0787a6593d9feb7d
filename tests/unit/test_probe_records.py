"""A probe's records in the source topic's log: known by their marks, and missed by nobody."""

from __future__ import annotations

import pytest

from fc_powertools import Deadline
from kafka_maxcompute import probe
from kafka_maxcompute.ledger.gaps import MANY, prove_gaps
from kafka_maxcompute.ledger.operations import State
from kafka_maxcompute.originals import MemoryOriginals, Original
from kafka_maxcompute.probe import Mark
from provisioning.probe import shaped

pytestmark = pytest.mark.quick

NONCE = "0123456789abcdef" * 2
PLACE = ("orders", 0)


def test_each_record_of_a_probe_is_one() -> None:
    assert all(map(probe.is_one, shaped(NONCE, 1_700_000_000_000).values()))


@pytest.mark.parametrize(
    "record",
    [
        Original(key=None, value=None),
        Original(key=b"\xff", value=b"kafka-maxcompute-probe"),
        Original(key=None, value=f"about {Mark(NONCE, 'plain')}".encode()),
        Original(key=f"{Mark(NONCE, 'plain')}".encode() + b"x" * 10_000, value=b""),
        Original(key=b"", value=b"", headers=(("h", str(Mark(NONCE, "plain")).encode()),)),
    ],
)
def test_others_are_none(record: Original) -> None:
    assert not probe.is_one(record)


def test_a_gap_that_a_probe_left_is_settled() -> None:
    """As if there were no record; an ordinary one keeps its gap open."""
    settled = tuple((2 * number, 2 * number) for number in range(MANY + 2))
    state = State(generation=3, settled={PLACE: settled})
    tombstone = shaped(NONCE, 0)["tombstone"]
    log = MemoryOriginals({(PLACE, 1): tombstone, (PLACE, 3): Original(key=None, value=b"not written yet")})
    empty = prove_gaps(state, log, lambda: {PLACE: 0}, Deadline.after(60))
    assert empty is not None
    assert empty.offsets[PLACE][:2] == ((1, 1), (5, 5))
