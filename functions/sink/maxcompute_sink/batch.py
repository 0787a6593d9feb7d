"""What a delivery still has to write: pure operations on decoded records."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import replace
from operator import itemgetter
from typing import TYPE_CHECKING

import msgspec

from kafka_maxcompute.brokers.originals import NO_TIMESTAMP, Original
from kafka_maxcompute.dead_letters.error_topic import DeliveredRecord
from kafka_maxcompute.offsets import contains, count, intervals
from maxcompute_sink.blocks import Coverage

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from kafka_maxcompute.dead_letters.error_topic import Known
    from kafka_maxcompute.offsets import Intervals, Offsets, TopicPartition
    from maxcompute_sink.decode import Decoded
    from maxcompute_sink.records import AnyRecord
    from maxcompute_sink.rejected import Rejected


def coverage(decoded: Decoded) -> Coverage:
    """Where a batch's records are from, those that can't be written included."""
    return Coverage.of(decoded.records).joined(rejected_coverage(decoded.rejected))


def rejected_coverage(rejected: Iterable[Rejected]) -> Coverage:
    """Where records that can't be written are from, as far as that is known."""
    offsets: defaultdict[TopicPartition, list[int]] = defaultdict(list)
    timestamps: dict[TopicPartition, int] = {}
    for place, offset, one in _located(rejected):
        offsets[place].append(offset)
        if one.timestamp is not None:
            timestamps[place] = max(one.timestamp, timestamps.get(place, one.timestamp))
    return Coverage({place: intervals(found) for place, found in sorted(offsets.items())}, timestamps)


def untimed(rejected: Iterable[Rejected]) -> dict[TopicPartition, Intervals]:
    """The offsets of records that can't be written, and whose timestamps aren't known or say nothing."""
    return rejected_coverage(one for one in rejected if one.timestamp in {None, NO_TIMESTAMP}).offsets


def reasons(rejected: Iterable[Rejected]) -> dict[str, dict[TopicPartition, Intervals]]:
    """The offsets of records that can't be written, by reason."""
    by_reason: defaultdict[str, list[Rejected]] = defaultdict(list)
    for one in placed(rejected):
        by_reason[one.error.reason].append(one)
    return {reason: rejected_coverage(found).offsets for reason, found in by_reason.items()}


def placeless(rejected: Iterable[Rejected]) -> list[Rejected]:
    """The elements that don't say which record they are."""
    return [one for one in rejected if one.place is None]


def placed(rejected: Iterable[Rejected]) -> list[Rejected]:
    """The others: their offsets can be claimed."""
    return [one for _, _, one in _located(rejected)]


def _located(rejected: Iterable[Rejected]) -> Iterator[tuple[TopicPartition, int, Rejected]]:
    """What says which record it is, with its topic-partition and offset."""
    for one in rejected:
        if one.place is not None and one.offset is not None:
            yield one.place, one.offset, one


def only(decoded: Decoded, records: Sequence[AnyRecord]) -> Decoded:
    """The batch with these good records and nothing else."""
    return replace(decoded, records=list(records), rejected=[])


def distinct(decoded: Decoded, covered: Coverage) -> Decoded:
    """The batch without repeats: the first of each offset stays, a record before an element that is none."""
    if sum(map(count, covered.offsets.values())) == len(decoded.records) + len(placed(decoded.rejected)):
        return decoded
    records: dict[tuple[str, int, int], AnyRecord] = {}
    for record in decoded.records:
        records.setdefault((record.topic, record.partition, record.offset), record)
    rejected: dict[tuple[str, int, int], Rejected] = {}
    for place, offset, one in _located(decoded.rejected):
        if (*place, offset) not in records:
            rejected.setdefault((*place, offset), one)
    kept = [*placeless(decoded.rejected), *rejected.values()]
    return replace(decoded, records=list(records.values()), rejected=kept)


def contradictions(decoded: Decoded) -> list[dict[tuple[TopicPartition, int], DeliveredRecord]]:
    """What `distinct` leaves out although it differs in time or key from the record that stays.

    Such records are from a topic that was deleted and from the one that was created again after it. Of an event that is
    no record the key isn't known, so only its time counts. Each dictionary has at most one of an offset.
    """
    found: defaultdict[tuple[TopicPartition, int], list[DeliveredRecord]] = defaultdict(list)
    seen: defaultdict[tuple[tuple[TopicPartition, int], int | None], set[tuple[bytes | None, ...]]] = defaultdict(set)
    for at, delivered in _delivered(decoded, ()):
        keys = seen[at, delivered.record.timestamp]
        key = () if delivered.form == "event" else (delivered.record.key,)
        if not keys or (key and keys.isdisjoint({key, ()})):
            keys.add(key)
            found[at].append(delivered)
    most = max(map(len, found.values()), default=1)
    return [{at: those[nth] for at, those in found.items() if len(those) > nth} for nth in range(1, most)]


def split(decoded: Decoded, taken: Offsets) -> tuple[Decoded, Coverage]:
    """The batch without the records whose offsets are taken, and where those are from."""
    here = [contains(taken.get((one.topic, one.partition), ()), one.offset) for one in decoded.records]
    there = [_is_in(one, taken) for one in decoded.rejected]
    dropped = replace(
        decoded,
        records=[one for one, gone in zip(decoded.records, here, strict=True) if gone],
        rejected=[one for one, gone in zip(decoded.rejected, there, strict=True) if gone],
    )
    kept = replace(
        decoded,
        records=[one for one, gone in zip(decoded.records, here, strict=True) if not gone],
        rejected=[one for one, gone in zip(decoded.rejected, there, strict=True) if not gone],
    )
    return kept, coverage(dropped)


def _is_in(one: Rejected, taken: Offsets) -> bool:
    return one.place is not None and one.offset is not None and contains(taken.get(one.place, ()), one.offset)


def first_bad(rejected: Iterable[Rejected]) -> dict[TopicPartition, Rejected]:
    """The first record of each topic-partition that can't be written."""
    first: dict[TopicPartition, Rejected] = {}
    for place, _, one in sorted(_located(rejected), key=itemgetter(1)):
        first.setdefault(place, one)
    return first


def before(decoded: Decoded, bad: Mapping[TopicPartition, Rejected]) -> Decoded:
    """The good records of a batch up to the first bad one of their topic-partition; no others."""
    ends = {place: offset for place, offset, _ in _located(bad.values())}
    kept = [one for one in decoded.records if one.offset < ends.get((one.topic, one.partition), math.inf)]
    return replace(decoded, records=kept, rejected=[])


def before_elements(decoded: Decoded) -> Decoded:
    """The batch up to its first element that says no record, for that may be of any topic-partition."""
    for index, one in enumerate(decoded.rejected):
        if one.place is None:
            return replace(decoded, records=decoded.records[: one.after], rejected=decoded.rejected[:index])
    return decoded


def known(decoded: Decoded, rejected: Iterable[Rejected] = ()) -> Known:
    """What the batch knows of its records, by their offsets; of those in `rejected` also why they can't be written."""
    found: dict[tuple[TopicPartition, int], DeliveredRecord] = {}

    def look(place: TopicPartition, offset: int) -> DeliveredRecord | None:
        if not found:
            found.update(_delivered(decoded, rejected))
        return found.get((place, offset))

    return look


def _delivered(
    decoded: Decoded, rejected: Iterable[Rejected]
) -> Iterator[tuple[tuple[TopicPartition, int], DeliveredRecord]]:
    """What was delivered at each offset, good records first."""
    for record in decoded.records:
        yield ((record.topic, record.partition), record.offset), DeliveredRecord(_original(record))
    for place, offset, one in _located((*decoded.rejected, *rejected)):
        yield (place, offset), _told(one)


def _told(one: Rejected) -> DeliveredRecord:
    if one.record is None:
        record = Original(key=None, value=one.element, timestamp=one.timestamp)
        return DeliveredRecord(record, "event", one.error.message, one.error.path)
    said = f": {one.error.said}" if one.error.said else ""
    return DeliveredRecord(_original(one.record), "as-delivered", one.error.message + said, one.error.path)


def _original(record: AnyRecord) -> Original:
    """Key and value as the event has them; a JSON value is the text that the stream made of it."""
    value = record.value
    if isinstance(value, str):
        value = value.encode()
    elif value is not None:
        value = bytes(value)
        if value in {b"", b"null"} and isinstance(record.value, msgspec.Raw):
            value = None
    key = record.key.encode() if isinstance(record.key, str) else record.key
    timestamp = record.timestamp if isinstance(record.timestamp, int) else None
    return Original(key=key, value=value, timestamp=timestamp)
