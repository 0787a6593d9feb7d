"""The bytes of one invocation become Kafka records; what can't be read is set aside with its reason.

Common path: one typed decode of the whole array, with no Python call for a record. It costs less than `json.loads`,
since all fields that no row needs are skipped. Only when it finds a fault is the array cut into its elements and each
decoded alone, so that one malformed element can't take the good ones with it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar

import msgspec

from kafka_maxcompute.errors import MalformedBatchError, RecordError
from maxcompute_sink.records import OFFSETS, PARTITIONS, RECORD_TYPES
from maxcompute_sink.rejected import Rejected

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MALFORMED = "malformed-event"
"""The reason of an element that is no JSON."""
UNEXPECTED = "unexpected-event"
"""The reason of an element that is JSON, but no Kafka event of the stream's value type."""

_HINTS = {
    "Text": "; if the stream delivers parsed JSON, set value_type to Json",
    "Json": "",
    "Binary": "; if the stream delivers values as text, set value_type to Text",
}
_FAULTS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_SPACE = b" \t\r\n"
_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{},]', re.DOTALL)
_WHOLE_NUMBER = re.compile(r"-?[0-9]{1,19}")

RecordT = TypeVar("RecordT")


class _Event(msgspec.Struct, Generic[RecordT], gc=False):
    """A CloudEvents element; of its attributes only `data` matters to a row."""

    data: RecordT


class _Coordinates(msgspec.Struct):
    topic: str
    partition: int
    offset: int
    timestamp: Any = None


class _Probe(msgspec.Struct):
    """Tells the schema CloudEvents (the record is in `data`) from RawData (the element is the record)."""

    data: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    topic: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


@dataclass(frozen=True, slots=True)
class Decoded:
    """The records of a batch in its order, and what can't be one; `size` is that of the batch in bytes.

    `records` are of one subtype of `Record` (which one only `mapping` needs to know); their timestamps are numbers or
    None.
    """

    records: list[Any]
    rejected: list[Rejected]
    size: int


class Decoder:
    """Decodes batches of one value type ("Text", "Json" or "Binary": as the stream was told to deliver values)."""

    def __init__(self, value_type: str) -> None:
        record: Any = RECORD_TYPES[value_type]
        event: Any = _Event[record]
        self._hint = _HINTS[value_type]
        self._batch = msgspec.json.Decoder(list[event | str])
        self._raw_batch = msgspec.json.Decoder(list[record])
        self._event = msgspec.json.Decoder(event)
        self._record = msgspec.json.Decoder(record)

    def decode(self, payload: bytes) -> Decoded:
        """The records in `payload`: an array of elements, or a lone one.

        An element is a CloudEvents object or a string that holds one; of the schema RawData it's the record alone.
        Raises `MalformedBatchError` where the elements can't be told apart.
        """
        opening = payload.lstrip(_SPACE)[:1]
        if opening in {b"{", b'"'}:
            payload = b"[" + payload + b"]"
        elif opening != b"[":
            _refuse(payload, f"expected an array or an object, found a first byte of {opening!r}")
        rejected: list[Rejected] = []
        try:
            records = self._at_once(payload)
        except _FAULTS:
            records = self._one_by_one(payload, rejected)
        return Decoded(_with_times(records, rejected), rejected, len(payload))

    def _at_once(self, payload: bytes) -> list[Any]:
        """All records by one call; raises one of `_FAULTS` where any element needs a closer look."""
        elements: list[Any]
        try:
            elements = self._batch.decode(payload)
        except msgspec.ValidationError:
            # A batch of RawData fails at its first element, so the second try costs other batches nothing.
            return self._raw_batch.decode(payload)
        if str in set(map(type, elements)):
            decode = self._event.decode
            elements = [decode(element) if type(element) is str else element for element in elements]
        return [event.data for event in elements]

    def _one_by_one(self, payload: bytes, rejected: list[Rejected]) -> list[Any]:
        records: list[Any] = []
        for index, element in enumerate(_cut(payload)):
            text: bytes | str = element
            try:
                if element[:1] == b'"':
                    text = msgspec.json.decode(element, type=str)
                record = self._record_of(text)
            except _FAULTS as fault:
                rejected.append(_rejection(index, text, fault, self._hint, after=len(records)))
            else:
                untimely = _read_time(record)
                if untimely is None:
                    records.append(record)
                else:
                    rejected.append(untimely)
        return records

    def _record_of(self, text: bytes | str) -> Any:
        try:
            return self._event.decode(text).data
        except msgspec.ValidationError:
            probe = msgspec.json.decode(text, type=_Probe)
            if probe.data is msgspec.UNSET and probe.topic is not msgspec.UNSET:
                return self._record.decode(text)
            raise


def _cut(payload: bytes) -> Sequence[bytes]:
    """The elements of an array as their bytes, without surrounding blanks."""
    try:
        return [bytes(raw) for raw in msgspec.json.decode(payload, type=list[msgspec.Raw])]
    except _FAULTS:
        # The array isn't wholly JSON (or nests too deeply, or holds half a surrogate pair): find its commas by hand.
        elements = [element.strip(_SPACE) for element in _cut_by_tokens(payload)]
        return [] if elements == [b""] else elements


def _cut_by_tokens(payload: bytes) -> Iterator[bytes]:
    """The bytes between the commas of the outermost array, knowing of JSON only strings and brackets."""
    depth, start = 0, 0
    for token in _TOKEN.finditer(payload):
        char = payload[token.start()]
        if char in b"[{":
            depth += 1
            if depth == 1:
                start = token.end()
        elif depth == 1 and char in b",]}":
            yield payload[start : token.start()]
            start = token.end()
        if char in b"]}":
            depth -= 1
            if depth == 0:
                break
    if depth or payload[start:].strip(_SPACE):
        _refuse(payload, "expected one whole array, found one that doesn't end or goes on after its end")


def _refuse(payload: bytes, found: str) -> NoReturn:
    raise MalformedBatchError(
        f"expected a JSON array of CloudEvents elements, found {len(payload)} bytes that are none: {found}; "
        "check that the function is invoked by the connector's event stream"
    ) from None


def _rejection(index: int, text: bytes | str, fault: Exception, hint: str, *, after: int) -> Rejected:
    """Why an element is no record; nothing of what the element holds but its coordinates is repeated."""
    at = _coordinates(text)
    where = f"element {index}" if at is None else f"{at.topic}-{at.partition}-{at.offset}"
    if isinstance(fault, msgspec.ValidationError):
        message, _, path = str(fault).partition(" - at ")
        path = path.strip("`") or "$"
        advice = hint if path in {"$.data.value", "$.value"} else ""
        error = RecordError(UNEXPECTED, message + advice, where=where, path=path)
    elif isinstance(fault, msgspec.DecodeError):
        message = f"expected JSON text, found text that isn't: {fault}"
        error = RecordError(MALFORMED, message, where=where, path="$")
    elif isinstance(fault, UnicodeDecodeError):
        error = RecordError(MALFORMED, "expected JSON text in UTF-8, found bytes that aren't", where=where, path="$")
    else:
        error = RecordError(MALFORMED, "expected an event, found one that nests too deeply", where=where, path="$")
    element = text.encode() if isinstance(text, str) else text
    if at is None or at.partition not in PARTITIONS or at.offset not in OFFSETS:
        return Rejected(error, None, None, element=element, after=after)
    timestamp = at.timestamp if isinstance(at.timestamp, int) else None
    return Rejected(error, (at.topic, at.partition), at.offset, timestamp, element=element, after=after)


def _coordinates(text: bytes | str) -> _Coordinates | None:
    """Where an element's record is in its topic, if the element says it, whatever else is wrong with it."""
    shapes: tuple[Any, ...] = (_Event[_Coordinates], _Coordinates)
    for shape in shapes:
        try:
            found = msgspec.json.decode(text, type=shape)
        except _FAULTS:
            continue
        at: _Coordinates = getattr(found, "data", found)
        return at
    return None


def _with_times(records: list[Any], rejected: list[Rejected]) -> list[Any]:
    """The records with timestamps that came as digits turned into numbers; on the common path there are none."""
    if str not in set(map(type, [record.timestamp for record in records])):
        return records
    faults = [_read_time(record) for record in records]
    rejected += [fault for fault in faults if fault is not None]
    return [record for record, fault in zip(records, faults, strict=True) if fault is None]


def _read_time(record: Any) -> Rejected | None:
    """Turn a timestamp of digits into a number; why it can't be, else None."""
    if isinstance(record.timestamp, str):
        if not _WHOLE_NUMBER.fullmatch(record.timestamp):
            message = "expected milliseconds since 1970 as a number or its digits, found other text"
            return Rejected.of(record, UNEXPECTED, message, path="$.data.timestamp")
        record.timestamp = int(record.timestamp)
    return None
