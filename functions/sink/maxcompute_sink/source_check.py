"""The check that a ledger is about the table and the source topics that are there."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from kafka_maxcompute.ledger import identity

if TYPE_CHECKING:
    from fc_powertools import Deadline
    from kafka_maxcompute.dead_letters.error_topic import Known
    from kafka_maxcompute.ledger.source_topics import SourceTopics
    from kafka_maxcompute.ledger.state import State
    from kafka_maxcompute.offsets import Offsets
    from maxcompute_sink.batch_table import BatchTable
    from maxcompute_sink.blocks import Coverage


@dataclass(frozen=True, slots=True)
class SourceCheck:
    """Checks what a delivery reads of the ledger; `table_name` is that of the table with its project."""

    table_name: str
    table: BatchTable
    topics: SourceTopics
    deadline: Deadline

    def verify(self, state: State, dropped: Coverage, known: Known) -> Offsets:
        """Refuse a ledger about another table or other topics than those that are there; raises `LedgerError`.

        Before records are dropped as settled, the table and the brokers are asked. Returns what is to be dropped
        although the delivered records are in no log any more.
        """
        if dropped.offsets:
            definition = self.table.look()
            found = self.topics.observed(state, dropped.offsets, dropped.timestamps, self.deadline, known)
        else:
            definition, found = self.table.definition, identity.Observed()
        identity.check(state, replace(found, table=self.table_name, table_created=definition.created))
        return found.unlogged
