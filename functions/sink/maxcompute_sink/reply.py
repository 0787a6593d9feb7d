"""What the function answers, and logs, about a batch that is written."""

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
    """What became of a batch: `diverted` records and elements are in an error topic, `dropped` ones were settled."""

    parts: tuple[Part, ...]
    diverted: int = 0
    dropped: int = 0

    @classmethod
    def of_staged(cls, staged: Iterable[Staged], *, diverted: int) -> Reply:
        """Where the sessions are committed without a ledger."""
        parts = (
            Part(one.block.partition_value, one.block.records, one.session.id, one.block.coverage.offsets)
            for one in staged
        )
        return cls(tuple(parts), diverted)

    @classmethod
    def of_delivered(cls, done: Delivered) -> Reply:
        """Where the ledger decided."""
        parts = sorted((claim.partition_value, claim.rows, claim.id, claim.offsets) for claim in done.written)
        diverted = sum(count(offsets) for divert in done.diverted for offsets in divert.offsets.values())
        return cls(tuple(Part(*part) for part in parts), diverted + done.elements + done.unlogged, done.dropped)

    @property
    def records(self) -> int:
        """How many rows there are."""
        return sum(part.records for part in self.parts)

    @property
    def offsets(self) -> dict[TopicPartition, Intervals]:
        """Those of all rows."""
        joined: defaultdict[TopicPartition, Intervals] = defaultdict(tuple)
        for part in self.parts:
            for place, offsets in part.offsets.items():
                joined[place] = union(joined[place], offsets)
        return dict(sorted(joined.items()))

    def told(self, connector: str) -> dict[str, object]:
        """The reply as JSON's values, without the counts that are 0."""
        partitions: dict[str, dict[str, object]] = {}
        for part in self.parts:
            # A partition value has a second session where another delivery was first with some of its records.
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
            **{name: found for name, found in also.items() if found},
        }
