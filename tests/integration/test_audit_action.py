"""The provisioning function's action `audit`, and `python -m local_emulator audit` that asks for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from confluent_kafka import Consumer, TopicPartition

from fc_powertools import Credentials
from kafka_maxcompute.ledger.identity import genesis
from kafka_maxcompute.ledger.kafka_log import KafkaLog
from kafka_maxcompute.ledger.ledger import LogLedger
from kafka_maxcompute.ledger.operations import Claim
from kafka_maxcompute.maxcompute.jobs import run_sql
from kafka_maxcompute.maxcompute.service import Service
from kafka_maxcompute.maxcompute.sql import Statement
from kafka_maxcompute.maxcompute.table import create_statement
from kafka_maxcompute.maxcompute.tunnel import TunnelUploadSessions
from kafka_maxcompute.settings.destinations import TrustedAddress
from kafka_maxcompute.settings.settings import Settings
from tests.deadlines import soon
from tests.local_cloud import await_rows, client, command, up
from tests.provision_cloud import PROJECT, Surrounding, running
from tests.stream_clients import send
from tests.upload_sessions_contract import body

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kafka_maxcompute.maxcompute.upload_sessions import UploadSession
    from kafka_maxcompute.offsets import Intervals
    from local_emulator.kafka.embedded import EmbeddedBroker

PT = "11-17-2020 14"


@pytest.fixture
def around(embedded_kafka: EmbeddedBroker) -> Iterator[Surrounding]:
    """A connector with its topics and table, a ledger that has begun, and two records in topic-partition 0."""
    with running(embedded_kafka) as started:
        servers = {"bootstrap_servers": embedded_kafka.bootstrap_servers}
        started.settings.update(servers | {"delivery": "exactly-once", "source_topic": "orders"})
        settings = Settings.from_mapping(started.settings)
        for topic in (settings.source_topic, settings.offset_topic, settings.error_topic):
            embedded_kafka.create_topic(topic, 2)
        run_sql(service(started), create_statement(settings), soon())
        claim(started, None)
        send(embedded_kafka, settings.source_topic, 2, partitions=1)
        yield started


def service(around: Surrounding) -> Service:
    return Service(TrustedAddress(around.tables.endpoint), PROJECT, Credentials("ak", "sk"))


def staged(around: Surrounding) -> UploadSession:
    """A session that holds a row of offset 1 and isn't committed."""
    settings = Settings.from_mapping(around.settings)
    sessions = TunnelUploadSessions(service(around).at(TrustedAddress(around.tables.tunnel_endpoint)), settings)
    session = sessions.open(PT, soon())
    sessions.put_block(session, 0, body("v"), None, soon())
    return session


def claim(around: Surrounding, session: str | None) -> None:
    """Claim offset 1 for a session, or begin the ledger."""
    settings = Settings.from_mapping(around.settings)
    log = KafkaLog({"bootstrap.servers": settings.bootstrap_servers}, settings.offset_topic)
    try:
        claimed: dict[tuple[str, int], Intervals] = {("orders", 0): ((1, 1),)}
        LogLedger(log).append(
            genesis("orders", f"{PROJECT}.{settings.table}", None, {})
            if session is None
            else Claim(id=session, partition_value=PT, blocks=(0,), rows=1, offsets=claimed, generation=1),
            soon(),
        )
    finally:
        log.close()


def test_a_claim_that_was_left_is_brought_to_its_end_before_anything_is_compared(around: Surrounding) -> None:
    claim(around, staged(around).id)
    reply = around.ask("audit")
    assert (reply["state"], reply["faults"], reply["pending"]) == ("sound", [], [])
    assert [(one["rows"], one["settled"]) for one in reply["topic_partitions"]] == [(1, 1), (0, 0)]
    assert "FROM `test_kafka`" in reply["statement"]


def test_a_claim_that_cant_be_brought_to_its_end_is_a_fault(around: Surrounding) -> None:
    claim(around, "nobody-knows-it")
    reply = around.ask("audit")
    assert (reply["state"], reply["pending"]) == ("unsound", ["nobody-knows-it"])
    assert "expected MaxCompute to know upload session nobody-knows-it" in reply["faults"][0]


def test_claims_for_another_table_stay_as_they_are(around: Surrounding) -> None:
    claim(around, staged(around).id)
    others = {"table": "another"}
    run_sql(service(around), create_statement(Settings.from_mapping(around.settings | others)), soon())
    reply = around.ask("audit", others)
    assert len(reply["pending"]) == 1
    assert f"expected {PROJECT}.test_kafka, found {PROJECT}.another" in reply["faults"][0]
    assert around.ask("audit")["state"] == "sound"


def test_what_was_written_past_the_ledger_is_a_fault(around: Surrounding) -> None:
    row = "INSERT INTO test_kafka PARTITION (pt='11-17-2020 14') VALUES ('orders', 0, 1, NULL, NULL);"
    run_sql(service(around), Statement(row), soon())
    reply = around.ask("audit")
    assert reply["state"] == "unsound"
    assert [(one["kind"], one["offsets"]) for one in reply["findings"]] == [("visible-not-settled", [[1, 1]])]
    assert len(reply["faults"]) == 1


def test_without_its_ledger_it_still_says_what_is_missing(around: Surrounding, embedded_kafka: EmbeddedBroker) -> None:
    settings = Settings.from_mapping(around.settings)
    claim(around, "lost")
    embedded_kafka.delete_records(settings.offset_topic, 0, 1)
    row = "INSERT INTO test_kafka PARTITION (pt='11-17-2020 14') VALUES ('orders', 0, 0, NULL, NULL);"
    run_sql(service(around), Statement(row), soon())
    group = Consumer({"bootstrap.servers": embedded_kafka.bootstrap_servers, "group.id": settings.group})
    group.commit(offsets=[TopicPartition("orders", 0, 2)], asynchronous=False)
    group.close()
    reply = around.ask("audit")
    assert reply["state"] == "unsound"
    assert "the offset topic has lost records" in reply["faults"][0]
    assert [(one["kind"], one["offsets"]) for one in reply["findings"]] == [("missing", [[1, 1]])]


def test_a_table_that_isnt_there_ends_it_with_an_error(around: Surrounding) -> None:
    reply = around.ask("audit", {"table": "no_such_table"})
    assert reply["state"] == "failed"
    assert "no_such_table" in reply["faults"][0]


def test_the_command_draws_what_was_found_and_its_exit_code_says_whether_it_was_good(
    project_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project_copy)
    with up(project_copy):
        client(project_copy, "send", "--key", "k1", "--value", "audited", "--partition", "2")
        assert "audited" in await_rows(project_copy, "audited")
        good = client(project_copy, "audit", "--sql")
        assert "ROW_NUMBER() OVER" in good
        rows = [line.split() for line in good.splitlines() if line.startswith("| ")]
        assert [row[9] for row in rows if row[1] == "2"] == ["1"]
        assert good.endswith("\nsound\n")
        copied = (
            "insert into test_kafka partition (pt) select topic, `partition`, `offset`, key, value, pt from test_kafka"
        )
        client(project_copy, "sql", copied)
        bad = command(project_copy, "audit")
        assert bad.returncode == 1
        assert "fault: maxcompute-test-input-2: 1 offset (0) duplicate: they have more than one row" in bad.stdout
        assert bad.stdout.endswith("\nunsound\n")
