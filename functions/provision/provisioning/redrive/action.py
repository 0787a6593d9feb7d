"""The action `redrive`: dead letters are produced to the source topic again, each once, or it's said what would be."""

from __future__ import annotations

import logging
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kafka_maxcompute.brokers.originals import Original, digest, is_of_one_time
from kafka_maxcompute.brokers.topic_log import place
from kafka_maxcompute.dead_letters.generations import era
from kafka_maxcompute.errors import BatchError
from kafka_maxcompute.ledger.state import taken
from kafka_maxcompute.offsets import intervals
from provisioning.audit.topic_ends import topic_ends
from provisioning.redrive import catalogue, delivered
from provisioning.redrive.notes import place_of
from provisioning.redrive.redriven import SourceFacts, Verdict, table, verdict
from provisioning.redrive.sending import SEND_SECONDS, Sender, groups
from provisioning.resources.ledger import opened

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kafka_maxcompute.ledger.state import State
    from kafka_maxcompute.offsets import Intervals, TopicPartition
    from provisioning.cloud import Cloud
    from provisioning.redrive.catalogue import Catalogue, LetterEntry
    from provisioning.redrive.redriven import Logged

_log = logging.getLogger(__name__)


def redrive(cloud: Cloud) -> dict[str, Any]:
    """Say what would become of each dead letter, or, where it isn't a dry run, do it."""
    return _Redrive.of(cloud).run(dry=cloud.request.dry_run)


@dataclass(frozen=True, slots=True)
class _Redrive:
    """One run."""

    cloud: Cloud
    sender: Sender

    @classmethod
    def of(cls, cloud: Cloud) -> _Redrive:
        """Read what there is; raises a `BatchError` where something of it can't be read."""
        settings, selection, deadline = cloud.request.settings, cloud.request.letters, cloud.deadline
        appender, logs = cloud.clients.appender, cloud.clients.logs()
        topics = {settings.error_topic, settings.dead_letter_topic, selection.queue_topic} - {""}
        partitions = appender.count_partitions(topics, deadline)
        ends = topic_ends(cloud.clients.asking, settings.source_topic, deadline)
        found = catalogue.read(logs, settings, selection, partitions, deadline)
        state = _state(cloud)
        catalogue.leave_out_copies(found, state)
        return cls(
            cloud, Sender(settings, found, appender, logs, partitions[settings.error_topic], ends, deadline, state)
        )

    @property
    def found(self) -> Catalogue:
        """What there is."""
        return self.sender.found

    def run(self, *, dry: bool) -> dict[str, Any]:
        """The reply."""
        if not dry:
            self.sender.clear_up()
        judged = self._judged()
        wanted = [one.entry for one in judged if one.do == "redrive"]
        reply = {"dry_run": dry, "faults": [], "unreadable": self.found.unreadable}
        if dry or not wanted:
            return {**reply, "state": "planned" if wanted else "unchanged", "letters": table(judged)}
        sent, faults = self._sent(wanted)
        after = [_after(one, sent) for one in judged]
        state = "incomplete" if faults else "redriven"
        return {**reply, "state": state, "faults": faults, "redriven": len(sent), "letters": table(after)}

    def _judged(self) -> list[Verdict]:
        settings, selection = self.cloud.request.settings, self.cloud.request.letters
        entries = self.found.entries.values()
        state, digests = self.sender.state, defaultdict[str, set[str]](set)
        for entry in entries:
            digests[place_of(entry.id)].add(entry.digest)
        around = SourceFacts(
            len(self.sender.ends),
            self._in_log(entries),
            {} if state is None else taken(state),
            state,
            self._logged(entries),
            {where: frozenset(found) for where, found in digests.items()},
        )
        return [verdict(entry, settings, selection, self.found.notes, around) for entry in entries]

    def _sent(self, wanted: list[LetterEntry]) -> tuple[frozenset[str], list[str]]:
        """Which letters were sent, and what stood against others."""
        sent: set[str] = set()
        faults: list[str] = []
        for group in groups(wanted):
            if self.cloud.deadline.remaining() < SEND_SECONDS:
                faults.append(f"the time is up with {len(wanted) - len(sent)} letters left; call again")
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
        """What to send for each letter: its own record, the original from the log, or what stands for it."""
        settings, deadline = self.cloud.request.settings, self.cloud.deadline
        at = [(entry.place.topic_partition, entry.place.offset) for entry in group if entry.place.topic_partition]
        letters = self.sender.logs.read(_intervals(at), deadline)
        lossy = [entry for entry in group if not entry.whole]
        originals = self.sender.logs.read(_intervals(map(_origin, lossy)), deadline)
        records = {}
        for entry in group:
            where = entry.place.topic_partition
            brought = Original(key=None, value=entry.place.message)
            message = brought if where is None else letters.get((where, entry.place.offset))
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

    def _in_log(self, entries: Iterable[LetterEntry]) -> frozenset[str]:
        """The letters without all bytes of their records whose records the source topic still holds."""
        lossy = {
            _origin(entry): entry
            for entry in entries
            if not entry.whole and entry.where[0] == self.cloud.request.settings.source_topic
        }
        inside = [origin for origin in lossy if origin[0][1] in self.sender.ends]
        messages = self.sender.logs.messages(_intervals(inside), self.cloud.deadline)
        found = ((lossy[place(message), int(message.offset() or 0)], message.timestamp()[1]) for message in messages)
        return frozenset(entry.id for entry, timestamp in found if self._is_same(entry, timestamp))

    def _is_same(self, entry: LetterEntry, timestamp: int | None) -> bool:
        """Whether a record in the log is that of a letter without all its bytes; a reset makes it unknown."""
        return era(entry.letter, self.sender.state) == "now" and entry.letter.record.timestamp in {None, timestamp}

    def _logged(self, entries: Iterable[LetterEntry]) -> dict[str, Logged]:
        """What the log holds at the places of letters that may be of before a reset."""
        old = [one for one in entries if one.where[1] in self.sender.ends and self._is_old(one)]
        found = self.sender.logs.read(_intervals(map(_origin, old)), self.cloud.deadline)
        return {entry.id: _compared(entry, found.get(_origin(entry))) for entry in old}

    def _is_old(self, entry: LetterEntry) -> bool:
        is_ours = entry.where[0] == self.cloud.request.settings.source_topic
        return is_ours and era(entry.letter, self.sender.state) != "now"


def _state(cloud: Cloud) -> State | None:
    """The ledger's state, None where there's no ledger."""
    settings = cloud.request.settings
    if settings.delivery != "exactly-once":
        return None
    with opened(cloud, settings) as (_, ledger):
        return ledger.read(cloud.deadline)


def _compared(entry: LetterEntry, record: Original | None) -> Logged:
    """What a record in the log, or none, is to a letter of its place."""
    if record is None:
        return "none"
    if not is_of_one_time(entry.letter.record.timestamp, record.timestamp):
        return "other"
    if not entry.whole:
        return "unclear"
    return "same" if digest(record) == entry.digest else "other"


def _after(judged: Verdict, sent: frozenset[str]) -> Verdict:
    """What became of a letter."""
    if judged.do == "skip":
        return judged
    if judged.entry.id in sent:
        return Verdict(judged.entry, "redriven", judged.why)
    return Verdict(judged.entry, "skip", "it wasn't sent by this redrive: see the faults, or another was faster")


def _origin(entry: LetterEntry) -> tuple[TopicPartition, int]:
    """Where a letter's record was; the letter is one that says so."""
    return entry.where, -1 if entry.letter.offset is None else entry.letter.offset


def _intervals(offsets: Iterable[tuple[TopicPartition, int]]) -> dict[TopicPartition, Intervals]:
    by_place: dict[TopicPartition, list[int]] = {}
    for where, offset in offsets:
        by_place.setdefault(where, []).append(offset)
    return {where: intervals(found) for where, found in by_place.items()}
