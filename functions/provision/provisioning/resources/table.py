"""The MaxCompute table (D21)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kafka_maxcompute.errors import ConfigurationError, RefusedError
from kafka_maxcompute.maxcompute import sql, table_definition
from kafka_maxcompute.maxcompute.jobs import run_sql
from kafka_maxcompute.maxcompute.table import TableDefinition, check, create_statement
from provisioning.resource import Difference, Resource

if TYPE_CHECKING:
    from kafka_maxcompute.maxcompute.column import Column
    from kafka_maxcompute.settings.settings import Settings
    from provisioning.cloud import Cloud

ABSENT = frozenset({"NoSuchTable", "NoSuchObject"})


@dataclass(frozen=True, slots=True)
class Table(Resource[TableDefinition]):
    """The table that the settings name.

    `fields` are the columns of a CSV line, for a table that is to be created; `wanted`: apply may create the table.
    """

    settings: Settings
    fields: tuple[Column, ...] = ()
    wanted: bool = False

    @property
    def title(self) -> str:
        """Return the kind and the name."""
        return f"table {self.settings.project}.{self.settings.table}"

    @property
    def creates(self) -> bool:
        """Return whether the user wants apply to create the table, and the CREATE TABLE statement can be written."""
        return self.wanted and not self._faults()

    @property
    def made_by_hand(self) -> str:
        """Return the instruction for a person who creates the resource."""
        if self.settings.format == "CSV" and not self.fields:
            return "create it with a column for each field of a CSV line, or give create_table and columns in the event"
        faults = self._faults()
        if faults:
            return f"fix columns: {'; '.join(faults)}"
        return f"set create_table, or run {create_statement(self.settings, self.fields)}"

    def look(self, cloud: Cloud) -> TableDefinition | None:
        """Return the table as MaxCompute has it; None if it doesn't exist."""
        try:
            return table_definition.look(cloud.maxcompute, self.settings.table, cloud.deadline)
        except RefusedError as error:
            if error.code in ABSENT:
                return None
            raise

    def compare(self, state: TableDefinition) -> tuple[Difference, ...]:
        """Return every difference that keeps the sink from writing; a person has to fix a table's columns."""
        try:
            check(self.settings, state)
        except ConfigurationError as error:
            columns = ", ".join(f"{column.name} {column.type}" for column in state.columns)
            return tuple(
                Difference("columns", columns, "as the settings need", "by hand", fault) for fault in error.faults
            )
        return ()

    def make(self, cloud: Cloud) -> None:
        """Run the CREATE TABLE statement of the connector document."""
        run_sql(cloud.maxcompute, create_statement(self.settings, self.fields), cloud.deadline)

    def change(self, cloud: Cloud, state: TableDefinition) -> None:
        """Do nothing: `compare` leaves every difference to a person."""

    def remove(self, cloud: Cloud) -> None:
        """Drop the table with all its data."""
        run_sql(cloud.maxcompute, sql.drop_table(self.settings.table), cloud.deadline)

    def _faults(self) -> tuple[str, ...]:
        """Return why the CREATE TABLE statement can't be written."""
        try:
            create_statement(self.settings, self.fields)
        except ConfigurationError as error:
            return error.faults
        return ()
