"""What becomes of each dead letter: sent again, or left where it is, and why."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from kafka_maxcompute.brokers.originals import is_of_one_time
from kafka_maxcompute.dead_letters.error_topic import UNLOGGED
from kafka_maxcompute.dead_letters.generations import era
from kafka_maxcompute.offsets import contains, intervals
from provisioning.redrive.catalogue import was_reset
from provisioning.redrive.notes import OF_GENERATION, WHOLE, place_of
from provisioning.redrive.selection import UNCLEAR

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from kafka_maxcompute.ledger.state import State
    from kafka_maxcompute.offsets import Intervals, TopicPartition
    from kafka_maxcompute.settings.settings import Settings
    from provisioning.redrive.catalogue import LetterEntry
    from provisioning.redrive.notes import Notes, RedriveClaim
    from provisioning.redrive.selection import Selection

SHOWN_INTERVALS = 20

Kin: TypeAlias = Literal["same", "other", "unclear"]
"""Whether two letters of one place are of one record."""
Logged: TypeAlias = Literal["same", "other", "unclear", "none"]
"""What a log holds at a letter's place: its record, another, one of its time that may be either, or none."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is done with a letter and why; `why` is the same text for letters that are alike, so that they count."""

    entry: LetterEntry
    do: Literal["redrive", "skip", "redriven"]
    why: str


@dataclass(frozen=True, slots=True)
class SourceFacts:
    """What a verdict depends on besides the letter, all of it about the source topic.

    How many topic-partitions it has, which letters' records its log still holds, and which of its offsets the ledger
    says are written or being written. `state` is the ledger's, None without a ledger; `logged` says what the log holds
    at the places of letters that may be of before a reset. `digests` are those of all whole letters, by their places.
    """

    partitions: int
    in_log: frozenset[str]
    taken: Mapping[TopicPartition, Intervals]
    state: State | None = None
    logged: Mapping[str, Logged] = field(default_factory=dict)
    digests: Mapping[str, frozenset[str]] = field(default_factory=dict)


def verdict(entry: LetterEntry, settings: Settings, selection: Selection, notes: Notes, around: SourceFacts) -> Verdict:
    """What is to be done with one letter."""
    against = _against(entry, settings, around)
    doubt = ""
    if not against:
        against, doubt = noted(entry, notes, around)
    if not against:
        against, later = _delivered_again(entry, around)
        doubt = doubt or later
    if not against and doubt and UNCLEAR not in selection.allow:
        against = f"{doubt}; look for its row, and allow {UNCLEAR} to send it"
    if against:
        return Verdict(entry, "skip", against)
    if entry.whole:
        return Verdict(entry, "redrive", "its record is in the letter")
    if entry.id in around.in_log:
        return Verdict(entry, "redrive", "its record is still in the source topic")
    if entry.empty or (entry.letter.form == "event" and (not entry.rebuilt or entry.letter.truncated)):
        return Verdict(entry, "skip", "its record is gone from the source topic, and the letter can't stand for it")
    if entry.lossy in selection.allow:
        return Verdict(entry, "redrive", f"{entry.lossy}, which is allowed")
    gone = "its record is gone from the source topic"
    return Verdict(entry, "skip", f"{entry.lossy}, and {gone}; allow {entry.lossy} to send it so")


def _against(entry: LetterEntry, settings: Settings, around: SourceFacts) -> str:
    """Why a letter can't or mustn't be sent whatever is allowed; "" for nothing."""
    letter = entry.letter
    if letter.topic is None or letter.partition is None or letter.offset is None:
        return "it doesn't say which record it was"
    if letter.topic != settings.source_topic:
        return f"it's of topic {letter.topic}, not {settings.source_topic}"
    if letter.partition >= around.partitions:
        return f"{letter.topic} has no topic-partition {letter.partition}"
    queued = entry.place.element is not None
    if queued and contains(around.taken.get((letter.topic, letter.partition), ()), letter.offset):
        return "the ledger says that it's written, or being written"
    return ""


def _delivered_again(entry: LetterEntry, around: SourceFacts) -> tuple[str, str]:
    """Whether a letter's record is delivered again since a reset: why it's not to be sent, or why that's unclear."""
    if entry.letter.reason == UNLOGGED:
        return "", "the ledger has the record at its offset as written"
    age = era(entry.letter, around.state)
    if age == "now":
        return "", ""
    logged = around.logged.get(entry.id, "none")
    if logged == "other":
        return "", ""
    if logged == "none" and not contains(around.taken.get(entry.where, ()), entry.letter.offset or 0):
        return "", ""
    if logged == "same" and age == "before":
        return "since a reset its record is delivered again, for the topic has it", ""
    return "", "it may be of before a reset, and its record delivered again since"


def noted(entry: LetterEntry, notes: Notes, around: SourceFacts) -> tuple[str, str]:
    """What is noted about a letter: why it's not to be sent, or why that's unclear; "" for nothing."""
    doubt = ""
    for letter in sorted(notes.of_place.get(place_of(entry.id), ())):
        claim = notes.claims.get(letter)
        if claim is None and letter not in notes.done:
            continue
        kin = _kin(entry, letter, claim or notes.sent.get(letter), around)
        if kin == "same" and claim is None:
            return "it was redriven before", ""
        if kin == "same" and claim is not None:
            until = datetime.fromtimestamp(claim.until / 1_000, timezone.utc).isoformat(timespec="seconds")
            return f"claimed by a redrive that could send until {until}; a later one finds out whether it was sent", ""
        if kin == "unclear":
            doubt = "a letter of the same place was redriven, and may be this one"
    return "", doubt


def _kin(entry: LetterEntry, letter: str, claim: RedriveClaim | None, around: SourceFacts) -> Kin:
    """Whether a note of that letter, whose claim is known or not, is one of this entry of the same place."""
    place = place_of(letter)
    if letter == entry.id != place or letter == f"{place}{OF_GENERATION}{entry.letter.generation}":
        return "same"
    same_time = claim is None or is_of_one_time(claim.timestamp, entry.letter.record.timestamp)
    if entry.whole:
        return _kin_of_whole(entry, letter, claim, around) if same_time else "other"
    if not same_time:
        return "other"
    return "unclear" if was_reset(entry, around.state) else "same"


def _kin_of_whole(entry: LetterEntry, letter: str, claim: RedriveClaim | None, around: SourceFacts) -> Kin:
    """The same for an entry with all bytes of its record, and a note of another identity."""
    if claim is not None and claim.digest == entry.digest:
        return "same"
    place = place_of(letter)
    if WHOLE in letter or (claim is not None and claim.digest in around.digests.get(place, ())):
        return "other"
    # Earlier releases noted the place alone: what was sent is of another record, or was a copy without all bytes.
    return "unclear" if letter == place or was_reset(entry, around.state) else "same"


def table(verdicts: Iterable[Verdict]) -> list[dict[str, Any]]:
    """The verdicts for a person: letters that are alike in one row."""
    alike: dict[tuple[str, str, str, str, str], list[LetterEntry]] = defaultdict(list)
    for one in verdicts:
        letter = one.entry.letter
        place = "-" if letter.topic is None else f"{letter.topic}-{letter.partition}"
        form = f"{letter.form}, truncated" if letter.truncated else letter.form
        alike[one.do, letter.reason, place, form, one.why].append(one.entry)
    return [
        {
            "do": do,
            "reason": reason,
            "topic_partition": place,
            "form": form,
            "why": why,
            "letters": len(entries),
            "offsets": _offsets(entries),
        }
        for (do, reason, place, form, why), entries in sorted(alike.items(), key=lambda item: item[0])
    ]


def _offsets(entries: Iterable[LetterEntry]) -> str:
    known = [entry.letter.offset for entry in entries if entry.letter.offset is not None]
    found = intervals(known)
    shown = [str(first) if first == last else f"{first}-{last}" for first, last in found[:SHOWN_INTERVALS]]
    return ", ".join([*shown, "..."] if len(found) > SHOWN_INTERVALS else shown)
