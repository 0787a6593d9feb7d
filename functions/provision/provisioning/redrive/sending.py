"""Letters are claimed, sent and noted as sent, a few at a time; and claims that were left are cleared up.

The order is that of `notes`: append the claims, read them back, send what counts, note what became of it. Whoever is
killed in between leaves claims. These are looked into once nobody can be sending for them any more: the source topic
either holds a record with the claim's bytes, after the end that it had then, or it doesn't.
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
"""How long the letters of one claim may take to be sent, which is within the claim's own time."""
CLAIM_MILLISECONDS = 60_000
"""How long after it was made a claim may be sent for."""
LEFT_MILLISECONDS = 900_000
"""How long after that it's looked into: clocks differ, and a process may have slept with a record in its queue."""
TOGETHER, TOGETHER_BYTES = 500, 8_388_608
"""Letters that are claimed and sent together: a few round trips for each such group, and its bytes in memory."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Sender:
    """What a redrive works with; `ends` are those of the source topic before its first claim.

    `state` is the ledger's, None without a ledger.
    """

    settings: Settings
    found: Catalogue
    appender: Appender
    logs: KafkaOriginals
    error_partitions: int
    ends: Mapping[int, Ends]
    deadline: Deadline
    state: State | None = None

    def send(self, records: Mapping[str, Original], places: Mapping[str, int]) -> tuple[list[str], list[str]]:
        """Send the records of some letters to topic-partitions of the source topic, both by the letters' identities.

        Returns which were sent, and why others were refused; the rest are somebody else's by now. Raises
        `DeadlineError` or `UnavailableError` where an outcome isn't known; the claims stay then.
        """
        mine = self._claimed(records, places)
        if mine and _now() > mine[0].until - int(SEND_SECONDS * 1_000):
            self._note([(claim, RedriveRelease(letter=claim.letter, id=claim.id)) for claim in mine])
            raise DeadlineError("claiming letters took as long as they may take to be sent, so none of them was")
        appends = [Append(self.settings.source_topic, claim.partition, records[claim.letter]) for claim in mine]
        outcomes = self._appended(appends, self.deadline.within(SEND_SECONDS)) if mine else []
        known = list(zip(mine, outcomes, strict=True))
        self._note([(claim, _noted(claim, outcome)) for claim, outcome in known])
        sent = [claim.letter for claim, outcome in known if not isinstance(outcome, KafkaError)]
        refused = [(claim, outcome) for claim, outcome in known if isinstance(outcome, KafkaError)]
        return sent, [str(fault(outcome, f"sending {claim.letter} again")) for claim, outcome in refused]

    def clear_up(self) -> None:
        """Find out what became of the claims that were left, and note it."""
        now = _now()
        left = [claim for claim in self.found.notes.claims.values() if claim.until + LEFT_MILLISECONDS < now]
        # What the log doesn't hold any more may have been sent and deleted since: such a claim stays.
        sure = [one for one in left if self._can_tell(one)]
        sent = self._sent(sure)
        self._note([(claim, sent.get(claim.id) or RedriveRelease(letter=claim.letter, id=claim.id)) for claim in sure])
        if sure:
            _log.info("claims that were left", extra={"sent": len(sent), "free again": len(sure) - len(sent)})

    def _can_tell(self, claim: RedriveClaim) -> bool:
        """Whether the source topic still has all that it got since a claim, and is the topic of then."""
        ends, place = self.ends.get(claim.partition), (self.settings.source_topic, claim.partition)
        if ends is None or not ends.begin <= claim.begin <= ends.end:
            return False
        if self.state is None or place not in self.state.starts:
            return True
        begun = self.state.begun.get(place)
        return begun is not None and claim.generation is not None and claim.generation >= begun

    def _appended(self, appends: Sequence[Append], deadline: Deadline) -> list[Outcome]:
        """What became of records; one that was refused for its size among others is sent by itself, too."""
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

    def _claimed(self, records: Mapping[str, Original], places: Mapping[str, int]) -> list[RedriveClaim]:
        """Claims of the letters, those of them that count."""
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
        counting = {claim.id for claim in self.found.notes.claims.values()}
        return [claim for claim in claims if claim.id in counting]

    def _note(self, notes: Sequence[tuple[RedriveClaim, Note]]) -> None:
        """Append notes, each to the topic-partition of its claim's letter, and take in all that's there by then."""
        topic, through = self.settings.error_topic, dict[int, int]()
        appends = [Append(topic, claim.partition % self.error_partitions, encode(note)) for claim, note in notes]
        for one, outcome in zip(appends, self.appender.append(appends, self.deadline) if appends else [], strict=True):
            if isinstance(outcome, KafkaError):
                raise fault(outcome, f"writing into {topic}-{one.partition}")
            through[one.partition] = max(outcome, through.get(one.partition, -1))
        position = self.found.position
        wanted = {(topic, number): ((position.get(number, 0), last),) for number, last in through.items()}
        for (_, number), offset, record in self.logs.stream(wanted, self.deadline):
            catalogue.note(self.found, record)
            position[number] = offset + 1

    def _sent(self, claims: Sequence[RedriveClaim]) -> dict[str, RedriveDone]:
        """Where the records of claims are in the source topic, by the claims' ids."""
        topic, begins = self.settings.source_topic, dict[int, int]()
        wanted: dict[tuple[int, str], list[RedriveClaim]] = defaultdict(list)
        for claim in claims:
            begins[claim.partition] = min(claim.begin, begins.get(claim.partition, claim.begin))
            wanted[claim.partition, claim.digest].append(claim)
        others = {(done.partition, done.offset) for done in self.found.notes.done.values()}
        found: dict[str, RedriveDone] = {}
        places = {(topic, number): ((begin, 2**62),) for number, begin in begins.items()}
        for message in self.logs.messages(places, self.deadline):
            partition, offset = topic_log.place(message)[1], int(message.offset() or 0)
            alike = wanted.get((partition, digest(topic_log.record(message))), [])
            match = next((one for one in alike if one.begin <= offset and _may_be(one, message)), None)
            if match is not None and (partition, offset) not in others:
                alike.remove(match)
                found[match.id] = RedriveDone(letter=match.letter, id=match.id, partition=partition, offset=offset)
        return found


def groups(entries: Sequence[LetterEntry]) -> Iterator[list[LetterEntry]]:
    """The letters in the order of the source topic's offsets, as many together as are sent together."""
    together: list[LetterEntry] = []
    size = 0
    for entry in sorted(entries, key=lambda one: (one.letter.partition or 0, one.letter.offset or 0)):
        if together and (len(together) == TOGETHER or size + entry.size > TOGETHER_BYTES):
            yield together
            together, size = [], 0
        together.append(entry)
        size += entry.size
    if together:
        yield together


def _noted(claim: RedriveClaim, outcome: Outcome) -> Note:
    """What is noted of an attempt to send."""
    if isinstance(outcome, KafkaError):
        return RedriveRelease(letter=claim.letter, id=claim.id)
    return RedriveDone(letter=claim.letter, id=claim.id, partition=claim.partition, offset=outcome)


def _may_be(claim: RedriveClaim, message: Message) -> bool:
    """Whether a message with a claim's bytes can be its record: it kept the timestamp, or the topic sets its own."""
    kind, timestamp = message.timestamp()
    return claim.timestamp is None or kind == TIMESTAMP_LOG_APPEND_TIME or timestamp == claim.timestamp


def _now() -> int:
    return time.time_ns() // 1_000_000
