"""Marks: records by which the ledger knows the log of a topic-partition again.

A topic that was deleted and created again has other records at its offsets, even if somebody has filled it with the
same times. So the ledger keeps a digest of one record of each log. Whoever is about to drop records as settled reads
the log at that offset. An equal record shows that the log is the same; another record shows that it isn't. No record
there (deleted, compacted) shows nothing.

The mark has to stay near the log's end, or retention deletes the record. So it moves, but only to a record that was
read together with the mark before: both are in one log then.

A topic-partition that has claims and no mark, or whose marked record is gone, gets one by a batch of which the log has
every record, as delivered. Such a mark vouches only for offsets behind all that was taken until then (`since`): whether
that is of the same log, nothing tells. Nor does it vouch for a later claim that doesn't tell it: a batch of the log
before can still be under way.

A batch of the log before can be claimed after any mark began. The topic's id tells it; where the ledger has none, the
batch is compared with the log before it's claimed, and its claims tell the mark if they are of the mark's log.
"""

from __future__ import annotations

import base64
import hashlib
import logging
import re
from bisect import bisect_left
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from msgspec.structs import replace

from kafka_maxcompute.brokers import documents
from kafka_maxcompute.brokers import originals as logs
from kafka_maxcompute.dead_letters.error_topic import REPLACED, is_delivered, nothing
from kafka_maxcompute.errors import NowhereError
from kafka_maxcompute.ledger.operations import Mark
from kafka_maxcompute.ledger.state import has_id, is_claimed, taken
from kafka_maxcompute.offsets import contains, difference, intervals, union, within

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from fc_powertools import Deadline
    from kafka_maxcompute.brokers.originals import Found, Original, Originals
    from kafka_maxcompute.dead_letters.error_topic import DeliveredRecord, Known
    from kafka_maxcompute.ledger.operations import Claim, Divert, State
    from kafka_maxcompute.offsets import Interval, Intervals, Offsets, TopicPartition

DIGEST_BYTES = 12
"""Kept of a SHA-256: two different records are taken for one in 1 of 2^96 cases."""
TAIL = 16
"""Offsets at a log's end, or at each end of a batch, in which a record for a mark is looked for."""

Later: TypeAlias = "dict[tuple[int, TopicPartition], Mark]"
"""Later marks of topic-partitions, by the generation in which they were found and the topic-partition."""

_RUN = re.compile(b"(?:" + REPLACED + b")+")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Look:
    """What logs hold at the ledger's marks, and where the records of a delivery are from.

    `digests` has that of the record at each mark, "" if there is none; `gone` has the topic-partitions that the brokers
    don't know, `others` the offsets of a delivery's records that aren't those of the log.
    """

    digests: Mapping[TopicPartition, str] = field(default_factory=dict)
    gone: frozenset[TopicPartition] = frozenset()
    others: Offsets = field(default_factory=dict)


def digest(record: Original) -> str:
    """What a record is known by: its key, value, headers and timestamp, as the log holds them."""
    found = hashlib.sha256(f"{record.timestamp} {logs.digest(record)}".encode())
    return base64.urlsafe_b64encode(found.digest()[:DIGEST_BYTES]).decode()


def look(state: State, offsets: Offsets, originals: Originals, deadline: Deadline, known: Known = nothing) -> Look:
    """Read the logs of topic-partitions at the ledger's marks, and at the last of the offsets.

    `known` is what a delivery has of the records there. Raises what the read raises, but not for topic-partitions that
    aren't there.
    """
    at = {where: _one(state.marks[where].offset) for where in offsets if where in state.marks}
    wanted = {where: union(at.get(where, ()), _tail(found)) for where, found in offsets.items()}
    found, gone = present(originals, wanted, deadline)
    told = {where: found.get((where, first)) for where, ((first, _),) in at.items() if where not in gone}
    digests = {where: "" if one is None else digest(one) for where, one in told.items()}
    return Look(digests, gone, _strange(offsets, found, known, originals, deadline))


def beginnings(
    state: State, covered: Offsets, known: Known, originals: Originals, deadline: Deadline
) -> dict[TopicPartition, Mark]:
    """Marks for the topic-partitions of a batch of which nothing is claimed yet: its last record that the log has.

    If a claim that is pending begins one already, it's that one, if the batch is of its log. `known` is what the
    delivery has of its records. A log that holds another record there gives no mark: the delivery's records aren't of
    this log. Raises what the read raises, but not for topic-partitions that aren't there.
    """
    begun = {at: mark for pending in reversed(state.pending.values()) for at, mark in pending.operation.begins.items()}
    fresh = [where for where in covered if where not in state.marks and not is_claimed(state, where)]
    wanted = {
        where: union(_ends(covered[where]), _one(begun[where].offset) if where in begun else ()) for where in fresh
    }
    logged = _logged(originals, wanted, deadline)
    told: dict[TopicPartition, Mark] = {}
    for where, records in logged.items():
        mark = begun.get(where)
        if any(not _can_be(record, known(where, offset)) for offset, record in records.items()):
            fields = {"topic": where[0], "partition": where[1]}
            _log.error(
                "the log has records of other times, keys or values than those delivered, so it gets no mark",
                extra=fields,
            )
        elif mark is None:
            told[where] = Mark(max(records), digest(records[max(records)]))
        elif _holds(records, mark) and _has_ends(records, covered[where]):
            told[where] = mark
    return told


def advanced(
    state: State, covered: Offsets, known: Known, originals: Originals, deadline: Deadline
) -> dict[TopicPartition, Mark]:
    """The marks that vouch for all and are of the same log as a batch that is to be claimed, moved to its last record.

    The log has the marked record, and the batch's first and last records as they were delivered: if a batch has records
    of two logs, those of the earlier one come first. `known` is what the delivery has of its records. Raises what the
    read raises, but not for topic-partitions that aren't there.
    """
    sure = {
        where: mark
        for where, mark in state.marks.items()
        if where in covered and not mark.since and (covered[where][-1][1] > mark.offset or not has_id(state, where))
    }
    wanted = {where: union(_one(mark.offset), _ends(covered[where])) for where, mark in sure.items()}
    moved: dict[TopicPartition, Mark] = {}
    for where, records in _logged(originals, wanted, deadline).items():
        mark = sure[where]
        if mark.offset in records and not _holds(records, mark):
            _log.error("a source topic's log isn't the ledger's", extra={"topic": where[0], "partition": where[1]})
        elif (
            _holds(records, mark)
            and _has_ends(records, covered[where])
            and all(_can_be(record, known(where, offset)) for offset, record in records.items())
        ):
            moved[where] = Mark(max(records), digest(records[max(records)]))
    return moved


def confirmed(
    state: State, covered: Offsets, known: Known, originals: Originals, deadline: Deadline
) -> dict[TopicPartition, Mark]:
    """Marks with a `since` that a batch may tell, for the log has the marked record and all of the batch from there on.

    They may be told only with the claims of this batch, and move to its last record. `known` is what the delivery has
    of its records. Raises what the reads raise, but not for topic-partitions that aren't there.
    """
    told: dict[TopicPartition, Mark] = {}
    for where, offsets in covered.items():
        mark = state.marks.get(where)
        if mark is None or not 0 < mark.since <= offsets[-1][1]:
            continue
        last, equal, moved = offsets[-1][1], list[int](), mark
        wanted = union(_one(mark.offset), within(offsets, mark.since, last))
        for offset, record in _streamed(where, wanted, originals, deadline):
            if digest(record) == mark.digest if offset == mark.offset else _is_equal(record, known(where, offset)):
                equal.append(offset)
            if offset == last > mark.offset:
                moved = Mark(last, digest(record), mark.since)
        if intervals(equal) == wanted:
            told[where] = moved
    return told


def anew(
    state: State, covered: Offsets, known: Known, originals: Originals, deadline: Deadline
) -> dict[TopicPartition, Mark]:
    """Marks for the topic-partitions of a batch that have claims and no mark, or whose marked record is gone.

    Such a mark may be told only with the claims of this batch. It's the batch's last record, and vouches for what comes
    from the first offset on from which the batch's records are those of the log; none of that is taken. `known` is what
    the delivery has of its records. Raises what the reads raise, but not for topic-partitions that aren't there.
    """
    held = {where: offsets[-1][1] for where, offsets in taken(state).items() if is_claimed(state, where)}
    free = {where: within(covered[where], held[where] + 1, covered[where][-1][1]) for where in held.keys() & covered}
    wanted = {where: _marked_and_last(state, where, offsets) for where, offsets in free.items() if offsets}
    found, _ = present(originals, wanted, deadline)
    begun: dict[TopicPartition, Mark] = {}
    for where in wanted:
        last, mark = free[where][-1][1], state.marks.get(where)
        is_lost = mark is None or (where, mark.offset) not in found
        # The last record first: where it isn't the log's, a whole batch needn't be read.
        if is_lost and _is_equal(found.get((where, last)), known(where, last)):
            begun |= _begun(where, free[where], known, originals, deadline)
    return begun


def others(
    operation: Claim | Divert, state: State, originals: Originals, deadline: Deadline
) -> frozenset[TopicPartition]:
    """The topic-partitions of a pending operation whose logs hold another record at the mark than the ledger has."""
    marked = replace(state, marks={**operation.begins, **state.marks})
    found = look(marked, operation.offsets, originals, deadline).digests
    return frozenset(where for where, told in found.items() if told not in {"", marked.marks[where].digest})


def of_logs(
    bounds: Mapping[TopicPartition, tuple[int, int]], originals: Originals, deadline: Deadline
) -> dict[TopicPartition, Mark]:
    """Marks of the logs that are there now, by their last records; `bounds` has each log's start and end."""
    wanted = {where: _tail(((start, end - 1),)) for where, (start, end) in bounds.items() if end > start}
    found = originals.read(wanted, deadline)
    return {at[0]: Mark(at[1], digest(found[at])) for at in sorted(found)}


def present(
    originals: Originals, wanted: Mapping[TopicPartition, Intervals], deadline: Deadline
) -> tuple[Found, frozenset[TopicPartition]]:
    """What logs hold at the wanted offsets, and which topic-partitions the brokers don't know."""
    if not wanted:
        return {}, frozenset()
    try:
        return originals.read(wanted, deadline), frozenset()
    except NowhereError as error:
        there = {where: offsets for where, offsets in wanted.items() if where not in error.places}
        found, gone = present(originals, there, deadline)
        return found, gone | error.places


def _streamed(
    where: TopicPartition, offsets: Intervals, originals: Originals, deadline: Deadline
) -> Iterator[tuple[int, Original]]:
    """A topic-partition's records one by one; none if the brokers don't know it."""
    try:
        for _, offset, record in originals.stream({where: offsets}, deadline):
            yield offset, record
    except NowhereError:
        return


def _strange(
    offsets: Offsets, found: Found, known: Known, originals: Originals, deadline: Deadline
) -> dict[TopicPartition, Intervals]:
    """The offsets of a delivery's records that differ from those of the logs.

    As soon as one that was `found` differs, all offsets of its topic-partition are read. What can't be compared goes by
    the next record that can: if records of a former log and of this one come together, the former log's come first.
    """
    differing = {where for (where, offset), one in found.items() if not is_delivered(one, known(where, offset))}
    read, _ = present(originals, {where: offsets[where] for where in differing}, deadline)
    equal: dict[TopicPartition, dict[int, bool]] = {where: {} for where in differing}
    both = {**found, **read}
    for where, offset in sorted(both):
        delivered = known(where, offset)
        if where in differing and delivered is not None:
            equal[where][offset] = is_delivered(both[where, offset], delivered)
    return {where: _unequal(offsets[where], compared) for where, compared in equal.items()}


def _unequal(offsets: Intervals, equal: Mapping[int, bool]) -> Intervals:
    """The offsets at or before an unequal one, back to the compared one before it; `equal` is in rising order."""
    compared = list(equal)
    every = (offset for first, last in offsets for offset in range(first, last + 1))
    return intervals(one for one in every if not equal[compared[min(bisect_left(compared, one), len(compared) - 1)]])


def _logged(
    originals: Originals, wanted: Mapping[TopicPartition, Intervals], deadline: Deadline
) -> dict[TopicPartition, dict[int, Original]]:
    """What logs hold at the wanted offsets, by topic-partition, of those that have any of it."""
    found, _ = present(originals, wanted, deadline)
    logged: defaultdict[TopicPartition, dict[int, Original]] = defaultdict(dict)
    for (where, offset), record in found.items():
        logged[where][offset] = record
    return logged


def _holds(logged: Mapping[int, Original], mark: Mark) -> bool:
    """Whether a log has the marked record."""
    return mark.offset in logged and digest(logged[mark.offset]) == mark.digest


def _has_ends(logged: Mapping[int, Original], offsets: Intervals) -> bool:
    """Whether a log has a record of a batch at each end of it."""
    return all(any(contains(end, offset) for offset in logged) for end in (_head(offsets), _tail(offsets)))


def _marked_and_last(state: State, where: TopicPartition, offsets: Intervals) -> Intervals:
    last, mark = _one(offsets[-1][1]), state.marks.get(where)
    return last if mark is None else union(_one(mark.offset), last)


def _begun(
    where: TopicPartition, offsets: Intervals, known: Known, originals: Originals, deadline: Deadline
) -> dict[TopicPartition, Mark]:
    """The mark for offsets of a batch, since the first one from which on every record is the log's."""
    last, equal, digests = offsets[-1][1], list[int](), dict[int, str]()
    for offset, record in _streamed(where, offsets, originals, deadline):
        if _is_equal(record, known(where, offset)):
            equal.append(offset)
            if offset == last:
                digests[last] = digest(record)
    if last not in digests:
        return {}
    unequal = difference(offsets, intervals(equal))
    ((since, _), *_) = within(offsets, unequal[-1][1] + 1, last) if unequal else offsets
    return {where: Mark(last, digests[last], since)}


def _is_equal(record: Original | None, delivered: DeliveredRecord | None) -> bool:
    """Whether a record that the log has is the one delivered, by all that an event tells; not if that is unsure."""
    if record is None or delivered is None or delivered.form == "event":
        return False
    return _can_be(record, delivered)


def _can_be(record: Original, delivered: DeliveredRecord | None) -> bool:
    """Whether the log's record can be the one delivered, by time, key and value, as far as the delivery knows them."""
    if delivered is None or delivered.form == "event" or not is_delivered(record, delivered):
        return is_delivered(record, delivered)
    logged, value = record.value or b"", delivered.record.value or b""
    if REPLACED in value:
        # How many U+FFFD a fault becomes differs between decoders.
        logged, value = (_RUN.sub(REPLACED, one.decode("utf-8", "replace").encode()) for one in (logged, value))
    return value in {logged, base64.b64encode(logged)} or _is_one_document(logged, value)


def _is_one_document(one: bytes, other: bytes) -> bool:
    """Whether two texts are one JSON document: a stream can write it in another way."""
    try:
        return bool(documents.read(one, object) == documents.read(other, object))
    except documents.DocumentError:
        return False


def _one(offset: int) -> tuple[Interval]:
    return ((offset, offset),)


def _ends(offsets: Intervals) -> Intervals:
    """The first and last offsets, as many as are looked at."""
    return union(_head(offsets), _tail(offsets))


def _head(offsets: Intervals) -> Intervals:
    first = offsets[0][0]
    return within(offsets, first, first + TAIL - 1)


def _tail(offsets: Intervals) -> Intervals:
    last = offsets[-1][1]
    return within(offsets, last - TAIL + 1, last)
