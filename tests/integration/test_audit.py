"""An audit against a broker and the local MaxCompute: what was put wrong on purpose is found, and nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from fc_powertools import Credentials
from kafka_maxcompute.brokers.appending import Appender
from kafka_maxcompute.brokers.clients import configuration
from kafka_maxcompute.brokers.originals import Original
from kafka_maxcompute.dead_letters.dead_letter import DeadLetter
from kafka_maxcompute.dead_letters.kafka_dead_letters import KafkaDeadLetters
from kafka_maxcompute.ledger.ledger import LogLedger
from kafka_maxcompute.ledger.memory_log import MemoryLog
from kafka_maxcompute.ledger.operations import Claim, Divert, Genesis, Identity, Reset, Settle
from kafka_maxcompute.maxcompute.jobs import run_sql
from kafka_maxcompute.maxcompute.service import Service
from kafka_maxcompute.maxcompute.sql import Statement
from kafka_maxcompute.maxcompute.table import create_statement
from kafka_maxcompute.settings.destinations import TrustedAddress
from kafka_maxcompute.settings.settings import Settings
from local_emulator.maxcompute import server
from provisioning.audit.audit import Sources, audit
from provisioning.audit.reply import as_json
from provisioning.audit.table_runs import Run, runs
from provisioning.broker_clients import BrokerClients
from tests.deadlines import soon
from tests.deployed import deployed
from tests.kafka_events import HOUR_14
from tests.stream_clients import send

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kafka_maxcompute.offsets import Intervals
    from local_emulator.kafka.apache import ApacheBroker
    from local_emulator.kafka.broker import Broker
    from local_emulator.kafka.embedded import EmbeddedBroker
    from provisioning.audit.audit import Report

TOPIC, PROJECT = "audited", "connector_test"
RECORDS = 30
"""Of each of the three topic-partitions; they are a millisecond apart."""
PT = "11-17-2020 14"


@dataclass(frozen=True, slots=True)
class Place:
    """A connector's table, topics and ledger."""

    settings: Settings
    service: Service
    ledger: LogLedger
    brokers: dict[str, Any]
    broker: Broker

    def rows(self, partition: int, first: int, last: int, value: str = PT) -> None:
        """Write a row for each offset."""
        rows = ", ".join(f"('{TOPIC}', {partition}, {offset}, NULL, NULL)" for offset in range(first, last + 1))
        run_sql(self.service, Statement(f"INSERT INTO test_kafka PARTITION (pt='{value}') VALUES {rows};"), soon())  # noqa: S608

    def claim(self, partition: int, *offsets: tuple[int, int], settled: bool = True) -> None:
        """What a delivery leaves in the ledger."""
        name = f"session-{partition}-{offsets}"
        claimed = {(TOPIC, partition): offsets}
        claim = Claim(id=name, partition_value=PT, blocks=(0,), rows=1, offsets=claimed, generation=1)
        self.ledger.append(claim, soon())
        if settled:
            self.ledger.append(Settle(id=name), soon())

    def divert(self, partition: int, *offsets: int) -> None:
        """What a delivery of records that can't be written leaves in the ledger, and in the error topic."""
        where = {(TOPIC, partition): tuple((offset, offset) for offset in offsets)}
        name = f"divert-{partition}-{offsets}"
        self.ledger.append(Divert(id=name, offsets=where, reasons={"bad": where}, generation=1), soon())
        self.letters(partition, *offsets)
        self.ledger.append(Settle(id=name), soon())

    def letters(self, partition: int, *offsets: int, connector: str = "orders") -> None:
        """Dead letters of these offsets."""
        topics = KafkaDeadLetters(
            Appender(self.brokers),
            error_topic=self.settings.error_topic,
            dead_letter_topic=self.settings.dead_letter_topic,
        )
        letters = [
            DeadLetter(
                connector=connector,
                request_id="r",
                reason="bad",
                message="no",
                path="$",
                record=Original(key=None, value=b"v"),
                topic=TOPIC,
                partition=partition,
                offset=offset,
            )
            for offset in offsets
        ]
        topics.write(letters, soon())

    def audit(self, *, ledger: bool = True, starts: dict[int, int] | None = None) -> Report:
        """Its audit."""
        with closing(BrokerClients(self.brokers, self.settings.group)) as clients:
            sources = Sources(
                settings=self.settings,
                service=self.service,
                clients=clients,
                ledger=self.ledger if ledger else None,
                starts=starts or {},
            )
            return audit(sources, soon())


def found(report: Report) -> dict[tuple[str, int], Intervals]:
    return {(finding.kind, finding.partition): finding.offsets for finding in report.findings}


@pytest.fixture
def place(embedded_kafka: EmbeddedBroker) -> Iterator[Place]:
    """Three topic-partitions with their records in the log, and a ledger that has begun."""
    with started(embedded_kafka) as begun:
        send(embedded_kafka, TOPIC, 3 * RECORDS)
        yield begun


@contextmanager
def started(broker: Broker) -> Iterator[Place]:
    """A topic of three topic-partitions, a table, and a ledger that has begun."""
    with server.start(PROJECT, insecure=True) as tables:
        given = {"name": "orders", "source_topic": TOPIC, "project": PROJECT, "table": "test_kafka"}
        given |= {"endpoint": tables.endpoint, "bootstrap_servers": broker.bootstrap_servers}
        settings = Settings.from_mapping(given)
        for name, partitions in ((TOPIC, 3), (settings.error_topic, 2)):
            broker.create_topic(name, partitions)
        ledger = LogLedger(MemoryLog())
        ledger.append(Genesis(identity=Identity(connector="orders", table="p.t", table_created=0)), soon())
        service = Service(TrustedAddress(tables.endpoint), PROJECT, Credentials("ak", "sk"))
        run_sql(service, create_statement(settings), soon())
        yield Place(settings, service, ledger, configuration(settings, deployed(settings)), broker)


def sound(place: Place) -> None:
    """Everything delivered, one record of each topic-partition as a dead letter."""
    for partition in range(3):
        place.rows(partition, 0, 9)
        place.rows(partition, 11, RECORDS - 1)
        place.claim(partition, (0, 9), (11, RECORDS - 1))
        place.divert(partition, 10)


def test_a_connector_that_has_done_its_work(place: Place) -> None:
    sound(place)
    report = place.audit()
    assert found(report) == {}
    assert [(one.unverifiable, one.waiting) for one in report.topic_partitions] == [(0, 0)] * 3
    assert [one.known.letters for one in report.topic_partitions] == [((10, 10),)] * 3
    assert report.times_compared == 3 * 4
    assert report.pending == ()
    assert "ROW_NUMBER()" in report.statement


def test_each_fault_is_found_where_it_is(place: Place) -> None:
    sound(place)
    place.rows(0, 3, 4)
    place.rows(1, 10, 10)
    place.letters(2, 20, 21)
    place.letters(2, 22, connector="another")
    place.rows(0, RECORDS, RECORDS + 1, "11-17-2020 15")
    assert found(place.audit()) == {
        ("duplicate", 0): ((3, 4),),
        ("visible-not-settled", 0): ((RECORDS, RECORDS + 1),),
        ("beyond-the-log", 0): ((RECORDS, RECORDS + 1),),
        ("in-table-and-error-topic", 1): ((10, 10),),
        ("in-table-and-error-topic", 2): ((20, 21),),
    }


def test_what_is_settled_and_nowhere_is_found_while_the_log_has_it(
    place: Place, embedded_kafka: EmbeddedBroker
) -> None:
    for partition in range(3):
        place.rows(partition, 0, 9)
        place.rows(partition, 20, RECORDS - 1)
        place.claim(partition, (0, RECORDS - 1))
    embedded_kafka.delete_records(TOPIC, 1, 15)
    embedded_kafka.delete_records(TOPIC, 2, 25)
    report = place.audit()
    assert found(report) == {("settled-not-visible", 0): ((10, 19),), ("settled-not-visible", 1): ((15, 19),)}
    assert [one.unverifiable for one in report.topic_partitions] == [0, 5, 10]


def test_a_claim_that_is_pending_is_told_and_no_fault(place: Place) -> None:
    sound(place)
    send(place.broker, TOPIC, 6)
    place.claim(0, (RECORDS, RECORDS + 1), settled=False)
    report = place.audit()
    assert found(report) == {}
    assert len(report.pending) == 1
    assert [one.waiting for one in report.topic_partitions] == [0, 2, 2]


def test_a_wrong_partition_value_is_found_by_its_form_and_by_the_records_time(place: Place) -> None:
    place.rows(0, 0, 9)
    place.rows(0, 10, 19, "11-17-2020 15")
    place.rows(0, 20, RECORDS - 1, "2020-11-17")
    place.claim(0, (0, RECORDS - 1))
    # Of a run with a wrong time both ends are told, of one with a wrong form all of it.
    assert found(place.audit()) == {("outside-partition-value", 0): ((10, 10), (19, RECORDS - 1))}


def test_what_a_reset_has_put_behind_it_is_nobodys(place: Place) -> None:
    identity = Identity(connector="orders", table="p.t", table_created=0)
    starts = {(TOPIC, partition): 12 for partition in range(3)}
    place.ledger.append(Reset(id="r", generation=2, identity=identity, starts=starts), soon())
    report = place.audit()
    assert found(report) == {}
    assert [one.waiting for one in report.topic_partitions] == [RECORDS - 12] * 3


def test_without_a_ledger_the_groups_commits_say_what_is_missing(place: Place) -> None:
    place.rows(0, 0, 9)
    commit(place, {0: 15, 1: 4})
    report = place.audit(ledger=False)
    assert found(report) == {("missing", 0): ((10, 14),), ("missing", 1): ((0, 3),)}
    assert [one.waiting for one in report.topic_partitions] == [RECORDS - 15, RECORDS - 4, RECORDS]


def test_what_lies_before_the_start_that_was_given_isnt_missing(place: Place) -> None:
    place.rows(0, 20, RECORDS - 1)
    commit(place, {0: RECORDS, 1: 10})
    assert found(place.audit(ledger=False)) == {("missing", 0): ((0, 19),), ("missing", 1): ((0, 9),)}
    assert found(place.audit(ledger=False, starts={0: 20, 1: 10})) == {}


@pytest.mark.java
@pytest.mark.xdist_group("apache_kafka")
def test_markers_and_aborted_records_arent_missing_but_unverifiable(apache_kafka: ApacheBroker) -> None:
    with started(apache_kafka) as place:
        producer = Producer({"bootstrap.servers": apache_kafka.bootstrap_servers, "transactional.id": uuid.uuid4().hex})
        producer.init_transactions(30)
        for records, ended in ((3, producer.commit_transaction), (2, producer.abort_transaction), (2, None)):
            producer.begin_transaction()
            for _ in range(records):
                producer.produce(TOPIC, b"v", partition=0, timestamp=HOUR_14)
            producer.flush(30)
            if ended is not None:
                ended(30)
        # 0 to 2 and their marker; 4 and 5, aborted, and theirs; 7 and 8 in an open transaction.
        place.rows(0, 0, 1)
        place.claim(0, (0, 8))
        report = place.audit()
        assert found(report) == {("settled-not-visible", 0): ((2, 2),)}
        assert [one.unverifiable for one in report.topic_partitions] == [6, 0, 0]
        producer.abort_transaction(30)


def test_pages_of_runs_are_all_of_them(place: Place) -> None:
    for first in range(0, 20, 4):
        place.rows(0, first, first + 1)
        place.rows(2, first + 1, first + 1, "11-17-2020 15")
    expected = [Run(0, first, first + 1, PT, PT) for first in range(0, 20, 4)]
    expected += [Run(2, first + 1, first + 1, "11-17-2020 15", "11-17-2020 15") for first in range(0, 20, 4)]
    for page in (1, 3, 10, 11):
        assert list(runs(place.service, place.settings, soon(), page=page)) == expected


def commit(place: Place, offsets: dict[int, int]) -> None:
    """Commit as the stream's group does."""
    consumer = Consumer({"bootstrap.servers": place.settings.bootstrap_servers, "group.id": place.settings.group})
    try:
        places = [TopicPartition(TOPIC, partition, offset) for partition, offset in offsets.items()]
        consumer.commit(offsets=places, asynchronous=False)
    finally:
        consumer.close()


def test_many_rows_become_the_runs_that_they_are() -> None:
    """The benchmark's table, with a twentieth of its rows."""
    program = Path(__file__).resolve().parents[2] / "benchmarks/audit.py"
    ran = subprocess.run(
        [sys.executable, program, "--rows", "500000"], capture_output=True, text=True, timeout=240, check=False
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "the audit's runs equal the uploaded runs" in ran.stdout


def test_the_reply_has_a_sentence_and_a_document_for_each_finding(place: Place) -> None:
    sound(place)
    place.rows(0, 3, 4)
    place.rows(0, 7, 7)
    reply = as_json(place.audit())
    assert reply["state"] == "unsound"
    assert reply["faults"] == [
        (
            "audited-0: 3 offsets (3 to 4, 7) duplicate: they have more than one row; compare these rows, and keep "
            "one of the equal rows"
        )
    ]
    assert reply["findings"] == [
        {"kind": "duplicate", "topic": TOPIC, "partition": 0, "count": 3, "offsets": [[3, 4], [7, 7]]}
    ]
    assert reply["topic_partitions"][0] == {
        "topic": TOPIC,
        "partition": 0,
        "begin": 0,
        "end": RECORDS,
        "committed": None,
        "rows": RECORDS + 2,
        "dead_letters": 1,
        "settled": RECORDS,
        "waiting": 0,
        "unverifiable": 0,
        "unclear": 0,
        "wrong": 3,
    }
    assert json.loads(json.dumps(reply)) == reply
