"""Reads the dead letters that a redrive may send, without their records' bytes, and the notes about them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from kafka_maxcompute.brokers import originals
from kafka_maxcompute.brokers.documents import DocumentError
from kafka_maxcompute.brokers.originals import Original, is_of_one_time
from kafka_maxcompute.brokers.topic_log import WHOLE_LOG
from kafka_maxcompute.dead_letters import dead_letter
from kafka_maxcompute.errors import RefusedError
from provisioning.redrive import delivered, notes
from provisioning.redrive.notes import Notes, identity, place_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from fc_powertools import Deadline
    from kafka_maxcompute.brokers.topic_log import KafkaOriginals
    from kafka_maxcompute.dead_letters.dead_letter import DeadLetter
    from kafka_maxcompute.ledger.state import State
    from kafka_maxcompute.offsets import TopicPartition
    from kafka_maxcompute.settings.settings import Settings
    from provisioning.redrive.selection import Lossy, Selection


@dataclass(frozen=True, slots=True)
class LetterPlace:
    """The place from which a letter can be read again: an offset of a topic, or a message in the request.

    `element` is the letter's index in a message of EventBridge's dead-letter queue, which may hold a batch. It is None
    for a letter of the sink: each of these letters is a message of its own.
    """

    topic_partition: TopicPartition | None
    offset: int = -1
    element: int | None = None
    message: bytes = b""


@dataclass(frozen=True, slots=True)
class LetterEntry:
    """A letter. `letter` has no key, value and headers.

    `size` is the letter's size in memory (bytes), `written` the time when it was written (epoch ms). `rebuilt` is True
    if the letter is an event from which a record can be read. `digest` is the record's digest, "" if the letter isn't
    whole.
    """

    id: str
    letter: DeadLetter
    place: LetterPlace
    size: int
    written: int | None
    rebuilt: bool = False
    digest: str = ""

    @property
    def record_partition(self) -> TopicPartition:
        """Return the topic-partition of the letter's record, with "" or -1 if the letter has no topic or partition."""
        return self.letter.topic or "", -1 if self.letter.partition is None else self.letter.partition

    @property
    def whole(self) -> bool:
        """Return whether the letter has all bytes of its record."""
        return self.letter.form == "original" and not self.letter.truncated

    @property
    def lossy(self) -> Lossy:
        """Return how the letter's bytes differ from its record's; only for a letter that isn't whole."""
        return "truncated" if self.letter.truncated else "as-delivered"

    @property
    def empty(self) -> bool:
        """Return whether the letter has no bytes of its record, because neither log nor delivery had the record."""
        return self.letter.truncated and self.letter.size is None


@dataclass(slots=True)
class Catalogue:
    """The letters that the selection accepts, by identity, and all notes.

    `position` has the next offset to read, by topic-partition of the error topic. `unreadable` counts records that are
    neither letters nor notes.
    """

    entries: dict[str, LetterEntry] = field(default_factory=dict)
    notes: Notes = field(default_factory=Notes)
    position: dict[int, int] = field(default_factory=dict)
    unreadable: int = 0


def read(
    logs: KafkaOriginals, settings: Settings, selection: Selection, partitions: Mapping[str, int], deadline: Deadline
) -> Catalogue:
    """Return the letters and notes in the error topics and the queue.

    `partitions` has each topic's number of topic-partitions.

    Raises the errors of reading logs, and `RefusedError` for a note that a later version has written.
    """
    catalogue = Catalogue()
    wanted = {
        (topic, number): WHOLE_LOG
        for topic in {settings.error_topic, settings.dead_letter_topic}
        for number in range(partitions[topic])
    }
    for topic_partition, offset, record in logs.stream(wanted, deadline):
        _add_record(catalogue, settings, selection, LetterPlace(topic_partition, offset), record)
        if topic_partition[0] == settings.error_topic:
            catalogue.position[topic_partition[1]] = offset + 1
    for entry in _queue_entries(logs, settings, selection, partitions, deadline):
        _add(catalogue, selection, entry)
    return catalogue


def topics(settings: Settings, selection: Selection) -> set[str]:
    """Return the topics that can have dead letters."""
    return {settings.error_topic, settings.dead_letter_topic, selection.queue_topic} - {""}


def note(catalogue: Catalogue, record: Original) -> bool:
    """Add a record of the error topic to the notes if the record is a note; return whether it is."""
    try:
        parsed = notes.parse(record)
    except DocumentError as error:
        raise RefusedError(
            f"expected a note in a record of the error topic with a note's header, found {error}; this package writes "
            "no such record: stop the program that does, and redrive again after the topic's retention has removed it",
            code="WrongRecord",
        ) from None
    except notes.UnknownVersionError as error:
        raise RefusedError(
            f"expected notes of version {notes.VERSION.decode()} in the error topic, found another: {error}; "
            "redrive with the version that wrote it",
            code="UnknownVersion",
        ) from None
    if parsed is not None:
        catalogue.notes.take(parsed)
    return parsed is not None


def whole_letter(entry: LetterEntry, record: Original, settings: Settings) -> DeadLetter | None:
    """Return an entry's letter with its record's bytes; `record` is the record at the letter's place."""
    if entry.place.element is None:
        return dead_letter.parse(record)
    parts = list(delivered.elements(record.value or b""))
    return delivered.letter(parts[entry.place.element], settings.name, settings.value_type)


def _add_record(
    catalogue: Catalogue, settings: Settings, selection: Selection, place: LetterPlace, record: Original
) -> None:
    letter = dead_letter.parse(record)
    if letter is not None:
        _add(catalogue, selection, _entry(letter, place, dead_letter.size(record), record.timestamp, settings))
    elif not note(catalogue, record):
        catalogue.unreadable += 1


def _queue_entries(
    logs: KafkaOriginals, settings: Settings, selection: Selection, partitions: Mapping[str, int], deadline: Deadline
) -> Iterable[LetterEntry]:
    """Yield the letters in EventBridge's dead-letter queue."""
    bodies = [
        (LetterPlace(None, message=text.encode()), Original(key=None, value=text.encode()))
        for text in selection.messages
    ]
    topic = selection.queue_topic
    if topic:
        wanted = {(topic, number): WHOLE_LOG for number in range(partitions[topic])}
        bodies += [
            (LetterPlace(topic_partition, offset), record)
            for topic_partition, offset, record in logs.stream(wanted, deadline)
        ]
    for place, record in bodies:
        for index, element in enumerate(delivered.elements(record.value or b"")):
            letter = delivered.letter(element, settings.name, settings.value_type)
            yield _entry(letter, replace(place, element=index), len(element), record.timestamp, settings)


def _entry(letter: DeadLetter, place: LetterPlace, size: int, written: int | None, settings: Settings) -> LetterEntry:
    rebuilt = letter.form == "event" and delivered.read(letter.record.value or b"", settings.value_type) is not None
    bare = replace(letter, record=Original(key=None, value=None, timestamp=letter.record.timestamp))
    entry = LetterEntry(identity(letter), bare, place, max(size, letter.size or 0), written, rebuilt)
    return replace(entry, digest=originals.digest(letter.record)) if entry.whole else entry


def _add(catalogue: Catalogue, selection: Selection, entry: LetterEntry) -> None:
    """Add a letter if the selection accepts it; of equal letters, keep the first, with the latest generation of all."""
    if selection.takes(entry.letter, entry.written):
        known = catalogue.entries.setdefault(entry.id, entry)
        if (entry.letter.generation or 0) > (known.letter.generation or 0):
            letter = replace(known.letter, generation=entry.letter.generation)
            catalogue.entries[entry.id] = replace(known, letter=letter)


def remove_copies(catalogue: Catalogue, state: State | None) -> None:
    """Remove each lossy letter that is certainly of the same record as another letter.

    Without a reset of its topic-partition, an offset has only one record. After a reset, only letters of the same
    generation are certainly of the same record. `state` is the ledger's state, None without a ledger.
    """
    by_place: dict[str, list[LetterEntry]] = defaultdict(list)
    for entry in catalogue.entries.values():
        by_place[place_of(entry.id)].append(entry)
    for entries in by_place.values():
        kept: list[LetterEntry] = []
        for entry in sorted(entries, key=lambda entry: (not entry.whole, entry.letter.generation is None, entry.id)):
            if not entry.whole and any(_is_copy(entry, other, state) for other in kept):
                del catalogue.entries[entry.id]
            else:
                kept.append(entry)


def _is_copy(entry: LetterEntry, other: LetterEntry, state: State | None) -> bool:
    """Return whether two letters of the same place are certainly of the same record."""
    generation = entry.letter.generation
    same_generation = generation is not None and generation == other.letter.generation
    times = (entry.letter.record.timestamp, other.letter.record.timestamp)
    return is_of_one_time(*times) and (same_generation or not was_reset(entry, state))


def was_reset(entry: LetterEntry, state: State | None) -> bool:
    """Return whether the topic-partition of a letter's record was reset: other records may be at its offsets now."""
    return state is not None and entry.record_partition in state.starts
