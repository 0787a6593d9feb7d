"""Records from the lines of a file: every byte is kept, and a line that is no record is named by its number."""

from __future__ import annotations

import io
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local_emulator.kafka import lines
from local_emulator.kafka.lines import Lines
from local_emulator.kafka.record import Record

pytestmark = pytest.mark.quick

TEMPLATE = Record(partition=1, timestamp=5, key=b"k", value=None, headers=(("h", b"\xff"),))


def parsed(line: bytes) -> Record:
    return lines.json_record(line, TEMPLATE, partitions=6)


@given(st.lists(st.binary(max_size=20).map(lambda line: line.replace(b"\n", b""))), st.booleans())
def test_each_line_is_a_value_byte_for_byte(values: list[bytes], ends: bool) -> None:
    text = b"".join(value + b"\n" for value in values)
    if not ends and values and values[-1]:
        text = text[:-1]
    records = list(Lines(io.BytesIO(text), lambda line: lines.plain(line, TEMPLATE)))
    assert records == [TEMPLATE._replace(value=value) for value in values]


@pytest.mark.parametrize(
    ("line", "key"),
    [
        (b'{"id": "a\\u4e2d"}', "a\u4e2d".encode()),
        (b'{"v": {"id": 1}, "id": 7}', b"7"),
        (b'{"id": null}', None),
        (b'{"id": {"a": 1 }}', b'{"a": 1 }'),
    ],
)
def test_a_field_of_the_line_is_the_key(line: bytes, key: bytes | None) -> None:
    assert lines.plain(line, TEMPLATE, "id") == TEMPLATE._replace(key=key, value=line)


@pytest.mark.parametrize("line", [b"", b"1", b'{"other": 1}', b"\xff", b"[" * 100_000])
def test_a_line_without_the_field_is_refused(line: bytes) -> None:
    with pytest.raises((ValueError, RecursionError)):
        lines.plain(line, TEMPLATE, "id")


def test_an_object_describes_a_record_and_the_rest_is_the_templates() -> None:
    assert parsed(b"{}") == TEMPLATE
    line = b'{"key": null, "value": {"a": [1]}, "headers": {"x": "y", "n": null}, "timestamp": "1970-01-01T00:00:01Z"}'
    first = parsed(line)
    assert first == Record(partition=1, timestamp=1_000, key=None, value=b'{"a": [1]}', headers=first.headers)
    assert first.headers == (("h", b"\xff"), ("x", b"y"), ("n", None))
    line = b'{"key_hex": "ff00", "value_hex": "", "headers": [["x", "1"], ["x", "2"]], "timestamp": 7, "partition": 0}'
    headers = (("h", b"\xff"), ("x", b"1"), ("x", b"2"))
    assert parsed(line) == Record(partition=0, timestamp=7, key=b"\xff\x00", value=b"", headers=headers)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"vlaue": 1}', "found 'vlaue'"),
        (b'{"value": 1, "value_hex": "00"}', "expected value or value_hex, found both"),
        (b'{"value_hex": "0"}', "^value_hex: expected pairs of hex digits, found other text$"),
        (b'{"key_hex": "zz"}', "^key_hex: expected pairs of hex digits"),
        (b'{"value_hex": 1}', "value_hex: a text of hex digits"),
        (b'{"partition": -1}', "partition: a number from 0"),
        (b'{"headers": {"x": 1}}', "headers: "),
        (b'{"timestamp": 0}', "timestamp: expected an ISO time"),
        (b'{"timestamp": "yesterday"}', "timestamp: expected an ISO time"),
        (b'{"timestamp": 1e999}', "timestamp: a time"),
        (b'{"partition": 6}', "^partition: expected a number from 0 to 5, found 6$"),
        (b'{"value": "\\ud800"}', "expected a JSON object"),
        (b"not JSON", "expected a JSON object"),
        (b"", "^expected a JSON object, found an empty line$"),
        (b" \r", "^expected a JSON object, found an empty line$"),
        (b'\xef\xbb\xbf{"value": 1}', "^expected a JSON object, found a byte order mark before the text; save "),
    ],
)
def test_what_is_no_record_is_refused_with_the_reason(line: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parsed(line)


def test_a_broken_line_ends_the_records_or_is_left_out() -> None:
    text = b'{"value": "1"}\nbroken\n{"value": "3"}\n'
    source = Lines(io.BytesIO(text), parsed)
    assert [record.value for record in source] == [b"1"]
    assert source.error.startswith("line 2: expected a JSON object")
    deep = Lines(io.BytesIO(b'{"value":' * 100_000), parsed)
    assert (list(deep), deep.error) == ([], "line 1: expected JSON, found one that nests too deeply")
    source = Lines(io.BytesIO(text), parsed, skip=True)
    assert [record.value for record in source] == [b"1", b"3"]
    assert (source.error, source.skipped, len(source.broken)) == ("", 1, 1)


def test_a_line_longer_than_a_message_is_broken_and_the_next_line_is_whole() -> None:
    text = b"x" * (3 * lines.LONGEST_BYTES) + b"\nnext"
    source = Lines(io.BytesIO(text), partial(lines.plain, template=TEMPLATE), skip=True)
    assert [record.value for record in source] == [b"next"]
    assert source.broken == ["line 1: expected at most 10,000,000 bytes, found more"]
