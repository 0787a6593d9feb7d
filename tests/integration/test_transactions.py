"""Source topics that are written in transactions: what a stream delivers of them is written once, whatever is open."""

from __future__ import annotations

import itertools
import time
import uuid
from contextlib import closing
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from odps import ODPS

from fc_powertools import Credentials
from fc_powertools.decorators import opened
from kafka_maxcompute.brokers import log_bounds
from kafka_maxcompute.brokers.topic_log import WHOLE_LOG, KafkaOriginals
from kafka_maxcompute.ledger import gaps as gaps_module
from kafka_maxcompute.ledger import identity
from kafka_maxcompute.ledger.kafka_log import KafkaLog
from kafka_maxcompute.ledger.ledger import LogLedger
from kafka_maxcompute.ledger.source_topics import ids, open_consumer
from kafka_maxcompute.maxcompute import table_definition
from kafka_maxcompute.maxcompute.service import Service
from kafka_maxcompute.settings.destinations import TrustedAddress
from kafka_maxcompute.settings.settings import Settings
from local_emulator.maxcompute import server
from maxcompute_sink.instance import Instance
from provisioning.audit.audit import Report, Sources, audit
from provisioning.audit.topic_ends import Ends, topic_ends
from provisioning.broker_clients import BrokerClients
from tests.deadlines import soon
from tests.kafka_events import HOUR_14, element, payload

if TYPE_CHECKING:
    from collections.abc import Iterator

    from local_emulator.kafka.apache import ApacheBroker
    from local_emulator.maxcompute.server import MaxComputeServer

pytestmark = [pytest.mark.java, pytest.mark.xdist_group("apache_kafka")]

PROJECT = "connector_test"
PT = "11-17-2020 14"
STREAMS = ["read_uncommitted", "read_committed"]
_numbers = itertools.count()


@pytest.fixture(scope="module")
def emulator() -> Iterator[MaxComputeServer]:
    with server.start(project=PROJECT, access_id="ak", access_key="sk") as running:
        yield running


@dataclass(frozen=True, slots=True)
class Connector:
    """A connector whose source topic has one topic-partition; its streams read it as `isolation` says."""

    emulator: MaxComputeServer
    servers: str
    name: str
    odps: ODPS

    @property
    def topic(self) -> str:
        return f"orders-{self.name}"

    @property
    def place(self) -> tuple[str, int]:
        return self.topic, 0

    @property
    def properties(self) -> dict[str, Any]:
        return {"bootstrap.servers": self.servers, "group.id": f"connect-{self.name}", "log_level": 0}

    @property
    def environment(self) -> dict[str, str]:
        settings = {
            "name": self.name,
            "source_topic": self.topic,
            "endpoint": self.emulator.endpoint,
            "project": PROJECT,
            "table": self.name,
            "delivery": "exactly-once",
            "bootstrap_servers": self.servers,
        }
        keys = {"ALIBABA_CLOUD_ACCESS_KEY_ID": "ak", "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "sk"}
        return keys | {f"CONNECTOR_{name.upper()}": value for name, value in settings.items()}

    def send(self, *values: str) -> None:
        """Records outside of transactions; the values are their offsets, as `deliver` has them."""
        producer = Producer({"bootstrap.servers": self.servers})
        for value in values:
            producer.produce(self.topic, f"v{value}", f"k{value}", 0, timestamp=HOUR_14)
        assert producer.flush(20) == 0

    def transaction(self, *values: str) -> Producer:
        """A transaction that is open, with its records in the log."""
        producer = Producer(
            {
                "bootstrap.servers": self.servers,
                "transactional.id": uuid.uuid4().hex,
                "log_level": 0,
                # The longest that a broker allows: one whose producer is gone hangs for so long.
                "transaction.timeout.ms": 900_000,
            }
        )
        producer.init_transactions(20)
        producer.begin_transaction()
        for value in values:
            producer.produce(self.topic, f"v{value}", f"k{value}", 0, timestamp=HOUR_14)
        assert producer.flush(20) == 0
        return producer

    def end(self, transaction: Producer, *, commit: bool) -> None:
        """Commit or abort a transaction, and wait for its marker, which comes after the answer."""
        with open_consumer(self.properties) as client:
            before = log_bounds.ends(client, [self.place], soon())
            transaction.commit_transaction(20) if commit else transaction.abort_transaction(20)
            for _ in range(400):
                if log_bounds.ends(client, [self.place], soon()) != before:
                    return
                time.sleep(0.05)
        raise AssertionError("no marker came")

    def shown(self, isolation: str) -> list[int]:
        """The offsets of the records that a stream with that isolation level is given now."""
        properties = {**self.properties, "isolation.level": isolation, "enable.partition.eof": True}
        found: list[int] = []
        with closing(Consumer(properties)) as consumer:
            consumer.assign([TopicPartition(*self.place, 0)])
            while (message := consumer.poll(20)) is not None and message.error() is None:
                found.append(int(message.offset() or 0))
        assert message is not None, "the log's end didn't come"
        return found

    def deliver(self, offsets: list[int]) -> tuple[Any, Any]:
        """Deliver a batch of these records to a new instance; how many were dropped and diverted."""
        batch = payload(*(element(offset, topic=self.topic) for offset in offsets))
        context = SimpleNamespace(request_id="r1", function=SimpleNamespace(name="sink", timeout=60))
        instance = Instance(self.environment)
        try:
            with opened(context, environment=self.environment) as invocation:
                reply = instance.handle(batch, invocation)
        finally:
            instance.close()
        return reply.get("dropped", 0), reply.get("diverted", 0)

    def commit(self, offset: int) -> None:
        """Move the group as the stream does after a batch."""
        with closing(Consumer(self.properties)) as consumer:
            consumer.commit(offsets=[TopicPartition(*self.place, offset)], asynchronous=False)

    def audit(self) -> Report:
        service = Service(TrustedAddress(self.emulator.endpoint), PROJECT, Credentials("ak", "sk"))
        with closing(KafkaLog(self.properties, f"connect-offset-{self.name}")) as log:
            settings = Settings.from_environment(self.environment)
            with closing(BrokerClients(self.properties, settings.group)) as clients:
                sources = Sources(settings=settings, service=service, clients=clients, ledger=LogLedger(log))
                return audit(sources, soon())

    @property
    def rows(self) -> list[int]:
        with self.odps.get_table(self.name).open_reader(partition={"pt": PT}, arrow=False) as reader:
            return sorted(found["offset"] for found in reader)


@pytest.fixture
def connector(emulator: MaxComputeServer, apache_kafka: ApacheBroker) -> Connector:
    odps = ODPS("ak", "sk", PROJECT, endpoint=emulator.endpoint, logview_host="http://127.0.0.1")
    made = Connector(emulator, apache_kafka.bootstrap_servers, f"tx{next(_numbers)}{uuid.uuid4().hex[:8]}", odps)
    columns = "topic STRING,partition BIGINT,offset BIGINT,key STRING,value STRING"
    odps.execute_sql(f"CREATE TABLE {made.name}({columns}) PARTITIONED BY (pt STRING);")
    for topic in (made.topic, f"connect-status-{made.name}", f"connect-error-{made.name}"):
        apache_kafka.create_topic(topic, 1)
    ledger = NewTopic(f"connect-offset-{made.name}", 1, 1, config={"cleanup.policy": "compact"})
    admin = AdminClient({"bootstrap.servers": made.servers})
    admin.create_topics([ledger])[ledger.topic].result(20)
    service = Service(TrustedAddress(emulator.endpoint), PROJECT, Credentials("ak", "sk"))
    created = table_definition.look(service, made.name, soon()).created
    topics = ids(admin, [made.topic], soon())
    with closing(KafkaLog(made.properties, f"connect-offset-{made.name}")) as log:
        LogLedger(log).append(identity.genesis(made.name, f"{PROJECT}.{made.name}", created, topics), soon())
    return made


@pytest.mark.parametrize("isolation", STREAMS)
def test_a_batch_comes_again_while_a_transaction_is_open(connector: Connector, isolation: str) -> None:
    connector.send("0", "1", "2")
    transaction = connector.transaction("3", "4", "5")
    there = connector.shown(isolation)
    assert there == list(range(6 if isolation == "read_uncommitted" else 3))
    assert connector.deliver(there) == (0, 0)
    assert connector.deliver(there) == (len(there), 0)
    assert connector.deliver([0, 1]) == (2, 0)
    connector.end(transaction, commit=True)
    assert connector.deliver(connector.shown(isolation)) == (len(there), 0)
    assert connector.rows == list(range(6))
    connector.commit(7)
    assert connector.audit().findings == ()


@pytest.mark.parametrize("isolation", STREAMS)
def test_an_aborted_transaction_loses_and_doubles_nothing(connector: Connector, isolation: str) -> None:
    connector.send("0")
    connector.end(connector.transaction("1", "2"), commit=False)
    connector.send("4")
    there = connector.shown(isolation)
    assert there == ([0, 1, 2, 4] if isolation == "read_uncommitted" else [0, 4])
    assert connector.deliver(there) == (0, 0)
    assert connector.deliver(there) == (len(there), 0)
    assert connector.rows == there
    connector.commit(5)
    report = connector.audit()
    assert report.findings == ()
    assert report.topic_partitions[0].unverifiable == 5 - len(there)


@pytest.mark.parametrize("isolation", STREAMS)
def test_a_hanging_transaction_holds_up_only_what_the_stream_leaves_out(connector: Connector, isolation: str) -> None:
    connector.send("0", "1")
    producer = connector.transaction("2", "3")
    del producer  # it neither commits nor aborts
    connector.send("4", "5")
    there = connector.shown(isolation)
    assert there == list(range(6 if isolation == "read_uncommitted" else 2))
    assert connector.deliver(there) == (0, 0)
    assert connector.deliver(there) == (len(there), 0)
    assert connector.rows == there
    connector.commit(len(there))
    report = connector.audit()
    assert (report.findings, report.topic_partitions[0].waiting) == ((), 6 - len(there))


def test_every_end_is_that_of_the_log_and_not_of_what_is_stable(connector: Connector) -> None:
    connector.send("0")
    _open = connector.transaction("1", "2")
    with open_consumer(connector.properties) as client:
        assert log_bounds.bounds(client, [connector.place], soon()) == {connector.place: (0, 3)}
        assert log_bounds.offsets_at(client, [connector.place], HOUR_14 + 1, soon()) == {connector.place: 3}
        assert topic_ends(client, connector.topic, soon()) == {0: Ends(0, 3)}


def test_reading_shows_what_is_open_or_aborted_unless_only_what_is_committed_is_asked_for(connector: Connector) -> None:
    connector.end(connector.transaction("0"), commit=False)
    connector.send("2")
    _open = connector.transaction("3")
    connector.send("4")
    found = {
        committed: [
            offset for _, offset in KafkaOriginals(connector.properties, "g", committed=committed).read(wanted, soon())
        ]
        for committed, wanted in itertools.product((False, True), [{connector.place: WHOLE_LOG}])
    }
    assert found == {False: [0, 2, 3, 4], True: [2]}


def test_a_log_of_markers_alone_is_read_to_its_end(connector: Connector) -> None:
    connector.end(connector.transaction("0"), commit=True)
    assert connector.deliver([0]) == (0, 0)
    admin = AdminClient({"bootstrap.servers": connector.servers})
    admin.delete_records([TopicPartition(*connector.place, 1)])[TopicPartition(*connector.place)].result(20)
    for committed in (False, True):
        logs = KafkaOriginals(connector.properties, "g", committed=committed)
        assert logs.read({connector.place: WHOLE_LOG}, soon()) == {}
    with open_consumer(connector.properties) as client:
        assert topic_ends(client, connector.topic, soon()) == {0: Ends(1, 2)}
    assert connector.deliver([0]) == (1, 0)
    connector.commit(2)
    assert connector.audit().findings == ()


def steps(connector: Connector, last: int, *, committed: bool) -> list[tuple[int, bool]]:
    """How a reading of all offsets up to the last one goes on; with each step, whether there is a record.

    Of several steps beyond the last offset, which a fetch may bring, only the first.
    """
    logs = KafkaOriginals(connector.properties, "g")
    found = logs.passed({connector.place: ((0, last),)}, soon(), committed=committed)
    gone = [(offset, record is not None) for _, offset, record in found]
    return [step for step in gone if step[0] <= last] + [step for step in gone if step[0] > last][:1]


def test_a_reading_tells_which_offsets_it_has_passed(connector: Connector) -> None:
    connector.end(connector.transaction("0"), commit=True)
    connector.end(connector.transaction("2"), commit=False)
    connector.send("4", "5")
    assert steps(connector, 3, committed=False) == [(0, True), (2, True), (4, False)]
    assert steps(connector, 3, committed=True) == [(0, True), (4, False)]
    _open = connector.transaction("6")
    connector.end(connector.transaction("7"), commit=True)
    assert steps(connector, 100, committed=True) == [(0, True), (4, True), (5, True)]
    behind = [(0, True), (2, True), (4, True), (5, True), (6, True), (7, True), (9, False)]
    assert steps(connector, 100, committed=False) == behind


@pytest.mark.parametrize("isolation", STREAMS)
def test_gaps_of_markers_and_of_what_was_aborted_are_settled_but_not_what_is_open(
    connector: Connector, isolation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gaps_module, "MANY", 0)
    for number in range(4):
        connector.end(connector.transaction(str(2 * number)), commit=number != 2)
    _hanging = connector.transaction("8", "9")
    connector.end(connector.transaction("10"), commit=True)
    connector.send("12")
    there = connector.shown(isolation)
    assert there == ([0, 2, 4, 6, 8, 9, 10, 12] if isolation == "read_uncommitted" else [0, 2, 6])
    connector.deliver(there)
    connector.commit(there[-1] + 1)
    whole = {connector.place: ((0, there[-1]),)}
    with closing(KafkaLog(connector.properties, f"connect-offset-{connector.name}")) as log:
        ledger = LogLedger(log)
        for _ in range(30):  # each search begins at any gap
            connector.deliver([0])
            if (settled := ledger.read(soon()).settled) == whole:
                break
    assert settled == whole
    assert connector.rows == there


def test_an_open_record_that_a_stream_passed_by_stays_free(
    connector: Connector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A group that was moved past an open transaction: its records are missing, and no gap."""
    monkeypatch.setattr(gaps_module, "MANY", 0)
    connector.send("0")
    transaction = connector.transaction("1")
    connector.send("2")
    connector.deliver([0, 2])
    connector.commit(3)
    connector.deliver([0])
    connector.end(transaction, commit=True)
    connector.deliver([1])
    assert connector.rows == [0, 1, 2]
