"""A Kafka record as the element of a batch: the JSON that EventBridge's Kafka source gives to a function.

Attributes and data fields follow Function Compute's page on event formats and captured samples. No source says the
following, so it is assumed: the field of a null key or value is absent (the samples look like Gson, which omits nulls);
a header is {"key": name, "value": list of signed bytes}; Text of invalid UTF-8 has replacement characters; with Json, a
value that isn't JSON is a string; keys are text with every value type; a record without a valid timestamp gets the
current time in the attribute `time`.
"""

from __future__ import annotations

import base64
import time
import uuid
from datetime import datetime, timezone
from functools import lru_cache
from typing import TYPE_CHECKING

import msgspec

from local_emulator.eventbridge.event_pattern import EVERYTHING, matcher

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from local_emulator.eventbridge.config import StreamConfig

    Headers = Sequence[tuple[str, bytes | None]]
    EncodeElement = Callable[[str, int, int, int, bytes | None, bytes | None, Headers | None], bytes | None]

SOURCE = "acs:alikafka"
TYPE = "alikafka:Topic:Message"
CONTENT_TYPE = "application/json; charset=utf-8"

ESCAPES = tuple((sign.encode(), f"\\u{ord(sign):04x}".encode()) for sign in "'=<>&\u2028\u2029")
"""Characters that Gson escapes although JSON doesn't need it: the samples show ' and =; Gson's list has the others."""

LATEST_MS = 253_402_300_799_999
"""The last millisecond of the year 9999, the latest of `datetime`."""


class Header(msgspec.Struct):
    """One header of a record."""

    key: str
    value: list[int] | None


class HeaderList(msgspec.Struct, rename="camel"):
    """The object around the headers; the documents say that `isReadOnly` has no meaning."""

    headers: list[Header]
    is_read_only: bool = False


class Data(msgspec.Struct):
    """The record: Kafka's own fields, with key and value only if they aren't null."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    headers: HeaderList
    key: str | msgspec.UnsetType = msgspec.UNSET
    value: str | msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class Event(msgspec.Struct):
    """The element: CloudEvents 1.0 attributes around the record."""

    id: str
    source: str
    specversion: str
    type: str
    datacontenttype: str
    time: str
    subject: str
    aliyunaccountid: str
    data: Data


NO_HEADERS = HeaderList([])


def new_id() -> str:
    """Return a UUID, which the captured samples have as id."""
    return str(uuid.uuid4())


def element_encoder(
    config: StreamConfig, account_id: str, *, as_strings: bool = False, make_id: Callable[[], str] = new_id
) -> EncodeElement:
    """Return a function (topic, partition, offset, timestamp, key, value, headers) -> the element's JSON.

    The function returns None for an event that the stream's pattern doesn't let through: the pattern is compared with
    the CloudEvent, also if only its data is delivered. With `as_strings`, the element is a JSON string that holds the
    object, as in older captures of the service.
    """
    encode = msgspec.json.Encoder().encode
    value_form = {"Text": _text, "Json": _json, "Binary": _binary}[config.value_type]
    raw = config.event_schema == "RawData"
    subject = f"acs:alikafka:{config.instance_id}:topic:"
    matches = None if config.pattern.strip() == EVERYTHING else matcher(config.pattern)

    def element(  # noqa: PLR0917 - called for every record: keywords would only cost time
        topic: str,
        partition: int,
        offset: int,
        timestamp: int,
        key: bytes | None,
        value: bytes | None,
        headers: Headers | None,
    ) -> bytes | None:
        data = Data(
            topic,
            partition,
            offset,
            timestamp,
            _headers(headers) if headers else NO_HEADERS,
            msgspec.UNSET if key is None else _text(key),
            msgspec.UNSET if value is None else value_form(value),
        )
        text = b""
        if not raw or matches:
            at = _time(timestamp)
            event = Event(make_id(), SOURCE, "1.0", TYPE, CONTENT_TYPE, at, subject + topic, account_id, data)
            text = encode(event)
        if matches and not matches(msgspec.json.decode(text)):
            return None
        if raw:
            text = encode(data)
        if as_strings:
            text = encode(_escape(text).decode())
        return _escape(text)

    return element


def _escape(text: bytes) -> bytes:
    """Escape the characters of `ESCAPES`: they occur only inside JSON strings, so no value changes."""
    for character, escaped in ESCAPES:
        if character in text:
            text = text.replace(character, escaped)
    return text


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")


def _json(value: bytes) -> str | msgspec.Raw:
    try:
        msgspec.json.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _text(value)
    return msgspec.Raw(value)


def _binary(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")


def _headers(headers: Headers) -> HeaderList:
    return HeaderList(
        [Header(name, None if value is None else list(memoryview(value).cast("b"))) for name, value in headers]
    )


def _time(timestamp: int) -> str:
    """Return a record's timestamp in ISO 8601, in UTC with milliseconds and Z, as in the samples."""
    if not 0 <= timestamp <= LATEST_MS:
        timestamp = time.time_ns() // 1_000_000
    seconds, milliseconds = divmod(timestamp, 1000)
    return f"{_second(seconds)}.{milliseconds:03d}Z"


@lru_cache(maxsize=8192)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")
