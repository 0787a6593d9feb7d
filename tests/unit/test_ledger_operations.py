"""The ledger's documents on the wire: what is written is read, and what isn't known stops."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from kafka_maxcompute.errors import LedgerError
from kafka_maxcompute.ledger.operations import (
    Claim,
    Divert,
    Empty,
    Identity,
    Mark,
    Release,
    Reset,
    Settle,
    Snapshot,
    decode,
    encode,
)
from tests.ledger_entries import GENESIS, claim, divert, folded, reset

if TYPE_CHECKING:
    from kafka_maxcompute.ledger.operations import Operation

pytestmark = pytest.mark.quick

# Names that are fields of the documents as well.
ODD = {("offsets", 0): ((0, 3), (7, 7)), ("a-b", 11): ((1, 1),)}
ODD_CLAIM = Claim(
    id="settled",
    partition_value="",
    blocks=(0, 1),
    rows=4,
    offsets=ODD,
    generation=3,
    timestamps={("starts", 0): 5},
    begins={("marks", 0): Mark(3, "d")},
    marks={("begins", 0): Mark(7, "e")},
)
ODD_DIVERT = Divert(id="offsets", offsets=ODD, reasons={"offsets": ODD, "pending": {}}, generation=3)
ODD_IDENTITY = Identity(connector="state", table="p.t", table_created=1, topics={"settled": "id", "state": "other"})

OPERATIONS: list[Operation] = [
    GENESIS,
    claim("s", 0, 9, timestamp=7),
    divert("d", 0, 9),
    ODD_CLAIM,
    ODD_DIVERT,
    Settle(id="s"),
    Release(id="s"),
    Empty(offsets=ODD, generation=2),
    Reset(id="r", generation=2, identity=ODD_IDENTITY, starts={("orders", 0): 4}, marks={("orders", 0): Mark(3, "d")}),
    Snapshot(state=folded(GENESIS, claim("s", 0, 9, begins=4), Settle(id="s"), reset(start=3), claim("t", 3, 4))),
    Snapshot(state=folded(GENESIS, claim("offsets", 0, 9), divert("settled", 20, 29), reset())),
]


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: type(operation).__name__)
def test_what_is_written_is_read(operation: Operation) -> None:
    assert decode(encode(operation)) == operation


def test_an_operation_is_json_for_people_too() -> None:
    assert json.loads(encode(claim("s", 0, 9, timestamp=7))) == {
        "v": 1,
        "op": "claim",
        "id": "s",
        "partition_value": "11-17-2020 14:20",
        "blocks": [0],
        "rows": 10,
        "offsets": {"orders": {"0": [[0, 9]]}},
        "generation": 1,
        "timestamps": {"orders": {"0": 7}},
    }


def test_a_newer_version_stops_with_what_to_do() -> None:
    with pytest.raises(LedgerError, match=r"expected operations of version 1 .* found version 2; .* deploy that"):
        decode(b'{"v":2,"op":"settle","id":"s"}')


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"no json",
        b"[]",
        b"7",
        b"{}",
        b'{"v":1}',
        b'{"v":1,"op":"settle"}',
        b'{"v":1,"op":"vote","id":"s"}',
        b'{"v":1,"op":"empty","generation":1,"offsets":{"orders":{"x":[[0,1]]}}}',
        b'{"v":1,"op":"empty","generation":1,"offsets":{"orders":[0,1]}}',
        b'{"v":1,"op":"snapshot","state":{"pending":{"s":{}}}}',
    ],
)
def test_what_is_no_operation_stops(value: bytes) -> None:
    with pytest.raises(LedgerError, match="something else writes to the offset topic"):
        decode(value)
