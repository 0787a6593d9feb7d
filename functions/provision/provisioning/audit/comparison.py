"""Compares table, ledger, error topic and log for one topic-partition, without reading anything itself.

The sources are read one after the other, and the connector may deliver meanwhile. The order of the reads keeps these
deliveries from looking like faults: offsets that were settled before the table was read have to be visible, and visible
offsets have to be settled or pending in the ledger's state that was read after the table.
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
"""Kinds of findings about an offset.

`missing`: the group has committed a later offset, but neither table nor error topic has the record.
`settled-not-visible`: the ledger has settled the offset, but neither table nor error topic has the record.
`beyond-the-log`: the topic ends before the offset, so the topic was created again or has lost records. `unclear`: rows
and dead letters at the offset may be from before a reset, so they prove nothing."""
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """The facts about a topic-partition; offsets are intervals, ends and positions are the next offset.

    `begin` is the log's first offset, `end` its next offset, read last. `start` is the first offset to deliver: of the
    last reset, or of the group. `runs` has the table's rows, `letters` the offsets of dead letters. `committed` is the
    group's committed offset, None if there is none. `settled` has the offsets that were settled before the table was
    read, `claimed` the offsets that were settled or pending after that; both are None without a ledger.

    Rows at `former` offsets, and letters at `doubtful` offsets, may be from a generation before the last reset. Letters
    that are certainly from an earlier generation are in neither `letters` nor `doubtful`.
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
        """Return the offsets that have rows."""
        return _joined((run.first, run.last) for run in self.runs)


@dataclass(frozen=True, slots=True)
class Finding:
    """Offsets of a topic-partition with a fault or a doubt."""

    kind: Kind
    partition: int
    offsets: Intervals


def suspects(known: Known) -> Intervals:
    """Return the offsets that should be in the table or the error topic, but are in neither.

    They are a fault only if the log has records at them.
    """
    done = _from(known.settled or (), known.start)
    if known.committed is not None and known.committed > known.start:
        done = union(done, ((known.start, known.committed - 1),))
    # Pending offsets aren't a fault: the group can commit past them if a batch is delivered again.
    present = union(union(known.visible, known.letters), known.doubtful)
    return difference(difference(done, present), _pending(known))


def findings(known: Known, existing: Intervals, misplaced: Intervals) -> Iterator[Finding]:
    """Yield every finding.

    `existing` has the `suspects` at which the log has a record, `misplaced` the offsets whose rows are in a wrong
    partition value.
    """
    # Rows at `former` offsets may be from before a reset, so they prove nothing.
    visible = difference(known.visible, known.former)
    settled = intersection(existing, known.settled or ())
    offsets: dict[Kind, Intervals] = {
        "missing": difference(existing, settled),
        "settled-not-visible": settled,
        "duplicate": difference(_joined((run.first, run.last) for run in known.runs if run.copies > 1), known.former),
        "in-table-and-error-topic": intersection(visible, known.letters),
        "outside-partition-value": difference(misplaced, known.former),
        "beyond-the-log": _from(union(visible, union(known.settled or (), known.letters)), known.end),
        "unclear": _unclear(known),
    }
    if known.claimed is not None:
        offsets["visible-not-settled"] = difference(visible, known.claimed)
        offsets["dead-letter-not-settled"] = difference(known.letters, known.claimed)
    yield from (Finding(kind, known.partition, offsets[kind]) for kind in KINDS if offsets.get(kind))


def _unclear(known: Known) -> Intervals:
    """Return the offsets whose rows and letters may all be from before a reset.

    An offset with such a row and a letter is unclear, too, because its record may be in table and error topic.
    """
    rows = intersection(known.visible, known.former)
    sure = difference(union(difference(known.visible, known.former), known.letters), intersection(rows, known.letters))
    unclear = difference(union(rows, known.doubtful), sure)
    return intersection(unclear, known.claimed) if known.claimed is not None else unclear


def waiting(known: Known) -> int:
    """Return the number of the log's offsets that have no row, letter or claim, and aren't suspects."""
    log = ((max(known.begin, known.start), known.end - 1),) if known.end > max(known.begin, known.start) else ()
    present = union(union(difference(known.visible, known.former), known.letters), known.claimed or ())
    return count(difference(difference(log, present), suspects(known)))


def _pending(known: Known) -> Intervals:
    return difference(known.claimed or (), known.settled or ())


def _from(offsets: Intervals, start: int) -> Intervals:
    """Return the offsets from `start` on."""
    return intersection(offsets, ((start, offsets[-1][1]),)) if offsets and offsets[-1][1] >= start else ()


def _joined(spans: Iterable[tuple[int, int]]) -> Intervals:
    """Join adjacent intervals; `spans` has them in rising order, without overlaps."""
    joined: list[tuple[int, int]] = []
    for first, last in spans:
        if joined and joined[-1][1] + 1 == first:
            joined[-1] = joined[-1][0], last
        else:
            joined.append((first, last))
    return tuple(joined)
