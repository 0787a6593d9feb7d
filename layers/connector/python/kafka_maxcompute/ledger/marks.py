"""Marks: records that show whether a topic-partition's log is still the log that the ledger is about.

A topic that was deleted and created again has other records at its offsets, even if their timestamps are the same. So
the ledger keeps a mark for each log: an offset, and the digest of the record at this offset. Before a delivery drops
records as settled, it reads the log at the mark's offset. If the record equals the mark, the log is the same. If it
differs, the topic was created again. If the log has no record there (deleted or compacted), nothing is proven.

A mark has to stay near the log's end; otherwise retention deletes the marked record. So the mark moves to later
records, but only to a record that was read together with the marked record: that proves that both are in one log.

If a topic-partition has claims but no mark, or its marked record is gone, it gets a mark from a batch whose records all
equal the log's. Such a mark vouches only for offsets from `since` on, because earlier claims may be of another log.
`since` lies after all offsets that were settled or pending when the mark was made.

Several claims that are pending together can each have a mark. The first one that is settled is in force. It vouches for
another of these claims only if the settle of either claim names the other's mark, because the log had the records of
both marks at the same time (`of_one_log`).

A batch of the former log can still be claimed after a mark was made, and the topic's id doesn't show of which log the
claim is. So if the ledger has no id, or the mark has a `since`, each batch is compared with the log right before its
claim. If they differ, the claim's field `differing` has the topic-partition's offsets, and no mark vouches for these
offsets.
"""

from __future__ import annotations

import base64
import hashlib
import logging
from bisect import bisect_left
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, TypeAlias

from msgspec.structs import replace

from kafka_maxcompute.brokers import originals as logs
from kafka_maxcompute.dead_letters.error_topic import is_delivered, nothing
from kafka_maxcompute.errors import NoSuchTopicError
from kafka_maxcompute.ledger.operations import Mark
from kafka_maxcompute.ledger.state import is_claimed, taken
from kafka_maxcompute.ledger.values import can_be_one
from kafka_maxcompute.offsets import difference, intervals, union, within

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from fc_powertools import Deadline
    from kafka_maxcompute.brokers.originals import Found, Original, Originals
    from kafka_maxcompute.dead_letters.error_topic import DeliveredRecord, Known
    from kafka_maxcompute.ledger.operations import Claim, Divert, State
    from kafka_maxcompute.offsets import Interval, Intervals, Offsets, TopicPartition

DIGEST_BYTES = 12
"""Bytes of the SHA-256 that a mark keeps: two different records have equal digests in 1 of 2^96 cases."""
TAIL = 16
"""The number of offsets, at a log's end or at each end of a batch, that are searched for a record to mark."""

Later: TypeAlias = "dict[tuple[int, TopicPartition], Mark]"
"""Later marks, by the generation in which they were read and by topic-partition."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Look:
    """The result of `look`: the logs compared with the ledger's marks and with the records of a delivery.

    `digests` has the digest of the log's record at each mark's offset, "" if the log has no record there. `gone` has
    the topic-partitions that the brokers don't know. `differing` has the offsets at which the delivery's record differs
    from the log's.
    """

    digests: Mapping[TopicPartition, str] = field(default_factory=dict)
    gone: frozenset[TopicPartition] = frozenset()
    differing: Offsets = field(default_factory=dict)


def digest(record: Original) -> str:
    """Return the digest of a record in a log, over key, value, headers and timestamp."""
    hashed = hashlib.sha256(f"{record.timestamp} {logs.digest(record)}".encode())
    return base64.urlsafe_b64encode(hashed.digest()[:DIGEST_BYTES]).decode()


def look(state: State, offsets: Offsets, originals: Originals, deadline: Deadline, known: Known = nothing) -> Look:
    """Read the logs at the ledger's marks and at the last of the `offsets`, and compare them with marks and delivery.

    `known` gives the delivery's record at an offset. Raises what the read raises, except for topic-partitions that the
    brokers don't know.
    """
    marked_offsets = {place: _single(state.marks[place].offset) for place in offsets if place in state.marks}
    wanted = {place: union(marked_offsets.get(place, ()), _tail(delivered)) for place, delivered in offsets.items()}
    records, gone = present(originals, wanted, deadline)
    marked = {
        place: records.get((place, offset)) for place, ((offset, _),) in marked_offsets.items() if place not in gone
    }
    digests = {place: "" if record is None else digest(record) for place, record in marked.items()}
    return Look(digests, gone, _differing(offsets, records, known, originals, deadline))


def beginnings(
    state: State, covered: Offsets, known: Known, originals: Originals, deadline: Deadline
) -> dict[TopicPartition, Mark]:
    """Return marks for the topic-partitions of a batch that have no settled claim and no mark yet.

    Pending claims have marks of their own, which are compared when the claims are settled (`of_one_log`).

    A mark is the last record of the batch that the log has. A topic-partition gets a mark only if the log has the
    batch's first record, and no record at either end of the batch (`TAIL` offsets) differs from the log's. The first
    records count because in a batch of two logs, the former log's records come first. `known` gives the delivery's
    record at an offset. Raises what the read raises, except for topic-partitions that the brokers don't know.
    """
    fresh = [place for place in covered if place not in state.marks and not is_claimed(state, place)]
    wanted = {place: _ends(covered[place]) for place in fresh}
    marks: dict[TopicPartition, Mark] = {}
    for place, records in _logged(originals, wanted, deadline).items():
        if not _are_delivered(records, place, known):
            fields = {"topic": place[0], "partition": place[1]}
            _log.error(
                "the log has records of other times, keys or values than those delivered, so it gets no mark",
                extra=fields,
            )
        elif covered[place][0][0] in records:
            marks[place] = Mark(max(records), digest(records[max(records)]))
    return marks


def is_unsure(state: State, place: TopicPartition) -> bool:
    """Return whether claims have to be compared with the log: the ledger has no topic id, or a mark with a `since`."""
    mark = state.marks.get(place)
    return place[0] not in state.topic_ids or (mark is not None and mark.since > 0)


def differing(
    covered: Offsets,
    known: Known,
    originals: Originals,
    log_ends: Callable[[Collection[TopicPartition]], Mapping[TopicPartition, int]],
    deadline: Deadline,
) -> frozenset[TopicPartition]:
    """Return the topic-partitions of a batch whose log differs from the batch, or ends before the batch's last offset.

    The first and the last records of the batch are compared. The first records count because in a batch of two logs,
    the former log's records come first. `known` gives the delivery's record at an offset. `log_ends` returns the ends
    of logs that exist. Raises what the reads raise, except for topic-partitions that the brokers don't know.
    """
    logged = _logged(
        originals, {place: _comparable_ends(place, offsets, known) for place, offsets in covered.items()}, deadline
    )
    differing = {place for place, records in logged.items() if not _are_delivered(records, place, known)}
    unread = [place for place, offsets in covered.items() if offsets[-1][1] not in logged.get(place, ())]
    ends = log_ends(unread) if unread else {}
    return frozenset(differing.union(place for place in unread if ends.get(place, 0) <= covered[place][-1][1]))


def advanced(
    state: State, covered: Offsets, known: Known, originals: Originals, deadline: Deadline
) -> dict[TopicPartition, Mark]:
    """Return the marks that can move, each moved to the last record of the batch in the log.

    A mark moves only if the log has the marked record, and no record at either end of the batch (`TAIL` offsets)
    differs from the log's. The first records count because in a batch of two logs, the former log's records come first.
    `known` gives the delivery's record at an offset. Raises what the read raises, except for topic-partitions that the
    brokers don't know.
    """
    candidates = {
        place: mark for place, mark in state.marks.items() if place in covered and covered[place][-1][1] > mark.offset
    }
    wanted = {place: union(_single(mark.offset), _ends(covered[place])) for place, mark in candidates.items()}
    moved: dict[TopicPartition, Mark] = {}
    for place, records in _logged(originals, wanted, deadline).items():
        mark, last = candidates[place], max(records)
        if mark.offset in records and digest(records[mark.offset]) != mark.digest:
            _log.error("a source topic's log isn't the ledger's", extra={"topic": place[0], "partition": place[1]})
        elif mark.offset in records and last > mark.offset and _are_delivered(records, place, known):
            moved[place] = Mark(last, digest(records[last]), mark.since)
    return moved


def late_beginnings(
    state: State, covered: Offsets, known: Known, originals: Originals, deadline: Deadline
) -> dict[TopicPartition, Mark]:
    """Return marks for the topic-partitions of a batch that have claims but no mark, or whose marked record is gone.

    Only the claims of this batch may carry these marks. A mark is the batch's last record. Its `since` lies after all
    settled and pending offsets, and all records of the batch from `since` on equal the log's. `known` gives the
    delivery's record at an offset. Raises what the reads raise, except for topic-partitions that the brokers don't
    know.
    """
    last_taken = {place: offsets[-1][1] for place, offsets in taken(state).items() if is_claimed(state, place)}
    free = {
        place: within(covered[place], last_taken[place] + 1, covered[place][-1][1])
        for place in last_taken.keys() & covered
    }
    wanted = {place: _marked_and_last(state, place, offsets) for place, offsets in free.items() if offsets}
    records, _ = present(originals, wanted, deadline)
    begun: dict[TopicPartition, Mark] = {}
    for place in wanted:
        last, mark = free[place][-1][1], state.marks.get(place)
        is_lost = mark is None or (place, mark.offset) not in records
        # The last record is compared first: if it differs from the log's, there is no mark and nothing more to read.
        if is_lost and _is_equal(records.get((place, last)), known(place, last)):
            begun |= _begun(place, free[place], known, originals, deadline)
    return begun


def of_one_log(
    begins: Mapping[TopicPartition, Mark], state: State, originals: Originals, deadline: Deadline
) -> dict[TopicPartition, tuple[Mark, ...]]:
    """Return the other marks of the ledger whose records the log has now, together with the record of a claim's mark.

    `begins` has the marks of one claim or of several; the others are the marks in force, and those of pending claims.
    Nothing is read if there are no others. Raises what the read raises, except for topic-partitions that the brokers
    don't know.
    """
    others = {place: _marks_in(state, place) - {mark} for place, mark in begins.items()}
    wanted = {
        place: intervals({begins[place].offset, *(mark.offset for mark in compared)})
        for place, compared in others.items()
        if compared
    }
    records, _ = present(originals, wanted, deadline)
    digests = {at: digest(record) for at, record in records.items()}
    logged = {
        place: tuple(mark for mark in others[place] if digests.get((place, mark.offset)) == mark.digest)
        for place in wanted
        if digests.get((place, begins[place].offset)) == begins[place].digest
    }
    return {place: compared for place, compared in logged.items() if compared}


def _marks_in(state: State, place: TopicPartition) -> set[Mark]:
    """Return a topic-partition's mark in force, and the marks with which pending claims begin."""
    marks = {pending.operation.begins.get(place) for pending in state.pending.values()}
    return {mark for mark in (*marks, state.marks.get(place)) if mark is not None}


def other_logs(
    operation: Claim | Divert, state: State, originals: Originals, deadline: Deadline
) -> frozenset[TopicPartition]:
    """Return the topic-partitions of a pending operation whose log has, at the mark's offset, another record."""
    marked = replace(state, marks={**operation.begins, **state.marks})
    digests = look(marked, operation.offsets, originals, deadline).digests
    return frozenset(place for place, logged in digests.items() if logged not in {"", marked.marks[place].digest})


def of_logs(
    bounds: Mapping[TopicPartition, tuple[int, int]], originals: Originals, deadline: Deadline
) -> dict[TopicPartition, Mark]:
    """Return a mark for each log: the log's last record now. `bounds` has each log's start and end."""
    wanted = {place: _tail(((start, end - 1),)) for place, (start, end) in bounds.items() if end > start}
    records = originals.read(wanted, deadline)
    return {place: Mark(offset, digest(records[place, offset])) for place, offset in sorted(records)}


def present(
    originals: Originals, wanted: Mapping[TopicPartition, Intervals], deadline: Deadline
) -> tuple[Found, frozenset[TopicPartition]]:
    """Return the logs' records at the wanted offsets, and the topic-partitions that the brokers don't know."""
    if not wanted:
        return {}, frozenset()
    try:
        return originals.read(wanted, deadline), frozenset()
    except NoSuchTopicError as error:
        existing = {place: offsets for place, offsets in wanted.items() if place not in error.places}
        records, gone = present(originals, existing, deadline)
        return records, gone | error.places


def _differing(
    offsets: Offsets, records: Found, known: Known, originals: Originals, deadline: Deadline
) -> dict[TopicPartition, Intervals]:
    """Return the offsets at which the delivery's record differs from the log's.

    `records` has records that are already read. If one of them differs, all offsets of its topic-partition are read. An
    offset that can't be compared gets the result of the next offset that can, or of the last one: in a batch of two
    logs, the former log's records come first.
    """
    differing = {place for (place, offset), record in records.items() if not is_delivered(record, known(place, offset))}
    more, _ = present(originals, {place: offsets[place] for place in differing}, deadline)
    equal: dict[TopicPartition, dict[int, bool]] = {place: {} for place in differing}
    logged = {**records, **more}
    for place, offset in sorted(logged):
        delivered = known(place, offset)
        if place in differing and delivered is not None:
            equal[place][offset] = is_delivered(logged[place, offset], delivered)
    return {place: _unequal(offsets[place], compared) for place, compared in equal.items()}


def _unequal(offsets: Intervals, equal: Mapping[int, bool]) -> Intervals:
    """Return the offsets whose records differ.

    `equal` has the results of compared offsets, in rising order. An offset that wasn't compared gets the result of the
    next compared offset, or of the last one.
    """
    compared = list(equal)
    delivered = (offset for first, last in offsets for offset in range(first, last + 1))
    return intervals(
        offset for offset in delivered if not equal[compared[min(bisect_left(compared, offset), len(compared) - 1)]]
    )


def _logged(
    originals: Originals, wanted: Mapping[TopicPartition, Intervals], deadline: Deadline
) -> dict[TopicPartition, dict[int, Original]]:
    """Return the logs' records at the wanted offsets, by topic-partition and offset; no entry without a record."""
    records, _ = present(originals, wanted, deadline)
    logged: defaultdict[TopicPartition, dict[int, Original]] = defaultdict(dict)
    for (place, offset), record in records.items():
        logged[place][offset] = record
    return logged


def _are_delivered(logged: Mapping[int, Original], place: TopicPartition, known: Known) -> bool:
    """Return whether each record in a log can be the record that was delivered at the same offset."""
    return all(_can_be(record, known(place, offset)) for offset, record in logged.items())


def _comparable_ends(place: TopicPartition, offsets: Intervals, known: Known) -> Intervals:
    """Return a batch's last offset, and from each end of the batch `TAIL` offsets whose records can be compared."""

    def comparable(delivered: Iterable[int]) -> Iterator[int]:
        records = ((offset, known(place, offset)) for offset in delivered)
        return islice((offset for offset, record in records if record and _is_comparable(record)), TAIL)

    rising = (offset for first, last in offsets for offset in range(first, last + 1))
    falling = (offset for first, last in reversed(offsets) for offset in range(last, first - 1, -1))
    return intervals({offsets[-1][1], *comparable(rising), *comparable(falling)})


def _is_comparable(delivered: DeliveredRecord) -> bool:
    """Return whether more than the time of a delivered record can be compared with the log."""
    return delivered.form != "event" or delivered.key is not None


def _marked_and_last(state: State, place: TopicPartition, offsets: Intervals) -> Intervals:
    last, mark = _single(offsets[-1][1]), state.marks.get(place)
    return last if mark is None else union(_single(mark.offset), last)


def _begun(
    place: TopicPartition, offsets: Intervals, known: Known, originals: Originals, deadline: Deadline
) -> dict[TopicPartition, Mark]:
    """Return a mark for a batch; from its `since` on, all records of the batch equal the log's.

    There is no mark if the last record differs from the log's.
    """
    last, equal, digests = offsets[-1][1], list[int](), dict[int, str]()
    for _, offset, record in originals.stream({place: offsets}, deadline):
        if _is_equal(record, known(place, offset)):
            equal.append(offset)
            if offset == last:
                digests[last] = digest(record)
    if last not in digests:
        return {}
    unequal = difference(offsets, intervals(equal))
    ((since, _), *_) = within(offsets, unequal[-1][1] + 1, last) if unequal else offsets
    return {place: Mark(last, digests[last], since)}


def _is_equal(record: Original | None, delivered: DeliveredRecord | None) -> bool:
    """Return whether the log's record is certainly the delivered record, by time, key and value."""
    if record is None or delivered is None or delivered.form == "event":
        return False
    return _can_be(record, delivered)


def _can_be(record: Original, delivered: DeliveredRecord | None) -> bool:
    """Return whether the log's record can be the delivered record; compares time, key and value if they are known."""
    if delivered is None or delivered.form == "event" or not is_delivered(record, delivered):
        return is_delivered(record, delivered)
    return can_be_one(record.value or b"", delivered.record.value or b"")


def _single(offset: int) -> tuple[Interval]:
    return ((offset, offset),)


def _ends(offsets: Intervals) -> Intervals:
    """Return the first `TAIL` and the last `TAIL` offsets."""
    return union(_head(offsets), _tail(offsets))


def _head(offsets: Intervals) -> Intervals:
    first = offsets[0][0]
    return within(offsets, first, first + TAIL - 1)


def _tail(offsets: Intervals) -> Intervals:
    last = offsets[-1][1]
    return within(offsets, last - TAIL + 1, last)
