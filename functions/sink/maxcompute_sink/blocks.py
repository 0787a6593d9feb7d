"""A batch's bytes become the blocks to write: one for each partition value, complete before anything is opened."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kafka_maxcompute import time_zone
from kafka_maxcompute.errors import RejectedRecordsError
from kafka_maxcompute.offsets import intervals
from maxcompute_sink.decode import Decoder
from maxcompute_sink.framing import block_body
from maxcompute_sink.mapping import Mapper
from maxcompute_sink.partition import Partitioner

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa

    from kafka_maxcompute.errors import RecordError
    from kafka_maxcompute.offsets import Interval
    from kafka_maxcompute.settings import Settings
    from kafka_maxcompute.table import Column

SLICE_BYTES = 1024 * 1024
"""About how much of the payload is in Arrow at a time; smaller slices cost time, larger ones memory."""


@dataclass(frozen=True, slots=True)
class Block:
    """The rows of one partition value, framed and compressed."""

    partition_value: str
    records: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Blocks:
    """All rows of a batch, and where its records are from."""

    blocks: tuple[Block, ...]
    records: int
    offsets: dict[str, tuple[Interval, ...]]
    """By topic-partition, as `topic-partition`."""


class Preparation:
    """Everything that turns one connector's batches into blocks; made once for a table's columns."""

    def __init__(self, settings: Settings, columns: Sequence[Column]) -> None:
        self._settings = settings
        self._decoder = Decoder(settings.value_type)
        zone = time_zone.parse(settings.time_zone)
        self._partitioner = Partitioner(settings.partition, settings.partition_names, zone)
        self._mapper = Mapper(columns, settings=settings)

    def blocks(self, payload: bytes, *, now: int) -> Blocks:
        """The blocks of a batch; `now` is in milliseconds since 1970, for the latest time that is believed.

        Raises `MalformedBatchError`, and `RejectedRecordsError` with every record that can't be written.
        """
        decoded = self._decoder.decode(payload)
        latest = now + self._settings.latest_timestamp * 1_000
        grouped = self._partitioner.group(decoded.records, earliest=self._settings.earliest_timestamp, latest=latest)
        rejected = [*decoded.rejected, *grouped.rejected]
        at_once = max(1, SLICE_BYTES * len(decoded.records) // len(payload))
        blocks = []
        for value, records in grouped.by_value.items():
            body = block_body(self._rows(records, at_once, rejected), self._settings.compression)
            blocks.append(Block(value, len(records), body))
        if rejected:
            raise RejectedRecordsError(rejected, records=len(decoded.records) + len(decoded.rejected))
        return Blocks(tuple(blocks), len(decoded.records), _offsets(decoded.records))

    def _rows(self, records: Sequence[Any], at_once: int, rejected: list[RecordError]) -> Iterator[pa.RecordBatch]:
        """The rows of all records, so many at once; records that have none are added to those rejected."""
        for start in range(0, len(records), at_once):
            rows = self._mapper.rows(records[start : start + at_once])
            rejected += rows.rejected
            yield rows.batch


def _offsets(records: Sequence[Any]) -> dict[str, tuple[Interval, ...]]:
    """The records' offsets by topic-partition."""
    found: defaultdict[str, defaultdict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
    for record in records:
        found[record.topic][record.partition].append(record.offset)
    return {
        f"{topic}-{partition}": intervals(offsets)
        for topic, partitions in sorted(found.items())
        for partition, offsets in sorted(partitions.items())
    }
