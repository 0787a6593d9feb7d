"""Pure operations on a decoded batch: where its records are from, and which parts of it remain to be written."""

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
from maxcompute_sink.elements import key_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from kafka_maxcompute.dead_letters.error_topic import Known
    from kafka_maxcompute.offsets import Intervals, Offsets, TopicPartition
    from maxcompute_sink.decode import Decoded
    from maxcompute_sink.records import AnyRecord
    from maxcompute_sink.rejected import Rejected


def coverage(decoded: Decoded) -> Coverage:
    """Return the coverage of a batch's records, rejected ones included."""
    return Coverage.of(decoded.records).joined(rejected_coverage(decoded.rejected))


def rejected_coverage(rejected: Iterable[Rejected]) -> Coverage:
    """Return the coverage of rejected records, of those whose topic-partition and offset are known."""
    offsets: defaultdict[TopicPartition, list[int]] = defaultdict(list)
    timestamps: dict[TopicPartition, int] = {}
    for place, offset, rejection in _located(rejected):
        offsets[place].append(offset)
        if rejection.timestamp is not None:
            timestamps[place] = max(rejection.timestamp, timestamps.get(place, rejection.timestamp))
    return Coverage({place: intervals(numbers) for place, numbers in sorted(offsets.items())}, timestamps)


def untimed(rejected: Iterable[Rejected]) -> dict[TopicPartition, Intervals]:
    """Return the offsets of rejected records whose timestamp is unknown or -1."""
    return rejected_coverage(bad for bad in rejected if bad.timestamp in {None, NO_TIMESTAMP}).offsets


def reasons(rejected: Iterable[Rejected]) -> dict[str, dict[TopicPartition, Intervals]]:
    """Return the offsets of rejected records by reason."""
    by_reason: defaultdict[str, list[Rejected]] = defaultdict(list)
    for rejection in placed(rejected):
        by_reason[rejection.error.reason].append(rejection)
    return {reason: rejected_coverage(rejections).offsets for reason, rejections in by_reason.items()}


def placeless(rejected: Iterable[Rejected]) -> list[Rejected]:
    """Return the rejected elements that don't say which record they are."""
    return [rejection for rejection in rejected if rejection.place is None]


def placed(rejected: Iterable[Rejected]) -> list[Rejected]:
    """Return the rejected records whose topic-partition and offset are known, so that they can be claimed."""
    return [rejection for _, _, rejection in _located(rejected)]


def _located(rejected: Iterable[Rejected]) -> Iterator[tuple[TopicPartition, int, Rejected]]:
    """Yield topic-partition, offset and rejection of each record for which these are known."""
    for rejection in rejected:
        if rejection.place is not None and rejection.offset is not None:
            yield rejection.place, rejection.offset, rejection


def only(decoded: Decoded, records: Sequence[AnyRecord]) -> Decoded:
    """Return the batch with these good records only."""
    return replace(decoded, records=list(records), rejected=[])


def distinct(decoded: Decoded, covered: Coverage) -> Decoded:
    """Return the batch without repeats: the first good record of each offset, or else the first rejected one."""
    if sum(map(count, covered.offsets.values())) == len(decoded.records) + len(placed(decoded.rejected)):
        return decoded
    records: dict[tuple[str, int, int], AnyRecord] = {}
    for record in decoded.records:
        records.setdefault((record.topic, record.partition, record.offset), record)
    rejected: dict[tuple[str, int, int], Rejected] = {}
    for place, offset, rejection in _located(decoded.rejected):
        if (*place, offset) not in records:
            rejected.setdefault((*place, offset), rejection)
    kept = [*placeless(decoded.rejected), *rejected.values()]
    return replace(decoded, records=list(records.values()), rejected=kept)


def contradictions(decoded: Decoded) -> list[dict[tuple[TopicPartition, int], DeliveredRecord]]:
    """Return the records that `distinct` leaves out although their time or key differs from that of the kept record.

    Records of one offset differ if the topic was deleted and created again. An event that isn't a valid record has no
    known key, so only its time is compared. Each dictionary has at most one record for an offset.
    """
    different: defaultdict[tuple[TopicPartition, int], list[DeliveredRecord]] = defaultdict(list)
    seen: defaultdict[tuple[tuple[TopicPartition, int], int | None], set[tuple[bytes | None, ...]]] = defaultdict(set)
    for at, delivered in _delivered(decoded):
        keys = seen[at, delivered.record.timestamp]
        key = () if delivered.form == "event" else (delivered.record.key,)
        if not keys or (key and keys.isdisjoint({key, ()})):
            keys.add(key)
            different[at].append(delivered)
    most = max(map(len, different.values()), default=1)
    return [{at: records[nth] for at, records in different.items() if len(records) > nth} for nth in range(1, most)]


def split(decoded: Decoded, taken: Offsets) -> tuple[Decoded, Coverage]:
    """Return the batch without the records whose offsets are in `taken`, and the coverage of those records."""
    good = [contains(taken.get((record.topic, record.partition), ()), record.offset) for record in decoded.records]
    bad = [_is_in(rejection, taken) for rejection in decoded.rejected]
    dropped = replace(
        decoded,
        records=[record for record, is_taken in zip(decoded.records, good, strict=True) if is_taken],
        rejected=[rejection for rejection, is_taken in zip(decoded.rejected, bad, strict=True) if is_taken],
    )
    kept = replace(
        decoded,
        records=[record for record, is_taken in zip(decoded.records, good, strict=True) if not is_taken],
        rejected=[rejection for rejection, is_taken in zip(decoded.rejected, bad, strict=True) if not is_taken],
    )
    return kept, coverage(dropped)


def _is_in(rejection: Rejected, taken: Offsets) -> bool:
    place, offset = rejection.place, rejection.offset
    return place is not None and offset is not None and contains(taken.get(place, ()), offset)


def first_bad(rejected: Iterable[Rejected]) -> dict[TopicPartition, Rejected]:
    """Return the first rejected record of each topic-partition."""
    first: dict[TopicPartition, Rejected] = {}
    for place, _, rejection in sorted(_located(rejected), key=itemgetter(1)):
        first.setdefault(place, rejection)
    return first


def before(decoded: Decoded, bad: Mapping[TopicPartition, Rejected]) -> Decoded:
    """Return the batch with only those good records that come before the bad record of their topic-partition."""
    ends = {place: offset for place, offset, _ in _located(bad.values())}
    kept = [
        record for record in decoded.records if record.offset < ends.get((record.topic, record.partition), math.inf)
    ]
    return replace(decoded, records=kept, rejected=[])


def before_elements(decoded: Decoded) -> Decoded:
    """Return the batch up to the first element without coordinates, which may be of any topic-partition."""
    for index, rejection in enumerate(decoded.rejected):
        if rejection.place is None:
            return replace(decoded, records=decoded.records[: rejection.after], rejected=decoded.rejected[:index])
    return decoded


def known(decoded: Decoded, rejected: Iterable[Rejected] = ()) -> Known:
    """Return a look-up of the batch's records by offset; for records in `rejected`, it has the reason, too.

    Of several records at one offset it has the first one, as `distinct` does.
    """
    records: dict[tuple[TopicPartition, int], DeliveredRecord] = {}

    def look(place: TopicPartition, offset: int) -> DeliveredRecord | None:
        if not records:
            for at, delivered in _delivered(decoded):
                records.setdefault(at, delivered)
            reasons: dict[tuple[TopicPartition, int], DeliveredRecord] = {}
            for at, delivered in _rejected(rejected):
                reasons.setdefault(at, delivered)
            records.update(reasons)
        return records.get((place, offset))

    return look


def _delivered(decoded: Decoded) -> Iterator[tuple[tuple[TopicPartition, int], DeliveredRecord]]:
    """Yield each delivered record with its topic-partition and offset, good records first."""
    for record in decoded.records:
        yield ((record.topic, record.partition), record.offset), DeliveredRecord(_original(record))
    yield from _rejected(decoded.rejected)


def _rejected(rejected: Iterable[Rejected]) -> Iterator[tuple[tuple[TopicPartition, int], DeliveredRecord]]:
    for place, offset, rejection in _located(rejected):
        yield (place, offset), _rejected_record(rejection)


def _rejected_record(rejection: Rejected) -> DeliveredRecord:
    error = rejection.error
    if rejection.record is None:
        record = Original(key=None, value=rejection.element, timestamp=rejection.timestamp)
        return DeliveredRecord(record, "event", error.message, error.path, key_in(rejection.element))
    said = f": {error.said}" if error.said else ""
    return DeliveredRecord(_original(rejection.record), "as-delivered", error.message + said, error.path)


def _original(record: AnyRecord) -> Original:
    """Return key and value as the event has them; a JSON value is the text that the stream delivered."""
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
