"""The elements of a batch as bytes: where each begins and ends, which record it is, and what is wrong with it.

This works on text that isn't valid JSON: only the strings, brackets, colons and commas of JSON's syntax are read. Each
scan takes linear time, doesn't recurse into nested values, and doesn't copy the text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NoReturn

import msgspec

from kafka_maxcompute.errors import MalformedBatchError
from maxcompute_sink.records import OFFSETS, PARTITIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FAULTS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""The errors that msgspec raises for text that it can't decode."""
SPACE = b" \t\r\n"
MOST_AT_ONCE = 3_000_000
"""The most commas of a batch whose elements one call of msgspec separates; msgspec keeps some 70 bytes for each."""
MOST_READ = 4
"""The search for the next good elements after broken ones reads at most this many times the payload's length."""
MOST_REPEATED = 16
"""With this many members of one name, the value of a name is taken as unclear."""

_NAMES = frozenset({b"data", b"topic", b"partition", b"offset", b"timestamp", b"headers", b"key", b"value"})
_QUOTE, _COLON, _ARRAY_END, _OBJECT, _OBJECT_END = b'":]{}'
_OPENING = b"[{"
_SIGN = re.compile(rb'["\[\]{},]')
_MEMBER_SIGN = re.compile(rb'["\[\]{},:]')
_PAIRS = {ord("]"): ord("["), ord("}"): ord("{")}
_AFTER_VALUE = re.compile(rb'\}|,[ \t\r\n]*"')
_NEXT = re.compile(rb',[ \t\r\n]*(?=\{[ \t\r\n]*"|"\{)')
_WHOLE_NUMBER = re.compile(rb"-?(?:0|[1-9][0-9]{0,18})")
_NUMBER = re.compile(rb"-?[0-9]{1,25}")
_DIGITS = re.compile(rb'"(-?[0-9]{1,19})"')
_ESCAPE = re.compile(rb"\\(?:u([0-9a-fA-F]{4})|.)", re.DOTALL)
_HALF = re.compile(rb"\\u[dD][89a-fA-F]")
_SIMPLE_ESCAPES = {b"n": b"\n", b"t": b"\t", b"r": b"\r", b"b": b"\b", b"f": b"\f"}
_AT_BYTE = re.compile(r"^JSON is malformed: (.*) \(byte (\d+)\)$")
_NO_END = "expected one whole array, found one that doesn't end or goes on after its end"
_HIGH, _LOW = range(0xD800, 0xDC00), range(0xDC00, 0xE000)


class Coordinates(msgspec.Struct, frozen=True):
    """Which record an element is; `timestamp` is in epoch milliseconds if the element has it as a number."""

    topic: str
    partition: int
    offset: int
    timestamp: object = None

    @property
    def possible(self) -> bool:
        """Whether a record of Kafka can have these coordinates."""
        return self.partition in PARTITIONS and self.offset in OFFSETS


class _Event(msgspec.Struct):
    data: Coordinates


class _Keyed(msgspec.Struct):
    key: str | None = None


class _KeyedEvent(msgspec.Struct):
    data: _Keyed


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with an element, and the JSON path of the member with the fault."""

    message: str
    path: str = "$"


@dataclass(slots=True)
class _Members:
    """The members of an element's two outer objects.

    `spans` has the start and end of each value, by the member's JSON path. `unfinished` has the start of each value
    that doesn't end. `deepest` is the largest number of open brackets.
    """

    spans: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    unfinished: dict[str, int] = field(default_factory=dict)
    deepest: int = 0

    def note(self, path: str, start: int, end: int) -> None:
        """Add the span of a value; further spans of a very frequent member are ignored."""
        spans = self.spans.setdefault(path, [])
        if len(spans) < MOST_REPEATED:
            spans.append((start, end))

    def of(self, text: bytes, path: str) -> bytes | None:
        """Return a member's value; None if the element has no such member, or several with different values."""
        spans = self.spans.get(path, [])
        values = {text[start:end].strip(SPACE) for start, end in spans}
        is_clear = len(values) == 1 and len(spans) < MOST_REPEATED
        is_clear = is_clear and all(_AFTER_VALUE.match(text, end) for _, end in spans)
        return values.pop() if is_clear else None

    def around(self, at: int) -> str:
        """Return the path of the innermost member around a position."""
        inside = [path for path, spans in self.spans.items() for start, end in spans if start <= at < end]
        inside += [path for path, start in self.unfinished.items() if start <= at]
        return max(inside, key=len, default="$")


def cut(payload: bytes, is_event: Callable[[bytes], bool]) -> Iterator[bytes]:
    """Yield the elements of a batch, which begins with a bracket, without surrounding blanks.

    `is_event` returns whether bytes are one whole event: after an element whose end isn't clear, the next event is
    searched. Raises `MalformedBatchError` if the array doesn't end, or if the elements can't be separated.
    """
    if payload.count(b",") < MOST_AT_ONCE:
        try:
            raws = msgspec.json.decode(payload, type=list[msgspec.Raw])
        except FAULTS:
            # The array isn't wholly JSON, or nests too deeply, or holds half a surrogate pair.
            pass
        else:
            yield from map(bytes, raws)
            return
    yield from _cut_by_signs(payload, is_event)


def _cut_by_signs(payload: bytes, is_event: Callable[[bytes], bool]) -> Iterator[bytes]:
    start, closing = payload.index(b"[") + 1, len(payload.rstrip(SPACE)) - 1
    if closing < start or payload[closing] != _ARRAY_END:
        refuse(payload, _NO_END)
    if not payload[start:closing].strip(SPACE):
        return
    search = _Search(payload, closing, is_event)
    while True:
        end, _ = _element_end(payload, start)
        if end is None or not _is_json(payload[start:end]):
            # Two broken elements and the elements between them can look like a single broken element.
            following = search.next_event(start, closing if end is None else end)
            if following is not None:
                yield payload[start:following].rstrip(SPACE).removesuffix(b",").strip(SPACE)
                start = following
                continue
            end = closing if end is None else end
        if payload[end] == _ARRAY_END and end != closing:
            refuse(payload, _NO_END)
        yield payload[start:end].strip(SPACE)
        if end == closing:
            return
        start = end + 1


def _is_json(element: bytes) -> bool:
    try:
        msgspec.json.decode(element, type=msgspec.Raw)
    except RecursionError:
        return True
    except FAULTS:
        return False
    return True


@dataclass(slots=True)
class _Search:
    """Searches for the next event of a batch after an element whose end isn't clear.

    `read` counts the bytes that all searches in this batch have read.
    """

    payload: bytes
    closing: int
    is_event: Callable[[bytes], bool]
    read: int = 0

    def next_event(self, start: int, end: int) -> int | None:
        """Return where the first event after the element at `start` begins, before `end`; None if there is no event.

        An event inside the broken element isn't an element of the batch (a value can be an array of events): the array
        that ends after such an event isn't the batch.
        """
        for candidate in _NEXT.finditer(self.payload, start + 1, end):
            if self._begins(candidate.end()):
                return candidate.end()
            if self.read > MOST_READ * len(self.payload):
                refuse(self.payload, "expected elements that can be separated, found quotes or brackets without a pair")
        return None

    def _begins(self, start: int) -> bool:
        end, at = _element_end(self.payload, start)
        if end is None or not self.is_event(self.payload[start:end].strip(SPACE)):
            self.read += at - start
            return False
        while end is not None and self.payload[end] != _ARRAY_END:
            end, at = _element_end(self.payload, end + 1)
        self.read += at - start
        return end is None or end == self.closing


def _element_end(payload: bytes, start: int) -> tuple[int | None, int]:
    """Return the position of the comma after an element, or of its array's closing bracket.

    The position is None if the element's brackets don't match. The second number is how far the payload was read.
    """
    opened, at = bytearray(), start
    while (sign := _SIGN.search(payload, at)) is not None:
        char, at = payload[sign.start()], sign.end()
        if char == _QUOTE:
            at = _string_end(payload, at)
        elif char in _OPENING:
            opened.append(char)
        elif not opened:
            return (sign.start() if char != _OBJECT_END else None), at
        elif char in _PAIRS and opened.pop() != _PAIRS[char]:
            return None, at
    return None, len(payload)


def _string_end(text: bytes, start: int) -> int:
    """Return the position after the closing quote of the string that begins at `start`, or the text's end.

    This doesn't use a regular expression, which takes some hundred bytes of memory for each escape in a string.
    """
    while (quote := text.find(b'"', start)) >= 0:
        before = text[start:quote]
        if (len(before) - len(before.rstrip(b"\\"))) % 2 == 0:
            return quote + 1
        start = quote + 1
    return len(text)


def refuse(payload: bytes, fault: str) -> NoReturn:
    """Raise the error of a batch whose elements can't be separated."""
    raise MalformedBatchError(
        f"expected a JSON array of CloudEvents elements, found {len(payload)} bytes that are none: {fault}; "
        "check that the function is invoked by the connector's event stream"
    ) from None


def unquoted(element: bytes) -> bytes:
    """Return the text in an element that is a string; an invalid escape in it stays unchanged."""
    try:
        return msgspec.json.decode(element, type=str).encode()
    except FAULTS:
        return _ESCAPE.sub(_unescaped, element[1:].removesuffix(b'"'))


def _unescaped(escape: re.Match[bytes]) -> bytes:
    if escape[1] is None:
        return _SIMPLE_ESCAPES.get(escape[0][1:], escape[0][1:])
    number = int(escape[1], 16)
    # Half a surrogate pair stays an escape: the text is JSON, where the escape has the same meaning.
    return escape[0] if number in _HIGH or number in _LOW else chr(number).encode()


def coordinates(text: bytes) -> Coordinates | None:
    """Return which record an element is, even if it is broken; None if its coordinates are absent or ambiguous."""
    shapes: tuple[type[_Event | Coordinates], ...] = (_Event, Coordinates)
    for shape in shapes:
        try:
            decoded = msgspec.json.decode(text, type=shape)
        except FAULTS:
            continue
        return decoded.data if isinstance(decoded, _Event) else decoded
    return _scanned(text)


def _scanned(text: bytes) -> Coordinates | None:
    if b'"offset"' not in text:
        return None
    members = _members(text)
    outer = _outer(members)
    topic, partition, offset, time = (
        members.of(text, f"{outer}.{name}") for name in ("topic", "partition", "offset", "timestamp")
    )
    if topic is None or partition is None or offset is None:
        return None
    try:
        name = msgspec.json.decode(topic, type=str)
    except FAULTS:
        return None
    if not _WHOLE_NUMBER.fullmatch(partition) or not _WHOLE_NUMBER.fullmatch(offset):
        return None
    number = _DIGITS.fullmatch(time or b"") or _WHOLE_NUMBER.fullmatch(time or b"")
    return Coordinates(name, int(partition), int(offset), int(number[number.re.groups]) if number else None)


def _outer(members: _Members) -> str:
    """Return the path of the object that has the record: of the element's `data`, or of the element itself."""
    return "$.data" if any(path.startswith("$.data.") for path in members.spans) else "$"


def key_in(text: bytes) -> bytes | None:
    """Return the record's key as an element has it, even if the element is broken; None if it has no text as key."""
    shapes: tuple[type[_KeyedEvent | _Keyed], ...] = (_KeyedEvent, _Keyed)
    for shape in shapes:
        try:
            decoded = msgspec.json.decode(text, type=shape)
        except FAULTS:
            continue
        key = decoded.data.key if isinstance(decoded, _KeyedEvent) else decoded.key
        return None if key is None else key.encode()
    members = _members(text)
    try:
        return msgspec.json.decode(members.of(text, f"{_outer(members)}.key") or b"", type=str).encode()
    except FAULTS:
        return None


def _members(text: bytes) -> _Members:
    """Return the members of an element's two outer objects, up to a bracket that doesn't match."""
    members, opened, at, string = _Members(), bytearray(), 0, b""
    # By depth: the path of the object, the member whose value is being read, and where that value begins.
    objects, names, began = ["", "$", ""], ["", "", ""], [0, 0, 0]
    while (sign := _MEMBER_SIGN.search(text, at)) is not None:
        char, at, depth = text[sign.start()], sign.end(), len(opened)
        is_outer = depth in {1, 2} and opened[-1] == _OBJECT and objects[depth] != ""
        if char == _QUOTE:
            at = _string_end(text, at)
            string = text[sign.end() : at - 1] if is_outer else b""
            continue
        if char in _OPENING:
            opened.append(char)
            members.deepest = max(members.deepest, len(opened))
            if depth == 1:
                objects[2] = "$.data" if char == _OBJECT and names[1] == "$.data" else ""
        elif char == _COLON:
            if is_outer:
                names[depth] = f"{objects[depth]}.{string.decode()}" if string in _NAMES else ""
                began[depth] = at
        else:
            if char in _PAIRS and (not opened or opened.pop() != _PAIRS[char]):
                break
            if is_outer and names[depth]:
                members.note(names[depth], began[depth], sign.start())
                names[depth] = ""
        string = b""
    members.unfinished = {name: start for name, start in zip(names, began, strict=True) if name}
    return members


def fault_in(text: bytes, fault: Exception) -> Fault:
    """Describe why msgspec couldn't decode an element; the description repeats nothing of the element's contents."""
    if isinstance(fault, msgspec.ValidationError):
        return _invalid(text, fault)
    members = _members(text)
    if isinstance(fault, RecursionError):
        return Fault(f"expected an event, found one that nests {members.deepest} levels deep, more than can be read")
    if not text:
        return Fault("expected an event, found nothing")
    try:
        text.decode()
    except UnicodeDecodeError as error:
        message = f"expected JSON text in UTF-8, found bytes that aren't from byte {error.start} of the element on"
        return Fault(message, members.around(error.start))
    half = _half_pair(text)
    if half is not None:
        message = f"expected text, found half a surrogate pair: a \\u escape without its other half, at byte {half}"
        return Fault(f"{message} of the element", members.around(half))
    return _malformed(members, str(fault))


def _malformed(members: _Members, error: str) -> Fault:
    at_byte = _AT_BYTE.match(error)
    if at_byte is None:
        return Fault(f"expected JSON text, found text that ends too early or isn't JSON: {error}")
    message = f"expected JSON text, found text that isn't: {at_byte[1]} at byte {at_byte[2]} of the element"
    return Fault(message, members.around(int(at_byte[2])))


def _invalid(text: bytes, fault: msgspec.ValidationError) -> Fault:
    message, _, path = str(fault).partition(" - at ")
    path = path.strip("`") or "$"
    if message.endswith("out of range") or message.startswith("Expected `int` "):
        number = _members(text).of(text, path) or b""
        if message.endswith("out of range"):
            message = "Expected a number of 64 bits"
        # The path is that of a coordinate or a time, whose value isn't secret.
        message += f", found {number.decode()}" if _NUMBER.fullmatch(number) else f", found {len(number)} characters"
    return Fault(message, path)


def _half_pair(text: bytes) -> int | None:
    """Return the position of the first half of a surrogate pair without its other half; None if all are whole."""
    if not _HALF.search(text):
        return None
    high: re.Match[bytes] | None = None
    for escape in _ESCAPE.finditer(text):
        number = int(escape[1] or b"0", 16)
        if high is not None and not (number in _LOW and escape.start() == high.end()):
            return high.start()
        if high is None and number in _LOW:
            return escape.start()
        high = escape if number in _HIGH else None
    return None if high is None else high.start()
