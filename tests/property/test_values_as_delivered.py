"""However a producer writes a document and a stream prints it again: no value differs from its own record's."""

from __future__ import annotations

import json
import math
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafka_maxcompute.ledger.values import can_be_one

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.quick


class Number(NamedTuple):
    """A number as it's written."""

    digits: str


class Members(NamedTuple):
    """An object, whose names may be repeated."""

    pairs: tuple[tuple[str, Any], ...]


texts = st.text(
    st.one_of(st.characters(), st.sampled_from("ab\ufffd\ud83d\ude00\ud800\udfff\ufeff\u2028\"\\=&<>'\n\x00/"))
)
numbers = st.one_of(
    st.integers(-(2**70), 2**70).map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.sampled_from(["1e400", "-1E+400", "1e-400", "-0", "0.10", "1E2", "9" * 400, "123456789012345678.123456789"]),
).map(Number)
documents = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, texts),
    lambda parts: st.one_of(
        st.lists(parts, max_size=4),
        st.lists(st.tuples(st.one_of(st.sampled_from("ab"), texts), parts), max_size=4).map(tuple).map(Members),
    ),
    max_leaves=12,
)


def written(document: Any, string: Callable[[str], str], number: Callable[[str], str], blank: str = "") -> str:
    """A document as text."""
    match document:
        case Number(digits):
            return number(digits)
        case Members(pairs):
            members = [f"{string(name)}{blank}:{blank}{written(value, string, number, blank)}" for name, value in pairs]
            return f"{{{blank}{f',{blank}'.join(members)}{blank}}}"
        case list():
            return f"[{blank}{f',{blank}'.join(written(part, string, number, blank) for part in document)}{blank}]"
        case str():
            return string(document)
        case _:
            return json.dumps(document)


def raw(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def escaped_for_html(text: str) -> str:
    quoted = json.dumps(text, ensure_ascii=False)
    return "".join(f"\\u{ord(char):04x}" if char in "=&<>'\u2028" else char for char in quoted)


def as_double(digits: str) -> str:
    number = float(digits)
    return repr(number) if math.isfinite(number) else "1.7976931348623157E308"


def in_full(digits: str) -> str:
    return f"{Decimal(digits):f}"


def parsed(text: str, *, last: bool, drops_null: bool) -> Any:
    """A document as a stream reads it: one of repeated members, and perhaps none that is null."""

    def members(pairs: list[tuple[str, Any]]) -> Members:
        by_name: dict[str, Any] = {}
        for name, value in pairs:
            if last or name not in by_name:
                by_name[name] = value
        return Members(tuple(pair for pair in by_name.items() if not (drops_null and pair[1] is None)))

    return json.loads(text, object_pairs_hook=members, parse_int=Number, parse_float=Number)


def halved(text: str, half: str) -> str:
    """The text with something else for what is half a pair of surrogates."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").replace("\ufffd", half)


class Producer(NamedTuple):
    """How a producer writes a document."""

    string: Callable[[str], str]
    blank: str
    mark: bytes
    invalid: bytes | None

    def write(self, document: Any) -> bytes:
        """The value in the log; bytes that aren't UTF-8 stand for U+FFFD, and escapes for half a pair of surrogates."""
        text = written(document, self.string, str, self.blank)
        escaped = "".join(f"\\u{ord(char):04x}" if "\ud800" <= char <= "\udfff" else char for char in text)
        logged = self.mark + escaped.encode()
        return logged if self.invalid is None else logged.replace("\ufffd".encode(), self.invalid)


class Stream(NamedTuple):
    """How a stream delivers a value: as text, or parsed and printed again."""

    is_text: bool
    string: Callable[[str], str]
    number: Callable[[str], str]
    half: str
    keeps_last: bool
    drops_null: bool

    def deliver(self, logged: bytes) -> bytes:
        """The value that the event has; a document that is null is no value."""
        text = logged.decode("utf-8", "replace")
        if self.is_text:
            return text.encode()
        document = parsed(text.removeprefix("\ufeff"), last=self.keeps_last, drops_null=self.drops_null)
        printed = written(document, lambda name: self.string(halved(name, self.half)), self.number)
        return b"" if printed == "null" else printed.encode()


strings = st.sampled_from([json.dumps, raw, escaped_for_html])
producers = st.builds(
    Producer,
    strings,
    st.sampled_from(["", " ", "\r\n\t"]),
    st.sampled_from([b"", b"\xef\xbb\xbf"]),
    st.sampled_from([None, b"\xff", b"\xff\xfe", b"\xed\xa0\x80"]),
)
streams = st.builds(
    Stream,
    st.booleans(),
    strings,
    st.sampled_from([str, as_double, in_full]),
    st.sampled_from("?\ufffd"),
    st.booleans(),
    st.booleans(),
)


@given(documents, producers, streams)
def test_no_value_differs_from_its_own_record(document: Any, producer: Producer, stream: Stream) -> None:
    logged = producer.write(document)
    assert can_be_one(logged, stream.deliver(logged))


plain = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(2, 2**40), st.text(st.characters(codec="ascii"))),
    lambda parts: st.one_of(st.lists(parts, max_size=4), st.dictionaries(st.sampled_from("abcd"), parts, max_size=4)),
    max_leaves=12,
)


@given(plain, plain)
def test_documents_of_plain_parts_are_compared_exactly(left: Any, right: Any) -> None:
    logged, delivered = json.dumps(left), json.dumps(right, separators=(",", ":"))
    assert can_be_one(logged.encode(), delivered.encode()) == (without_null(left) == without_null(right))


def without_null(document: Any) -> Any:
    """The document without members that are null."""
    match document:
        case dict():
            return {name: without_null(value) for name, value in document.items() if value is not None}
        case list():
            return [without_null(part) for part in document]
        case _:
            return document
