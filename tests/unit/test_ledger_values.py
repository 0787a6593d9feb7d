"""Values in a log and as the stream delivers them: only what no way to print a document explains is a difference."""

from __future__ import annotations

import base64

import pytest

from kafka_maxcompute.ledger.values import can_be_one

pytestmark = pytest.mark.quick

DEEP = b"[" * 900 + b"1" + b"]" * 900


@pytest.mark.parametrize(
    ("logged", "delivered"),
    [
        (b"", ""),
        (b"v", "v"),
        (b"null", ""),
        (b" null\n", ""),
        (b"\xef\xbb\xbfnull", ""),
        (b"  ", ""),
        (b"plain text", '"plain text"'),
        (b"\xff\xfe", base64.b64encode(b"\xff\xfe").decode()),
        (b"\xff\xfe", '"' + base64.b64encode(b"\xff\xfe").decode() + '"'),
        (b"a\xff\xfeb", "a\ufffdb"),
        (b"a\xffb", "a\ufffd\ufffdb"),
        (b'""', ""),
        (b"a\xffb", '"a\ufffd\ufffdb"'),
        (b"a\xffb", '"a\\ufffd\\ufffdb"'),
        (b"\xef\xbb\xbfv", "v"),
        (b"\xef\xbb\xbfv", '"v"'),
        (b"v", "\ufeffv"),
        (b'{"a": 1, "b": [true]}', '{"b":[true],"a":1}'),
        (b'\xef\xbb\xbf{"a": 1}', '{"a":1}'),
        (b'{"a":1}', '\ufeff{"a": 1}'),
        (b'{"a":"\\ufffd\\ufffd"}', '{"a":"\ufffd\ufffd"}'),
        (b'{"a":"\\ufffd"}', '{"a":"?"}'),
        (b'{"a":"\xff\xff"}', '{"a":"\\ufffd\\ufffd"}'),
        (b'{"a":"\xff\xff"}', '{"a": "\ufffd"}'),
        (b'{"a":"\\ud800"}', '{"a":"?"}'),
        (b'{"a":"?"}', '{"a": "\\udfff"}'),
        (b'{"\\ud800":1}', '{"?":1}'),
        (b'{"\xff":1, "b":2}', '{"\\ufffd":1,"b":2}'),
        (b'{"a": 1e400}', '{"a":1e+400}'),
        (b'{"a": 1e400}', '{"a":1.7976931348623157E308}'),
        (b'{"a": ' + b"9" * 5_000 + b"}", '{"a":1e5000}'),
        (b'{"a": 9007199254740993}', '{"a":9007199254740992}'),
        (b'{"a": 1}', '{"a":1.0}'),
        (b'{"a": -0}', '{"a":0}'),
        (b'{"a": NaN}', '{"a":null}'),
        (b'{"a": -Infinity}', '{"a":"-Infinity"}'),
        (b'{"a":1,"a":2}', '{"a": 1}'),
        (b'{"a":1,"a":2}', '{"a": 2}'),
        (b'{"a":null,"a":2}', "{}"),
        (b'{"a":{"b":null}, "c":[null]}', '{"a":{},"c":[null]}'),
        (b'{"a":"x\ny"}', '{"a":"x\\ny"}'),
        (b"{a:1}", '{"a":1}'),
        (b"[1;2]", "[1,2]"),
        (b" 'a'", '"a"'),
        (b" 'a'", "\"'a'\""),
        (b"{a:1}", '\ufeff{"a":1}'),
        (b"'a\\nb'", '"a\\nb"'),
        (b"# words\n{}", "{}"),
        (b"/* words */ 1", "1"),
        (b")]}'\n{}", "{}"),
        (b"TRUE", "true"),
        (DEEP, DEEP.decode() + " "),
        (b"[" * 100_000, "[" * 100_000 + " "),
        (b"1", "[" * 100_000),
        (b"[" * 100_000, "[1]"),
    ],
)
def test_what_can_be_one(logged: bytes, delivered: str) -> None:
    assert can_be_one(logged, delivered.encode())


@pytest.mark.parametrize(
    ("logged", "delivered"),
    [
        (b"v", ""),
        (b"", "v"),
        (b"nul", ""),
        (b"\xff", ""),
        (b'{"a":"x\ny","b":1}', '{"a":"x\\ny","b":2}'),
        (b"v", "w"),
        (b"v", '"w"'),
        (b"ab", "a\ufffdb"),
        (b"a\xffb", "a\ufffdc"),
        (b"a\xffb", '"a\ufffdc"'),
        (b"words", "{}"),
        (b"words", "1e400"),
        (b"words", "true"),
        (b"{a:1}", "[1]"),
        (b"{a:1}", '"a"'),
        (b"{}", "words"),
        (b'{"a":1}', '{"a":2}'),
        (b'{"a":1,"b":1e400}', '{"a":true,"b":1e400}'),
        (b'{"a":true,"b":1e400}', '{"a":1,"b":1e400}'),
        (b'{"a":"1"}', '{"a":1}'),
        (b'{"a":1}', '{"a":1,"b":2}'),
        (b'{"a":1,"b":2}', '{"a":1}'),
        (b'{"a":[1]}', '{"a":[1,1]}'),
        (b'{"a":[1,2]}', '{"a":[1,3]}'),
        (b'{"a":[]}', '{"a":{}}'),
        (b'{"a":{}}', '{"a":[]}'),
        (b'{"a":"x"}', '{"a":"y"}'),
        (b'{"a":"\\ufffd","b":1}', '{"a":"\ufffd","b":2}'),
        (b'{"a":"\\ufffd"}', '{"a":1}'),
        (b'{"a":1e400,"b":1}', '{"a":1e400,"b":2}'),
        (b'{"a":1,"a":2,"b":1}', '{"a":2,"b":2}'),
        (b'\xef\xbb\xbf{"a":1}', '{"a":2}'),
    ],
)
def test_what_is_certainly_another_value(logged: bytes, delivered: str) -> None:
    assert not can_be_one(logged, delivered.encode())
