"""An event and the record in the log that it was made of are known as one, whatever key and value are."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from kafka_maxcompute.brokers.originals import MemoryOriginals, Original
from kafka_maxcompute.ledger import marks
from kafka_maxcompute.ledger.operations import State
from local_emulator.eventbridge.event import element_encoder
from maxcompute_sink import batch
from maxcompute_sink.decode import Decoder
from tests.deadlines import soon
from tests.stream_settings import settings

if TYPE_CHECKING:
    from kafka_maxcompute.settings.settings import ValueType

pytestmark = pytest.mark.quick

PLACE = ("orders", 0)
TIME = 1_700_000_000_000
VALUES = (
    *(None, b"", b" ", b"null", b" null ", b"plain text", b'"quoted"', b'{"a": 1}', b' {"a": 1}\n', b'{"a":1,"a":2}'),
    *(b'{"a":"it\'s <=&>"}', b'{"a":"\\u003d"}', b'{"a":"\\/"}', b"true", b"NaN", b"1e400", b" 1e400", b"1" * 40),
    *(b"\xff\xfe", b'{"a":"\xff"}', b"\xef\xbb\xbf{}", b'"\\ud800"', b"\x00", b"[" * 300 + b"]" * 300),
    *("é\ufffd".encode(), b'{"a":"\\ufffd"}', "\u2028".encode()),
)


@pytest.mark.parametrize("key", [None, b"k", b"\xff"])
@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("value_type", ["Text", "Json", "Binary"])
def test_no_log_differs_from_its_own_record(value_type: ValueType, value: bytes | None, key: bytes | None) -> None:
    event = element_encoder(settings(value_type=value_type), "1")(*PLACE, 5, TIME, key, value, [("h", b"\xff")])
    assert event is not None
    known = batch.known(Decoder(value_type).decode(b"[" + event + b"]"))
    assert known(PLACE, 5) is not None
    record = Original(key=key, value=value, timestamp=TIME, headers=(("h", b"\xff"),))
    log = MemoryOriginals({(PLACE, 5): record})
    assert not marks.look(State(), {PLACE: ((5, 5),)}, log, soon(), known).differing
    assert not marks.differing({PLACE: ((5, 5),)}, known, log, lambda _: {PLACE: 6}, soon())
    log.log[PLACE, 5] = replace(record, value=b"another value")
    assert marks.differing({PLACE: ((5, 5),)}, known, log, lambda _: {PLACE: 6}, soon()) == {PLACE}
