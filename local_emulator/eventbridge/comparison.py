"""Compares the outcomes of a replay with the recorded ones."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from local_emulator.eventbridge.function_client import Outcome

if TYPE_CHECKING:
    from local_emulator.eventbridge.deliveries import RecordedDelivery

SUCCESS = "success"
MOST_NAMED = 20
"""The differing deliveries that are named; further ones are only counted."""


class Counts(msgspec.Struct, frozen=True):
    """The sink's counts in its reply: rows written, dead letters, and records dropped because they were settled."""

    records: int = 0
    diverted: int = 0
    dropped: int = 0

    @property
    def settled(self) -> int:
        """The records whose fate is decided. A replay drops what the recorded delivery wrote, so only the sum stays."""
        return self.records + self.diverted + self.dropped


@dataclass(slots=True)
class Totals:
    """The sums of outcomes: events by kind of outcome, and the sink's counts by name."""

    events: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)

    def add(self, events: int, outcome: Outcome) -> None:
        """Add an outcome."""
        self.events[kind(outcome)] += events
        self.counts.update(msgspec.structs.asdict(_counts(outcome) or Counts()))

    @property
    def settled(self) -> int:
        """The records whose fate is decided."""
        return self.counts.total()


@dataclass(slots=True)
class Comparison:
    """The outcomes of one replay, without those of copies, and what differs from the recording."""

    recorded: Totals = field(default_factory=Totals)
    now: Totals = field(default_factory=Totals)
    differing: int = 0
    named: list[str] = field(default_factory=list)

    def add(self, events: int, outcome: Outcome, delivery: RecordedDelivery | None) -> None:
        """Add an outcome; `delivery` is the recorded one, None if there is none to compare with."""
        self.now.add(events, outcome)
        difference = _difference(recorded_outcome(delivery), outcome) if delivery else ""
        if delivery and difference:
            self.differing += 1
            if len(self.named) < MOST_NAMED:
                self.named.append(f"delivery {delivery.number} ({delivery.records}): {difference}")

    def totals_differ(self) -> bool:
        """Return whether other numbers of events failed, or of records are settled, than in the recording."""
        return (+self.recorded.events, self.recorded.settled) != (+self.now.events, self.now.settled)


def recorded_outcome(delivery: RecordedDelivery) -> Outcome:
    """Return the outcome of a recorded delivery."""
    return Outcome(delivery.status, delivery.error_type, delivery.message, delivery.reply)


def kind(outcome: Outcome) -> str:
    """Return `SUCCESS`, or the kind of failure: a function's exception, or the status and the error code."""
    if outcome.status == 0:
        return "no answer"
    if 200 <= outcome.status < 300:  # noqa: PLR2004 - HTTP's successes; 202 is that of an asynchronous invocation
        return outcome.error_type or SUCCESS
    return f"{outcome.status} {outcome.error_type}".strip()


def _difference(recorded: Outcome, now: Outcome) -> str:
    if kind(recorded) != kind(now):
        return f"recorded {kind(recorded)}, now {kind(now)}"
    before, after = _counts(recorded), _counts(now)
    if before and after and before.settled != after.settled:
        return f"recorded {before.settled:,} settled records, now {after.settled:,}"
    return ""


def _counts(outcome: Outcome) -> Counts | None:
    """Return the counts of a reply; None if it has none, because the function is another or was asynchronous."""
    try:
        return msgspec.json.decode(outcome.reply, type=Counts)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return None
