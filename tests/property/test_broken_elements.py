"""Batches with something broken in them: its neighbours are always read, and the record that it was is always named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from maxcompute_sink.decode import Decoder

pytestmark = pytest.mark.quick

COORDINATES = ("topic", "partition", "offset", "timestamp")
SIGNS = [bytes([sign]) for sign in b'"\\{}[],:0-eEn \n\x00\xff\xed'] + [
    b"\\ud800",
    b"\\u",
    b"\xed\xa0\x80",
    b'","',
    b'"},{"',
    b"]}",
    b"[" * 3_000,
    b"9" * 5_000,
    b"NaN",
    b'"offset"',
]


def delivered(value_type: str) -> list[dict[str, Any]]:
    """The elements of the recorded batches whose values are of a type, in the order of members that the service has."""
    folder = Path(__file__).parents[1] / "events"
    names = {
        "Text": ("kafka_objects", "kafka_strings", "kafka_no_key", "kafka_tombstones"),
        "Json": ("kafka_json_values",),
    }
    found = []
    for name in names[value_type]:
        for element in json.loads((folder / f"{name}.json").read_bytes()):
            whole = json.loads(element) if isinstance(element, str) else element
            data = whole["data"]
            rest = {name: member for name, member in data.items() if name not in COORDINATES}
            found.append({**whole, "data": {name: data[name] for name in COORDINATES} | rest})
    return found


@st.composite
def mutated(draw: st.DrawFn, text: bytes) -> bytes:
    """The bytes of an element with one change somewhere after its coordinates."""
    least = text.index(b'"timestamp') + len(b'"timestamp":') + 14
    at = draw(st.integers(least, len(text) - 2))
    until = at + draw(st.sampled_from([0, 0, 1, 2, 9]))
    put = draw(st.sampled_from([b"", *SIGNS]))
    return text[:at] + put + text[min(until, len(text) - 1) :]


@st.composite
def batches(draw: st.DrawFn, value_type: str, broken: int) -> tuple[bytes, list[int], list[int]]:
    """A payload, the offsets of its whole elements, and those of what was changed."""
    pattern = draw(st.lists(st.sampled_from(delivered(value_type)), min_size=broken + 1, max_size=6))
    changed = draw(st.permutations(range(len(pattern))))[:broken]
    as_text = draw(st.booleans())
    texts = []
    for offset, element in enumerate(pattern):
        data = element["data"] | {"offset": offset, "partition": 0, "topic": "orders", "timestamp": 1_605_594_000_000}
        text = json.dumps(element | {"data": data}, separators=(",", ":")).encode()
        if offset in changed:
            text = draw(mutated(text))
            as_it_is = as_text and draw(st.booleans())
            text = json.dumps(text.decode("utf-8", "replace")).encode() if as_it_is else text
        elif as_text:
            text = json.dumps(text.decode()).encode()
        texts.append(text)
    blank = draw(st.sampled_from([b"", b" ", b"\n\t"]))
    whole = [offset for offset in range(len(pattern)) if offset not in changed]
    return b"[" + (blank + b"," + blank).join(texts) + b"]", whole, changed


@pytest.mark.parametrize("value_type", ["Text", "Json"])
@given(found=st.data())
def test_one_broken_element_is_named_and_all_others_are_read(value_type: str, found: st.DataObject) -> None:
    payload, whole, changed = found.draw(batches(value_type, 1))
    decoded = Decoder(value_type).decode(payload)
    read = [record.offset for record in decoded.records]
    assert [offset for offset in read if offset in whole] == whole
    placed = {one.offset for one in decoded.rejected if one.place == ("orders", 0)}
    assert set(changed) <= placed | set(read)
    event("set aside" if placed else "still a record")


@pytest.mark.parametrize("value_type", ["Text", "Json"])
@given(found=st.data())
def test_what_is_between_broken_elements_is_read(value_type: str, found: st.DataObject) -> None:
    payload, whole, _ = found.draw(batches(value_type, 2))
    decoded = Decoder(value_type).decode(payload)
    assert [record.offset for record in decoded.records if record.offset in whole] == whole
