"""The elements of a batch that is already JSON."""

from __future__ import annotations

import json

import pytest

from local_emulator.eventbridge import elements
from local_emulator.eventbridge.window import Batch

pytestmark = pytest.mark.quick


def event(offset: int, partition: int = 0) -> bytes:
    return json.dumps({"id": "x", "data": {"topic": "orders", "partition": partition, "offset": offset}}).encode()


@pytest.mark.parametrize(
    "element",
    [
        event(7),
        json.dumps(event(7).decode()).encode(),
        json.dumps(json.loads(event(7))["data"]).encode(),
        json.dumps({**json.loads(event(7))["data"], "value": {"data": 1}}).encode(),
    ],
)
def test_an_elements_place(element: bytes) -> None:
    assert elements.place(element) == (("orders", 0), 7)


@pytest.mark.parametrize(
    "element",
    [b"1", b'"text"', b'{"data": {}}', b'{"data": {"topic": 1, "partition": 0, "offset": 7}}', b"{", b'"\xff"'],
)
def test_an_element_without_a_place(element: bytes) -> None:
    assert elements.place(element) is None
    assert elements.ranges([element, event(3), event(9), event(1, 2)]) == {
        ("orders", 0): (3, 10),
        ("orders", 2): (1, 2),
    }


def test_split_and_join_change_no_element() -> None:
    body = b'[ 1.50, {"a" : "\\u003d"} ,"x"]'
    assert [bytes(element) for element in elements.split(body)] == [b"1.50", b'{"a" : "\\u003d"}', b'"x"']
    assert elements.join(elements.split(body)) == b'[1.50,{"a" : "\\u003d"},"x"]'


@pytest.mark.parametrize("count", [1, 2, 3, 50])
def test_pieces_are_the_whole_in_order(count: int) -> None:
    events = [event(offset) for offset in range(count)]
    whole = Batch(b"[" + b",".join(events) + b"]", count, {("orders", 0): (0, count)})
    for attempt in range(20):
        pieces = elements.recut(whole, attempt)
        assert min(count, 2) <= len(pieces) <= 4
        assert b",".join(piece.body[1:-1] for piece in pieces) == whole.body[1:-1]
        assert sum(piece.count for piece in pieces) == count
        assert [piece.ranges["orders", 0][0] for piece in pieces[1:]] == [
            piece.ranges["orders", 0][1] for piece in pieces[:-1]
        ]
        assert elements.recut(whole, attempt) == pieces, "an attempt can be repeated"
