"""Checks that a ledger is about the present table and source topics."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from kafka_maxcompute.ledger import identity

if TYPE_CHECKING:
    from collections.abc import Collection

    from fc_powertools import Deadline
    from kafka_maxcompute.dead_letters.error_topic import Known
    from kafka_maxcompute.ledger.source_topics import SourceTopics
    from kafka_maxcompute.ledger.state import State
    from kafka_maxcompute.offsets import Offsets, TopicPartition
    from maxcompute_sink.batch_table import BatchTable
    from maxcompute_sink.blocks import Coverage


@dataclass(frozen=True, slots=True)
class SourceCheck:
    """Checks the states of the ledger that a delivery reads; `table_name` is `project.table`."""

    table_name: str
    table: BatchTable
    topics: SourceTopics
    deadline: Deadline

    def verify(self, state: State, dropped: Coverage, known: Known) -> Offsets:
        """Refuse a ledger about another table or other topics than the present ones; raises `LedgerError`.

        Before records are dropped as settled, the table's definition and the topics are read. Returns the offsets in
        `dropped` whose delivered records are in no log any more.
        """
        if dropped.offsets:
            definition = self.table.look()
            observed = self.topics.observed(state, dropped.offsets, dropped.timestamps, self.deadline, known)
        else:
            definition, observed = self.table.definition, identity.Observed()
        identity.check(state, replace(observed, table=self.table_name, table_created=definition.created))
        return observed.unlogged

    def differing(self, state: State, covered: Offsets, known: Known) -> frozenset[TopicPartition]:
        """Return the topic-partitions whose log differs from a batch to be claimed; see `SourceTopics.differing`."""
        return self.topics.differing(state, covered, known, self.deadline)

    def unconfirmed(self, state: State, topics: Collection[str]) -> frozenset[str]:
        """Return the topics for which the ledger has an id and the brokers now report another id or none."""
        return self.topics.unconfirmed(state, topics, self.deadline)
