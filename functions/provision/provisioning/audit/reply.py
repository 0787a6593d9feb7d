"""Makes the reply of an audit: JSON with a stable structure, and sentences for the operator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kafka_maxcompute.offsets import count
from provisioning.audit.comparison import KINDS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from provisioning.audit.audit import Examined, Report
    from provisioning.audit.comparison import Finding, Kind

SHOWN_INTERVALS = 100
"""The most intervals that the JSON has of a finding; the finding's `count` is of all offsets."""
SENTENCE_INTERVALS = 5
"""The most intervals that a sentence has of a finding."""

_SENTENCES: Mapping[Kind, str] = {
    "missing": "the group has committed past them, but they are neither in the table nor in the error topic; with a "
    "ledger, pause the stream, run reset with keep_settled and with the first of them as start, and resume: settled "
    "records aren't written again; without a ledger, run reset with the first of them as start, but first remove all "
    "rows from that offset on, otherwise they are doubled",
    "settled-not-visible": "the ledger has settled them, but they are neither in the table nor in the error topic; "
    "find out whether somebody removed their rows; the action reset delivers them and all later records again, so "
    "first remove all rows from the first of them on, otherwise they are doubled",
    "duplicate": "they have more than one row; compare these rows, and keep one of the equal rows",
    "visible-not-settled": "they have rows, but no claim in the ledger, so they would be written again; find out who "
    "wrote them",
    "dead-letter-not-settled": "they are in the error topic, but have no claim in the ledger",
    "in-table-and-error-topic": "they have rows and dead letters; don't redrive these dead letters",
    "outside-partition-value": "they are in a partition value that doesn't fit their time; were the settings changed?",
    "beyond-the-log": "the topic ends before them, so it was recreated or has lost its end; run the action reset, "
    "with 0 for every topic-partition of a recreated topic, or with its end for a topic-partition that is shorter",
    "unclear": "their rows or dead letters may be from before a reset of the topic-partition; compare them with the "
    "source topic, and remove no rows for this",
}


def as_json(report: Report) -> dict[str, Any]:
    """Return the report as JSON; `doubts` has the sentences of findings `unclear`, `faults` those of all others."""
    by_kind = {
        kind: [_sentence(report.topic, finding) for finding in report.findings if finding.kind == kind]
        for kind in KINDS
    }
    doubts = by_kind.pop("unclear")
    faults = [sentence for sentences in by_kind.values() for sentence in sentences]
    return {
        "state": state(faults, doubts),
        "faults": faults,
        "doubts": doubts,
        "statement": report.statement,
        "topic_partitions": [_examined(report.topic, examined) for examined in report.topic_partitions],
        "findings": [_finding(report.topic, finding) for finding in report.findings],
        "pending": list(report.pending),
        "times_compared": report.times_compared,
    }


def state(faults: Sequence[str], doubts: Sequence[str]) -> str:
    """Return "unsound", "unclear" or "sound"."""
    if faults:
        return "unsound"
    return "unclear" if doubts else "sound"


def _examined(topic: str, examined: Examined) -> dict[str, Any]:
    known = examined.known
    return {
        "topic": topic,
        "partition": known.partition,
        "begin": known.begin,
        "end": known.end,
        "committed": known.committed,
        "rows": sum((run.last - run.first + 1) * run.copies for run in known.runs),
        "dead_letters": count(known.letters),
        "settled": None if known.settled is None else count(known.settled),
        "waiting": examined.waiting,
        "unverifiable": examined.unverifiable,
        "wrong": sum(count(finding.offsets) for finding in examined.findings if finding.kind != "unclear"),
        "unclear": sum(count(finding.offsets) for finding in examined.findings if finding.kind == "unclear"),
    }


def _finding(topic: str, finding: Finding) -> dict[str, Any]:
    return {
        "kind": finding.kind,
        "topic": topic,
        "partition": finding.partition,
        "count": count(finding.offsets),
        "offsets": [list(interval) for interval in finding.offsets[:SHOWN_INTERVALS]],
    }


def _sentence(topic: str, finding: Finding) -> str:
    number = count(finding.offsets)
    offsets = f"{number} offset{'s' if number > 1 else ''} ({_listed(finding.offsets)})"
    return f"{topic}-{finding.partition}: {offsets} {finding.kind}: {_SENTENCES[finding.kind]}"


def _listed(offsets: Sequence[tuple[int, int]]) -> str:
    shown = [str(first) if first == last else f"{first} to {last}" for first, last in offsets[:SENTENCE_INTERVALS]]
    more = len(offsets) - len(shown)
    return ", ".join(shown) + (f" and {more} more intervals" if more else "")
