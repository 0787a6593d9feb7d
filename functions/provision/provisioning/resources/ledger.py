"""The ledger of claims in the offset topic, which exactly-once delivery needs: begun once, by its Genesis (D10)."""

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
"""What a ledger can go on with another one of, when that is named in `change`."""
TABLE_GONE = (
    "the table is gone, and the ledger has its rows as written, so an empty table in its place would never get them; "
    "pause the stream, restore the table or create it by hand (plan without create_table prints the statement), then "
    "run reset with the offset of each topic-partition from which records aren't in that table, then apply; "
    'docs/OPERATIONS.md, "The table is gone", has every step'
)


@dataclass(frozen=True, slots=True)
class LedgerFound:
    """The ledger's state, or why it can't be relied on; and what of table and topic is there now, None if not told.

    `table_gone`: MaxCompute has no such table.
    """

    state: State | None
    lost: str = ""
    wrong: tuple[str, ...] = ()
    table_created: int | None = None
    topics: Mapping[str, str] = field(default_factory=dict)
    table_gone: bool = False


@dataclass(frozen=True, slots=True)
class ConnectorLedger(Resource[LedgerFound]):
    """The ledger of a connector; `named` settings are to be others, `starts` are first offsets by topic-partition."""

    settings: Settings
    named: frozenset[str] = frozenset()
    starts: Mapping[int, int] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """What it is."""
        return f"ledger in topic {self.settings.offset_topic}"

    @property
    def creates(self) -> bool:
        """It is made here."""
        return True

    @property
    def made_by_hand(self) -> str:
        """It isn't: nobody else writes it."""
        return "apply begins it"

    def look(self, cloud: Cloud) -> LedgerFound | None:
        """The ledger's state now; None where nothing was ever written, or there's no topic for it."""
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
        found = LedgerFound(None, "", wrong, table.created if table else None, topics, table_gone=table is None)
        with opened(cloud, self.settings) as (log, ledger):
            if log.end(deadline) == 0:
                return LedgerFound(None, "", wrong) if wrong and not self._begins_in_another_topic(cloud) else None
            try:
                return replace(found, state=ledger.read(deadline))
            except LedgerError as error:
                return replace(found, lost=str(error))

    def compare(self, found: LedgerFound) -> tuple[Difference, ...]:
        """A ledger that is lost, in a topic that loses it, or about something else isn't gone on with."""
        wrong = [Difference("configuration", fault, "one that keeps it", "by hand") for fault in found.wrong]
        if found.lost:
            advice = "run audit, then reset with the offsets from which records aren't in the table"
            return (*wrong, Difference("log", found.lost, "the whole ledger", "by hand", advice))
        if found.state is None or found.state.identity is None:
            return (*wrong, Difference("genesis", "none", "written"))
        known, table = found.state.identity, self._table()
        if known.table.lower() != table.lower():
            wrong.append(self._other_table(known, table, len(found.state.pending)))
            return tuple(wrong)
        if found.table_gone:
            return (*wrong, Difference("table", "none", known.table, "by hand", TABLE_GONE))
        seen = identity.Observed(table=table, table_created=found.table_created, topics=found.topics)
        try:
            identity.check(found.state, seen)
        except LedgerError as error:
            wrong.append(Difference("what it's about", "another topic or table", "this one", "by hand", str(error)))
        return (*wrong, *self._other_starts(found.state))

    def make(self, cloud: Cloud) -> None:
        """Append the Genesis; where somebody else did so first, this one has no effect."""
        table, topics = self._observed(cloud)
        first = Genesis(identity=self._about(table.created if table else None, topics))
        with opened(cloud, self.settings) as (_, ledger):
            ledger.append(first, cloud.deadline)

    def change(self, cloud: Cloud, found: LedgerFound) -> None:
        """Go on with another table, or from given offsets, as a new generation: earlier claims have no effect."""
        if found.state is None:
            self.make(cloud)
            return
        known = found.state.identity.topics if found.state.identity else {}
        # Observed again: this apply may have created the table. An id that the brokers don't tell stays what it was.
        table, topics = self._observed(cloud)
        now = self._about(table.created if table else None, {**known, **topics})
        name = uuid.uuid4().hex
        begun = Reset(id=name, generation=found.state.generation + 1, identity=now, starts=self._named_starts())
        with opened(cloud, self.settings) as (_, ledger):
            begin(ledger, begun, name, cloud.deadline)

    def remove(self, cloud: Cloud) -> None:
        """It goes with its topic."""

    def _begins_in_another_topic(self, cloud: Cloud) -> bool:
        """Whether the empty topic that is there can't be used, and is created again before the ledger begins."""
        topics = broker_topics(self.settings) if self.settings.control == "admin" else own_topics(self.settings)
        return any(_is_made(topic, cloud) for topic in topics if topic.name == self.settings.offset_topic)

    def _about(self, created: int | None, topics: Mapping[str, str]) -> Identity:
        """What the ledger is about from now on; without the table's creation time nothing could be proven later."""
        if created is None:
            raise RefusedError(
                f"expected a table {self._table()} with a creation time, which the ledger begins with, found none; "
                "create the table, then call apply again",
                code="NoSuchTable",
            )
        return identity.identity(self.settings.name, self._table(), created, topics)

    def _table(self) -> str:
        return f"{self.settings.project}.{self.settings.table}"

    def _other_table(self, known: Identity, table: str, pending: int) -> Difference:
        if pending:
            advice = (
                f"{pending} claims for {known.table} are pending; status brings them to their end, then apply again"
            )
            return Difference("table", known.table, table, "by hand", advice)
        if not ALLOWED & self.named:
            advice = 'reset it, or give change: ["table"] if the connector is to go on with another table'
            return Difference("table", known.table, table, "by hand", advice)
        advice = f"a new generation begins; what is settled in {known.table} isn't written again"
        return Difference("table", known.table, table, advice=advice)

    def _other_starts(self, state: State) -> Iterator[Difference]:
        """First offsets that aren't the ledger's; none where it has records as written that would come again."""
        for place, start in self._named_starts().items():
            settled, name = state.settled.get(place, ()), f"{place[0]}-{place[1]}"
            if state.starts.get(place) == start:
                continue
            if state.pending or (settled and settled[-1][1] >= start):
                advice = "records from there on are written or claimed already; use reset to have them written again"
                yield Difference(name, _until(settled), f"start {start}", "by hand", advice)
            else:
                yield Difference(name, _until(settled), f"start {start}", advice="what is before counts as written")

    def _named_starts(self) -> dict[TopicPartition, int]:
        return {(self.settings.source_topic, number): offset for number, offset in self.starts.items()}

    def _observed(self, cloud: Cloud) -> tuple[TableDefinition | None, dict[str, str]]:
        """The table, None if there is none, and the source topic's id; an id that isn't told is left out."""
        settings = self.settings
        topics = ids(cloud.clients.admin, [settings.source_topic], cloud.deadline.within(brokers.SECONDS))
        return Table(settings).look(cloud), topics


def _until(settled: Intervals) -> str:
    return f"settled until {settled[-1][1]}" if settled else "nothing settled"


def begin(ledger: LogLedger, begun: Reset | Snapshot, name: str, deadline: Deadline) -> State:
    """Append a generation, `name` its id; the state after it. `RefusedError` where something before it voids it."""
    ledger.append(begun, deadline)
    after = ledger.read(deadline)
    if after.reset != name:
        raise RefusedError("something was claimed in the ledger meanwhile; pause the stream, call again", code="Busy")
    return after


@contextmanager
def opened(cloud: Cloud, settings: Settings) -> Iterator[tuple[KafkaLog, LogLedger]]:
    """The ledger of the settings and its log, for as long as it lasts."""
    log = KafkaLog(cloud.clients.configuration, settings.offset_topic)
    try:
        yield log, LogLedger(log)
    finally:
        log.close()


def _is_made(topic: AnyResource, cloud: Cloud) -> bool:
    """Whether an apply creates a topic, also in the place of one."""
    return step(topic, topic.look(cloud), manual=False).do in {"create", "change"}
