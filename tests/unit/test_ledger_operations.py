"""The ledger's documents on the wire: what is written is read, and what isn't known stops."""

from __future__ import annotations

import json
import tracemalloc
import zlib
from base64 import b64encode
from typing import TYPE_CHECKING

import pytest
from msgspec import structs

from kafka_maxcompute.errors import LedgerError
from kafka_maxcompute.ledger import packed as packed_module
from kafka_maxcompute.ledger.operations import (
    Claim,
    Divert,
    Empty,
    Identity,
    Mark,
    Pending,
    Release,
    Reset,
    Settle,
    Snapshot,
    State,
    cover,
    decode,
    encode,
)
from kafka_maxcompute.ledger.packed import FEW, MOST_BYTES, pack, unpack
from tests.ledger_entries import GENESIS, PLACE, claim, divert, folded, reset

if TYPE_CHECKING:
    from kafka_maxcompute.ledger.operations import Operation
    from kafka_maxcompute.offsets import Intervals

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
    Snapshot(
        state=State(generation=3, pending={"op": Pending(ODD_CLAIM, 5), "v": Pending(ODD_DIVERT, -1)}, former=ODD)
    ),
]


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: type(operation).__name__)
def test_what_is_written_is_read(operation: Operation) -> None:
    assert decode(encode(operation)) == operation


def test_an_operation_is_json_for_people_too() -> None:
    assert json.loads(encode(claim("s", 0, 9, timestamp=7))) == {
        "v": 2,
        "op": "claim",
        "id": "s",
        "partition_value": "11-17-2020 14:20",
        "blocks": [0],
        "rows": 10,
        "offsets": {"orders": {"0": [[0, 9]]}},
        "generation": 1,
        "timestamps": {"orders": {"0": 7}},
    }


MANY = [
    tuple((3 * number, 3 * number) for number in range(10_000)),
    tuple((number * number, number * number + number // 2) for number in range(2, 500)),
    ((0, 7), *((10**9 + 2 * number, 10**9 + 2 * number) for number in range(20)), (2**62, 2**63 - 2)),
    tuple((2**40 * number, 2**40 * number + 2**33) for number in range(FEW + 1)),
]
"""Intervals whose steps take one, two, and eight bytes."""


@pytest.mark.parametrize("offsets", MANY, ids=len)
def test_many_intervals_are_packed_and_read_as_they_were(offsets: Intervals) -> None:
    whole = Empty(offsets={("orders", 0): offsets, ("orders", 1): offsets[:FEW]}, generation=1)
    document = json.loads(encode(whole))["offsets"]["orders"]
    assert (len(document["0"]), len(document["1"])) == (3, FEW)
    assert decode(encode(whole)) == whole


def test_a_claim_of_every_third_offset_is_small() -> None:
    sparse = Empty(offsets={("orders", 0): MANY[0]}, generation=1)
    assert len(encode(sparse)) < 200


@pytest.mark.parametrize("steps", [b"", b"\x02\x00", b"\x00\x00\x00", b"\x01\x00\x00", b"\x02\x01\x00\x00\x00"])
def test_packed_intervals_that_touch_or_lack_their_end_are_refused(steps: bytes) -> None:
    with pytest.raises(ValueError, match="rising intervals that don't touch"):
        unpack([5, "B", b64encode(zlib.compress(steps)).decode()])


@pytest.mark.parametrize(
    ("steps", "offsets"), [(b"\x02\x00\x02", ((5, 5), (7, 9))), (b"\x03", ((5, 8),)), (b"\x00", ((5, 5),))]
)
def test_packed_numbers_are_steps_and_then_lengths(steps: bytes, offsets: Intervals) -> None:
    """The format, whatever the code; the first: two intervals, two offsets apart, of one and of three offsets."""
    assert unpack([5, "B", b64encode(zlib.compress(steps)).decode()]) == offsets


@pytest.mark.parametrize(
    ("highest", "width"),
    [(255, "B"), (256, "H"), (2**16 - 1, "H"), (2**16, "I"), (2**32 - 1, "I"), (2**32, "Q"), (2**62, "Q")],
)
def test_packed_numbers_are_as_wide_as_the_highest_of_them(highest: int, width: str) -> None:
    near = tuple((2 * number, 2 * number) for number in range(FEW))
    last = near[-1][1]
    for offsets in ((*near, (last + highest, last + highest)), (*near, (last + 2, last + 2 + highest))):
        packed = pack(offsets)
        assert packed[1] == width
        assert unpack(packed) == offsets


def test_packed_numbers_that_inflate_beyond_the_bound_are_refused() -> None:
    def text(size: int) -> str:
        return b64encode(zlib.compress(b"\x02" * size)).decode()

    with pytest.raises(ValueError, match=f"at most {MOST_BYTES:,} bytes, found more"):
        unpack([0, "B", text(MOST_BYTES + 1)])
    with pytest.raises(ValueError, match="found less or more"):
        unpack([0, "B", b64encode(zlib.compress(b"\x02\x00\x02") + b"x").decode()])
    with pytest.raises(ValueError, match="expected packed offsets to be rising intervals"):
        unpack([0, "Q", text(MOST_BYTES)])  # an even count, so it was inflated whole


def test_packed_numbers_are_inflated_no_further_than_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed_module, "MOST_BYTES", 1_000)
    text = b64encode(zlib.compress(b"\x02" * 4_000_000)).decode()
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="at most 1,000 bytes, found more"):
            unpack([0, "B", text])
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def test_packed_numbers_with_anything_between_them_are_refused() -> None:
    text = b64encode(zlib.compress(b"\x02\x00\x02")).decode()
    with pytest.raises(ValueError, match="packed offsets can't be read"):
        unpack([5, "B", text[:-4]])
    with pytest.raises(ValueError, match="base64"):
        unpack([5, "B", f"{text[:4]}\n{text[4:]}"])


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: type(operation).__name__)
def test_what_an_earlier_release_wrote_is_read(operation: Operation) -> None:
    document = json.loads(encode(operation))
    assert document["v"] == 2
    assert decode(json.dumps({**document, "v": 1}).encode()) == operation


SINCE = Mark(7, "e", 5)
PENDING = structs.replace(claim("t", 12, 14), begins={("orders", 1): SINCE})


@pytest.mark.parametrize(
    "operation",
    [
        structs.replace(ODD_CLAIM, begins={("marks", 0): SINCE}),
        structs.replace(ODD_CLAIM, marks={("marks", 0): SINCE}),
        structs.replace(ODD_DIVERT, begins={("marks", 0): SINCE}),
        Reset(id="r", generation=2, identity=ODD_IDENTITY, starts={}, marks={("orders", 0): SINCE}),
        Snapshot(state=structs.replace(folded(GENESIS), marks={("orders", 0): Mark(3, "d"), ("orders", 1): SINCE})),
        Snapshot(state=folded(GENESIS, PENDING)),
    ],
    ids=lambda operation: type(operation).__name__,
)
def test_a_mark_that_vouches_for_some_offsets_stops_an_earlier_release(operation: Operation) -> None:
    """It would read past the third field, and take the mark for one that vouches for all."""
    document = encode(operation)
    assert json.loads(document)["v"] == 3
    assert decode(document) == operation
    assert (cover(document) >= 0) == isinstance(operation, Snapshot)


def test_a_mark_that_vouches_for_all_is_as_before() -> None:
    document = json.loads(encode(structs.replace(ODD_CLAIM, timestamps={("zero", 0): 0})))
    assert (document["v"], document["begins"], document["marks"]) == (
        2,
        {"marks": {"0": [3, "d"]}},
        {"begins": {"0": [7, "e"]}},
    )
    assert document["timestamps"] == {"zero": {"0": 0}}


def test_the_head_of_a_snapshot_tells_its_cover() -> None:
    state = folded(GENESIS, claim("s", 0, 9), Settle(id="s"))
    assert cover(encode(Snapshot(state=state))) == state.folded == 2
    assert cover(encode(Settle(id="snapshot"))) == -1
    assert cover(b'{"v":4,"op":"snapshot","state":{"folded":9}}') == -1
    assert cover(b'{"v":2,"op":"snapshot"}') == -1
    assert cover(b"no operation") == -1


def test_a_newer_version_stops_with_what_to_do() -> None:
    with pytest.raises(
        LedgerError, match=r"expected operations of version 3 or before .* version 4; .* deploy the newer"
    ):
        decode(b'{"v":4,"op":"settle","id":"s"}')


def test_another_form_of_an_operation_stops_with_what_is_other() -> None:
    with pytest.raises(LedgerError, match=r"in version 1, found another form \(Object missing required field `id`\);"):
        decode(b'{"v":1,"op":"settle"}')


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
        b'{"v":2,"op":"empty","generation":1,"offsets":{"orders":{"0":7}}}',
        b'{"v":2,"op":"empty","generation":1,"offsets":{"orders":{"0":[0,"B","no base64"]}}}',
        b'{"v":2,"op":"empty","generation":1,"offsets":{"orders":{"0":[0,"B","bm90IGRlZmxhdGVk"]}}}',
        b'{"v":2,"op":"empty","generation":1,"offsets":{"orders":{"0":[0,"X","eJwDAAAAAAE="]}}}',
        b'{"v":2,"op":"empty","generation":1,"offsets":{"orders":{"0":["0","B","eJxjAAAAAQAB"]}}}',
    ],
)
def test_what_is_no_operation_stops(value: bytes) -> None:
    with pytest.raises(LedgerError, match="something else writes to the offset topic"):
        decode(value)


def test_a_reader_of_version_2_refuses_what_says_that_a_claim_differs_from_the_log() -> None:
    """It would take the mark to vouch for the claim's offsets."""
    differing = structs.replace(claim("a", 8, 10), differing={PLACE: ((8, 10),)})
    assert b'"v":2' in encode(claim("a", 8, 10))
    assert b'"v":3' in encode(differing)
    assert decode(encode(differing)) == differing
    for state in (folded(GENESIS, differing), structs.replace(folded(GENESIS), behind={PLACE: 11})):
        assert b'"v":3' in encode(Snapshot(state=state))
        assert decode(encode(Snapshot(state=state))) == Snapshot(state=state)
    assert b'"v":2' in encode(Snapshot(state=folded(GENESIS, claim("a", 8, 10))))
