"""The function's answer and log entry about a batch that is written."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kafka_maxcompute.offsets import count, union

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kafka_maxcompute.offsets import Intervals, Offsets, TopicPartition
    from maxcompute_sink.exactly_once import Delivered
    from maxcompute_sink.staging import Staged


@dataclass(frozen=True, slots=True)
class Part:
    """Rows that were committed together."""

    partition_value: str
    records: int
    session: str
    offsets: Offsets


@dataclass(frozen=True, slots=True)
class Reply:
    """The outcome of a batch: `diverted` records and elements are in an error topic, `dropped` ones were settled."""

    parts: tuple[Part, ...]
    diverted: int = 0
    dropped: int = 0

    @classmethod
    def of_staged(cls, staged: Iterable[Staged], *, diverted: int) -> Reply:
        """Make the reply about sessions that were committed without a ledger."""
        parts = (
            Part(
                written.block.partition_value,
                written.block.records,
                written.session.id,
                written.block.coverage.offsets,
            )
            for written in staged
        )
        return cls(tuple(parts), diverted)

    @classmethod
    def of_delivered(cls, done: Delivered) -> Reply:
        """Make the reply about a delivery with the ledger."""
        parts = sorted((claim.partition_value, claim.rows, claim.id, claim.offsets) for claim in done.written)
        diverted = sum(count(offsets) for divert in done.diverted for offsets in divert.offsets.values())
        return cls(tuple(Part(*part) for part in parts), diverted + done.elements + done.unlogged, done.dropped)

    @property
    def records(self) -> int:
        """The number of rows."""
        return sum(part.records for part in self.parts)

    @property
    def offsets(self) -> dict[TopicPartition, Intervals]:
        """The offsets of all rows."""
        joined: defaultdict[TopicPartition, Intervals] = defaultdict(tuple)
        for part in self.parts:
            for place, offsets in part.offsets.items():
                joined[place] = union(joined[place], offsets)
        return dict(sorted(joined.items()))

    def as_json(self, connector: str) -> dict[str, object]:
        """Return the reply as a JSON object, without counts that are 0."""
        partitions: dict[str, dict[str, object]] = {}
        for part in self.parts:
            # A partition value has a second session if another delivery was first with some of its records.
            known = partitions.get(part.partition_value, {"records": 0})
            partitions[part.partition_value] = {
                "records": int(str(known["records"])) + part.records,
                "upload_session": part.session,
            }
        also = {"diverted": self.diverted, "dropped": self.dropped}
        return {
            "connector": connector,
            "records": self.records,
            "partitions": partitions,
            "offsets": {f"{topic}-{number}": offsets for (topic, number), offsets in self.offsets.items()},
            **{name: number for name, number in also.items() if number},
        }
