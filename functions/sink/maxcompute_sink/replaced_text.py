"""Restores keys and values in which the stream has replaced bytes that aren't UTF-8 by U+FFFD.

A record with U+FFFD is read again from the source topic's log. If its bytes aren't UTF-8, they replace the text, and
then the column decides: BINARY holds the bytes, STRING refuses them. If the log itself has U+FFFD, the text stays. If
there are no brokers, or the log no longer has the record, the text is written as delivered, counted, and named in the
function's log: most texts with U+FFFD are what the producer sent, and the others can't be distinguished from them.

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
    """Return whether a text of these rows may have U+FFFD, as a character or, with `escaped`, as an escape of JSON."""
    return any(
        _may_hold(data.to_pybytes(), escaped=escaped)
        for column in rows.columns
        if column.type in _TEXT and (data := column.buffers()[2]) is not None
    )


def _may_hold(data: bytes, *, escaped: bool) -> bool:
    # A copy and a search for one byte cost a third of a search for all three bytes, or of a search without the copy.
    if _FIRST in data and _ENCODED in data:
        return True
    return escaped and b"\\" in data and _ESCAPED.search(data) is not None


@dataclass(frozen=True, slots=True)
class ReplacedText:
    """Reads the bytes of one delivery's records from the log; each record is read once.

    `originals` is None if there are no brokers. `judged` has the records that were handled, by their `id`.
    """

    settings: Settings
    originals: Originals | None
    metrics: Metrics
    judged: dict[int, AnyRecord] = field(default_factory=dict)

    def restore(self, records: Iterable[AnyRecord], deadline: Deadline) -> bool:
        """Put bytes that aren't UTF-8 into the records; return whether there were any.

        Raises `UnavailableError` if the log can't be read now, `DeadlineError` if it wasn't read in time.
        """
        doubtful = [record for record in records if id(record) not in self.judged and self._is_doubtful(record)]
        if not doubtful:
            return False
        self.judged.update((id(record), record) for record in doubtful)
        if self.originals is None:
            self._log_as_delivered("unread", doubtful)
            return False
        outcomes: Counter[str] = Counter()
        missing: defaultdict[tuple[TopicPartition, int], list[AnyRecord]] = defaultdict(list)
        for record in doubtful:
            missing[(record.topic, record.partition), record.offset].append(record)
        wanted = _wanted_offsets(missing)
        for place, offset, original in _read(self.originals, wanted, deadline.within(READ_SECONDS)):
            for record in missing.pop((place, offset), ()):
                outcome = self._restore(record, original)
                outcomes[outcome] += 1
                if outcome == "lost":
                    missing[place, offset].append(record)
        lost = [record for records in missing.values() for record in records]
        del outcomes["lost"]
        for outcome, count in outcomes.items():
            self.metrics.count(f"replaced:{outcome}", count)
        if lost:
            self._log_as_delivered("lost", lost)
        return outcomes["restored"] > 0

    def _is_doubtful(self, record: AnyRecord) -> bool:
        return any(_holds_replaced(getattr(record, part)) for part in self._parts)

    @property
    def _parts(self) -> tuple[str, ...]:
        """The parts of a record that become a row."""
        return CONTENT[self.settings.mode]

    def _restore(self, record: AnyRecord, original: Original) -> str:
        """Put the original's bytes into a record if they aren't UTF-8; return "restored", "genuine" or "lost"."""
        if not self._is_same(record, original):
            return "lost"
        outcome = "genuine"
        for part in self._parts:
            content = getattr(original, part)
            if _holds_replaced(getattr(record, part)) and not _is_text(content):
                setattr(record, part, content)
                outcome = "restored"
        return outcome

    def _is_same(self, record: AnyRecord, original: Original) -> bool:
        """Return whether the log's record can be the delivered one: the topic may have been created again."""
        if not is_of_one_time(original.timestamp, record.timestamp) or not _could_be_delivered_as(
            original.key, record.key
        ):
            return False
        if isinstance(record, TextRecord):
            return _could_be_delivered_as(original.value, record.value)
        if isinstance(record, BinaryRecord):
            return (original.value or b"") == (record.value or b"")
        return original.value is not None or bytes(record.value) in {b"", b"null"}

    def _log_as_delivered(self, outcome: str, records: Sequence[AnyRecord]) -> None:
        self.metrics.count(f"replaced:{outcome}", len(records))
        why = "there are no brokers to read them from" if outcome == "unread" else "the log no longer has them"
        for start in range(0, len(records), LOGGED_TOGETHER):
            some = [record.where for record in records[start : start + LOGGED_TOGETHER]]
            _log.warning("records with U+FFFD are written as delivered: %s", why, extra={"records": some})


def _holds_replaced(delivered: object) -> bool:
    """Return whether a delivered key or value has U+FFFD; a value of type Binary has the record's own bytes."""
    if isinstance(delivered, msgspec.Raw):
        return _may_hold(bytes(delivered), escaped=True)
    return isinstance(delivered, str) and "\ufffd" in delivered


def _is_text(content: bytes | None) -> bool:
    try:
        (content or b"").decode()
    except UnicodeDecodeError:
        return False
    return True


def _could_be_delivered_as(content: bytes | None, delivered: str | bytes | None) -> bool:
    """Return whether a stream delivers these bytes as that text; the length of runs of U+FFFD isn't compared."""
    delivered_text = delivered if isinstance(delivered, str) else ""
    text = (content or b"").decode("utf-8", "replace")
    return _RUN.sub("\ufffd", text) == _RUN.sub("\ufffd", delivered_text)


def _wanted_offsets(missing: Iterable[tuple[TopicPartition, int]]) -> dict[TopicPartition, Intervals]:
    offsets: defaultdict[TopicPartition, list[int]] = defaultdict(list)
    for place, offset in missing:
        offsets[place].append(offset)
    return {place: intervals(numbers) for place, numbers in offsets.items()}


def _read(
    originals: Originals, wanted: dict[TopicPartition, Intervals], deadline: Deadline
) -> Iterator[tuple[TopicPartition, int, Original]]:
    """Yield the log's records at the wanted offsets; an absent topic-partition, which an element can name, has none."""
    try:
        yield from originals.stream(wanted, deadline)
    except NoSuchTopicError as error:
        present = {place: offsets for place, offsets in wanted.items() if place not in error.places}
        if present:
            yield from _read(originals, present, deadline)
