"""All dead letters that a redrive could be about, without their bytes, and what is noted about them."""

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
    """Where a letter's bytes are: at an offset of a topic, or in a message that the invocation brought along.

    `element` says which of a queue's message, since one may hold a batch; a letter of ours is a message of its own.
    """

    topic_partition: TopicPartition | None
    offset: int = -1
    element: int | None = None
    message: bytes = b""


@dataclass(frozen=True, slots=True)
class LetterEntry:
    """One letter: `letter` lacks key, value and headers; `size` is what it takes in memory, `written` when it was.

    `rebuilt` says whether a record can be made of its JSON text, if it's one; `digest` is that of its record, if it has
    all of it.
    """

    id: str
    letter: DeadLetter
    place: LetterPlace
    size: int
    written: int | None
    rebuilt: bool = False
    digest: str = ""

    @property
    def where(self) -> TopicPartition:
        """The topic-partition that its record was in; one that none can be if the letter doesn't say it."""
        return self.letter.topic or "", -1 if self.letter.partition is None else self.letter.partition

    @property
    def whole(self) -> bool:
        """Whether it has all bytes of its record."""
        return self.letter.form == "original" and not self.letter.truncated

    @property
    def lossy(self) -> Lossy:
        """What its bytes are instead, where it isn't whole."""
        return "truncated" if self.letter.truncated else "as-delivered"

    @property
    def empty(self) -> bool:
        """Whether the letter has no bytes of its record: the log had lost the record, and no event was at hand."""
        return self.letter.truncated and self.letter.size is None


@dataclass(slots=True)
class Catalogue:
    """What was found: letters that the selection takes, by identity, and every note.

    `position` is the next offset of each topic-partition of the error topic; `unreadable` counts records that are
    neither letters nor notes.
    """

    entries: dict[str, LetterEntry] = field(default_factory=dict)
    notes: Notes = field(default_factory=Notes)
    position: dict[int, int] = field(default_factory=dict)
    unreadable: int = 0


def read(
    logs: KafkaOriginals, settings: Settings, selection: Selection, partitions: Mapping[str, int], deadline: Deadline
) -> Catalogue:
    """Read the error topics, and the queue; `partitions` counts the topic-partitions of each topic.

    Raises what reading logs raises, and `RefusedError` for a note that a later version has written.
    """
    found = Catalogue()
    wanted = {
        (topic, number): WHOLE_LOG
        for topic in {settings.error_topic, settings.dead_letter_topic}
        for number in range(partitions[topic])
    }
    for topic_partition, offset, record in logs.stream(wanted, deadline):
        _take(found, settings, selection, LetterPlace(topic_partition, offset), record)
        if topic_partition[0] == settings.error_topic:
            found.position[topic_partition[1]] = offset + 1
    for entry in _queued(logs, settings, selection, partitions, deadline):
        _add(found, selection, entry)
    return found


def note(found: Catalogue, record: Original) -> bool:
    """Take a record of the error topic for a note, if it is one."""
    try:
        made = notes.parse(record)
    except DocumentError as error:
        raise RefusedError(
            f"expected a note in a record of the error topic that says to be one, found {error}; nothing of this "
            "package writes such a record: stop what does, and redrive again after "
            "the topic's retention has removed it",
            code="WrongRecord",
        ) from None
    except notes.UnknownVersionError as error:
        raise RefusedError(
            f"expected notes of version {notes.VERSION.decode()} in the error topic, found another: {error}; "
            "redrive with the version that wrote it",
            code="UnknownVersion",
        ) from None
    if made is not None:
        found.notes.take(made)
    return made is not None


def whole_letter(entry: LetterEntry, record: Original, settings: Settings) -> DeadLetter | None:
    """The letter of an entry with its bytes, out of the record at its place."""
    if entry.place.element is None:
        return dead_letter.parse(record)
    parts = list(delivered.elements(record.value or b""))
    return delivered.letter(parts[entry.place.element], settings.name, settings.value_type)


def _take(found: Catalogue, settings: Settings, selection: Selection, place: LetterPlace, record: Original) -> None:
    letter = dead_letter.parse(record)
    if letter is not None:
        _add(found, selection, _entry(letter, place, dead_letter.size(record), record.timestamp, settings))
    elif not note(found, record):
        found.unreadable += 1


def _queued(
    logs: KafkaOriginals, settings: Settings, selection: Selection, partitions: Mapping[str, int], deadline: Deadline
) -> Iterable[LetterEntry]:
    """The letters in EventBridge's dead-letter queue."""
    bodies = [
        (LetterPlace(None, message=text.encode()), Original(key=None, value=text.encode()))
        for text in selection.messages
    ]
    topic = selection.queue_topic
    if topic:
        wanted = {(topic, number): WHOLE_LOG for number in range(partitions[topic])}
        bodies += [(LetterPlace(at, offset), record) for at, offset, record in logs.stream(wanted, deadline)]
    for place, record in bodies:
        for index, element in enumerate(delivered.elements(record.value or b"")):
            letter = delivered.letter(element, settings.name, settings.value_type)
            yield _entry(letter, replace(place, element=index), len(element), record.timestamp, settings)


def _entry(letter: DeadLetter, place: LetterPlace, size: int, written: int | None, settings: Settings) -> LetterEntry:
    rebuilt = letter.form == "event" and delivered.read(letter.record.value or b"", settings.value_type) is not None
    bare = replace(letter, record=Original(key=None, value=None, timestamp=letter.record.timestamp))
    entry = LetterEntry(identity(letter), bare, place, max(size, letter.size or 0), written, rebuilt)
    return replace(entry, digest=originals.digest(letter.record)) if entry.whole else entry


def _add(found: Catalogue, selection: Selection, entry: LetterEntry) -> None:
    """Keep a letter that the selection takes; of several copies the first, but with the latest generation."""
    if selection.takes(entry.letter, entry.written):
        known = found.entries.setdefault(entry.id, entry)
        if (entry.letter.generation or 0) > (known.letter.generation or 0):
            letter = replace(known.letter, generation=entry.letter.generation)
            found.entries[entry.id] = replace(known, letter=letter)


def leave_out_copies(found: Catalogue, state: State | None) -> None:
    """Leave out letters without all bytes of a record of which there is another letter, as surely as that is known.

    A topic-partition that no reset has named has one record at an offset, else only letters of one generation are known
    to be of one record. `state` is the ledger's, None without a ledger.
    """
    by_place: dict[str, list[LetterEntry]] = defaultdict(list)
    for entry in found.entries.values():
        by_place[place_of(entry.id)].append(entry)
    for alike in by_place.values():
        kept: list[LetterEntry] = []
        for entry in sorted(alike, key=lambda one: (not one.whole, one.letter.generation is None, one.id)):
            if not entry.whole and any(_is_copy(entry, other, state) for other in kept):
                del found.entries[entry.id]
            else:
                kept.append(entry)


def _is_copy(entry: LetterEntry, other: LetterEntry, state: State | None) -> bool:
    """Whether two letters of one place are of one record."""
    generation = entry.letter.generation
    one_generation = generation is not None and generation == other.letter.generation
    times = (entry.letter.record.timestamp, other.letter.record.timestamp)
    return is_of_one_time(*times) and (one_generation or not was_reset(entry, state))


def was_reset(entry: LetterEntry, state: State | None) -> bool:
    """Whether a reset has named the topic-partition of a letter, so that it can have other records at its offsets."""
    return state is not None and entry.where in state.starts
