"""What becomes of each dead letter: sent again, or left where it is, and why."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Literal

from kafka_maxcompute.offsets import contains, intervals

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from kafka_maxcompute.offsets import Intervals, TopicPartition
    from kafka_maxcompute.settings import Settings
    from provisioning.redrive.catalogue import Entry
    from provisioning.redrive.notes import Notes
    from provisioning.redrive.selection import Selection

SHOWN_INTERVALS = 20


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is done with a letter and why; `why` is the same text for letters that are alike, so that they count."""

    entry: Entry
    do: Literal["redrive", "skip", "redriven"]
    why: str


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a verdict depends on besides the letter, all of it about the source topic.

    How many topic-partitions it has, which letters' records its log still holds, and which of its offsets the ledger
    says are written or being written.
    """

    partitions: int
    in_log: frozenset[str]
    taken: Mapping[TopicPartition, Intervals]


def verdict(entry: Entry, settings: Settings, selection: Selection, notes: Notes, around: Surroundings) -> Verdict:
    """What is to be done with one letter."""
    against = _against(entry, settings, notes, around)
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


def _against(entry: Entry, settings: Settings, notes: Notes, around: Surroundings) -> str:
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
    return _redriven(entry, notes)


def _redriven(entry: Entry, notes: Notes) -> str:
    """What is noted about a letter that keeps it from being sent again; "" for nothing."""
    if entry.id in notes.done:
        return "it was redriven before"
    claim = notes.claims.get(entry.id)
    if claim is None:
        return ""
    until = datetime.fromtimestamp(claim.until / 1_000, timezone.utc).isoformat(timespec="seconds")
    return f"claimed by a redrive that could send until {until}; a later one finds out whether it was sent"


def table(verdicts: Iterable[Verdict]) -> list[dict[str, Any]]:
    """The verdicts for a person: letters that are alike in one row."""
    alike: dict[tuple[str, str, str, str, str], list[Entry]] = defaultdict(list)
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


def _offsets(entries: Iterable[Entry]) -> str:
    known = [entry.letter.offset for entry in entries if entry.letter.offset is not None]
    found = intervals(known)
    shown = [str(first) if first == last else f"{first}-{last}" for first, last in found[:SHOWN_INTERVALS]]
    return ", ".join([*shown, "..."] if len(found) > SHOWN_INTERVALS else shown)
