"""The table that an instance writes: its definition as it was last read, and what prepares batches for it.

A table can be altered while the sink runs. The definition is read when an instance starts, and again when something
speaks against the one that is known: records that don't fit it, or an upload session with other columns. A delivery
reads it again at most once, so that a stream of bad records costs one request a batch.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kafka_maxcompute import table_definition
from kafka_maxcompute.errors import TableChangedError
from kafka_maxcompute.table import check
from maxcompute_sink.blocks import Preparation

if TYPE_CHECKING:
    from collections.abc import Callable

    from fc_powertools import Deadline
    from kafka_maxcompute.service import Service
    from kafka_maxcompute.settings import Settings
    from kafka_maxcompute.table_definition import TableDefinition

LOOK_SECONDS = 15.0
"""How long a delivery may wait for the definition, so that time is left to write the batch."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A table's definition, and the preparation of batches for it."""

    definition: TableDefinition
    preparation: Preparation


class TargetTable:
    """The table of one connector, as one instance knows it."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._prepared: Prepared | None = None
        self._looked = 0.0

    def known(self, service: Service, deadline: Deadline) -> Prepared:
        """The table as it was last read; read now if it isn't known.

        Raises `ConfigurationError` if the table doesn't fit the settings, and what reading a definition raises.
        """
        if self._prepared is None:
            self._looked = self._clock()
            definition = table_definition.look(service, self._settings.table, deadline.within(LOOK_SECONDS))
            check(self._settings, definition.columns, definition.partition_columns)
            self._prepared = Prepared(definition, Preparation(self._settings, definition.columns))
        return self._prepared

    def renewed(self, service: Service, deadline: Deadline, *, since: float) -> bool:
        """Read the definition again, unless that was done after `since` (seconds of the clock); whether it differs.

        Raises `TableChangedError` if another table has the name now, else as `known` does.
        """
        if self._looked >= since:
            return False
        before, self._prepared = self._prepared, None
        after = self.known(service, deadline)
        if before is None or before.definition == after.definition:
            return False
        if before.definition.created != after.definition.created:
            raise TableChangedError(
                f"table {self._settings.table} was dropped and created again while the batch was being written; "
                "nothing of what is left was written, and the batch has to be delivered again"
            )
        return True

    def forget(self) -> None:
        """Have the next delivery read the definition."""
        self._prepared = None
