"""An audit's report as a reply: JSON whose form stays, and sentences for whoever has to act on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kafka_maxcompute.offsets import count
from provisioning.audit.comparison import KINDS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from provisioning.audit.audit import Examined, Report
    from provisioning.audit.comparison import Finding, Kind

SHOWN_INTERVALS = 100
"""Of a finding in the JSON; its count is of all offsets."""
TOLD_INTERVALS = 5
"""Of a finding in a sentence."""

_TOLD: Mapping[Kind, str] = {
    "missing": "the group has gone past them, but they are neither in the table nor in the error topic; with a ledger, "
    "pause the stream, set the group's offset back to the first of them, and resume: what is settled isn't written "
    "again; without one, all rows from there on have to be removed first, or they are doubled",
    "settled-not-visible": "the ledger has them as done, but they are neither in the table nor in the error topic; "
    "find out whether somebody removed their rows; the action reset delivers them again, and with them all that comes "
    "after them, so remove the rows from there on first, or they are doubled",
    "duplicate": "they have more than one row; compare these, and keep one of those that are equal",
    "visible-not-settled": "they have rows, but nobody has claimed them in the ledger, so they would be written again; "
    "find out who wrote them",
    "dead-letter-not-settled": "they are in the error topic, but nobody has claimed them in the ledger",
    "in-table-and-error-topic": "they have rows and dead letters; don't redrive these letters",
    "outside-partition-value": "they are in a partition value that isn't their time's; were the settings changed?",
    "beyond-the-log": "the topic ends before them, so it was recreated or has lost its end; run the action reset, "
    "with 0 for every topic-partition of a recreated topic, with its end for one that is shorter",
    "unclear": "since a reset of the topic-partition, their rows or letters may be those of the topic before it; "
    "compare them with the source topic, and remove no rows for this",
}


def as_json(report: Report) -> dict[str, Any]:
    """The report; `faults` has a sentence for each finding, `doubts` one for each that nothing can be said of."""
    told = {kind: [_told(report.topic, one) for one in report.findings if one.kind == kind] for kind in KINDS}
    doubts = told.pop("unclear")
    faults = [sentence for sentences in told.values() for sentence in sentences]
    return {
        "state": state(faults, doubts),
        "faults": faults,
        "doubts": doubts,
        "statement": report.statement,
        "topic_partitions": [_examined(report.topic, one) for one in report.topic_partitions],
        "findings": [_finding(report.topic, finding) for finding in report.findings],
        "pending": list(report.pending),
        "times_compared": report.times_compared,
    }


def state(faults: Sequence[str], doubts: Sequence[str]) -> str:
    """An audit's outcome in a word."""
    if faults:
        return "unsound"
    return "unclear" if doubts else "sound"


def _examined(topic: str, one: Examined) -> dict[str, Any]:
    known = one.known
    return {
        "topic": topic,
        "partition": known.partition,
        "begin": known.begin,
        "end": known.end,
        "committed": known.committed,
        "rows": sum((run.last - run.first + 1) * run.copies for run in known.runs),
        "dead_letters": count(known.letters),
        "settled": None if known.settled is None else count(known.settled),
        "waiting": one.waiting,
        "unverifiable": one.unverifiable,
        "wrong": sum(count(finding.offsets) for finding in one.findings if finding.kind != "unclear"),
        "unclear": sum(count(finding.offsets) for finding in one.findings if finding.kind == "unclear"),
    }


def _finding(topic: str, finding: Finding) -> dict[str, Any]:
    return {
        "kind": finding.kind,
        "topic": topic,
        "partition": finding.partition,
        "count": count(finding.offsets),
        "offsets": [list(interval) for interval in finding.offsets[:SHOWN_INTERVALS]],
    }


def _told(topic: str, finding: Finding) -> str:
    found = count(finding.offsets)
    which = f"{found} offset{'s' if found > 1 else ''} ({_listed(finding.offsets)})"
    return f"{topic}-{finding.partition}: {which} {finding.kind}: {_TOLD[finding.kind]}"


def _listed(offsets: Sequence[tuple[int, int]]) -> str:
    shown = [str(first) if first == last else f"{first} to {last}" for first, last in offsets[:TOLD_INTERVALS]]
    more = len(offsets) - len(shown)
    return ", ".join(shown) + (f" and {more} more intervals" if more else "")
