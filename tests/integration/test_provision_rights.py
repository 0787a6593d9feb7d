"""Which rights lack at a real Kafka with ACLs; and that those which are listed suffice for all that is done there."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pytest
from confluent_kafka.admin import AclPermissionType, ResourcePatternType, ResourceType

from fc_powertools import Deadline
from kafka_maxcompute.brokers import clients
from kafka_maxcompute.brokers.appending import Append, Appender
from kafka_maxcompute.brokers.login import LoginAdmin
from kafka_maxcompute.brokers.originals import Original
from kafka_maxcompute.brokers.topic_log import KafkaOriginals
from kafka_maxcompute.ledger.kafka_log import KafkaLog
from kafka_maxcompute.settings.settings import Settings
from local_emulator.kafka.embedded import EmbeddedBroker
from provisioning.broker_connection import reach
from provisioning.rights import Right, missing, needed

if TYPE_CHECKING:
    from tests.kafka_security import SecuredKafka

KINDS = {"topic": ResourceType.TOPIC, "group": ResourceType.GROUP}
SECONDS = 30


@pytest.fixture
def settings(secured_kafka: SecuredKafka) -> Settings:
    """A connector of its own, all of whose topics are there."""
    name = f"orders-{uuid.uuid4().hex[:8]}"
    found = secured_kafka.settings("SASL_PLAINTEXT", name=name, source_topic=name, delivery="exactly-once")
    for topic in {right.name for right in needed(found) if right.kind == "topic"}:
        secured_kafka.broker.create_topic(topic, 1)
    return found


def configuration(kafka: SecuredKafka, settings: Settings) -> dict[str, Any]:
    return clients.configuration(settings, kafka.environment(settings))


def grant(kafka: SecuredKafka, rights: tuple[Right, ...]) -> None:
    for right in rights:
        kafka.allow(KINDS[right.kind], right.name, right.operation.upper())


def lacking(kafka: SecuredKafka, settings: Settings) -> tuple[Right, ...]:
    return missing(LoginAdmin(configuration(kafka, settings)), settings, Deadline.after(SECONDS))


@pytest.mark.java
@pytest.mark.xdist_group("apache_kafka")
def test_without_acls_every_right_is_named(secured_kafka: SecuredKafka, settings: Settings) -> None:
    found = lacking(secured_kafka, settings)
    assert found == needed(settings)
    assert [str(right) for right in found] == [
        f"Describe on group connect-{settings.name}",
        f"Read on topic {settings.name}",
        *(
            f"{operation} on topic connect-{purpose}-{settings.name}"
            for purpose in ("config", "status", "error", "offset")
            for operation in ("Read", "Write")
        ),
    ]


@pytest.mark.java
@pytest.mark.xdist_group("apache_kafka")
def test_each_right_that_lacks_is_named_and_no_other(secured_kafka: SecuredKafka, settings: Settings) -> None:
    for taken in needed(settings):
        secured_kafka.forget_rights()
        grant(secured_kafka, tuple(right for right in needed(settings) if right != taken))
        assert lacking(secured_kafka, settings) == (taken,)


@pytest.mark.java
@pytest.mark.xdist_group("apache_kafka")
def test_rights_to_names_that_begin_so_and_a_denial(secured_kafka: SecuredKafka, settings: Settings) -> None:
    for kind in (ResourceType.TOPIC, ResourceType.GROUP):
        secured_kafka.allow(kind, "connect-", "ALL", pattern=ResourcePatternType.PREFIXED)
    secured_kafka.allow(ResourceType.TOPIC, "*", "READ")
    assert lacking(secured_kafka, settings) == ()
    secured_kafka.allow(ResourceType.TOPIC, settings.error_topic, "WRITE", effect=AclPermissionType.DENY)
    assert lacking(secured_kafka, settings) == (Right("topic", settings.error_topic, "Write"),)


@pytest.mark.java
@pytest.mark.xdist_group("apache_kafka")
def test_of_topics_that_are_not_there_it_is_known_whether_there_is_any_right(secured_kafka: SecuredKafka) -> None:
    settings = secured_kafka.settings("SASL_PLAINTEXT", name=f"later-{uuid.uuid4().hex[:8]}", source_topic="later")
    assert lacking(secured_kafka, settings) == needed(settings)
    grant(secured_kafka, needed(settings))
    assert lacking(secured_kafka, settings) == ()
    assert reach(configuration(secured_kafka, settings), Deadline.after(SECONDS)).get(settings.config_topic) is None


@pytest.mark.java
@pytest.mark.xdist_group("apache_kafka")
def test_the_listed_rights_suffice(secured_kafka: SecuredKafka, settings: Settings) -> None:
    """The ledger is appended to and read, letters and states are written and read again, originals are read."""
    grant(secured_kafka, needed(settings))
    found, deadline = configuration(secured_kafka, settings), Deadline.after(SECONDS)
    producer = secured_kafka.broker.bootstrap_servers
    Appender({"bootstrap.servers": producer}).append(
        [Append(settings.source_topic, 0, Original(key=b"k", value=b"v"))], deadline
    )
    log = KafkaLog(found, settings.offset_topic)
    try:
        assert log.append(b"1", b"claim", deadline) == 0
        assert [record.value for record in log.records(0, deadline)[0]] == [b"claim"]
    finally:
        log.close()
    written = [settings.error_topic, settings.status_topic, settings.config_topic]
    Appender(found).append([Append(topic, 0, Original(key=b"k", value=b"v")) for topic in written], deadline)
    everything = {(topic, 0): [(0, 0)] for topic in [*written, settings.source_topic]}
    assert len(KafkaOriginals(found, settings.group).read(everything, deadline)) == 4


@pytest.mark.java
@pytest.mark.xdist_group("apache_kafka")
def test_a_broker_without_acls_lacks_nothing(secured_kafka: SecuredKafka, settings: Settings) -> None:
    """As somebody who may do everything."""
    found = {"bootstrap.servers": secured_kafka.broker.bootstrap_servers, "log_level": 0}
    assert missing(LoginAdmin(found), settings, Deadline.after(SECONDS)) == ()


def test_a_broker_that_does_not_know_the_question_lacks_nothing() -> None:
    given = {
        "name": "orders",
        "source_topic": "orders",
        "endpoint": "http://127.0.0.1:1/api",
        "project": "p",
        "table": "t",
        "bootstrap_servers": "127.0.0.1:1",
    }
    with EmbeddedBroker({"orders": 1}) as broker:
        found = {"bootstrap.servers": broker.bootstrap_servers, "log_level": 0}
        assert missing(LoginAdmin(found), Settings.from_mapping(given), Deadline.after(2)) == ()
