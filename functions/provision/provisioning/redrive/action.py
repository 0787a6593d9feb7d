"""The action `redrive`: sends dead letters to the source topic again, each once; a dry run sends nothing."""

from __future__ import annotations

import logging
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kafka_maxcompute.brokers import topic_log
from kafka_maxcompute.brokers.originals import Original, digest, is_of_one_time
from kafka_maxcompute.dead_letters.generations import era
from kafka_maxcompute.errors import BatchError
from kafka_maxcompute.ledger.state import taken
from kafka_maxcompute.offsets import intervals
from provisioning.audit.topic_ends import topic_ends
from provisioning.redrive import catalogue, delivered
from provisioning.redrive.notes import place_of
from provisioning.redrive.sending import SEND_SECONDS, Sender, groups
from provisioning.redrive.verdict import SourceFacts, Verdict, table, verdict
from provisioning.resources.ledger import opened

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kafka_maxcompute.ledger.state import State
    from kafka_maxcompute.offsets import Intervals, TopicPartition
    from provisioning.cloud import Cloud
    from provisioning.redrive.catalogue import Catalogue, LetterEntry
    from provisioning.redrive.verdict import Logged

_log = logging.getLogger(__name__)


def redrive(cloud: Cloud) -> dict[str, Any]:
    """Decide what is done with each dead letter; do it unless the request is a dry run; return the reply."""
    return _Redrive.of(cloud).run(dry=cloud.request.dry_run)


@dataclass(frozen=True, slots=True)
class _Redrive:
    """One run of the action."""

    cloud: Cloud
    sender: Sender

    @classmethod
    def of(cls, cloud: Cloud) -> _Redrive:
        """Read the dead letters, the notes and the ledger; raises `BatchError` if any can't be read."""
        settings, selection, deadline = cloud.request.settings, cloud.request.letters, cloud.deadline
        appender, logs = cloud.clients.appender, cloud.clients.logs()
        partitions = appender.count_partitions(catalogue.topics(settings, selection), deadline)
        ends = topic_ends(cloud.clients.asking, settings.source_topic, deadline)
        letters = catalogue.read(logs, settings, selection, partitions, deadline)
        state = _ledger_state(cloud)
        catalogue.remove_copies(letters, state)
        return cls(
            cloud, Sender(settings, letters, appender, logs, partitions[settings.error_topic], ends, deadline, state)
        )

    @property
    def letters(self) -> Catalogue:
        """Return the letters and notes that were read."""
        return self.sender.catalogue

    def run(self, *, dry: bool) -> dict[str, Any]:
        """Send the dead letters unless the run is `dry`; return the reply."""
        if not dry:
            self.sender.resolve_abandoned_claims()
        verdicts = self._verdicts()
        wanted = [judged.entry for judged in verdicts if judged.do == "redrive"]
        reply = {"dry_run": dry, "faults": [], "unreadable": self.letters.unreadable}
        if dry or not wanted:
            return {**reply, "state": "planned" if wanted else "unchanged", "letters": table(verdicts)}
        sent, faults = self._send(wanted)
        outcomes = [_outcome(judged, sent) for judged in verdicts]
        state = "incomplete" if faults else "redriven"
        return {**reply, "state": state, "faults": faults, "redriven": len(sent), "letters": table(outcomes)}

    def _verdicts(self) -> list[Verdict]:
        settings, selection = self.cloud.request.settings, self.cloud.request.letters
        entries = self.letters.entries.values()
        state, digests = self.sender.state, defaultdict[str, set[str]](set)
        for entry in entries:
            digests[place_of(entry.id)].add(entry.digest)
        facts = SourceFacts(
            len(self.sender.ends),
            self._lossy_in_log(entries),
            {} if state is None else taken(state),
            state,
            self._logged(entries),
            {place: frozenset(listed) for place, listed in digests.items()},
        )
        return [verdict(entry, settings, selection, self.letters.notes, facts) for entry in entries]

    def _send(self, wanted: list[LetterEntry]) -> tuple[frozenset[str], list[str]]:
        """Send letters; return the ids of the sent letters, and the faults."""
        sent: set[str] = set()
        faults: list[str] = []
        for group in groups(wanted):
            if self.cloud.deadline.remaining() < SEND_SECONDS:
                faults.append(f"the time is up, {len(wanted) - len(sent)} dead letters remain; call again")
                break
            try:
                places = {entry.id: int(entry.letter.partition or 0) for entry in group}
                done, refused = self.sender.send(self._records(group), places)
            except BatchError as error:
                faults.append(str(error))
                break
            _log.info("letters redriven", extra={"letters": len(done), "first": done[:1]})
            sent.update(done)
            faults += refused
        return frozenset(sent), faults

    def _records(self, group: list[LetterEntry]) -> dict[str, Original]:
        """Return the record to send for each letter, by the letter's id.

        For a whole letter, this is the record in the letter. For a lossy letter, it is the original in the log, or the
        letter's lossy copy if the log no longer has the original and the request allows the copy. A letter without such
        a record is left out.
        """
        settings, deadline = self.cloud.request.settings, self.cloud.deadline
        places = [(entry.place.topic_partition, entry.place.offset) for entry in group if entry.place.topic_partition]
        letters = self.sender.logs.read(_intervals(places), deadline)
        lossy = [entry for entry in group if not entry.whole]
        originals = self.sender.logs.read(_intervals(map(_origin, lossy)), deadline)
        records = {}
        for entry in group:
            partition = entry.place.topic_partition
            from_request = Original(key=None, value=entry.place.message)
            message = from_request if partition is None else letters.get((partition, entry.place.offset))
            letter = None if message is None else catalogue.whole_letter(entry, message, settings)
            if letter is None:
                continue
            original = None if entry.whole else originals.get(_origin(entry))
            if original is not None and self._is_same(entry, original.timestamp):
                records[entry.id] = original
            elif not entry.whole and entry.lossy not in self.cloud.request.letters.allow:
                continue
            elif letter.form != "event":
                records[entry.id] = letter.record
            elif event := delivered.read(letter.record.value or b"", settings.value_type):
                records[entry.id] = event.record
        return records

    def _lossy_in_log(self, entries: Iterable[LetterEntry]) -> frozenset[str]:
        """Return the ids of the lossy letters whose original records the source topic still has."""
        lossy = {
            _origin(entry): entry
            for entry in entries
            if not entry.whole and entry.record_partition[0] == self.cloud.request.settings.source_topic
        }
        existing = [origin for origin in lossy if origin[0][1] in self.sender.ends]
        messages = self.sender.logs.messages(_intervals(existing), self.cloud.deadline)
        pairs = (
            (lossy[topic_log.place(message), int(message.offset() or 0)], message.timestamp()[1])
            for message in messages
        )
        return frozenset(entry.id for entry, timestamp in pairs if self._is_same(entry, timestamp))

    def _is_same(self, entry: LetterEntry, timestamp: int | None) -> bool:
        """Return whether the log's record at a lossy letter's place is certainly the letter's record.

        It never is if the letter may be from before a reset.
        """
        return era(entry.letter, self.sender.state) == "now" and entry.letter.record.timestamp in {None, timestamp}

    def _logged(self, entries: Iterable[LetterEntry]) -> dict[str, Logged]:
        """Compare the letters that may be from before a reset with the log; return the results by the letters' ids."""
        old = [entry for entry in entries if entry.record_partition[1] in self.sender.ends and self._may_be_old(entry)]
        records = self.sender.logs.read(_intervals(map(_origin, old)), self.cloud.deadline)
        return {entry.id: _compared(entry, records.get(_origin(entry))) for entry in old}

    def _may_be_old(self, entry: LetterEntry) -> bool:
        is_of_source = entry.record_partition[0] == self.cloud.request.settings.source_topic
        return is_of_source and era(entry.letter, self.sender.state) != "now"


def _ledger_state(cloud: Cloud) -> State | None:
    """Return the ledger's state, None without a ledger."""
    settings = cloud.request.settings
    if settings.delivery != "exactly-once":
        return None
    with opened(cloud, settings) as (_, ledger):
        return ledger.read(cloud.deadline)


def _compared(entry: LetterEntry, record: Original | None) -> Logged:
    """Compare a letter with the log's record at the letter's offset (None: the log has none)."""
    if record is None:
        return "none"
    if not is_of_one_time(entry.letter.record.timestamp, record.timestamp):
        return "other"
    if not entry.whole:
        return "unclear"
    return "same" if digest(record) == entry.digest else "other"


def _outcome(judged: Verdict, sent: frozenset[str]) -> Verdict:
    """Return a letter's verdict after the run; `sent` has the ids of the sent letters."""
    if judged.do == "skip":
        return judged
    if judged.entry.id in sent:
        return Verdict(judged.entry, "redriven", judged.why)
    return Verdict(judged.entry, "skip", "this redrive didn't send it: see the faults, or another redrive was faster")


def _origin(entry: LetterEntry) -> tuple[TopicPartition, int]:
    """Return the topic-partition and the offset of a letter's record (-1 if the letter names no offset)."""
    return entry.record_partition, -1 if entry.letter.offset is None else entry.letter.offset


def _intervals(offsets: Iterable[tuple[TopicPartition, int]]) -> dict[TopicPartition, Intervals]:
    by_place: dict[TopicPartition, list[int]] = {}
    for place, offset in offsets:
        by_place.setdefault(place, []).append(offset)
    return {place: intervals(listed) for place, listed in by_place.items()}
