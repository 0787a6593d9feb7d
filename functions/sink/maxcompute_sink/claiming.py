"""The claims of a delivery: what they hold, and what they tell of the logs that their records are from."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kafka_maxcompute.ledger.operations import Claim, Divert, Mark
from maxcompute_sink import batch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kafka_maxcompute.ledger.marks import Later
    from kafka_maxcompute.ledger.state import State
    from kafka_maxcompute.offsets import Offsets, TopicPartition
    from maxcompute_sink.rejected import Rejected
    from maxcompute_sink.staging import Staged

_NONE = Mark(-1, "")


@dataclass(frozen=True, slots=True)
class Claiming:
    """What is the same for each claim of a delivery: the ledger's generation, and marks by topic-partition."""

    generation: int
    begins: Mapping[TopicPartition, Mark]
    marks: Mapping[TopicPartition, Mark]

    @classmethod
    def of(cls, state: State, later: Later, begins: Mapping[TopicPartition, Mark]) -> Claiming:
        """With marks that begin topic-partitions, and those of `later` that are news to the state.

        A later one that vouches since another offset isn't of the state's log for sure: it begins the topic-partition,
        or replaces the mark that is named with it. One with a `since` is told even if it hasn't moved.
        """
        told = {where: mark for (generation, where), mark in later.items() if generation == state.generation}
        known = {where: state.marks[where] for where in told if where in state.marks}
        new = {where: mark for where, mark in told.items() if mark.since > known.get(where, _NONE).since}
        marks = {
            where: mark if where in new else told[where]
            for where, mark in known.items()
            if told[where].offset > mark.offset or told[where].since
        }
        return cls(state.generation, {**new, **begins}, marks)

    def claim(self, staged: Staged) -> Claim:
        """The claim of a staged block."""
        block = staged.block
        return Claim(
            id=staged.session.id,
            partition_value=block.partition_value,
            blocks=staged.blocks,
            rows=block.records,
            offsets=block.coverage.offsets,
            generation=self.generation,
            timestamps=block.coverage.timestamps,
            **self._told(block.coverage.offsets),
        )

    def divert(self, rejected: Sequence[Rejected]) -> Divert:
        """The claim of records that are bound for the error topic."""
        covered = batch.rejected_coverage(rejected)
        return Divert(
            id=f"divert-{uuid.uuid4().hex}",
            offsets=covered.offsets,
            reasons=batch.reasons(rejected),
            generation=self.generation,
            timestamps=covered.timestamps,
            untimed=batch.untimed(rejected),
            **self._told(covered.offsets),
        )

    def _told(self, offsets: Offsets) -> dict[str, dict[TopicPartition, Mark]]:
        """The marks of these topic-partitions, as the fields of a claim."""
        return {
            "begins": {where: self.begins[where] for where in offsets if where in self.begins},
            "marks": {where: self.marks[where] for where in offsets if where in self.marks},
        }
