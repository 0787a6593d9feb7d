"""Decodes the bytes of one invocation into Kafka records; elements that can't be decoded are rejected with a reason.

On the common path, one typed decode reads the whole array, with no Python call for a record. It costs less than
`json.loads`, because it skips all fields that no row needs. Only if this decode fails, the array is cut into elements
and each element is decoded alone, so that a malformed element doesn't affect the good ones.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeGuard, TypeVar

import msgspec

from kafka_maxcompute.errors import RecordError
from maxcompute_sink import json_values
from maxcompute_sink.elements import FAULTS, SPACE, coordinates, cut, fault_in, refuse, unquoted
from maxcompute_sink.records import RECORD_TYPES, AnyRecord, are_json
from maxcompute_sink.rejected import Rejected

if TYPE_CHECKING:
    from collections.abc import Sequence

MALFORMED = "malformed-event"
"""The reason of an element that isn't JSON."""
UNEXPECTED = "unexpected-event"
"""The reason of an element that is JSON, but isn't a Kafka event of the stream's value type."""

ALONE = 1_000
"""How many elements of a batch that don't say which record they are get a dead letter each; later ones share."""
JOINED_BYTES = 65_536
"""The size from which a shared dead letter takes no more elements."""
MOST_NAMED = 400
"""The most characters of coordinates in a message; a topic's name has 249 at most, an offset 19."""

_HINTS = {
    "Text": "; if the stream delivers parsed JSON, set value_type to Json",
    "Json": "",
    "Binary": "; if the stream delivers values as text, set value_type to Text",
}
_VALUE_PATHS = frozenset({"$.data.value", "$.value"})
_WHOLE_NUMBER = re.compile(r"-?[0-9]{1,19}")

RecordT = TypeVar("RecordT")


class _Event(msgspec.Struct, Generic[RecordT], gc=False):
    """A CloudEvents element; a row needs only its attribute `data`."""

    data: RecordT


class _Probe(msgspec.Struct):
    """Distinguishes the schema CloudEvents (the record is in `data`) from RawData (the element is the record)."""

    data: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    topic: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


@dataclass(frozen=True, slots=True)
class Decoded:
    """The good records of a batch in its order, and the rejected ones; `size` is the batch's size in bytes.

    All `records` have one value type; their timestamps are numbers or None.
    """

    records: list[AnyRecord]
    rejected: list[Rejected]
    size: int

    @property
    def elements(self) -> int:
        """The number of elements in the batch."""
        return len(self.records) + sum(rejection.error.count for rejection in self.rejected)


class Decoder:
    """Decodes batches of one value type ("Text", "Json" or "Binary": how the stream is set to deliver values)."""

    def __init__(self, value_type: str) -> None:
        # These types are known only at run time; the annotations of the decoders say what the types have in common.
        record: Any = RECORD_TYPES[value_type]
        event: Any = _Event[record]
        self._hint = _HINTS[value_type]
        self._batch: msgspec.json.Decoder[list[_Event[AnyRecord] | str]] = msgspec.json.Decoder(list[event | str])
        self._raw_batch: msgspec.json.Decoder[list[AnyRecord]] = msgspec.json.Decoder(list[record])
        self._event: msgspec.json.Decoder[_Event[AnyRecord]] = msgspec.json.Decoder(event)
        self._record: msgspec.json.Decoder[AnyRecord] = msgspec.json.Decoder(record)

    def decode(self, payload: bytes) -> Decoded:
        """Return the records in `payload`, an array of elements or a single element.

        An element is a CloudEvents object or a string with such an object; with the schema RawData, the element is the
        record itself. Raises `MalformedBatchError` if the elements can't be separated.
        """
        opening = payload.lstrip(SPACE)[:1]
        if opening in {b"{", b'"'}:
            payload = b"[" + payload + b"]"
        elif opening != b"[":
            refuse(payload, f"expected an array or an object, found a first byte of {opening!r}")
        rejected: list[Rejected] = []
        try:
            records = self._at_once(payload)
        except FAULTS:
            records = self._one_by_one(payload, rejected)
        if are_json(records) and json_values.could_hold_escapes(payload):
            json_values.undo_escapes(records)
        return Decoded(_with_times(records, rejected), rejected, len(payload))

    def _at_once(self, payload: bytes) -> list[AnyRecord]:
        """Decode all records with one call; raises one of `FAULTS` if an element has to be decoded alone."""
        try:
            elements = self._batch.decode(payload)
        except msgspec.ValidationError:
            # For RawData, the first try fails at the first element and costs little; good CloudEvents need one try.
            return self._raw_batch.decode(payload)
        if _are_events(elements):
            return [event.data for event in elements]
        decode = self._event.decode
        return [(decode(element) if isinstance(element, str) else element).data for element in elements]

    def _one_by_one(self, payload: bytes, rejected: list[Rejected]) -> list[AnyRecord]:
        records: list[AnyRecord] = []
        aside = _Aside(self._hint, rejected)
        for index, element in enumerate(cut(payload, self._is_event)):
            try:
                record = self._decoded(element)
            except FAULTS as fault:  # noqa: PERF203 # the loop is there to catch it
                aside.add(index, element, fault, after=len(records))
            else:
                untimely = _read_time(record)
                if untimely is None:
                    records.append(record)
                else:
                    aside.add_record(untimely)
        aside.end()
        return records

    def _decoded(self, element: bytes) -> AnyRecord:
        """Decode the record of an element; raises one of `FAULTS`."""
        text: bytes | str = msgspec.json.decode(element, type=str) if element[:1] == b'"' else element
        try:
            return self._event.decode(text).data
        except msgspec.ValidationError as fault:
            try:
                probe = msgspec.json.decode(text, type=_Probe)
            except FAULTS:
                raise fault from None
            if probe.data is msgspec.UNSET and probe.topic is not msgspec.UNSET:
                return self._record.decode(text)
            raise

    def _is_event(self, element: bytes) -> bool:
        try:
            self._decoded(element)
        except FAULTS:
            return False
        return True


@dataclass(slots=True)
class _Aside:
    """Rejects the bad elements of one batch, in the batch's order.

    After the first `ALONE` elements that don't say which record they are, adjacent ones with the same fault are joined
    into one rejection: a real batch has 10,000 elements at most, but a payload of other bytes can have millions.
    """

    _hint: str
    _rejected: list[Rejected]
    _alone: int = 0
    _alike: tuple[str, str, str, int] | None = None
    _first: int = 0
    _elements: list[bytes] = field(default_factory=list)
    _bytes: int = 0

    def add(self, index: int, element: bytes, fault: Exception, *, after: int) -> None:
        """Reject an element; `after` counts the good records before it."""
        text = unquoted(element) if element[:1] == b'"' else element
        described = fault_in(text, fault)
        message = described.message
        reason = UNEXPECTED if isinstance(fault, msgspec.ValidationError) else MALFORMED
        if reason == UNEXPECTED and described.path in _VALUE_PATHS:
            message += self._hint
        at = coordinates(text)
        if at is None or not at.possible:
            where = None if at is None or len(str(at)) > MOST_NAMED else f"{at.topic}-{at.partition}-{at.offset}"
            self._add_unplaced(index, text, (reason, message, described.path, after), where)
            return
        error = RecordError(reason, message, where=f"{at.topic}-{at.partition}-{at.offset}", path=described.path)
        timestamp = at.timestamp if type(at.timestamp) is int else None
        self.add_record(Rejected(error, (at.topic, at.partition), at.offset, timestamp, element=text, after=after))

    def add_record(self, rejected: Rejected) -> None:
        """Reject a record whose coordinates are known."""
        self.end()
        self._rejected.append(rejected)

    def end(self) -> None:
        """Reject the elements that were kept to be joined."""
        if self._alike is not None:
            reason, message, path, after = self._alike
            where = f"elements {self._first} to {self._first + len(self._elements) - 1}"
            error = RecordError(reason, message, where=where, path=path, count=len(self._elements))
            text = b"[" + b",".join(self._elements) + b"]"
            self._rejected.append(Rejected(error, None, None, element=text, after=after))
        self._alike, self._elements, self._bytes = None, [], 0

    def _add_unplaced(self, index: int, text: bytes, alike: tuple[str, str, str, int], where: str | None) -> None:
        if self._alone < ALONE:
            self._alone += 1
            reason, message, path, after = alike
            error = RecordError(reason, message, where=where or f"element {index}", path=path)
            self._rejected.append(Rejected(error, None, None, element=text, after=after))
            return
        if alike != self._alike or self._bytes > JOINED_BYTES:
            self.end()
            self._alike, self._first = alike, index
        self._elements.append(text)
        self._bytes += len(text) + 1


def _are_events(elements: Sequence[_Event[AnyRecord] | str]) -> TypeGuard[Sequence[_Event[AnyRecord]]]:
    return str not in set(map(type, elements))


def _with_times(records: list[AnyRecord], rejected: list[Rejected]) -> list[AnyRecord]:
    """Turn timestamps of digits into numbers and return the records; the common path has no such timestamps."""
    if str not in set(map(type, [record.timestamp for record in records])):
        return records
    faults = [_read_time(record) for record in records]
    rejected += [fault for fault in faults if fault is not None]
    return [record for record, fault in zip(records, faults, strict=True) if fault is None]


def _read_time(record: AnyRecord) -> Rejected | None:
    """Turn a record's timestamp of digits into a number; return a rejection if the text isn't a number."""
    if isinstance(record.timestamp, str):
        if not _WHOLE_NUMBER.fullmatch(record.timestamp):
            message = "expected milliseconds since 1970 as a number or its digits, found other text"
            return Rejected.of(record, UNEXPECTED, message, path="$.data.timestamp")
        record.timestamp = int(record.timestamp)
    return None
