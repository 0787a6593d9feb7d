"""Dead letters: records that can't be written into the table, kept with their reason.

A dead letter is the record itself: key, value and headers byte for byte. The connector's own headers follow the
record's headers and begin with `VERSION_HEADER`. So the headers before the last `VERSION_HEADER` are the record's. An
element that isn't a record is kept as its JSON text.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias, get_args

from kafka_maxcompute.brokers.originals import Original

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fc_powertools import Deadline

PREFIX = "__kafka_maxcompute."
VERSION_HEADER = f"{PREFIX}letter"
VERSION = b"1"
"""Increased if a reader of the earlier version would misread a letter."""

Form: TypeAlias = Literal["original", "as-delivered", "event"]
"""`original`: the record of the log; `as-delivered`: the log no longer had the record, so key and value are the event's
and headers are missing; `event`: the element's JSON text."""
Part: TypeAlias = Literal["value", "headers", "key"]

RECORD_OVERHEAD = 128
"""Bytes that a record takes besides its key, value and headers: 61 for the batch's header, the rest for lengths."""
HEADER_OVERHEAD = 10
"""Bytes for the two lengths of a header, at most five for each."""
REASONS = (
    "malformed-event",
    "unexpected-event",
    "not-utf-8",
    "not-csv",
    "csv-field-type",
    "null-in-required-column",
    "field-too-long",
    "refused-by-maxcompute",
    "timestamp-absent",
    "timestamp-out-of-range",
    "not-in-log",
)
"""The reasons that the sink gives, as docs/OPERATIONS.md explains them."""
MESSAGE_CHARACTERS = 2_000
"""Most characters of the message that are kept: it has to fit into the topic even if the record doesn't."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """One record that can't be written, or one element that isn't a record.

    `topic`, `partition` and `offset` are the record's place in the source topic, None if an element doesn't name its
    place. `reason` is `RecordError.reason`, `path` the error's JSON path in the event. `cut` names the parts that were
    shortened to fit into the topic, `size` the bytes of the uncut letter. `generation` is the ledger's generation when
    the record was diverted, because after a reset other records can have the same offsets. It's None without a ledger,
    and in letters of earlier releases.
    """

    connector: str
    request_id: str
    reason: str
    message: str
    path: str
    record: Original
    form: Form = "original"
    topic: str | None = None
    partition: int | None = None
    offset: int | None = None
    cut: tuple[Part, ...] = ()
    size: int | None = None
    generation: int | None = None

    @property
    def truncated(self) -> bool:
        """Whether a part of the record was cut off."""
        return bool(self.cut)


class DeadLetters(Protocol):
    """The interface for writing dead letters."""

    def write(self, letters: Sequence[DeadLetter], deadline: Deadline) -> None:
        """Write all letters; returns when all in-sync replicas have acknowledged every letter.

        A letter that is too large is cut, and names the cut parts. A letter may be written twice: copies are identified
        by the record's place. Raises `UnavailableError`, `DeadlineError` or `RefusedError` if a letter isn't known to
        be written; other letters may be written then.
        """


class MemoryDeadLetters:
    """Dead letters in memory; `messages` are the records as a topic would hold them."""

    def __init__(self, most_bytes: int = 1_048_588) -> None:
        self.messages: list[Original] = []
        self._most_bytes = most_bytes

    def write(self, letters: Sequence[DeadLetter], deadline: Deadline) -> None:  # noqa: ARG002 # it never waits
        """Keep the letters."""
        self.messages += [encode(fitted(letter, self._most_bytes)) for letter in letters]

    @property
    def letters(self) -> list[DeadLetter]:
        """The letters in the messages, as a reader parses them."""
        return [letter for message in self.messages if (letter := parse(message)) is not None]


def encode(letter: DeadLetter) -> Original:
    """Return the letter as a record of the error topic; it has no timestamp, so Kafka sets the time of writing."""
    fields: dict[str, str | int | None] = {
        "connector": letter.connector,
        "topic": letter.topic,
        "partition": letter.partition,
        "offset": letter.offset,
        "timestamp": letter.record.timestamp,
        "reason": letter.reason,
        "message": letter.message[:MESSAGE_CHARACTERS],
        "path": letter.path,
        "request_id": letter.request_id,
        "form": letter.form,
        "truncated": ",".join(letter.cut) or None,
        "size": letter.size,
        "generation": letter.generation,
    }
    own = [(f"{PREFIX}{name}", str(value).encode()) for name, value in fields.items() if value is not None]
    headers = (*letter.record.headers, (VERSION_HEADER, VERSION), *own)
    return Original(key=letter.record.key, value=letter.record.value, headers=headers)


def parse(message: Original) -> DeadLetter | None:
    """Return the letter in a record of the error topic; None if this version can't read the record as a letter."""
    marks = [index for index, (name, _) in enumerate(message.headers) if name == VERSION_HEADER]
    if not marks or message.headers[marks[-1]][1] != VERSION:
        return None
    headers, own_headers = message.headers[: marks[-1]], message.headers[marks[-1] + 1 :]
    try:
        own = {name[len(PREFIX) :]: (value or b"").decode() for name, value in own_headers}
        return DeadLetter(
            connector=own["connector"],
            request_id=own["request_id"],
            reason=own["reason"],
            message=own["message"],
            path=own["path"],
            record=replace(message, headers=headers, timestamp=_number(own.get("timestamp"))),
            form=next(form for form in get_args(Form) if form == own["form"]),
            topic=own.get("topic"),
            partition=_number(own.get("partition")),
            offset=_number(own.get("offset")),
            cut=tuple(part for part in get_args(Part) if part in own.get("truncated", "").split(",")),
            size=_number(own.get("size")),
            generation=_number(own.get("generation")),
        )
    except (KeyError, StopIteration, ValueError):
        return None


def fitted(letter: DeadLetter, most_bytes: int) -> DeadLetter:
    """Return the letter, cut to a message of at most `most_bytes`: first the value, then the headers, then the key."""
    uncut = size(encode(letter))
    if uncut <= most_bytes:
        return letter
    cut = replace(letter, cut=("value",), size=uncut if letter.size is None else letter.size)
    room = most_bytes - size(encode(_with_value(cut, None)))
    if room >= 0:
        return _with_value(cut, (letter.record.value or b"")[:room])
    cut = replace(cut, cut=("value", "headers"), record=replace(letter.record, value=None, headers=()))
    if size(encode(cut)) <= most_bytes:
        return cut
    cut = replace(cut, cut=("value", "headers", "key"))
    room = most_bytes - size(encode(replace(cut, record=replace(cut.record, key=None))))
    return replace(cut, record=replace(cut.record, key=(letter.record.key or b"")[: max(0, room)]))


def size(message: Original) -> int:
    """Return the bytes that a record takes in a batch of its own, rounded up a little."""
    headers = sum(len(name.encode()) + len(value or b"") + HEADER_OVERHEAD for name, value in message.headers)
    return RECORD_OVERHEAD + len(message.key or b"") + len(message.value or b"") + headers


def _with_value(letter: DeadLetter, value: bytes | None) -> DeadLetter:
    return replace(letter, record=replace(letter.record, value=value))


def _number(text: str | None) -> int | None:
    return None if text is None else int(text)
