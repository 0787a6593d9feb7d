"""The target table as the delivery of one batch uses it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kafka_maxcompute.maxcompute import table_definition
from maxcompute_sink import rejected
from maxcompute_sink.mapping import OF_THE_TABLE

if TYPE_CHECKING:
    from fc_powertools import Deadline, Metrics
    from kafka_maxcompute.maxcompute.service import Service
    from kafka_maxcompute.maxcompute.table import TableDefinition
    from maxcompute_sink.blocks import Blocks, Coverage
    from maxcompute_sink.decode import Decoded
    from maxcompute_sink.replaced_text import ReplacedText
    from maxcompute_sink.target_table import Prepared, TargetTable


@dataclass(frozen=True, slots=True)
class BatchTable:
    """Makes blocks with the newest known definition, which is read again at most once after `began`.

    `began` is in seconds of the target's clock; `text` restores bytes that the event has replaced.
    """

    name: str
    target: TargetTable
    service: Service
    text: ReplacedText
    metrics: Metrics
    deadline: Deadline
    began: float

    @property
    def definition(self) -> TableDefinition:
        """The table's definition as it was last read."""
        return self._known().definition

    def look(self) -> TableDefinition:
        """Return the definition as the service has it now; `prepare` still uses the one that was read before."""
        return table_definition.look(self.service, self.name, self.deadline)

    def prepare(self, decoded: Decoded, coverage: Coverage | None) -> Blocks:
        """Return the blocks of records; rejected records are counted and logged."""
        now = time.time_ns() // 1_000_000
        blocks = self._known().preparation.blocks(decoded, now=now, coverage=coverage)
        if blocks.replaced and self.text.restore(decoded.records, self.deadline):
            blocks = self._known().preparation.blocks(decoded, now=now, coverage=coverage)
        # Records that don't fit the definition of an hour ago may fit the newest one.
        if any(rejection.error.reason in OF_THE_TABLE for rejection in blocks.rejected) and self.renew():
            blocks = self._known().preparation.blocks(decoded, now=now, coverage=coverage)
        rejected.log(blocks.rejected, self.metrics)
        return blocks

    def renew(self) -> bool:
        """Read the definition again; return whether it has changed."""
        return self.target.renewed(self.service, self.deadline, since=self.began)

    def _known(self) -> Prepared:
        return self.target.known(self.service, self.deadline)
