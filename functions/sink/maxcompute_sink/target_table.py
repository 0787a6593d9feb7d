"""The table that an instance writes: its definition as last read, and the preparation of batches for it.

A table can be altered while the sink runs. The definition is read at an instance's first batch, and again if something
contradicts it: records that don't fit it, or an upload session with other columns. A delivery reads the definition
again at most once, so that a stream of bad records costs one reading (two requests) a batch.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import timezone
from typing import TYPE_CHECKING

from kafka_maxcompute.errors import TableChangedError
from kafka_maxcompute.maxcompute import project, table_definition
from kafka_maxcompute.maxcompute.table import check
from kafka_maxcompute.settings import time_zone
from maxcompute_sink.blocks import Preparation

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import tzinfo

    from fc_powertools import Deadline
    from kafka_maxcompute.maxcompute.service import Service
    from kafka_maxcompute.maxcompute.table import TableDefinition
    from kafka_maxcompute.settings.settings import Settings

LOOK_SECONDS = 15.0
"""The longest time that a delivery waits for the definition, so that time is left to write the batch."""
TIMED = frozenset({"DATETIME", "TIMESTAMP"})
"""Types whose values are points in time: a text without a zone needs a zone. TIMESTAMP_NTZ and DATE need none."""


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
        self._project_zone: tzinfo | None = None

    def known(self, service: Service, deadline: Deadline) -> Prepared:
        """Return the table as it was last read; read it now if it isn't known.

        Raises `ConfigurationError` if the table doesn't fit the settings, and the errors of reading a definition.
        """
        if self._prepared is None:
            self._looked = self._clock()
            definition = table_definition.look(service, self._settings.table, deadline.within(LOOK_SECONDS))
            check(self._settings, definition)
            preparation = Preparation(
                self._settings, definition.columns, self._value_zone(definition, service, deadline)
            )
            self._prepared = Prepared(definition, preparation)
        return self._prepared

    def _value_zone(self, definition: TableDefinition, service: Service, deadline: Deadline) -> tzinfo:
        """Return the zone of times in values; the project's zone is read once, if the table has columns of times."""
        if self._settings.value_time_zone:
            return time_zone.parse(self._settings.value_time_zone)
        timed = self._settings.format == "CSV" and any(column.type in TIMED for column in definition.columns)
        if self._project_zone is None and timed:
            self._project_zone = project.zone(service, deadline.within(LOOK_SECONDS))
        return self._project_zone or timezone.utc

    def renewed(self, service: Service, deadline: Deadline, *, since: float) -> bool:
        """Read the definition again, unless it was read after `since` (clock's seconds); return whether it differs.

        Raises `TableChangedError` if another table has the name now, and the errors of `known`.
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
                "the rest of the batch wasn't written, and the batch has to be delivered again"
            )
        return True

    def forget(self) -> None:
        """Make the next delivery read the definition."""
        self._prepared = None
