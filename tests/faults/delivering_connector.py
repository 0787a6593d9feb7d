"""A connector at work in this process: the sink's own code, the local MaxCompute over HTTP, and a broker by a proxy."""

from __future__ import annotations

import uuid
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from tenacity import Retrying, retry_if_exception, stop_after_attempt

from fc_powertools import Credentials
from fc_powertools.context import Context, Function
from fc_powertools.decorators import opened
from kafka_maxcompute import probe_records
from kafka_maxcompute.brokers.clients import configuration
from kafka_maxcompute.errors import ConnectorError
from kafka_maxcompute.ledger.identity import genesis
from kafka_maxcompute.ledger.kafka_log import KafkaLog
from kafka_maxcompute.ledger.ledger import LogLedger
from kafka_maxcompute.maxcompute import table_definition
from kafka_maxcompute.maxcompute.column import Column
from kafka_maxcompute.maxcompute.jobs import run_sql, select
from kafka_maxcompute.maxcompute.service import Service
from kafka_maxcompute.maxcompute.sql import Statement
from kafka_maxcompute.maxcompute.table import create_statement
from kafka_maxcompute.settings.destinations import TrustedAddress
from kafka_maxcompute.settings.settings import Settings
from local_emulator.kafka.embedded import EmbeddedBroker
from local_emulator.kafka.producer import produce
from local_emulator.kafka.record import Record
from maxcompute_sink.instance import Instance
from provisioning.audit.audit import Sources, audit
from provisioning.broker_clients import BrokerClients
from tests.deadlines import soon
from tests.kafka_events import HOUR_14, element, payload

if TYPE_CHECKING:
    from collections.abc import Iterable

    from local_emulator.kafka.broker import Broker
    from provisioning.audit.audit import Report
    from tests.faults.kafka_proxy import KafkaProxy

PROJECT = "connector_test"
HOUR = 3_600_000
TOPIC_PARTITIONS = 2
DELIVERIES = 5
"""How often a stream delivers a batch here before it gives up; an event stream does so 176 times."""
INVOCATION_SECONDS = 60
FIELDS = (Column("value", "STRING"), Column("at", "DATETIME"))
"""Of a CSV line."""
MARK = str(probe_records.ProbeMark("0" * 32, "plain"))
"""The key of marked records, which are ordinary ones: no probe with this nonce is announced."""


@dataclass(frozen=True, slots=True)
class Connector:
    """A connector with topics and a table of its own; what it sends to the broker passes the proxy.

    Each record of a `marked` one has a probe's mark, so that the sink looks for announcements.
    """

    settings: Settings
    broker: Broker
    service: Service
    sent: list[Record]
    marked: bool = False

    @classmethod
    def made(cls, broker: Broker, proxy: KafkaProxy, endpoint: str, *, marked: bool = False, **more: str) -> Connector:
        """A new one, with its topics, table and ledger; if its records are marked, another probe is announced."""
        name = f"c-{uuid.uuid4().hex[:12]}"
        given = {"name": name, "source_topic": f"{name}-in", "project": PROJECT, "table": name.replace("-", "_")}
        given |= {"endpoint": endpoint, "bootstrap_servers": proxy.bootstrap_servers, "delivery": "exactly-once"}
        settings = Settings.from_mapping(given | more)
        for topic in (settings.source_topic, settings.error_topic):
            broker.create_topic(topic, TOPIC_PARTITIONS)
        for topic in (settings.offset_topic, settings.status_topic):
            create_compacted(broker, topic)
        if marked:
            broker.create_topic(settings.config_topic, 1)
            told = probe_records.Announcement(connector=name, nonce="1" * 32, began=HOUR_14, until=HOUR_14)
            announced = Record(0, HOUR_14, told.key, probe_records.encode(told))
            produce(broker.bootstrap_servers, settings.config_topic, [announced])
        service = Service(TrustedAddress(endpoint), PROJECT, Credentials("ak", "sk"))
        run_sql(service, create_statement(settings, FIELDS if settings.format == "CSV" else ()), soon())
        created = table_definition.look(service, settings.table, soon()).created
        log = KafkaLog({"bootstrap.servers": broker.bootstrap_servers}, settings.offset_topic)
        LogLedger(log).append(genesis(name, f"{PROJECT}.{settings.table}", created, {}), soon())
        log.close()
        return cls(settings, broker, service, [], marked)

    def send(self, count: int) -> bytes:
        """Append so many records to each topic-partition; the batch that a stream makes of them.

        They are of two hours; the last one of each topic-partition comes without its time, so it can't be written.
        """
        first = len(self.sent) // TOPIC_PARTITIONS
        time = ",2020-11-17 14:20:00" if self.settings.format == "CSV" else ""
        records = [
            Record(
                partition,
                HOUR_14 + HOUR * (number % 2),
                (MARK if self.marked else f"k{number}").encode(),
                f"v{partition}-{number}{time}".encode(),
            )
            for number in range(first, first + count)
            for partition in range(TOPIC_PARTITIONS)
        ]
        produce(self.broker.bootstrap_servers, self.settings.source_topic, records)
        self.sent.extend(records)
        return payload(*self._events(records, first, bad=first + count - 1))

    def instance(self) -> Instance:
        """A new instance of the function."""
        return Instance(self.environment())

    def invoke(self, instance: Instance, batch: bytes, seconds: int = INVOCATION_SECONDS) -> dict[str, Any]:
        """One invocation, which has so much time; raises what the function does."""
        context = Context(request_id="r", function=Function(name="sink", timeout=seconds))
        with opened(context, environment=self.environment()) as invocation:
            return instance.handle(batch, invocation)

    def deliver(self, instance: Instance, batch: bytes) -> None:
        """Deliver a batch as a stream does, again after each error that passes; raises any other, and the last one."""
        passing = retry_if_exception(lambda error: isinstance(error, ConnectorError) and error.retryable)
        Retrying(retry=passing, stop=stop_after_attempt(DELIVERIES), reraise=True)(self.invoke, instance, batch)

    def audit(self) -> Report:
        """An audit, past the proxy."""
        brokers = {
            **configuration(self.settings, self.environment()),
            "bootstrap.servers": self.broker.bootstrap_servers,
        }
        log, clients = KafkaLog(brokers, self.settings.offset_topic), BrokerClients(brokers, self.settings.group)
        with closing(log), closing(clients):
            sources = Sources(
                settings=self.settings,
                service=self.service,
                clients=clients,
                ledger=LogLedger(log),
            )
            return audit(sources, soon())

    def rows(self) -> list[tuple[int, int, str]]:
        """Topic-partition, offset and value of every row, in order."""
        statement = (
            f"SELECT `partition`, `offset`, value FROM {self.settings.table} "  # noqa: S608 - the test's own
            "ORDER BY `partition`, `offset` LIMIT 10000;"
        )
        found = select(self.service, Statement(statement), soon())
        return [(int(row["partition"] or 0), int(row["offset"] or 0), row["value"] or "") for row in found]

    def assert_complete(self, count: int) -> None:
        """After batches of `count` records of each topic-partition: everything is there, each in its one place."""
        report = self.audit()
        assert report.findings == ()
        assert report.pending == ()
        total = len(self.sent) // TOPIC_PARTITIONS
        bad = range(count - 1, total, count)
        assert [one.known.letters for one in report.topic_partitions] == [
            tuple((offset, offset) for offset in bad)
        ] * TOPIC_PARTITIONS
        assert [one.waiting for one in report.topic_partitions] == [0] * TOPIC_PARTITIONS
        assert self.rows() == [
            (partition, offset, f"v{partition}-{offset}")
            for partition in range(TOPIC_PARTITIONS)
            for offset in range(total)
            if offset not in bad
        ]

    def environment(self) -> dict[str, str]:
        """What the function's process has in its environment."""
        settings = self.settings
        names = (
            "name",
            "source_topic",
            "endpoint",
            "project",
            "table",
            "bootstrap_servers",
            "delivery",
            "format",
            "mode",
        )
        given = {f"CONNECTOR_{name.upper()}": str(getattr(settings, name)) for name in names}
        return {"ALIBABA_CLOUD_ACCESS_KEY_ID": "ak", "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "sk", **given}

    def _events(self, records: Iterable[Record], first: int, *, bad: int) -> list[dict[str, Any]]:
        return [
            element(
                number,
                topic=self.settings.source_topic,
                partition=record.partition,
                offset=first + number // TOPIC_PARTITIONS,
                timestamp=None if first + number // TOPIC_PARTITIONS == bad else record.timestamp,
                key=(record.key or b"").decode(),
                value=(record.value or b"").decode(),
            )
            for number, record in enumerate(records)
        ]


def create_compacted(broker: Broker, topic: str) -> None:
    """A topic as the ledger needs it; the embedded broker doesn't compact, and keeps all of a small one."""
    if isinstance(broker, EmbeddedBroker):
        broker.create_topic(topic, TOPIC_PARTITIONS)
        return
    wanted = NewTopic(topic, TOPIC_PARTITIONS, 1, config={"cleanup.policy": "compact"})
    admin = AdminClient({"bootstrap.servers": broker.bootstrap_servers, "log_level": 0})
    for made in admin.create_topics([wanted]).values():
        made.result(30)
