"""The zoo: batches of every kind that a function may get, the broken ones among them; see README.md.

`python -m local_emulator.batches.zoo` writes the small ones beside this file, `... zoo FOLDER` those of 32 MB into a
folder. Each batch has a topic of its own, so that no replay meets the records of another.
"""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from local_emulator.eventbridge.config import StreamConfig
from local_emulator.eventbridge.event import element_encoder
from local_emulator.eventbridge.window import BODY_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

FOLDER = Path(__file__).parent
TIME = 1_605_594_185_000
"""2020-11-17 06:23:05 UTC, the time of the connector document's message."""
ACCOUNT_ID = "1880000000000000"
HUGE = 2**63 - 1
LAST_YEAR = 253_402_300_799_999
"""The last millisecond of the year 9999."""

DEBEZIUM = {
    "before": {"id": 7, "name": "旧名", "price": "MTIz"},
    "after": {"id": 7, "name": "新名", "price": "NDU2"},
    "source": {"version": "2.7.0.Final", "connector": "mysql", "ts_ms": TIME, "db": "shop", "table": "items", "pos": 4},
    "op": "u",
    "ts_ms": TIME + 5,
    "transaction": None,
}
CANAL = {
    "data": [{"id": "7", "name": "新名"}],
    "old": [{"name": "旧名"}],
    "database": "shop",
    "table": "items",
    "type": "UPDATE",
    "isDdl": False,
    "es": TIME,
    "ts": TIME + 5,
    "pkNames": ["id"],
}
MAXWELL = {"database": "shop", "table": "items", "type": "insert", "ts": TIME // 1000, "data": {"id": 7}}
DDL = {**CANAL, "data": None, "old": None, "type": "ALTER", "isDdl": True, "sql": "ALTER TABLE items ADD note text"}
CHANGES = [
    DEBEZIUM,
    {**DEBEZIUM, "before": None, "op": "c"},
    {**DEBEZIUM, "after": None, "op": "d"},
    CANAL,
    MAXWELL,
    DDL,
]

TEXTS = (
    "绿茶",
    "丝绸围巾 '=<>&'",
    "𠮷野家 🍵",
    "e\u0301",
    "١٢٣",
    "\u2028\u2029",
    "\x00\x1f\x7f",
    "\u202eabc",
    "ﷺ" * 50,
)
"""Chinese in and beyond the basic plane, emoji, combining and Arabic signs, separators, control characters."""


def config(name: str, **changes: Any) -> StreamConfig:
    """Return the settings of the stream that would deliver a batch."""
    settings: dict[str, Any] = {
        "topic": f"zoo-{name}",
        "group": "connect-zoo",
        "region": "cn-hangzhou",
        "instance_id": "alikafka_post-cn-st21p8vj0001",
        "offset_reset": "earliest",
        "value_type": "Text",
        "event_schema": "CloudEvents",
        "batch_count": 10_000,
        "batch_seconds": 15,
        "retry_strategy": "BACKOFF_RETRY",
        "errors_tolerance": "NONE",
        "concurrency": 1,
        "maximum_tasks": 1,
        "dead_letter_arn": None,
        "enabled": True,
    }
    return StreamConfig(**(settings | changes))


def encoder(name: str, *, as_strings: bool = False, **changes: Any) -> Callable[..., bytes]:
    """Return a function (offset, key, value, headers) -> an element as the local event stream makes it."""
    encode = element_encoder(config(name, **changes), ACCOUNT_ID, as_strings=as_strings, make_id=lambda: f"id-{name}")

    def element(
        offset: int, key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes | None]] | None = None
    ) -> bytes:
        event = encode(f"zoo-{name}", offset % 3, offset, TIME + offset, key, value, headers)
        assert event is not None  # noqa: S101 - the pattern lets all events through
        return event

    return element


def event(name: str, offset: object, **data: Any) -> dict[str, Any]:
    """Return an element as no stream makes it: `data` replaces fields of its record, `...` removes one."""
    record = {
        "topic": f"zoo-{name}",
        "partition": 0,
        "offset": offset,
        "timestamp": TIME,
        "headers": {"headers": [], "isReadOnly": False},
        "key": "k",
        "value": "v",
        **data,
    }
    return {
        "id": f"id-{name}",
        "source": "acs:alikafka",
        "specversion": "1.0",
        "type": "alikafka:Topic:Message",
        "datacontenttype": "application/json; charset=utf-8",
        "time": "2020-11-17T06:23:05.000Z",
        "subject": f"acs:alikafka:alikafka_post-cn-st21p8vj0001:topic:zoo-{name}",
        "aliyunaccountid": ACCOUNT_ID,
        "data": {field: value for field, value in record.items() if value is not ...},
    }


def lines(elements: Iterable[bytes | dict[str, Any]]) -> bytes:
    """Return a batch with an element a line."""
    texts = (
        element
        if isinstance(element, bytes)
        else json.dumps(element, ensure_ascii=False, separators=(",", ":")).encode()
        for element in elements
    )
    return b"[\n" + b",\n".join(texts) + b"\n]\n"


def encoded(name: str, values: Iterable[str | bytes | None], **changes: Any) -> bytes:
    """Return a batch as the stream makes it; keys are k0, k1 and so on."""
    element = encoder(name, **changes)
    return lines(
        element(offset, f"k{offset}".encode(), value.encode() if isinstance(value, str) else value)
        for offset, value in enumerate(values)
    )


def usual() -> dict[str, bytes]:
    """Return the batches that the service may deliver."""
    changes = [json.dumps(change, ensure_ascii=False) for change in CHANGES]
    traced = [
        ("trace", b"1"),
        ("trace", b"2"),
        ("binary", b"\x00\xff"),
        ("empty", b""),
        ("null", None),
        ("名", "值".encode()),
    ]
    nulls, headers = encoder("nulls"), encoder("headers")
    pairs = [(None, b"v"), (b"k", None), (None, None), (b"", b""), (b"null", b"null")]
    return {
        "nulls.json": lines(nulls(offset, key, value) for offset, (key, value) in enumerate(pairs)),
        "tombstones.json": lines(
            event("tombstones", offset, value=value) for offset, value in enumerate((..., None, "", "v"))
        ),
        "headers.json": lines(
            [headers(0, b"k", b"v", traced), event("headers", 1, headers=None), event("headers", 2, headers=["odd", 1])]
        ),
        "strings.json": encoded("strings", ("it's", "a=b", '{"a": 1}', "绿茶", None), as_strings=True),
        "mixed_elements.json": lines(
            [encoder("mixed")(0, b"k", b"v"), encoder("mixed", as_strings=True)(1, b"k", b"v"), event("mixed", 2)]
        ),
        "raw_data.json": encoded("raw-data", ("v", "绿茶", None), event_schema="RawData"),
        "raw_data_strings.json": encoded("raw-data-strings", ("v", None), event_schema="RawData", as_strings=True),
        "chinese.json": encoded("chinese", TEXTS),
        "cdc_text.json": encoded("cdc-text", [*changes, None]),
        "cdc_json.json": encoded("cdc-json", [*changes, None], value_type="Json"),
        "json_values.json": encoded(
            "json-values",
            ("1", "1.50", "1e400", "true", "null", '"text"', "[1,[2]]", '{"a":{"b":null}}', "no JSON"),
            value_type="Json",
        ),
        "binary.json": encoded("binary", (b"\x00\xff", "绿茶", b"", b"v", None), value_type="Binary"),
        "not_utf_8.json": encoded("not-utf-8", (b"\xff\xfe", b"v", b"caf\xe9")),
        "topic_partitions.json": lines(
            encoder(name)(offset, b"k", b"v") for name in ("first", "second") for offset in range(6)
        ),
        "repeated.json": lines(event("repeated", offset) for offset in (0, 1, 1, 0, 2)),
        "lone_object.json": lines([event("lone", 0)]).strip(b"[\n]") + b"\n",
        "empty.json": b"[]\n",
    }


def absurd() -> dict[str, bytes]:
    """Return the batches whose fields have values that no record should have."""
    times: list[object] = [
        0,
        -1,
        -(2**63),
        1,
        TIME,
        str(TIME),
        LAST_YEAR,
        LAST_YEAR + 1,
        HUGE,
        2**70,
        1.5,
        "soon",
        None,
        ...,
    ]
    places: list[dict[str, object]] = [{"partition": number} for number in (-1, "0", 2**31)]
    places += [{"topic": topic} for topic in ("", "名 / ..", 1)]
    values: list[dict[str, object]] = [{"value": 1}, {"value": {"a": 1}}, {"key": 1}, {"key": ["k"]}, {"value": True}]
    return {
        "absurd_times.json": lines(event("times", offset, timestamp=time) for offset, time in enumerate(times)),
        "absurd_offsets.json": lines(event("offsets", offset) for offset in (HUGE, HUGE + 1, -1, 1.0, "1", None, True)),
        "absurd_places.json": lines(event("places", offset, **place) for offset, place in enumerate(places)),
        "absurd_values.json": lines(event("values", offset, **fields) for offset, fields in enumerate(values)),
    }


def broken() -> dict[str, bytes]:
    """Return the batches that no stream should deliver; most of them aren't JSON."""
    good, other = event("broken", 0), event("broken", 1)
    text = lines([good, other])
    return {
        "broken_elements.json": lines(
            [good, b"1", b"null", b'"text"', b"{}", b"[]", {"data": None}, {"data": {}}, other]
        ),
        "broken_element_text.json": lines([good, b'"{\\"data\\":"', b'"\\ud800"', other]),
        "broken_truncated.json": text[: len(text) // 2],
        "broken_commas.json": text.replace(b"},\n{", b"}\n{"),
        "broken_utf_8.json": text.replace(b'"v"', b'"\xff\xfe"', 1),
        "broken_nesting.json": b"[" * 2_000 + b"]" * 2_000 + b"\n",
        "broken_html.json": b"<html><body>502 Bad Gateway</body></html>\n",
        "broken_nothing.json": b"",
    }


def large() -> dict[str, Callable[[], bytes]]:
    """Return what makes the batches of 32 MB, the largest that Function Compute takes; they aren't kept as files."""
    return {
        "large_values.json": partial(_filled, "large-values", 1_000_000),
        "large_count.json": partial(_filled, "large-count", 2_900),
        "large_value.json": partial(_filled, "large-value", BODY_BYTES - 600),
    }


def _filled(name: str, value_bytes: int) -> bytes:
    """Return a batch that is filled with values of one size, and with blanks up to exactly 32 MB."""
    element = encoder(name)
    size = 2
    events: list[bytes] = []
    while size + len(made := element(len(events), b"k", b"v" * value_bytes)) + 1 <= BODY_BYTES:
        events.append(made)
        size += len(made) + 1
    body = b"[" + b",".join(events)
    return body + b" " * (BODY_BYTES - len(body) - 1) + b"]"


def batches() -> dict[str, bytes]:
    """Return the small batches by the names of their files."""
    return {**usual(), **absurd(), **broken()}


def main(folder: str | None = None) -> None:
    """Write the small batches beside this file; with a folder, those of 32 MB into it instead."""
    made = {name: make() for name, make in large().items()} if folder else batches()
    for name, body in made.items():
        (Path(folder) if folder else FOLDER).joinpath(name).write_bytes(body)


if __name__ == "__main__":
    main(*sys.argv[1:2])
