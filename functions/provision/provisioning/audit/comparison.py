"""What table, ledger, error topic and log say of one topic-partition, compared; pure.

The parts are asked one after the other while the connector may be at work. So each comparison is of what was asked for
in an order in which work that goes on can't look like a fault: what the ledger had settled before the table was read
has to be visible, and what was visible has to be settled or claimed in the ledger as it was read afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from kafka_maxcompute.offsets import Intervals, count, difference, intersection, union

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from provisioning.audit.table_runs import Run

Kind: TypeAlias = Literal[
    "missing",
    "settled-not-visible",
    "duplicate",
    "visible-not-settled",
    "dead-letter-not-settled",
    "in-table-and-error-topic",
    "outside-partition-value",
    "beyond-the-log",
    "unclear",
]
"""`missing`: the group has committed past it, and it is nowhere; `settled-not-visible`: the ledger says that it's
somewhere. `beyond-the-log`: the topic ends before it, so it was created again or cut off. `unclear`: since a reset,
nobody can tell its rows and letters from those of before, so nothing can be said of it."""
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known of a topic-partition; offsets as intervals, ends and positions as the next offset.

    `begin` is the log's start, `end` its end after all else was asked for. `runs` are the table's, `letters` the error
    topic's. `committed` is the group's, None where it has none. `settled` is what the ledger had before the table was
    read, `claimed` what it had settled or pending afterwards, both None without a ledger. Records before `start` aren't
    the connector's to deliver (a reset put them behind it, or its group began there).

    At the offsets in `former` there may be rows of a generation before the last reset, and the letters in `doubtful`
    may be of one; letters that surely are of one aren't among `letters`.
    """

    partition: int
    begin: int
    end: int
    start: int = 0
    runs: tuple[Run, ...] = ()
    letters: Intervals = ()
    committed: int | None = None
    settled: Intervals | None = None
    claimed: Intervals | None = None
    former: Intervals = ()
    doubtful: Intervals = ()

    @property
    def visible(self) -> Intervals:
        """The offsets that have rows."""
        return _joined((run.first, run.last) for run in self.runs)


@dataclass(frozen=True, slots=True)
class Finding:
    """Offsets of a topic-partition that aren't as they should be."""

    kind: Kind
    partition: int
    offsets: Intervals


def suspects(known: Known) -> Intervals:
    """The offsets that should be somewhere and are nowhere: only the log can say whether there are such records."""
    done = _from(known.settled or (), known.start)
    if known.committed is not None and known.committed > known.start:
        done = union(done, ((known.start, known.committed - 1),))
    # A claim that is pending may have moved the group on already, by a batch that was delivered again.
    somewhere = union(union(known.visible, known.letters), known.doubtful)
    return difference(difference(done, somewhere), _pending(known))


def findings(known: Known, existing: Intervals, misplaced: Intervals) -> Iterator[Finding]:
    """Everything that is wrong.

    `existing` are those of the `suspects` that the log has records for, `misplaced` the offsets that are in a partition
    value which isn't that of their record's time.
    """
    # Rows of before a reset may be at these offsets, whatever they are: of another topic, or written again.
    visible = difference(known.visible, known.former)
    said = intersection(existing, known.settled or ())
    found: dict[Kind, Intervals] = {
        "missing": difference(existing, said),
        "settled-not-visible": said,
        "duplicate": difference(_joined((run.first, run.last) for run in known.runs if run.copies > 1), known.former),
        "in-table-and-error-topic": intersection(visible, known.letters),
        "outside-partition-value": difference(misplaced, known.former),
        "beyond-the-log": _from(union(visible, union(known.settled or (), known.letters)), known.end),
        "unclear": _unclear(known),
    }
    if known.claimed is not None:
        found["visible-not-settled"] = difference(visible, known.claimed)
        found["dead-letter-not-settled"] = difference(known.letters, known.claimed)
    yield from (Finding(kind, known.partition, found[kind]) for kind in KINDS if found.get(kind))


def _unclear(known: Known) -> Intervals:
    """What is somewhere only by rows or letters that may be of before a reset, or by a letter beside such a row."""
    rows = intersection(known.visible, known.former)
    sure = difference(union(difference(known.visible, known.former), known.letters), intersection(rows, known.letters))
    here = difference(union(rows, known.doubtful), sure)
    return intersection(here, known.claimed) if known.claimed is not None else here


def waiting(known: Known) -> int:
    """How many offsets of the log are nowhere, and nobody has said that they were delivered."""
    log = ((max(known.begin, known.start), known.end - 1),) if known.end > max(known.begin, known.start) else ()
    somewhere = union(union(difference(known.visible, known.former), known.letters), known.claimed or ())
    return count(difference(difference(log, somewhere), suspects(known)))


def _pending(known: Known) -> Intervals:
    return difference(known.claimed or (), known.settled or ())


def _from(offsets: Intervals, start: int) -> Intervals:
    """Those from the start on."""
    return intersection(offsets, ((start, offsets[-1][1]),)) if offsets and offsets[-1][1] >= start else ()


def _joined(several: Iterable[tuple[int, int]]) -> Intervals:
    """The fewest intervals for those given, which rise and don't overlap."""
    joined: list[tuple[int, int]] = []
    for first, last in several:
        if joined and joined[-1][1] + 1 == first:
            joined[-1] = joined[-1][0], last
        else:
            joined.append((first, last))
    return tuple(joined)
