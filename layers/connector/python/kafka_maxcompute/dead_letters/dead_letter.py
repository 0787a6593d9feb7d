"""Dead letters: records that can't be written into the table, kept with their reason.

A letter is the record itself - key, value and headers byte for byte - and after its headers some of our own, the first
of which is `VERSION_HEADER`; so whatever headers the record had, those before the last `VERSION_HEADER` are its own. An
element that is no record at all is kept as the JSON text it was.
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
"""Raised when a reader of the version before would misread a letter."""

Form: TypeAlias = Literal["original", "as-delivered", "event"]
"""`original`: as the log had it; `as-delivered`: the log no longer had it, so key and value are the event's and headers
are missing; `event`: no record but the element's JSON text."""
Part: TypeAlias = Literal["value", "headers", "key"]

RECORD_OVERHEAD = 128
"""Bytes that a record takes besides its key, value and headers: a batch's header has 61, the rest are lengths."""
HEADER_OVERHEAD = 10
"""Bytes for the two lengths of a header, at most five each."""
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
"""So much of a reason's text is kept: it has to fit where the record doesn't."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """One record that can't be written, or one element that is no record.

    `topic`, `partition` and `offset` are where the record is in the source topic, None where an element doesn't say it;
    `reason` is the word of `RecordError.reason`, the error's class; `path` its JSON path in the event. `cut` names the
    parts that were shortened to fit into the topic, `size` the bytes that the whole had. `generation` is the ledger's
    when the record was diverted: since a reset, a topic-partition's offsets can be those of other records. It's None
    without a ledger, and in letters that earlier releases have written.
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
        """Whether a part of it was cut off."""
        return bool(self.cut)


class DeadLetters(Protocol):
    """Where dead letters go."""

    def write(self, letters: Sequence[DeadLetter], deadline: Deadline) -> None:
        """Write all of them; returns when every one is acknowledged by all in-sync replicas.

        A letter that is too large is cut and says so. A letter written again is another copy: its identity is where
        the record came from. Raises `UnavailableError`, `DeadlineError` or `RefusedError` where any isn't known to be
        written; then others of them may be.
        """


class MemoryDeadLetters:
    """Dead letters in memory; `messages` are the records as a topic would hold them."""

    def __init__(self, most_bytes: int = 1_048_588) -> None:
        self.messages: list[Original] = []
        self._most_bytes = most_bytes

    def write(self, letters: Sequence[DeadLetter], deadline: Deadline) -> None:  # noqa: ARG002 # it never waits
        """Keep them."""
        self.messages += [encode(fitted(letter, self._most_bytes)) for letter in letters]

    @property
    def letters(self) -> list[DeadLetter]:
        """What a reader makes of the messages."""
        return [letter for message in self.messages if (letter := parse(message)) is not None]


def encode(letter: DeadLetter) -> Original:
    """The letter as a record of the error topic, without a timestamp: that is when it's written."""
    given: dict[str, str | int | None] = {
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
    own = [(f"{PREFIX}{name}", str(value).encode()) for name, value in given.items() if value is not None]
    headers = (*letter.record.headers, (VERSION_HEADER, VERSION), *own)
    return Original(key=letter.record.key, value=letter.record.value, headers=headers)


def parse(message: Original) -> DeadLetter | None:
    """The letter that a record of the error topic holds; None where it's none that this version can read."""
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
    """The letter so that its message has `most_bytes` at most: the value is cut first, then headers, then the key."""
    whole = size(encode(letter))
    if whole <= most_bytes:
        return letter
    known = whole if letter.size is None else letter.size
    made = replace(letter, cut=("value",), size=known)
    kept = most_bytes - size(encode(_with_value(made, None)))
    if kept >= 0:
        return _with_value(made, (letter.record.value or b"")[:kept])
    made = replace(made, cut=("value", "headers"), record=replace(letter.record, value=None, headers=()))
    if size(encode(made)) <= most_bytes:
        return made
    made = replace(made, cut=("value", "headers", "key"))
    kept = most_bytes - size(encode(replace(made, record=replace(made.record, key=None))))
    return replace(made, record=replace(made.record, key=(letter.record.key or b"")[: max(0, kept)]))


def size(message: Original) -> int:
    """The bytes that a record takes in a batch of its own, a few more rather than fewer."""
    headers = sum(len(name.encode()) + len(value or b"") + HEADER_OVERHEAD for name, value in message.headers)
    return RECORD_OVERHEAD + len(message.key or b"") + len(message.value or b"") + headers


def _with_value(letter: DeadLetter, value: bytes | None) -> DeadLetter:
    return replace(letter, record=replace(letter.record, value=value))


def _number(text: str | None) -> int | None:
    return None if text is None else int(text)
