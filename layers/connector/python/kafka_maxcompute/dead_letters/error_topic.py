"""Writes the dead letters of diverted records, with a claim of the ledger or without.

A record's bytes are read from the source topic's log, since an event of the stream is lossy. If the log no longer has
the record, the letter holds the delivered event's bytes, if a delivery has them, and its form says so. A record of
another time or of another log isn't the delivered one: the topic was created again, and its offsets began again.
"""

from __future__ import annotations

import logging
from base64 import b64encode
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeAlias

from kafka_maxcompute.brokers.originals import Original, is_of_one_time
from kafka_maxcompute.dead_letters.dead_letter import DeadLetter
from kafka_maxcompute.errors import NoSuchTopicError
from kafka_maxcompute.offsets import contains

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from fc_powertools import Deadline
    from kafka_maxcompute.brokers.originals import Found, Originals
    from kafka_maxcompute.dead_letters.dead_letter import DeadLetters, Form
    from kafka_maxcompute.errors import RecordError
    from kafka_maxcompute.ledger.operations import Divert
    from kafka_maxcompute.offsets import Offsets, TopicPartition

JUDGED_EARLIER = "an earlier delivery found that the record can't be written; the log of that delivery has the details"
UNLOGGED = "not-in-log"
"""The reason of settled records that came again and are in no log: their topic is gone, or was created again."""
UNLOGGED_MESSAGE = (
    "the ledger has this offset as written, but the record that was delivered isn't in the topic's log any more, so "
    "nothing proves that this record is the one written; look for its row before you send it again"
)
REPLACED = "\ufffd".encode()
"""The character that an event has instead of bytes that aren't UTF-8; a key with it can't be compared."""
_GONE = Original(key=None, value=None)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class DeliveredRecord:
    """A record as a delivery knows it: the event's bytes, and why the record can't be written, if that is known.

    `form` is "event" if the record is the element's JSON text; then `key` is the key that the text names, if it does.
    """

    record: Original
    form: Form = "as-delivered"
    message: str = JUDGED_EARLIER
    path: str = "$.data"
    key: bytes | None = None


Known: TypeAlias = "Callable[[TopicPartition, int], DeliveredRecord | None]"
"""Returns the delivery's record at an offset, None if the delivery has none."""


def nothing(place: TopicPartition, offset: int) -> DeliveredRecord | None:  # noqa: ARG001 # a `Known`
    """Return None: the `Known` of a process that has no delivery."""
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """The ledger's facts about diverted records.

    `generation` is the generation of their claim. `timestamps` has each topic-partition's highest record timestamp
    (epoch ms), without the records at `untimed` offsets, whose timestamps aren't known. The topic-partitions in
    `other_logs` have another log than the records' own.
    """

    generation: int | None = None
    timestamps: Mapping[TopicPartition, int] = field(default_factory=dict)
    untimed: Offsets = field(default_factory=dict)
    other_logs: frozenset[TopicPartition] = frozenset()

    @classmethod
    def by(cls, divert: Divert) -> Claimed:
        """Return the facts that a divert holds."""
        return cls(generation=divert.generation, timestamps=divert.timestamps, untimed=divert.untimed)

    def is_of(self, place: TopicPartition, offset: int, original: Original) -> bool:
        """Whether the log's record at an offset can be one of the diverted records."""
        latest = None if contains(self.untimed.get(place, ()), offset) else self.timestamps.get(place)
        later = latest is not None and original.timestamp is not None and original.timestamp > latest
        return place not in self.other_logs and not later


UNCLAIMED = Claimed()


@dataclass(frozen=True, slots=True)
class ErrorTopic:
    """The error topic of one connector, written on behalf of one request."""

    letters: DeadLetters
    originals: Originals
    connector: str
    request_id: str

    def write(
        self,
        reasons: Mapping[str, Offsets],
        deadline: Deadline,
        known: Known = nothing,
        claimed: Claimed = UNCLAIMED,
    ) -> None:
        """Write a dead letter for each offset of each reason; returns when all are acknowledged.

        Raises what reading originals and writing letters raise.
        """
        letters = [
            letter
            for reason, offsets in reasons.items()
            for letter in self._letters_of(reason, offsets, deadline, known, claimed)
        ]
        if letters:
            self.letters.write(letters, deadline)

    def write_elements(self, elements: Sequence[tuple[RecordError, bytes]], deadline: Deadline) -> None:
        """Write a dead letter with the JSON text of each element that doesn't name its record's place.

        Without a place, an earlier letter of the same element can't be recognised. So a redelivery writes it again.
        """
        letters = [
            DeadLetter(
                connector=self.connector,
                request_id=self.request_id,
                reason=error.reason,
                message=error.message,
                path=error.path,
                record=Original(key=None, value=element),
                form="event",
            )
            for error, element in elements
        ]
        if letters:
            self.letters.write(letters, deadline)

    def _letters_of(
        self, reason: str, offsets: Offsets, deadline: Deadline, known: Known, claimed: Claimed
    ) -> Iterator[DeadLetter]:
        """Yield the dead letters of one reason."""
        originals = self._originals(offsets, deadline, known)
        for place, intervals in offsets.items():
            gone = []
            for first, last in intervals:
                for offset in range(first, last + 1):
                    delivered = known(place, offset)
                    original = originals.get((place, offset))
                    if original is not None:
                        same = is_delivered(original, delivered) and claimed.is_of(place, offset, original)
                        original = original if same else None
                    if original is None and delivered is None:
                        gone.append(offset)
                    letter = self._letter(reason, place, offset, original, delivered)
                    yield replace(letter, generation=claimed.generation)
            if gone:
                fields = {"records": [f"{place[0]}-{place[1]}-{offset}" for offset in gone[:100]], "count": len(gone)}
                _log.error(
                    "the source topic no longer has diverted records; their dead letters are empty", extra=fields
                )

    def _originals(self, offsets: Offsets, deadline: Deadline, known: Known) -> Found:
        """Return the log's records.

        Topic-partitions that don't exist are left out if the delivery knows all their records: an element can name any
        topic-partition, and otherwise the divert of its record would stay pending for ever.
        """
        try:
            return self.originals.read(offsets, deadline)
        except NoSuchTopicError as error:
            for place in error.places:
                wanted = (offset for first, last in offsets[place] for offset in range(first, last + 1))
                if None in (known(place, offset) for offset in wanted):
                    raise
            _log.warning("dead letters hold what was delivered: %s", error)
            existing = {place: intervals for place, intervals in offsets.items() if place not in error.places}
            return self._originals(existing, deadline, known) if existing else {}

    def _letter(
        self,
        reason: str,
        place: TopicPartition,
        offset: int,
        original: Original | None,
        delivered: DeliveredRecord | None,
    ) -> DeadLetter:
        judged = delivered or DeliveredRecord(_GONE)
        form: Form = judged.form if original is None else "original"
        return DeadLetter(
            connector=self.connector,
            request_id=self.request_id,
            reason=reason,
            message=judged.message,
            path=judged.path,
            record=judged.record if original is None else original,
            form=form,
            topic=place[0],
            partition=place[1],
            offset=offset,
            cut=("value", "headers", "key") if original is None and delivered is None else (),
        )


def is_delivered(original: Original, delivered: DeliveredRecord | None) -> bool:
    """Whether the log's record at an offset can be the delivered one, by time and key.

    Events have a key as text. Whether events with binary values have the key in base64, like the value, isn't
    documented. An event that can't be read may still name its key.
    """
    if delivered is None:
        return True
    if not is_of_one_time(original.timestamp, delivered.record.timestamp):
        return False
    if delivered.form == "event" and delivered.key is None:
        return True
    key = (delivered.key if delivered.form == "event" else delivered.record.key) or b""
    logged = original.key or b""
    return REPLACED in key or key in {logged, b64encode(logged)}
