"""Writes the dead letters of records that are diverted: bound for the error topic, by a claim of the ledger or without.

A record's bytes are read from the source topic's log, since an event of the stream is lossy. Where the log no longer
has them, the letter holds what the delivery has, if there's one at hand, and says so. A record of another time, or one
of another log, isn't the one that was delivered: the topic was created again, and its offsets began again.
"""

from __future__ import annotations

import logging
from base64 import b64encode
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeAlias

from kafka_maxcompute.brokers.originals import Original, is_of_one_time
from kafka_maxcompute.dead_letters.dead_letter import DeadLetter
from kafka_maxcompute.errors import NowhereError
from kafka_maxcompute.offsets import contains

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from fc_powertools import Deadline
    from kafka_maxcompute.brokers.originals import Found, Originals
    from kafka_maxcompute.dead_letters.dead_letter import DeadLetters, Form
    from kafka_maxcompute.errors import RecordError
    from kafka_maxcompute.ledger.operations import Divert
    from kafka_maxcompute.offsets import Offsets, TopicPartition

JUDGED_EARLIER = "an earlier delivery found that it can't be written; that delivery's log has the details"
UNLOGGED = "not-in-log"
"""The reason of settled records that came again, but are in no log that is there: their topic is gone, or another."""
UNLOGGED_MESSAGE = (
    "the ledger has this offset as written, but the record that was delivered isn't in the topic's log any more, so "
    "nothing proves that it's the one written; look for its row before you send it again"
)
REPLACED = "\ufffd".encode()
"""What an event has instead of bytes that aren't UTF-8; a key with it can't be compared."""
_GONE = Original(key=None, value=None)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class DeliveredRecord:
    """What a delivery knows of a record: its bytes as the event has them, and why it can't be written, if it's judged.

    `form` is "event" where the record is the element's JSON text.
    """

    record: Original
    form: Form = "as-delivered"
    message: str = JUDGED_EARLIER
    path: str = "$.data"


Known: TypeAlias = "Callable[[TopicPartition, int], DeliveredRecord | None]"
"""What a delivery knows of the record at an offset."""


def nothing(place: TopicPartition, offset: int) -> DeliveredRecord | None:  # noqa: ARG001 # it's one of `Known`
    """What is known where there is no delivery at hand."""
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """What the ledger knows of diverted records.

    `generation` is that of their claim; `timestamps` has the highest record timestamp (epoch ms) of each
    topic-partition, but for the records of `untimed`, whose timestamps aren't known. The logs in `others` aren't those
    that the records are from.
    """

    generation: int | None = None
    timestamps: Mapping[TopicPartition, int] = field(default_factory=dict)
    untimed: Offsets = field(default_factory=dict)
    other_logs: frozenset[TopicPartition] = frozenset()

    @classmethod
    def by(cls, divert: Divert) -> Claimed:
        """What a divert says."""
        return cls(generation=divert.generation, timestamps=divert.timestamps, untimed=divert.untimed)

    def is_of(self, place: TopicPartition, offset: int, original: Original) -> bool:
        """Whether the record that the log has at an offset can be one of them."""
        latest = None if contains(self.untimed.get(place, ()), offset) else self.timestamps.get(place)
        later = latest is not None and original.timestamp is not None and original.timestamp > latest
        return place not in self.other_logs and not later


UNCLAIMED = Claimed()


@dataclass(frozen=True, slots=True)
class ErrorTopic:
    """Where one connector's dead letters go, on behalf of one request."""

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
        """Write a letter for each offset of each reason; returns when all are acknowledged.

        Raises what reading originals and writing letters raise.
        """
        letters = [
            letter
            for reason, offsets in reasons.items()
            for letter in self._of(reason, offsets, deadline, known, claimed)
        ]
        if letters:
            self.letters.write(letters, deadline)

    def write_elements(self, elements: Sequence[tuple[RecordError, bytes]], deadline: Deadline) -> None:
        """Write a letter for each element that doesn't say which record it is, with its JSON text.

        Nothing tells one that has been written before, so a delivery that comes again writes it again.
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

    def _of(
        self, reason: str, offsets: Offsets, deadline: Deadline, known: Known, claimed: Claimed
    ) -> Iterator[DeadLetter]:
        """The letters of one reason."""
        found = self._originals(offsets, deadline, known)
        for place, intervals in offsets.items():
            gone = []
            for first, last in intervals:
                for offset in range(first, last + 1):
                    delivered = known(place, offset)
                    original = found.get((place, offset))
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
                    "the source topic no longer has records that are diverted; their letters are empty", extra=fields
                )

    def _originals(self, offsets: Offsets, deadline: Deadline, known: Known) -> Found:
        """What the log has; nothing of a topic-partition that isn't there, if the delivery knows all its records.

        An element can name any, and would be refused for ever, with what is pending for it.
        """
        try:
            return self.originals.read(offsets, deadline)
        except NowhereError as error:
            for place in error.places:
                wanted = (offset for first, last in offsets[place] for offset in range(first, last + 1))
                if None in (known(place, offset) for offset in wanted):
                    raise
            _log.warning("dead letters hold what was delivered: %s", error)
            there = {place: intervals for place, intervals in offsets.items() if place not in error.places}
            return self._originals(there, deadline, known) if there else {}

    def _letter(
        self,
        reason: str,
        place: TopicPartition,
        offset: int,
        original: Original | None,
        delivered: DeliveredRecord | None,
    ) -> DeadLetter:
        told = delivered or DeliveredRecord(_GONE)
        form: Form = told.form if original is None else "original"
        return DeadLetter(
            connector=self.connector,
            request_id=self.request_id,
            reason=reason,
            message=told.message,
            path=told.path,
            record=told.record if original is None else original,
            form=form,
            topic=place[0],
            partition=place[1],
            offset=offset,
            cut=("value", "headers", "key") if original is None and delivered is None else (),
        )


def is_delivered(original: Original, delivered: DeliveredRecord | None) -> bool:
    """Whether the record that the log has at an offset can be the one delivered, by time and key.

    Events have a key as text. Whether those with binary values have it in base64, as the value, isn't documented.
    """
    if delivered is None:
        return True
    if not is_of_one_time(original.timestamp, delivered.record.timestamp):
        return False
    key, logged = delivered.record.key or b"", original.key or b""
    return delivered.form == "event" or REPLACED in key or key in {logged, b64encode(logged)}
