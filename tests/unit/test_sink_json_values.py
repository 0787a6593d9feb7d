r"""json_values: what the stream's serializer escapes for HTML's sake is undone, and no value changes by that."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maxcompute_sink import json_values
from maxcompute_sink.decode import Decoder
from maxcompute_sink.records import JsonRecord
from tests.kafka_events import element, payload

pytestmark = pytest.mark.quick

HTML = str.maketrans({sign: f"\\u{ord(sign):04x}" for sign in "=&<>'"})


def stored(value: str, *, as_text: bool = False) -> str:
    """What becomes of a value's JSON text in an event."""
    one = json.dumps(element(1, value=0)).replace('"value": 0', f'"value": {value}')
    (record,) = Decoder("Json").decode(payload(one) if as_text else f"[{one}]".encode()).records
    assert isinstance(record, JsonRecord)
    return bytes(record.value).decode()


@pytest.mark.parametrize(
    ("delivered", "kept"),
    [
        (r'"\u003d\u0026\u003c\u003e\u0027"', '"=&<>\'"'),
        (r'"\u003C\u003D\u003E"', '"<=>"'),
        (r'{"a\u003db": ["\u003c", {"c": "\u003e"}]}', '{"a=b": ["<", {"c": ">"}]}'),
        (r'"\\u003d"', r'"\\u003d"'),
        (r'"\\\u003d \u003d"', r'"\\= ="'),
        (r'"\\\\u003d"', r'"\\\\u003d"'),
        (
            r'"\u003f \u0022 \u005c \u2028 \u0000 \ud83d\ude00 \n\/"',
            r'"\u003f \u0022 \u005c \u2028 \u0000 \ud83d\ude00 \n\/"',
        ),
        ("null", "null"),
        ("1.0", "1.0"),
    ],
)
@pytest.mark.parametrize("as_text", [False, True])
def test_signs_of_html_are_written_as_they_are(delivered: str, kept: str, as_text: bool) -> None:
    assert stored(delivered, as_text=as_text) == kept


texts = st.text(st.sampled_from("ab=&<>'\\\"u003d\n\u2028é") | st.characters(exclude_categories=["Cs"]), max_size=12)
values = st.recursive(texts | st.integers() | st.none(), lambda inner: st.lists(inner) | st.dictionaries(texts, inner))


@given(values, st.booleans())
def test_no_value_changes_and_none_of_the_escapes_stays(value: object, as_text: bool) -> None:
    delivered = json.dumps(value).translate(HTML)
    kept = stored(delivered, as_text=as_text)
    assert json.loads(kept) == value
    assert kept == json.dumps(value)


def test_values_of_other_types_are_left_alone() -> None:
    batch = rb'[{"data": {"topic": "orders", "partition": 0, "offset": 1, "value": "{\"a\": \"\\u003d\"}"}}]'
    (record,) = Decoder("Text").decode(batch).records
    assert record.value == r'{"a": "\u003d"}'


def test_a_batch_without_such_escapes_is_not_looked_at_by_record() -> None:
    assert not json_values.could_hold_escapes(b'[{"value": "plain"}]')
    assert not json_values.could_hold_escapes(rb'["{\"value\": \"a\\nb\"}"]')
    assert json_values.could_hold_escapes(rb'[{"value": "\u003d"}]')
