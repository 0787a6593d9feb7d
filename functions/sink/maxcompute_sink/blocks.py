"""Makes blocks of decoded records: one for each partition value, complete before any session is opened."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import timezone
from typing import TYPE_CHECKING

from kafka_maxcompute.offsets import intervals, union
from kafka_maxcompute.settings import time_zone
from maxcompute_sink import replaced_text
from maxcompute_sink.decode import Decoder
from maxcompute_sink.framing import block_body
from maxcompute_sink.mapping import Mapper
from maxcompute_sink.partitioner import Partitioner

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import tzinfo

    import pyarrow as pa

    from kafka_maxcompute.maxcompute.column import Column
    from kafka_maxcompute.offsets import Intervals, TopicPartition
    from kafka_maxcompute.settings.settings import Settings
    from maxcompute_sink.decode import Decoded
    from maxcompute_sink.records import AnyRecord
    from maxcompute_sink.rejected import Rejected

SLICE_BYTES = 1024 * 1024
"""About how many bytes of the payload are in Arrow at a time; smaller slices cost time, larger ones memory."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """Where records are from: their offsets and their highest timestamp (epoch ms) by topic-partition."""

    offsets: dict[TopicPartition, Intervals]
    timestamps: dict[TopicPartition, int]

    @classmethod
    def of(cls, records: Iterable[AnyRecord]) -> Coverage:
        """Return the coverage of decoded records; records without a timestamp don't count for the highest one."""
        # Nested, because a key of topic and partition costs more than all the rest.
        by_topic: defaultdict[str, defaultdict[int, list[AnyRecord]]] = defaultdict(lambda: defaultdict(list))
        for record in records:
            by_topic[record.topic][record.partition].append(record)
        offsets, timestamps = {}, {}
        for topic, partitions in sorted(by_topic.items()):
            for partition, members in sorted(partitions.items()):
                offsets[topic, partition] = intervals([record.offset for record in members])
                times = [time for record in members if isinstance(time := record.timestamp, int)]
                if times:
                    timestamps[topic, partition] = max(times)
        return cls(offsets, timestamps)

    def joined(self, other: Coverage) -> Coverage:
        """Return the coverage of the records of both."""
        if not other.offsets:
            return self
        offsets = {place: union(own, other.offsets.get(place, ())) for place, own in self.offsets.items()}
        timestamps = {**other.timestamps, **self.timestamps}
        for place in self.timestamps.keys() & other.timestamps.keys():
            timestamps[place] = max(self.timestamps[place], other.timestamps[place])
        return Coverage({**other.offsets, **offsets}, timestamps)


@dataclass(frozen=True, slots=True)
class Block:
    """The rows of one partition value, framed and compressed.

    `columns` are the table's; `source` has the decoded records of the rows.
    """

    partition_value: str
    records: int
    body: bytes
    coverage: Coverage
    columns: tuple[Column, ...]
    source: Sequence[AnyRecord]


@dataclass(frozen=True, slots=True)
class Blocks:
    """All rows of some records, and the records that can't be rows.

    `replaced` is true if a text in the rows may stand for other bytes; see `replaced_text`.
    """

    blocks: tuple[Block, ...]
    rejected: tuple[Rejected, ...]
    replaced: bool = False

    @property
    def records(self) -> int:
        """The number of rows."""
        return sum(block.records for block in self.blocks)


@dataclass(slots=True)
class _Sighting:
    """Whether U+FFFD was seen in any rows."""

    seen: bool = False


class Preparation:
    """Turns one connector's batches into blocks; made once for a table's columns.

    `value_zone` is the zone of CSV times without a zone.
    """

    def __init__(self, settings: Settings, columns: Sequence[Column], value_zone: tzinfo = timezone.utc) -> None:
        self._settings = settings
        self._columns = tuple(columns)
        self._is_json = settings.value_type == "Json"
        self._decoder = Decoder(settings.value_type)
        zone = time_zone.parse(settings.time_zone)
        self._partitioner = Partitioner(settings.partition, settings.partition_names, zone)
        self._mapper = Mapper(columns, settings=settings, zone=value_zone)

    def decode(self, payload: bytes) -> Decoded:
        """Decode a batch; raises `MalformedBatchError`."""
        return self._decoder.decode(payload)

    def blocks(self, decoded: Decoded, *, now: int, coverage: Coverage | None = None) -> Blocks:
        """Return the blocks of records; `now` is in milliseconds since 1970 and bounds the accepted times.

        The rejections include those of the decoded batch. A partition value without good records has no block.
        `coverage` is that of all records, or None if it isn't known.
        """
        latest = now + self._settings.latest_timestamp * 1_000
        grouped = self._partitioner.group(decoded.records, earliest=self._settings.earliest_timestamp, latest=latest)
        rejected = [*decoded.rejected, *grouped.rejected]
        at_once = max(1, SLICE_BYTES * len(decoded.records) // decoded.size)
        blocks, replaced = [], _Sighting()
        for value, records in grouped.by_value.items():
            known = len(rejected)
            body = block_body(self._rows(records, at_once, rejected, replaced), self._settings.compression)
            good = records
            if len(rejected) > known:
                unwritten = {id(rejection.record) for rejection in rejected[known:]}
                good = [record for record in records if id(record) not in unwritten]
            if good:
                covered = coverage if coverage is not None and good is decoded.records else Coverage.of(good)
                blocks.append(Block(value, len(good), body, covered, self._columns, good))
        return Blocks(tuple(blocks), tuple(rejected), replaced.seen)

    def _rows(
        self, records: Sequence[AnyRecord], at_once: int, rejected: list[Rejected], replaced: _Sighting
    ) -> Iterator[pa.RecordBatch]:
        """Yield the rows of records, `at_once` of them together; records that can't be rows are added to `rejected`."""
        for start in range(0, len(records), at_once):
            rows = self._mapper.rows(records[start : start + at_once])
            rejected += rows.rejected
            if rows.batch.num_rows:
                replaced.seen = replaced.seen or replaced_text.could_be_in(rows.batch, escaped=self._is_json)
                yield rows.batch
