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
before can still be under way. So each batch is compared with the log as long as a mark has a `since`.
"""

from __future__ import annotations

import base64
import hashlib
import logging
import re
from bisect import bisect_left
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from msgspec.structs import replace

from kafka_maxcompute.brokers import documents
from kafka_maxcompute.brokers import originals as logs
from kafka_maxcompute.dead_letters.error_topic import REPLACED, is_delivered, nothing
from kafka_maxcompute.errors import NowhereError
from kafka_maxcompute.ledger.operations import Mark
from kafka_maxcompute.ledger.state import is_claimed, taken
from kafka_maxcompute.offsets import difference, intervals, union, within

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fc_powertools import Deadline
    from kafka_maxcompute.brokers.originals import Found, Original, Originals
    from kafka_maxcompute.dead_letters.error_topic import DeliveredRecord, Known
    from kafka_maxcompute.ledger.operations import Claim, Divert, State
    from kafka_maxcompute.offsets import Interval, Intervals, Offsets, TopicPartition

DIGEST_BYTES = 12
"""Kept of a SHA-256: two different records are taken for one in 1 of 2^96 cases."""
TAIL = 16
"""Offsets from a log's end or a batch's end back in which a record for a mark is looked for."""

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
    """Marks for the topic-partitions of a batch of which nothing is claimed yet: its last records, out of the logs.

    `known` is what the delivery has of its records. A log that holds another record there gives no mark: the delivery's
    records aren't of this log. Raises what the read raises, but not for topic-partitions that aren't there.
    """
    marked = set(state.marks).union(*(pending.operation.begins for pending in state.pending.values()))
    fresh = [where for where in covered if where not in marked and not is_claimed(state, where)]
    wanted = {where: _tail(covered[where]) for where in fresh}
    found, _ = present(originals, wanted, deadline)
    strange = {where for (where, offset), record in found.items() if not _can_be(record, known(where, offset))}
    for topic, number in sorted(strange):
        fields = {"topic": topic, "partition": number}
        _log.error(
            "the log has records of other times, keys or values than those delivered, so it gets no mark", extra=fields
        )
    # Rising, so that the last record of each is the one that stays.
    return {at[0]: Mark(at[1], digest(found[at])) for at in sorted(found) if at[0] not in strange}


def advanced(state: State, covered: Offsets, originals: Originals, deadline: Deadline) -> dict[TopicPartition, Mark]:
    """Later marks for the topic-partitions of a batch that is to be claimed: its last records, read with the marks.

    Of marks that vouch for all. Raises what the read raises, but not for topic-partitions that aren't there.
    """
    wanted = {
        where: (*_one(mark.offset), *_tail(offsets))
        for where, offsets in covered.items()
        if (mark := state.marks.get(where)) and not mark.since and offsets[-1][1] > mark.offset
    }
    found, _ = present(originals, wanted, deadline)
    moved: dict[TopicPartition, Mark] = {}
    for where, offset in sorted(found):
        record, mark = found[where, offset], state.marks[where]
        before = found.get((where, mark.offset))
        same = before is not None and digest(before) == mark.digest
        if same and offset > mark.offset:
            moved[where] = Mark(offset, digest(record))
        elif not same and before is not None:
            _log.error("a source topic's log isn't the ledger's", extra={"topic": where[0], "partition": where[1]})
    return moved


def confirmed(
    state: State, covered: Offsets, known: Known, originals: Originals, deadline: Deadline
) -> dict[TopicPartition, Mark]:
    """Marks with a `since` that a batch may tell, for the log has the marked record and all of the batch from there on.

    They may be told only with the claims of this batch, and move to its last record. `known` is what the delivery has
    of its records. Raises what the reads raise.
    """
    told: dict[TopicPartition, Mark] = {}
    for where, offsets in covered.items():
        mark = state.marks.get(where)
        if mark is None or not 0 < mark.since <= offsets[-1][1]:
            continue
        last, equal, moved = offsets[-1][1], [], mark
        wanted = union(_one(mark.offset), within(offsets, mark.since, last))
        for _, offset, record in originals.stream({where: wanted}, deadline):
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
    the delivery has of its records. Raises what the reads raise.
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


def _marked_and_last(state: State, where: TopicPartition, offsets: Intervals) -> Intervals:
    last, mark = _one(offsets[-1][1]), state.marks.get(where)
    return last if mark is None else union(_one(mark.offset), last)


def _begun(
    where: TopicPartition, offsets: Intervals, known: Known, originals: Originals, deadline: Deadline
) -> dict[TopicPartition, Mark]:
    """The mark for offsets of a batch, since the first one from which on every record is the log's."""
    last, equal, digests = offsets[-1][1], list[int](), dict[int, str]()
    for _, offset, record in originals.stream({where: offsets}, deadline):
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


def _tail(offsets: Intervals) -> Intervals:
    """The last offsets, as many as are looked at."""
    last = offsets[-1][1]
    return within(offsets, last - TAIL + 1, last)
