"""The MaxCompute table (D21)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kafka_maxcompute.errors import ConfigurationError, RefusedError
from kafka_maxcompute.maxcompute import sql, table_definition
from kafka_maxcompute.maxcompute.statements import run_sql
from kafka_maxcompute.maxcompute.table import TableDefinition, check, create_statement
from provisioning.resource import Difference, Resource

if TYPE_CHECKING:
    from kafka_maxcompute.maxcompute.column import Column
    from kafka_maxcompute.settings.settings import Settings
    from provisioning.cloud import Cloud

ABSENT = frozenset({"NoSuchTable", "NoSuchObject"})


@dataclass(frozen=True, slots=True)
class Table(Resource[TableDefinition]):
    """The table that the settings name; `fields` are the columns of a CSV line, for a table that is to be made."""

    settings: Settings
    fields: tuple[Column, ...] = ()
    wanted: bool = False

    @property
    def title(self) -> str:
        """What it is."""
        return f"table {self.settings.project}.{self.settings.table}"

    @property
    def creates(self) -> bool:
        """Made on request only, for its columns are the user's to decide; and only if its statement can be written."""
        return self.wanted and not self._faults()

    @property
    def made_by_hand(self) -> str:
        """How to make it."""
        if self.settings.format == "CSV" and not self.fields:
            return "make it with a column for each field of a CSV line, or give create_table and columns in the event"
        faults = self._faults()
        if faults:
            return f"fix columns: {'; '.join(faults)}"
        return f"set create_table, or run {create_statement(self.settings, self.fields)}"

    def look(self, cloud: Cloud) -> TableDefinition | None:
        """The table as MaxCompute has it."""
        try:
            return table_definition.look(cloud.maxcompute, self.settings.table, cloud.deadline)
        except RefusedError as error:
            if error.code in ABSENT:
                return None
            raise

    def compare(self, found: TableDefinition) -> tuple[Difference, ...]:
        """Every difference that keeps the sink from writing; columns of a table aren't changed here."""
        try:
            check(self.settings, found)
        except ConfigurationError as error:
            columns = ", ".join(f"{column.name} {column.type}" for column in found.columns)
            return tuple(
                Difference("columns", columns, "as the settings need", "by hand", fault) for fault in error.faults
            )
        return ()

    def make(self, cloud: Cloud) -> None:
        """Run the connector document's CREATE TABLE."""
        run_sql(cloud.maxcompute, create_statement(self.settings, self.fields), cloud.deadline)

    def change(self, cloud: Cloud, found: TableDefinition) -> None:
        """Nothing of it is changed here."""

    def remove(self, cloud: Cloud) -> None:
        """Drop it with all its data; asked for by name only."""
        run_sql(cloud.maxcompute, sql.drop_table(self.settings.table), cloud.deadline)

    def _faults(self) -> tuple[str, ...]:
        """Why the statement that makes it can't be written."""
        try:
            create_statement(self.settings, self.fields)
        except ConfigurationError as error:
            return error.faults
        return ()
