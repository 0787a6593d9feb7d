"""Reads records from the lines of a file or a pipe: a line is a record's value, or a JSON object with the record."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import IO, TYPE_CHECKING, Annotated, Any

import msgspec

from local_emulator.foundation.json_text import obstacle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from local_emulator.kafka.record import Record

LONGEST_BYTES = 10_000_000
"""The most bytes of a line; the producer sends no larger message."""
LAST_MS = 253_402_300_799_999
"""9999-12-31T23:59:59.999Z, the last time that Python can represent."""
_TIME = "expected an ISO time such as 2026-11-01T00:00:00Z, or epoch milliseconds, from 1970 to 9999"
MOST_NAMED = 100
"""The most broken lines that are remembered with their reasons."""


_FIELDS = ("key", "key_hex", "value", "value_hex", "headers", "timestamp", "partition")
_HEADERS = dict[str, str | None] | list[tuple[str, str | None]]
_PARTITION = Annotated[int, msgspec.Meta(ge=0, lt=2**31)]


@dataclass(slots=True)
class Lines:
    """Records from the lines of `stream`; `parse` makes a record of a line, and raises ValueError with the reason.

    At a broken line the records end and `error` says why, unless `skip` is True: then the line is left out and counted.
    """

    stream: IO[bytes]
    parse: Callable[[bytes], Record]
    skip: bool = False
    error: str = ""
    skipped: int = 0
    broken: list[str] = field(default_factory=list)

    def __iter__(self) -> Iterator[Record]:
        for number, line in enumerate(self._lines(), 1):
            record = self._read(number, line)
            if record is not None:
                yield record
            elif self.error:
                return

    def _read(self, number: int, line: bytes | None) -> Record | None:
        """Return the record in a line; None if the line is broken."""
        reason = f"expected at most {LONGEST_BYTES:,} bytes, found more"
        if line is not None:
            try:
                return self.parse(line)
            except ValueError as error:
                reason = str(error)
            except RecursionError:
                reason = "expected JSON, found one that nests too deeply"
        broken = f"line {number}: {reason}"
        if self.skip:
            self.skipped += 1
            self.broken += [broken] if len(self.broken) < MOST_NAMED else []
        else:
            self.error = broken
        return None

    def _lines(self) -> Iterator[bytes | None]:
        """Yield each line without the line feed at its end; None for a line that is too long."""
        while line := self.stream.readline(LONGEST_BYTES + 1):
            if line.endswith(b"\n"):
                yield line[:-1]
            elif len(line) <= LONGEST_BYTES:
                yield line
            else:
                while (rest := self.stream.readline(LONGEST_BYTES)) and not rest.endswith(b"\n"):
                    pass
                yield None


def plain(line: bytes, template: Record, key_field: str | None = None) -> Record:
    """Return a record with the line as its value and everything else from `template`.

    With `key_field`, the line is a JSON object, and this field of it is the key. Raises ValueError.
    """
    record = template._replace(value=line)
    if key_field is None:
        return record
    fields = _decoded(line, dict[str, msgspec.Raw], f"a JSON object with the field {key_field!r}")
    if key_field not in fields:
        raise ValueError(f"expected a JSON object with the field {key_field!r}, found none")
    return record._replace(key=_bytes(fields[key_field]))


def json_record(line: bytes, template: Record, partitions: int) -> Record:
    """Return the record that a JSON object describes; what the object leaves out is the template's.

    `partitions` is the topic's number of topic-partitions.
    `key_hex` and `value_hex` are for bytes that aren't UTF-8. Raises ValueError.
    """
    fields = _decoded(line, dict[str, msgspec.Raw], "a JSON object")
    if unknown := fields.keys() - set(_FIELDS):
        raise ValueError(f"expected a JSON object with some of {', '.join(_FIELDS)}; found {min(unknown)[:40]!r}")
    record = template._replace(value=_part(fields, "value", None), key=_part(fields, "key", template.key))
    if "headers" in fields:
        headers = _decoded(fields["headers"], _HEADERS, "headers: a JSON object of texts, or a list of names and texts")
        pairs = headers.items() if isinstance(headers, dict) else headers
        own = tuple((name, None if value is None else value.encode()) for name, value in pairs)
        record = record._replace(headers=template.headers + own)
    if "timestamp" in fields:
        record = record._replace(timestamp=milliseconds(_decoded(fields["timestamp"], int | str, "timestamp: a time")))
    if "partition" in fields:
        number = _decoded(fields["partition"], _PARTITION, "partition: a number from 0")
        if fault := partition_fault(number, partitions):
            raise ValueError(f"partition: {fault}")
        record = record._replace(partition=number)
    return record


def partition_fault(number: int, partitions: int) -> str:
    """Return why a topic with so many topic-partitions has none of this number; "" if it has."""
    return "" if number < partitions else f"expected a number from 0 to {partitions - 1}, found {number}"


def _part(fields: Mapping[str, msgspec.Raw], name: str, default: bytes | None) -> bytes | None:
    """Return a record's key or value, which is given as JSON or as hex."""
    in_hex = f"{name}_hex"
    if in_hex not in fields:
        return _bytes(fields[name]) if name in fields else default
    if name in fields:
        raise ValueError(f"expected {name} or {in_hex}, found both")
    text = _decoded(fields[in_hex], str, f"{in_hex}: a text of hex digits")
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise ValueError(f"{in_hex}: expected pairs of hex digits, found other text") from None


def _decoded(line: bytes | msgspec.Raw, type_: Any, expected: str) -> Any:
    """Return a JSON value of a type; raises ValueError that says what was expected."""
    if found := obstacle(bytes(line)):
        raise ValueError(f"expected {expected}, found {found}")
    try:
        return msgspec.json.decode(line, type=type_)
    except msgspec.MsgspecError as error:
        raise ValueError(f"expected {expected}, found something else: {error}") from None


def milliseconds(value: int | str) -> int:
    """Return the epoch milliseconds of ISO text (UTC unless it has an offset) or of digits; raises ValueError.

    Kafka's client can't send the time 0, which means the present time to it.
    """
    text = str(value)
    if text.isascii() and text.isdecimal():
        time = int(text)
    else:
        try:
            moment = datetime.fromisoformat(text.replace("Z", "+00:00").replace("z", "+00:00"))
        except ValueError:
            raise ValueError(f"timestamp: {_TIME}, found {text[:40]!r}") from None
        moment = moment.replace(tzinfo=timezone.utc) if moment.tzinfo is None else moment
        time = int(moment.timestamp() * 1_000)
    if not 0 < time <= LAST_MS:
        raise ValueError(f"timestamp: {_TIME}, found {text[:40]!r}")
    return time


def _bytes(raw: msgspec.Raw) -> bytes | None:
    """Return the bytes of a JSON value: of a text in UTF-8, of anything else as it is written; None for null."""
    written = bytes(raw)
    if written == b"null":
        return None
    return str(msgspec.json.decode(raw, type=str)).encode() if written.startswith(b'"') else written
