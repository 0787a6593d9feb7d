"""Keys and values whose bytes the event doesn't tell: the stream has replaced what isn't UTF-8 by U+FFFD.

Such a record is read again in the source topic's log. Bytes that aren't UTF-8 take the place of the text, and from
there on the column decides: BINARY holds them, STRING refuses them. If the log has U+FFFD itself, the text stays. If
there are no brokers, or the log no longer has the record, the text is written as it was delivered, counted, and named
in the function's log: most texts with U+FFFD are what the producer sent, and nothing tells the others from them.

A batch without U+FFFD costs one search in C through the columns of its rows.
"""

from __future__ import annotations

import logging
import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec
import pyarrow as pa

from kafka_maxcompute.brokers.originals import is_of_one_time
from kafka_maxcompute.errors import NoSuchTopicError
from kafka_maxcompute.maxcompute.table import CONTENT
from kafka_maxcompute.offsets import intervals
from maxcompute_sink.records import BinaryRecord, TextRecord
from maxcompute_sink.rejected import LOGGED_TOGETHER

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from fc_powertools import Deadline, Metrics
    from kafka_maxcompute.brokers.originals import Original, Originals
    from kafka_maxcompute.offsets import Intervals, TopicPartition
    from kafka_maxcompute.settings.settings import Settings
    from maxcompute_sink.records import AnyRecord

READ_SECONDS = 60.0
"""How long a batch waits for the log; a read takes well below a second."""

_TEXT = (pa.utf8(), pa.binary())
_ENCODED = "\ufffd".encode()
_FIRST = _ENCODED[:1]
_ESCAPED = re.compile(rb"\\u[fF]{3}[dD]")
_RUN = re.compile("\ufffd+")

_log = logging.getLogger(__name__)


def could_be_in(rows: pa.RecordBatch, *, escaped: bool) -> bool:
    """Whether a text of these rows may hold U+FFFD: as a character or, `escaped`, as an escape of JSON."""
    return any(
        _holds_it(data.to_pybytes(), escaped=escaped)
        for column in rows.columns
        if column.type in _TEXT and (data := column.buffers()[2]) is not None
    )


def _holds_it(data: bytes, *, escaped: bool) -> bool:
    # A copy and a search for one byte cost a third of what a search for all three costs, or one without the copy.
    if _FIRST in data and _ENCODED in data:
        return True
    return escaped and b"\\" in data and _ESCAPED.search(data) is not None


@dataclass(frozen=True, slots=True)
class ReplacedText:
    """Looks for the bytes of one delivery's records; each record is looked for once.

    `originals` is None if there are no brokers. `judged` has the records that were looked for, by their identity.
    """

    settings: Settings
    originals: Originals | None
    metrics: Metrics
    judged: dict[int, AnyRecord] = field(default_factory=dict)

    def restore(self, records: Iterable[AnyRecord], deadline: Deadline) -> bool:
        """Put the bytes that aren't UTF-8 into the records; whether there were any.

        Raises `UnavailableError` if the log can't be read now, `DeadlineError` if it wasn't read in time.
        """
        doubtful = [record for record in records if id(record) not in self.judged and self._is_doubtful(record)]
        if not doubtful:
            return False
        self.judged.update((id(record), record) for record in doubtful)
        if self.originals is None:
            self._tell("unread", doubtful)
            return False
        outcomes: Counter[str] = Counter()
        left: defaultdict[tuple[TopicPartition, int], list[AnyRecord]] = defaultdict(list)
        for record in doubtful:
            left[(record.topic, record.partition), record.offset].append(record)
        wanted = _wanted(left)
        for place, offset, original in _read(self.originals, wanted, deadline.within(READ_SECONDS)):
            for record in left.pop((place, offset), ()):
                outcome = self._settled(record, original)
                outcomes[outcome] += 1
                if outcome == "lost":
                    left[place, offset].append(record)
        lost = [record for records in left.values() for record in records]
        del outcomes["lost"]
        for outcome, count in outcomes.items():
            self.metrics.count(f"replaced:{outcome}", count)
        if lost:
            self._tell("lost", lost)
        return outcomes["restored"] > 0

    def _is_doubtful(self, record: AnyRecord) -> bool:
        return any(_holds(getattr(record, part)) for part in self._parts)

    @property
    def _parts(self) -> tuple[str, ...]:
        """What of a record becomes a row."""
        return CONTENT[self.settings.mode]

    def _settled(self, record: AnyRecord, original: Original) -> str:
        """What becomes of a record, of which the log has something at its offset."""
        if not self._is_same(record, original):
            return "lost"
        outcome = "genuine"
        for part in self._parts:
            real = getattr(original, part)
            if _holds(getattr(record, part)) and not _is_text(real):
                setattr(record, part, real)
                outcome = "restored"
        return outcome

    def _is_same(self, record: AnyRecord, original: Original) -> bool:
        """Whether the log's record is the delivered one as far as the event tells: topics are recreated."""
        if not is_of_one_time(original.timestamp, record.timestamp) or not _is_told_by(original.key, record.key):
            return False
        if isinstance(record, TextRecord):
            return _is_told_by(original.value, record.value)
        if isinstance(record, BinaryRecord):
            return (original.value or b"") == (record.value or b"")
        return original.value is not None or bytes(record.value) in {b"", b"null"}

    def _tell(self, outcome: str, records: Sequence[AnyRecord]) -> None:
        self.metrics.count(f"replaced:{outcome}", len(records))
        why = "there are no brokers to read them from" if outcome == "unread" else "the log no longer has them"
        for start in range(0, len(records), LOGGED_TOGETHER):
            some = [record.where for record in records[start : start + LOGGED_TOGETHER]]
            _log.warning("records with U+FFFD are written as delivered: %s", why, extra={"records": some})


def _holds(delivered: object) -> bool:
    """Whether a key or value as delivered holds U+FFFD; bytes of a value of type Binary are the record's own."""
    if isinstance(delivered, msgspec.Raw):
        return _holds_it(bytes(delivered), escaped=True)
    return isinstance(delivered, str) and "\ufffd" in delivered


def _is_text(real: bytes | None) -> bool:
    try:
        (real or b"").decode()
    except UnicodeDecodeError:
        return False
    return True


def _is_told_by(real: bytes | None, delivered: str | bytes | None) -> bool:
    """Whether a text is what a stream makes of some bytes. How many U+FFFD there are for a fault isn't compared."""
    told = delivered if isinstance(delivered, str) else ""
    text = (real or b"").decode("utf-8", "replace")
    return _RUN.sub("\ufffd", text) == _RUN.sub("\ufffd", told)


def _wanted(left: Iterable[tuple[TopicPartition, int]]) -> dict[TopicPartition, Intervals]:
    offsets: defaultdict[TopicPartition, list[int]] = defaultdict(list)
    for place, offset in left:
        offsets[place].append(offset)
    return {place: intervals(found) for place, found in offsets.items()}


def _read(
    originals: Originals, wanted: dict[TopicPartition, Intervals], deadline: Deadline
) -> Iterator[tuple[TopicPartition, int, Original]]:
    """What the log has; nothing of a topic-partition that isn't there, which an element can name."""
    try:
        yield from originals.stream(wanted, deadline)
    except NoSuchTopicError as error:
        there = {place: offsets for place, offsets in wanted.items() if place not in error.places}
        if there:
            yield from _read(originals, there, deadline)
