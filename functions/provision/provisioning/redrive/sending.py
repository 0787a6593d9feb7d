"""Sends letters in groups, each letter once, and resolves abandoned claims.

The steps for each group are those of `notes`: append the claims, read them back, send the letters whose claim is valid,
note the outcomes. If a redrive is killed before the last step, its claims are abandoned. A later redrive resolves them
when no redrive can send for them any more: it looks in the source topic, from the claim's offset on, for a record with
the claim's digest.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME, KafkaError

from kafka_maxcompute.brokers import topic_log
from kafka_maxcompute.brokers.appending import NOW, Append
from kafka_maxcompute.brokers.broker_errors import fault
from kafka_maxcompute.brokers.originals import digest
from kafka_maxcompute.errors import DeadlineError
from provisioning.redrive import catalogue
from provisioning.redrive.notes import RedriveClaim, RedriveDone, RedriveRelease, encode

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from confluent_kafka import Message

    from fc_powertools import Deadline
    from kafka_maxcompute.brokers.appending import Appender, Outcome
    from kafka_maxcompute.brokers.originals import Original
    from kafka_maxcompute.brokers.topic_log import KafkaOriginals
    from kafka_maxcompute.ledger.state import State
    from kafka_maxcompute.settings.settings import Settings
    from provisioning.audit.topic_ends import Ends
    from provisioning.redrive.catalogue import Catalogue, LetterEntry
    from provisioning.redrive.notes import Note

SEND_SECONDS = 30.0
"""The longest time for sending a claimed group of letters; shorter than `CLAIM_MILLISECONDS`."""
CLAIM_MILLISECONDS = 60_000
"""The time after its claim within which a letter may be sent."""
ABANDONED_MILLISECONDS = 900_000
"""The time after a claim's `until` at which the claim counts as abandoned.

Clocks differ, and a suspended process may still send a queued record later."""
TOGETHER, TOGETHER_BYTES = 500, 8_388_608
"""The most letters, and the most bytes in memory, of a group, which is claimed and sent in a few round trips."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Sender:
    """The topics and clients of a redrive.

    `error_partitions` is the error topic's number of topic-partitions. `ends` has the source topic's ends, read before
    the first claim. `state` is the ledger's state, None without a ledger.
    """

    settings: Settings
    catalogue: Catalogue
    appender: Appender
    logs: KafkaOriginals
    error_partitions: int
    ends: Mapping[int, Ends]
    deadline: Deadline
    state: State | None = None

    def send(self, records: Mapping[str, Original], places: Mapping[str, int]) -> tuple[list[str], list[str]]:
        """Send letters' `records` to topic-partitions (`places`) of the source topic, both by the letters' identities.

        Returns the sent letters, and the faults of letters that the brokers refused. The remaining letters are claimed
        by other redrives. Raises `DeadlineError` or `UnavailableError` if an outcome isn't known; then the claims stay.
        """
        claims = self._claim(records, places)
        if claims and _now() > claims[0].until - int(SEND_SECONDS * 1_000):
            self._note([(claim, RedriveRelease(letter=claim.letter, id=claim.id)) for claim in claims])
            raise DeadlineError("claiming dead letters took the time for sending them, so none was sent; call again")
        appends = [Append(self.settings.source_topic, claim.partition, records[claim.letter]) for claim in claims]
        outcomes = self._append(appends, self.deadline.within(SEND_SECONDS)) if claims else []
        attempts = list(zip(claims, outcomes, strict=True))
        self._note([(claim, _note_of(claim, outcome)) for claim, outcome in attempts])
        sent = [claim.letter for claim, outcome in attempts if not isinstance(outcome, KafkaError)]
        refused = [(claim, outcome) for claim, outcome in attempts if isinstance(outcome, KafkaError)]
        return sent, [str(fault(outcome, f"sending {claim.letter} again")) for claim, outcome in refused]

    def resolve_abandoned_claims(self) -> None:
        """Find out whether the letters of abandoned claims were sent, and note the outcome."""
        now = _now()
        claims = self.catalogue.notes.claims.values()
        abandoned = [claim for claim in claims if claim.until + ABANDONED_MILLISECONDS < now]
        # If the log lacks records since a claim, the claim's record may have been sent and deleted: the claim stays.
        certain = [claim for claim in abandoned if self._has_log_since(claim)]
        sent = self._find_sent(certain)
        self._note(
            [(claim, sent.get(claim.id) or RedriveRelease(letter=claim.letter, id=claim.id)) for claim in certain]
        )
        if certain:
            _log.info("abandoned claims resolved", extra={"sent": len(sent), "free again": len(certain) - len(sent)})

    def _has_log_since(self, claim: RedriveClaim) -> bool:
        """Return whether the source topic is the topic of the claim, and still has all records since the claim."""
        ends, place = self.ends.get(claim.partition), (self.settings.source_topic, claim.partition)
        if ends is None or not ends.begin <= claim.begin <= ends.end:
            return False
        if self.state is None or place not in self.state.starts:
            return True
        begun = self.state.begun.get(place)
        return begun is not None and claim.generation is not None and claim.generation >= begun

    def _append(self, appends: Sequence[Append], deadline: Deadline) -> list[Outcome]:
        """Append records; append a record again, alone, if it was too large together with others."""
        outcomes = self.appender.append(appends, deadline)
        large = [
            index
            for index, outcome in enumerate(outcomes)
            if isinstance(outcome, KafkaError) and outcome.code() == KafkaError.MSG_SIZE_TOO_LARGE
        ]
        again = self.appender.append([appends[index] for index in large], deadline, alone=True) if large else []
        for index, outcome in zip(large, again, strict=True):
            outcomes[index] = outcome
        return outcomes

    def _claim(self, records: Mapping[str, Original], places: Mapping[str, int]) -> list[RedriveClaim]:
        """Claim the letters; return the valid claims."""
        until = _now() + CLAIM_MILLISECONDS
        claims = [
            RedriveClaim(
                letter=letter,
                id=uuid.uuid4().hex,
                partition=places[letter],
                begin=self.ends[places[letter]].end,
                digest=digest(record),
                timestamp=record.timestamp if (record.timestamp or 0) > NOW else None,
                until=until,
                generation=None if self.state is None else self.state.generation,
            )
            for letter, record in records.items()
        ]
        self._note([(claim, claim) for claim in claims])
        valid = {claim.id for claim in self.catalogue.notes.claims.values()}
        return [claim for claim in claims if claim.id in valid]

    def _note(self, notes: Sequence[tuple[RedriveClaim, Note]]) -> None:
        """Append notes, each to its letter's topic-partition of the error topic; then read the notes up to these."""
        topic, through = self.settings.error_topic, dict[int, int]()
        appends = [Append(topic, claim.partition % self.error_partitions, encode(note)) for claim, note in notes]
        outcomes = self.appender.append(appends, self.deadline) if appends else []
        for append, outcome in zip(appends, outcomes, strict=True):
            if isinstance(outcome, KafkaError):
                raise fault(outcome, f"writing into {topic}-{append.partition}")
            through[append.partition] = max(outcome, through.get(append.partition, -1))
        position = self.catalogue.position
        wanted = {(topic, number): ((position.get(number, 0), last),) for number, last in through.items()}
        for (_, number), offset, record in self.logs.stream(wanted, self.deadline):
            catalogue.note(self.catalogue, record)
            position[number] = offset + 1

    def _find_sent(self, claims: Sequence[RedriveClaim]) -> dict[str, RedriveDone]:
        """Find the claims' records in the source topic; return their `done` notes, by the claims' ids."""
        topic, begins = self.settings.source_topic, dict[int, int]()
        wanted: dict[tuple[int, str], list[RedriveClaim]] = defaultdict(list)
        for claim in claims:
            begins[claim.partition] = min(claim.begin, begins.get(claim.partition, claim.begin))
            wanted[claim.partition, claim.digest].append(claim)
        known = {(done.partition, done.offset) for done in self.catalogue.notes.done.values()}
        sent: dict[str, RedriveDone] = {}
        places = {(topic, number): ((begin, 2**62),) for number, begin in begins.items()}
        for message in self.logs.messages(places, self.deadline):
            partition, offset = topic_log.place(message)[1], int(message.offset() or 0)
            candidates = wanted.get((partition, digest(topic_log.record(message))), [])
            match = next((claim for claim in candidates if claim.begin <= offset and _may_be(claim, message)), None)
            if match is not None and (partition, offset) not in known:
                candidates.remove(match)
                sent[match.id] = RedriveDone(letter=match.letter, id=match.id, partition=partition, offset=offset)
        return sent


def groups(entries: Sequence[LetterEntry]) -> Iterator[list[LetterEntry]]:
    """Yield groups of letters to send together, in the order of the source topic's offsets."""
    together: list[LetterEntry] = []
    size = 0
    for entry in sorted(entries, key=lambda entry: (entry.letter.partition or 0, entry.letter.offset or 0)):
        if together and (len(together) == TOGETHER or size + entry.size > TOGETHER_BYTES):
            yield together
            together, size = [], 0
        together.append(entry)
        size += entry.size
    if together:
        yield together


def _note_of(claim: RedriveClaim, outcome: Outcome) -> Note:
    """Return the note about the outcome of sending a claim's record."""
    if isinstance(outcome, KafkaError):
        return RedriveRelease(letter=claim.letter, id=claim.id)
    return RedriveDone(letter=claim.letter, id=claim.id, partition=claim.partition, offset=outcome)


def _may_be(claim: RedriveClaim, message: Message) -> bool:
    """Return whether a message with a claim's digest may be the claim's record.

    The timestamps are compared, unless the claim has none or the topic sets its own.
    """
    kind, timestamp = message.timestamp()
    return claim.timestamp is None or kind == TIMESTAMP_LOG_APPEND_TIME or timestamp == claim.timestamp


def _now() -> int:
    return time.time_ns() // 1_000_000
