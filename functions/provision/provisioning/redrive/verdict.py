"""Decides whether a dead letter is sent again or skipped, with the reason."""

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

Match: TypeAlias = Literal["same", "other", "unclear"]
"""Whether two letters with the same place have the same record."""
Logged: TypeAlias = Literal["same", "other", "unclear", "none"]
"""Whether the log's record at a letter's place is the letter's; "none" if the log has no record there."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is done with a letter, and why; the reply counts letters with the same `why` together."""

    entry: LetterEntry
    do: Literal["redrive", "skip", "redriven"]
    why: str


@dataclass(frozen=True, slots=True)
class SourceFacts:
    """The facts about the source topic that a verdict depends on.

    `partitions` is the number of its topic-partitions. `in_log` has the ids of lossy letters whose original records are
    still in the log. `taken` has the offsets that are settled or pending in the ledger. `state` is the ledger's state,
    None without a ledger. `logged` has the results of comparing letters that may be from before a reset with the log,
    by the letters' ids. `digests` has the digests of the letters' records, by place.
    """

    partitions: int
    in_log: frozenset[str]
    taken: Mapping[TopicPartition, Intervals]
    state: State | None = None
    logged: Mapping[str, Logged] = field(default_factory=dict)
    digests: Mapping[str, frozenset[str]] = field(default_factory=dict)


def verdict(entry: LetterEntry, settings: Settings, selection: Selection, notes: Notes, facts: SourceFacts) -> Verdict:
    """Return what is done with a letter, and why."""
    obstacle = _basic_obstacle(entry, settings, facts)
    doubt = ""
    if not obstacle:
        obstacle, doubt = earlier_redrive(entry, notes, facts)
    if not obstacle:
        obstacle, later = _delivered_again(entry, facts)
        doubt = doubt or later
    if not obstacle and doubt and UNCLEAR not in selection.allow:
        obstacle = f"{doubt}; look for its row, and allow {UNCLEAR} to send it"
    if obstacle:
        return Verdict(entry, "skip", obstacle)
    if entry.whole:
        return Verdict(entry, "redrive", "its record is in the letter")
    if entry.id in facts.in_log:
        return Verdict(entry, "redrive", "its record is still in the source topic")
    if entry.empty or (entry.letter.form == "event" and (not entry.rebuilt or entry.letter.truncated)):
        return Verdict(entry, "skip", "its record is gone from the source topic, and the letter can't replace it")
    if entry.lossy in selection.allow:
        return Verdict(entry, "redrive", f"{entry.lossy}, which is allowed")
    gone = "its record is gone from the source topic"
    return Verdict(entry, "skip", f"{entry.lossy}, and {gone}; allow {entry.lossy} to send it so")


def _basic_obstacle(entry: LetterEntry, settings: Settings, facts: SourceFacts) -> str:
    """Return why a letter can't be sent, even if the selection allows everything; "" if nothing prevents it."""
    letter = entry.letter
    if letter.topic is None or letter.partition is None or letter.offset is None:
        return "it doesn't say which record it was"
    if letter.topic != settings.source_topic:
        return f"it's of topic {letter.topic}, not {settings.source_topic}"
    if letter.partition >= facts.partitions:
        return f"{letter.topic} has no topic-partition {letter.partition}"
    queued = entry.place.element is not None
    if queued and contains(facts.taken.get((letter.topic, letter.partition), ()), letter.offset):
        return "the ledger has its offset as settled or pending"
    return ""


def _delivered_again(entry: LetterEntry, facts: SourceFacts) -> tuple[str, str]:
    """Return (obstacle, doubt): why a letter's record is, or may be, written or delivered again; "" if neither."""
    if entry.letter.reason == UNLOGGED:
        return "", "the ledger has the record at its offset as written"
    age = era(entry.letter, facts.state)
    if age == "now":
        return "", ""
    logged = facts.logged.get(entry.id, "none")
    if logged == "other":
        return "", ""
    if logged == "none" and not contains(facts.taken.get(entry.record_partition, ()), entry.letter.offset or 0):
        return "", ""
    if logged == "same" and age == "before":
        return "a reset delivers its record again, because the topic still has the record", ""
    return "", "it may be from before a reset, and its record delivered again since"


def earlier_redrive(entry: LetterEntry, notes: Notes, facts: SourceFacts) -> tuple[str, str]:
    """Return (obstacle, doubt): why a letter was, or may have been, sent by an earlier redrive; "" if neither."""
    doubt = ""
    for letter in sorted(notes.of_place.get(place_of(entry.id), ())):
        claim = notes.claims.get(letter)
        if claim is None and letter not in notes.done:
            continue
        match = _match(entry, letter, claim or notes.sent.get(letter), facts)
        if match == "same" and claim is None:
            return "it was redriven before", ""
        if match == "same" and claim is not None:
            until = datetime.fromtimestamp(claim.until / 1_000, timezone.utc).isoformat(timespec="seconds")
            return f"claimed by a redrive that could send until {until}; a later redrive finds out whether it did", ""
        if match == "unclear":
            doubt = "a letter of the same place was redriven, and may be this one"
    return "", doubt


def _match(entry: LetterEntry, letter: str, claim: RedriveClaim | None, facts: SourceFacts) -> Match:
    """Compare an entry with a letter in the notes that has the same place; `claim` is that letter's (None: unknown)."""
    place = place_of(letter)
    if letter == entry.id != place or letter == f"{place}{OF_GENERATION}{entry.letter.generation}":
        return "same"
    same_time = claim is None or is_of_one_time(claim.timestamp, entry.letter.record.timestamp)
    if entry.whole:
        return _match_of_whole(entry, letter, claim, facts) if same_time else "other"
    if not same_time:
        return "other"
    return "unclear" if was_reset(entry, facts.state) else "same"


def _match_of_whole(entry: LetterEntry, letter: str, claim: RedriveClaim | None, facts: SourceFacts) -> Match:
    """Compare a whole entry with a letter in the notes that has the same place and time, but another identity."""
    if claim is not None and claim.digest == entry.digest:
        return "same"
    place = place_of(letter)
    if WHOLE in letter or (claim is not None and claim.digest in facts.digests.get(place, ())):
        return "other"
    # A note of an earlier release has only the place. Its letter may have been of another record, or a lossy copy.
    return "unclear" if letter == place or was_reset(entry, facts.state) else "same"


def table(verdicts: Iterable[Verdict]) -> list[dict[str, Any]]:
    """Return the verdicts as the reply's rows; letters with the same values in all columns share a row."""
    rows: dict[tuple[str, str, str, str, str], list[LetterEntry]] = defaultdict(list)
    for judged in verdicts:
        letter = judged.entry.letter
        place = "-" if letter.topic is None else f"{letter.topic}-{letter.partition}"
        form = f"{letter.form}, truncated" if letter.truncated else letter.form
        rows[judged.do, letter.reason, place, form, judged.why].append(judged.entry)
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
        for (do, reason, place, form, why), entries in sorted(rows.items(), key=lambda item: item[0])
    ]


def _offsets(entries: Iterable[LetterEntry]) -> str:
    known = [entry.letter.offset for entry in entries if entry.letter.offset is not None]
    joined = intervals(known)
    shown = [str(first) if first == last else f"{first}-{last}" for first, last in joined[:SHOWN_INTERVALS]]
    return ", ".join([*shown, "..."] if len(joined) > SHOWN_INTERVALS else shown)
