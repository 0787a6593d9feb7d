"""The ledger of claims in the offset topic, which exactly-once delivery needs; a Genesis begins it, once (D10)."""

from __future__ import annotations

import uuid
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from confluent_kafka import KafkaError

from kafka_maxcompute.brokers.log_bounds import NO_SUCH_TOPIC
from kafka_maxcompute.errors import ConfigurationError, LedgerError, RefusedError
from kafka_maxcompute.ledger import identity, offset_topic
from kafka_maxcompute.ledger.kafka_log import KafkaLog
from kafka_maxcompute.ledger.ledger import LogLedger
from kafka_maxcompute.ledger.operations import Genesis, Reset
from kafka_maxcompute.ledger.source_topics import ids
from provisioning import brokers
from provisioning.resource import Difference, Resource
from provisioning.resources.broker_topics import broker_topics
from provisioning.resources.table import Table
from provisioning.resources.topics import own_topics
from provisioning.step import step

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from fc_powertools import Deadline
    from kafka_maxcompute.ledger.operations import Identity, Snapshot, State
    from kafka_maxcompute.maxcompute.table import TableDefinition
    from kafka_maxcompute.offsets import Intervals, TopicPartition
    from kafka_maxcompute.settings.settings import Settings
    from provisioning.cloud import Cloud
    from provisioning.resource import AnyResource

NO_TOPIC = frozenset({NO_SUCH_TOPIC, KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART).name()})
ALLOWED = frozenset({"project", "table"})
"""Settings that a ledger can go on with another value of, if `change` names the setting."""
TABLE_GONE = (
    "the table is gone, and the ledger has its rows as written, so an empty table in its place never gets them again; "
    "pause the stream, restore the table or create it by hand (plan without create_table prints the statement), then "
    "run reset with the offset of each topic-partition from which records aren't in that table, then apply; "
    'docs/OPERATIONS.md, "The table is gone", has every step'
)


@dataclass(frozen=True, slots=True)
class ObservedLedger:
    """The ledger's state, or why the ledger is lost, and what MaxCompute and the brokers report now.

    `lost` says why the ledger can't be relied on, `wrong` what its topic's configuration lacks. `table_created` is the
    table's creation time (epoch ms), None if MaxCompute doesn't report it. `topics` has the source topic's id, if the
    brokers report ids. `table_gone`: MaxCompute has no such table.
    """

    state: State | None
    lost: str = ""
    wrong: tuple[str, ...] = ()
    table_created: int | None = None
    topics: Mapping[str, str] = field(default_factory=dict)
    table_gone: bool = False


@dataclass(frozen=True, slots=True)
class ConnectorLedger(Resource[ObservedLedger]):
    """The ledger of a connector.

    `named` are the settings that `change` of the event names, `starts` the first offsets by topic-partition.
    """

    settings: Settings
    named: frozenset[str] = frozenset()
    starts: Mapping[int, int] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """Return the kind and the name."""
        return f"ledger in topic {self.settings.offset_topic}"

    @property
    def creates(self) -> bool:
        """Return True: apply creates the resource."""
        return True

    @property
    def made_by_hand(self) -> str:
        """Return the advice to run apply: a person can't create a ledger."""
        return "apply begins it"

    def look(self, cloud: Cloud) -> ObservedLedger | None:
        """Return the ledger as it is now; None if nothing was ever written, or its topic doesn't exist."""
        deadline = cloud.deadline.within(brokers.SECONDS)
        try:
            offset_topic.check(cloud.clients.admin, self.settings.offset_topic, deadline)
            wrong: tuple[str, ...] = ()
        except ConfigurationError as error:
            wrong = error.faults
        except RefusedError as error:
            if error.code in NO_TOPIC:
                return None
            raise
        table, topics = self._observed(cloud)
        observed = ObservedLedger(None, "", wrong, table.created if table else None, topics, table_gone=table is None)
        with opened(cloud, self.settings) as (log, ledger):
            if log.end(deadline) == 0:
                return ObservedLedger(None, "", wrong) if wrong and not self._gets_a_new_topic(cloud) else None
            try:
                return replace(observed, state=ledger.read(deadline))
            except LedgerError as error:
                return replace(observed, lost=str(error))

    def compare(self, observed: ObservedLedger) -> tuple[Difference, ...]:
        """Return why an apply can't go on with the ledger, and which changes begin a new generation."""
        wrong = [Difference("configuration", fault, "one that keeps the ledger", "by hand") for fault in observed.wrong]
        if observed.lost:
            advice = "run audit, then reset with the offsets from which records aren't in the table"
            return (*wrong, Difference("log", observed.lost, "the whole ledger", "by hand", advice))
        if observed.state is None or observed.state.identity is None:
            return (*wrong, Difference("genesis", "none", "written"))
        known, table = observed.state.identity, self._table()
        if known.table.lower() != table.lower():
            wrong.append(self._table_difference(known, table, len(observed.state.pending)))
            return tuple(wrong)
        if observed.table_gone:
            return (*wrong, Difference("table", "none", known.table, "by hand", TABLE_GONE))
        current = identity.Observed(table=table, table_created=observed.table_created, topics=observed.topics)
        try:
            identity.check(observed.state, current)
        except LedgerError as error:
            wrong.append(Difference("what it's about", "another topic or table", "this one", "by hand", str(error)))
        return (*wrong, *self._start_differences(observed.state))

    def make(self, cloud: Cloud) -> None:
        """Append a Genesis; it has no effect if the log has an earlier one."""
        table, topics = self._observed(cloud)
        first = Genesis(identity=self._identity(table.created if table else None, topics))
        with opened(cloud, self.settings) as (_, ledger):
            ledger.append(first, cloud.deadline)

    def change(self, cloud: Cloud, observed: ObservedLedger) -> None:
        """Begin a new generation, with another table or from given offsets; earlier claims have no effect."""
        if observed.state is None:
            self.make(cloud)
            return
        known = observed.state.topic_ids
        # Read again: this apply may have created the table. If the brokers report no id, the known id stays.
        table, topics = self._observed(cloud)
        now = self._identity(table.created if table else None, {**known, **topics})
        name = uuid.uuid4().hex
        begun = Reset(id=name, generation=observed.state.generation + 1, identity=now, starts=self._starts())
        with opened(cloud, self.settings) as (_, ledger):
            begin(ledger, begun, name, cloud.deadline)

    def remove(self, cloud: Cloud) -> None:
        """Do nothing: the ledger is removed with its topic."""

    def _gets_a_new_topic(self, cloud: Cloud) -> bool:
        """Return whether an apply creates the offset topic again before the ledger begins."""
        topics = broker_topics(self.settings) if self.settings.control == "admin" else own_topics(self.settings)
        return any(_is_made(topic, cloud) for topic in topics if topic.name == self.settings.offset_topic)

    def _identity(self, created: int | None, topics: Mapping[str, str]) -> Identity:
        """Return the identity of table and topics for the ledger.

        Raises `RefusedError` if the table has no creation time, because then no later check could identify the table.
        """
        if created is None:
            raise RefusedError(
                f"expected a table {self._table()} with a creation time, which the ledger begins with, found none; "
                "create the table, then call apply again",
                code="NoSuchTable",
            )
        return identity.identity(self.settings.name, self._table(), created, topics)

    def _table(self) -> str:
        return f"{self.settings.project}.{self.settings.table}"

    def _table_difference(self, known: Identity, table: str, pending: int) -> Difference:
        if pending:
            advice = (
                f"{pending} claims for {known.table} are pending; call status, which completes them, then apply again"
            )
            return Difference("table", known.table, table, "by hand", advice)
        if not ALLOWED & self.named:
            advice = 'reset it, or give change: ["table"] if the connector is to go on with another table'
            return Difference("table", known.table, table, "by hand", advice)
        advice = f"a new generation begins; records that are settled in {known.table} aren't written again"
        return Difference("table", known.table, table, advice=advice)

    def _start_differences(self, state: State) -> Iterator[Difference]:
        """Yield the first offsets that differ from the ledger's; settled and claimed records block a new start."""
        for place, start in self._starts().items():
            settled, name = state.settled.get(place, ()), f"{place[0]}-{place[1]}"
            if state.starts.get(place) == start:
                continue
            if state.pending or (settled and settled[-1][1] >= start):
                advice = "records from there on are written or claimed already; use reset to have them written again"
                yield Difference(name, _extent(settled), f"start {start}", "by hand", advice)
            else:
                advice = "records before the start count as written"
                yield Difference(name, _extent(settled), f"start {start}", advice=advice)

    def _starts(self) -> dict[TopicPartition, int]:
        return {(self.settings.source_topic, number): offset for number, offset in self.starts.items()}

    def _observed(self, cloud: Cloud) -> tuple[TableDefinition | None, dict[str, str]]:
        """Return the table, None if it doesn't exist, and the source topic's id by name, if the brokers report it."""
        settings = self.settings
        topics = ids(cloud.clients.admin, [settings.source_topic], cloud.deadline.within(brokers.SECONDS))
        return Table(settings).look(cloud), topics


def _extent(settled: Intervals) -> str:
    return f"settled until {settled[-1][1]}" if settled else "nothing settled"


def begin(ledger: LogLedger, begun: Reset | Snapshot, name: str, deadline: Deadline) -> State:
    """Append a generation with the id `name`; return the state after it.

    Raises `RefusedError` if an operation that was appended before it makes it void.
    """
    ledger.append(begun, deadline)
    state = ledger.read(deadline)
    if state.reset != name:
        raise RefusedError("a claim was appended to the ledger meanwhile; pause the stream, call again", code="Busy")
    return state


@contextmanager
def opened(cloud: Cloud, settings: Settings) -> Iterator[tuple[KafkaLog, LogLedger]]:
    """Yield the ledger of the settings and its log, which is closed afterwards."""
    log = KafkaLog(cloud.clients.configuration, settings.offset_topic)
    try:
        yield log, LogLedger(log)
    finally:
        log.close()


def _is_made(topic: AnyResource, cloud: Cloud) -> bool:
    """Return whether an apply creates the topic, possibly after deleting it."""
    return step(topic, topic.look(cloud), manual=False).do in {"create", "change"}
