"""replaced_text: a text with U+FFFD may have been other bytes; the log's bytes decide, or else it's counted."""

from __future__ import annotations

import base64
import io
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from odps.models import TableSchema
from odps.tunnel.io.reader import TunnelArrowReader

from fc_powertools import Metrics
from kafka_maxcompute.brokers.log_bounds import NO_SUCH_TOPIC
from kafka_maxcompute.brokers.originals import MemoryOriginals, Original
from kafka_maxcompute.errors import NoSuchTopicError, RefusedError, UnavailableError
from kafka_maxcompute.maxcompute.column import Column
from kafka_maxcompute.maxcompute.table import POSITION, expected
from kafka_maxcompute.settings.settings import Settings
from maxcompute_sink.blocks import Blocks, Preparation
from maxcompute_sink.replaced_text import ReplacedText
from tests.deadlines import soon
from tests.kafka_events import HOUR_14, element, payload
from tests.sink_delivery import ORDERS, Hooked

if TYPE_CHECKING:
    from collections.abc import Sequence

pytestmark = pytest.mark.quick

LATIN, TEXT = b"caf\xe9", "caf\ufffd"
FIELDS = (Column("name", "STRING"), Column("raw", "BINARY"), Column("size", "BIGINT"))


def original(key: bytes | None = b"k", value: bytes | None = b"v", timestamp: int | None = HOUR_14) -> Original:
    return Original(key=key, value=value, timestamp=timestamp)


@dataclass
class Sink:
    """Prepares batches as an instance does; `log` is the source topic's, by offset, None without brokers."""

    log: dict[int, Original] | None = None
    settings: dict[str, object] = field(default_factory=dict)
    originals: Any = None
    metrics: Metrics = field(default_factory=lambda: Metrics("test"))

    def write(self, *elements: object, batch: bytes = b"") -> Blocks:
        needed = {
            "name": "c",
            "source_topic": "orders",
            "endpoint": "http://127.0.0.1/api",
            "project": "p",
            "table": "t",
        }
        given = needed | {"compression": "none", "delivery": "at-least-once"} | self.settings
        settings = Settings.from_mapping(given)
        columns = POSITION + FIELDS if settings.format == "CSV" else expected(settings)
        preparation = Preparation(settings, columns)
        decoded = preparation.decode(batch or payload(*elements))
        if self.log is not None and self.originals is None:
            self.originals = MemoryOriginals({(ORDERS, offset): found for offset, found in self.log.items()})
        text = ReplacedText(settings, self.originals, self.metrics)
        found = preparation.blocks(decoded, now=HOUR_14)
        self.looked = found.replaced
        if found.replaced and text.restore(decoded.records, soon()):
            found = preparation.blocks(decoded, now=HOUR_14)
        assert not text.restore(decoded.records, soon())
        types = ([column.name for column in columns], [column.type.lower() for column in columns])
        self.rows = {row["offset"]: row for block in found.blocks for row in _rows(block.body, types)}
        return found

    @property
    def counted(self) -> dict[str, float]:
        counters: Any = self.metrics.snapshot().get("counters", {})
        return {name.removeprefix("replaced:"): count for name, count in counters.items()}


def _rows(body: bytes, types: tuple[Sequence[str], Sequence[str]]) -> list[dict[str, Any]]:
    reader = TunnelArrowReader(TableSchema.from_lists(*types), lambda _: io.BytesIO(body))
    return list(reader.read().to_pylist())


def test_keys_that_became_one_text_stay_apart_in_binary_columns() -> None:
    keys = [b"\xff", b"\xe9", (255).to_bytes(8, "big"), b"\xff\xff", "\ufffd".encode(), None]
    values = [b"\xff\x00", b"\xfe", b"", None, b"v", b"w"]
    for value_type in ("Text", "Binary"):
        log = {offset: original(key, value) for offset, (key, value) in enumerate(zip(keys, values, strict=True))}
        sink = Sink(log, {"format": "BINARY", "value_type": value_type})
        sink.write(*[element(offset, **delivered(found, value_type)) for offset, found in log.items()])
        assert [(row["key"], row["value"]) for row in sink.rows.values()] == list(zip(keys, values, strict=True))
        assert sink.counted["genuine"] == 1


def delivered(found: Original, value_type: str) -> dict[str, Any]:
    """What a stream makes of a record's key and value."""
    key = ... if found.key is None else found.key.decode("utf-8", "replace")
    value: Any = found.value
    if value is not None:
        is_text = value_type == "Text"
        value = value.decode("utf-8", "replace") if is_text else base64.b64encode(value).decode()
    return {"key": key, "value": value, "timestamp": ... if found.timestamp is None else found.timestamp}


@pytest.mark.parametrize("part", ["key", "value"])
def test_latin_1_for_a_column_of_text_is_set_aside_with_its_reason(part: str) -> None:
    latin: dict[str, Any] = {part: LATIN}
    text: dict[str, Any] = {part: TEXT.encode()}
    sink = Sink({1: original(**latin), 2: original(**text)})
    others = {"key": "k", "value": "v"}
    found = sink.write(element(1, **others | {part: TEXT}), element(2, **others | {part: TEXT}), element(3))
    (bad,) = found.rejected
    assert (bad.error.where, bad.error.reason, bad.error.path) == ("orders-0-1", "not-utf-8", f"$.data.{part}")
    assert "make column" in bad.error.message
    assert sink.rows[2][part] == TEXT
    assert sorted(sink.rows) == [2, 3]
    assert sink.counted == {"restored": 1, "genuine": 1}


def test_csv_lines_that_are_not_utf_8_are_set_aside() -> None:
    sink = Sink({1: original(b"k", b"caf\xe9,x,1"), 2: original(b"k", "caf\ufffd,y,2".encode())})
    sink.settings = {"format": "CSV", "mode": "VALUE"}
    found = sink.write(
        *[element(offset, key="k", value=f"caf\ufffd,{sign},{offset}") for offset, sign in ((1, "x"), (2, "y"))]
    )
    assert [one.error.reason for one in found.rejected] == ["not-utf-8"]
    assert sink.rows[2]["name"] == TEXT


def test_json_values_and_their_escapes_are_looked_for() -> None:
    log = {1: original(b"k", b'{"a": "caf\xe9"}'), 2: original(b"\xff", b"{}"), 3: original(b"k", b'"\xef\xbf\xbd"')}
    sink = Sink(log, {"value_type": "Json"})
    batch = [
        element(1, key="k", value={"a": TEXT}),
        element(2, key="\ufffd", value={}),
        element(3, key="k", value="\ufffd"),
    ]
    for ascii_only in (False, True):
        sink.metrics = Metrics("test")
        found = sink.write(batch=json.dumps(batch, ensure_ascii=ascii_only).encode())
        assert [(one.offset, one.error.reason) for one in found.rejected] == [(1, "not-utf-8"), (2, "not-utf-8")]
        assert sink.counted == {"restored": 2, "genuine": 1}


@pytest.mark.parametrize("as_text", [False, True])
@pytest.mark.parametrize("escape", ["\ufffd", "\\ufffd", "\\uFFFD", "\\uFffD"])
def test_every_way_to_write_the_character_is_seen(escape: str, as_text: bool) -> None:
    text = json.dumps(element(1, key="KEY", value="v")).replace("KEY", escape)
    sink = Sink({1: original(b"\xff")}, {"format": "BINARY"})
    sink.write(text) if as_text else sink.write(batch=f"[{text}]".encode())
    assert sink.rows[1]["key"] == b"\xff"


def test_parts_that_become_no_row_are_not_looked_for() -> None:
    for mode, part in (("KEY", "value"), ("VALUE", "key")):
        sink = Sink({}, {"mode": mode})
        sink.write(element(1, **{part: TEXT}))
        assert not sink.looked
    sink = Sink({1: original(b"\xff", b"v")}, {"mode": "KEY"})
    assert [one.offset for one in sink.write(element(1, key="\ufffd", value=TEXT)).rejected] == []
    assert sink.counted == {"lost": 1}  # its value isn't what the log has


def test_without_brokers_the_text_is_written_as_delivered_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    sink = Sink()
    assert sink.write(element(1, key=TEXT), element(2), element(3, value=TEXT)).rejected == ()
    assert (sink.rows[1]["key"], sink.rows[3]["value"]) == (TEXT, TEXT)
    assert sink.counted == {"unread": 2}
    (line,) = caplog.records
    assert (line.levelname, line.__dict__["records"]) == ("WARNING", ["orders-0-1", "orders-0-3"])
    assert "no brokers" in line.getMessage()
    assert "caf" not in line.getMessage()


# What the log has at the offset of a record with the key TEXT, the value "v" and the time HOUR_14.
OTHERS = {
    "lost": None,
    "another time": original(LATIN, b"v", HOUR_14 + 1),
    "another key": original(b"cafe\xe9", b"v"),
    "another key, of text": original(b"cafe", b"v"),
    "another value": original(LATIN, b"w"),
    "no key": original(None, b"v"),
    "a tombstone": original(LATIN, None),
}


@pytest.mark.parametrize("found", OTHERS.values(), ids=OTHERS)
@pytest.mark.parametrize("value_type", ["Text", "Binary"])
def test_what_the_log_lost_or_has_of_another_topic_is_not_mixed_in(
    found: Original | None, value_type: str, caplog: pytest.LogCaptureFixture
) -> None:
    sink = Sink({} if found is None else {1: found}, {"format": "BINARY", "value_type": value_type})
    rejected = sink.write(element(1, key=TEXT, value="v" if value_type == "Text" else "dg==")).rejected
    assert (rejected, sink.rows[1]["key"], sink.rows[1]["value"]) == ((), TEXT.encode(), b"v")
    assert sink.counted == {"lost": 1}
    (line,) = caplog.records
    assert line.__dict__["records"] == ["orders-0-1"]


@pytest.mark.parametrize("timestamp", [None, -1])
def test_a_log_or_an_event_without_times_is_compared_by_the_rest(timestamp: int | None) -> None:
    sink = Sink({1: original(LATIN, b"v", timestamp)}, {"format": "BINARY"})
    sink.write(element(1, key=TEXT, value="v"))
    assert sink.rows[1]["key"] == LATIN


def test_a_broker_that_does_not_answer_fails_the_batch() -> None:
    def fails(*_: object) -> None:
        raise UnavailableError("no broker")

    sink = Sink({}, {"format": "BINARY"}, Hooked(MemoryOriginals(), {"stream": fails}))
    with pytest.raises(UnavailableError):
        sink.write(element(1, key=TEXT))


def test_a_topic_that_is_not_there_loses_only_its_own() -> None:
    class Some(MemoryOriginals):
        def stream(self, wanted: Any, deadline: Any) -> Any:
            if ("strange", 9) in wanted:
                raise NoSuchTopicError("no such topic", code=NO_SUCH_TOPIC, places={("strange", 9)})
            return super().stream(wanted, deadline)

    sink = Sink({}, {"format": "BINARY"}, Some({(ORDERS, 1): original(LATIN)}))
    sink.write(element(1, key=TEXT, value="v"), element(2, topic="strange", partition=9, key=TEXT, value="v"))
    assert (sink.rows[1]["key"], sink.rows[2]["key"]) == (LATIN, TEXT.encode())
    assert sink.counted == {"restored": 1, "lost": 1}


def test_a_right_that_lacks_fails_the_batch() -> None:
    def refuses(*_: object) -> None:
        raise RefusedError("not allowed", code="TOPIC_AUTHORIZATION_FAILED")

    sink = Sink({}, {}, Hooked(MemoryOriginals(), {"stream": refuses}))
    with pytest.raises(RefusedError):
        sink.write(element(1, key=TEXT))


def test_a_batch_without_the_character_reads_nothing() -> None:
    def fails(*_: object) -> None:
        raise AssertionError

    sink = Sink({}, {"format": "BINARY", "value_type": "Binary"}, Hooked(MemoryOriginals(), {"stream": fails}))
    real = base64.b64encode("\ufffd".encode()).decode()
    sink.write(element(1, key="\uff0c\u2028"), element(2, value=real))
    assert (sink.looked, sink.counted) == (True, {})  # a value of type Binary is exact as it is


pieces = st.sampled_from([b"a", b"\xff", b"\xc3", "é".encode(), "\ufffd".encode(), b"\xed\xa0\x80", b"\xf0\x9f\x98"])
contents = st.none() | st.lists(pieces, max_size=5).map(b"".join) | st.binary(max_size=6)


@given(st.lists(st.tuples(contents, contents), max_size=6), st.sampled_from(["Text", "Binary"]))
def test_any_bytes_are_in_binary_columns_as_the_log_has_them(
    records: list[tuple[bytes | None, bytes | None]], value_type: str
) -> None:
    log = {offset: original(key, value) for offset, (key, value) in enumerate(records)}
    sink = Sink(log, {"format": "BINARY", "value_type": value_type})
    batch = [element(offset, **delivered(found, value_type)) for offset, found in log.items()]
    assert sink.write(*batch).rejected == ()
    assert [(row["key"], row["value"]) for row in sink.rows.values()] == records


@given(st.lists(st.tuples(contents, contents), max_size=6))
def test_a_column_of_text_has_what_is_utf_8_and_nothing_else(records: list[tuple[bytes | None, bytes | None]]) -> None:
    log = {offset: original(key, value) for offset, (key, value) in enumerate(records)}
    sink = Sink(log)
    rejected = sink.write(*[element(offset, **delivered(found, "Text")) for offset, found in log.items()]).rejected
    good = {offset for offset, found in log.items() if _is_text(found.key) and _is_text(found.value)}
    assert {one.offset for one in rejected} == log.keys() - good
    assert {one.error.reason for one in rejected} <= {"not-utf-8"}
    for offset, row in sink.rows.items():
        assert (row["key"], row["value"]) == tuple(map(_text, records[offset]))


def _is_text(content: bytes | None) -> bool:
    return content is None or content.decode("utf-8", "ignore").encode() == content


def _text(content: bytes | None) -> str | None:
    return None if content is None else content.decode()
