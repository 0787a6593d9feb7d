"""Makes the claims of a delivery, with marks of the logs that their records are from."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from kafka_maxcompute.ledger.operations import Claim, Divert, Mark
from kafka_maxcompute.offsets import TopicPartition
from maxcompute_sink import batch

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from kafka_maxcompute.ledger.marks import Later
    from kafka_maxcompute.ledger.operations import State
    from kafka_maxcompute.offsets import Intervals, Offsets
    from maxcompute_sink.rejected import Rejected
    from maxcompute_sink.staging import Staged


@dataclass(frozen=True, slots=True)
class Claiming:
    """What all claims of a delivery share: the ledger's generation, and marks by topic-partition.

    `differing` has the topic-partitions whose log differs from the batch.
    """

    generation: int
    begins: Mapping[TopicPartition, Mark]
    marks: Mapping[TopicPartition, Mark]
    differing: frozenset[TopicPartition] = frozenset()

    @classmethod
    def of(cls, state: State, later: Later, begins: Mapping[TopicPartition, Mark]) -> Claiming:
        """Combine `begins` with those marks of `later` that the state doesn't have.

        A later mark with a larger `since` than the state's mark may be of another log: it begins the topic-partition,
        or it replaces the state's mark, which the claim then names, too. `state` can be older than the state for which
        the later marks were read.
        """
        current = {where: mark for (generation, where), mark in later.items() if generation == state.generation}
        begun, marks = dict(begins), dict[TopicPartition, Mark]()
        for where, mark in current.items():
            known = state.marks.get(where)
            if mark.since > (known.since if known else 0):
                begun[where] = mark
                if known is not None:
                    marks[where] = known
            elif known is None or mark.offset > known.offset:
                marks[where] = mark
                begun.pop(where, None)
        return cls(state.generation, begun, marks)

    def without(self, topics: Collection[str]) -> Claiming:
        """Return the same without the marks that begin in these topics."""
        return replace(self, begins={where: mark for where, mark in self.begins.items() if where[0] not in topics})

    def claim(self, staged: Staged) -> Claim:
        """Return the claim of a staged block."""
        block = staged.block
        return Claim(
            id=staged.session.id,
            partition_value=block.partition_value,
            blocks=staged.blocks,
            rows=block.records,
            offsets=block.coverage.offsets,
            generation=self.generation,
            timestamps=block.coverage.timestamps,
            differing=self._differing_of(block.coverage.offsets),
            **self._marks_of(block.coverage.offsets),
        )

    def divert(self, rejected: Sequence[Rejected]) -> Divert:
        """Return the claim that diverts rejected records to the error topic."""
        covered = batch.rejected_coverage(rejected)
        return Divert(
            id=f"divert-{uuid.uuid4().hex}",
            offsets=covered.offsets,
            reasons=batch.reasons(rejected),
            generation=self.generation,
            timestamps=covered.timestamps,
            untimed=batch.untimed(rejected),
            differing=self._differing_of(covered.offsets),
            **self._marks_of(covered.offsets),
        )

    def _marks_of(self, offsets: Offsets) -> dict[str, dict[TopicPartition, Mark]]:
        """Return the marks of these topic-partitions, as the fields of a claim."""
        return {
            "begins": {where: self.begins[where] for where in offsets if where in self.begins},
            "marks": {where: self.marks[where] for where in offsets if where in self.marks},
        }

    def _differing_of(self, offsets: Offsets) -> dict[TopicPartition, Intervals]:
        """Return the offsets in topic-partitions whose log differs from the batch."""
        return {where: claimed for where, claimed in offsets.items() if where in self.differing}
