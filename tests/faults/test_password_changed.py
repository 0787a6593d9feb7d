"""The brokers' password is changed while an instance is warm: the instance reads the secret again and goes on.

A real Apache Kafka with SCRAM logins, KMS of the local control plane, and the local MaxCompute. A restart of the broker
ends the connections that were let in with the old password.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import (
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)
from odps import ODPS

from fc_powertools import Credentials, Deadline
from fc_powertools.decorators import opened
from kafka_maxcompute.brokers import clients, login
from kafka_maxcompute.errors import RefusedError
from kafka_maxcompute.ledger import identity
from kafka_maxcompute.ledger.kafka_log import KafkaLog
from kafka_maxcompute.ledger.ledger import LogLedger
from kafka_maxcompute.maxcompute import table_definition
from kafka_maxcompute.maxcompute.service import Service
from kafka_maxcompute.settings.destinations import TrustedAddress
from local_emulator.control_plane import server as control_plane
from local_emulator.control_plane.account_setup import add_secret
from local_emulator.kafka.apache import ApacheBroker
from local_emulator.kafka.security import Security
from local_emulator.maxcompute import server as maxcompute
from maxcompute_sink import broker_clients
from maxcompute_sink.instance import Instance
from tests.control_plane_clients import OWNER
from tests.deadlines import soon
from tests.faults.broker_restart import kill_and_start_again
from tests.kafka_certificates import certificates
from tests.kafka_events import HOUR_14, element, payload
from tests.kafka_security import USER, SecuredKafka

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.java, pytest.mark.xdist_group("apache_kafka")]

PROJECT, SECRET = "connector_test", "orders/kafka"
PT = "11-17-2020 14"
TOPICS = {"orders": 1, "connect-offset-c": 1, "connect-status-c": 1, "connect-error-c": 1, "connect-dead-c": 1}
BAD = {"value": {"no": "text"}}
COLUMNS = "topic STRING,partition BIGINT,offset BIGINT,key STRING,value STRING"
PASSWORDS = iter(f"horse-number-{number}" for number in range(1, 100))


@dataclass
class Rotating:
    """A connector whose password is in KMS."""

    kafka: SecuredKafka
    plane: control_plane.ControlPlaneServer
    tables: maxcompute.MaxComputeServer
    odps: ODPS
    password: str

    def environment(self, **changed: str) -> dict[str, str]:
        """Of the function."""
        given = {
            "name": "c",
            "region": "cn-hangzhou",
            "source_topic": "orders",
            "endpoint": self.tables.endpoint,
            "project": PROJECT,
            "table": "t",
            "delivery": "exactly-once",
            "bootstrap_servers": self.kafka.broker.servers["SASL_PLAINTEXT"],
            "security_protocol": "SASL_PLAINTEXT",
            "sasl_mechanism": "SCRAM-SHA-256",
            "sasl_username": USER,
            "sasl_password": f"kms:{SECRET}",
            "dead_letter_topic": "connect-dead-c",
            **changed,
        }
        keys = {"ALIBABA_CLOUD_ACCESS_KEY_ID": OWNER[0], "ALIBABA_CLOUD_ACCESS_KEY_SECRET": OWNER[1]}
        return (
            keys
            | {"CONTROL_ENDPOINT": self.plane.url}
            | {f"CONNECTOR_{name.upper()}": text for name, text in given.items()}
        )

    def deliver(self, instance: Instance, *offsets: int, bad: bool = False, timeout: int = 60) -> dict[str, Any]:
        """One batch, given by its offsets."""
        context = SimpleNamespace(request_id="r", function=SimpleNamespace(name="sink", timeout=timeout))
        elements = [element(one, timestamp=HOUR_14, **(BAD if bad else {})) for one in offsets]
        with opened(context, environment=self.environment()) as invocation:
            return instance.handle(payload(*elements), invocation)

    def change_at_brokers(self) -> None:
        """Give the user another password."""
        self.password = next(PASSWORDS)
        information = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_256, 8192)
        change = UserScramCredentialUpsertion(USER, information, self.password.encode())
        admin = self.kafka.admin
        for future in admin.alter_user_scram_credentials([change]).values():
            future.result(20)

    def change_in_kms(self) -> None:
        """Store the brokers' password."""
        add_secret(self.plane, SECRET, self.password)

    def log(self) -> KafkaLog:
        """The ledger's log as the function reaches it now."""
        settings = Instance(self.environment()).settings
        return KafkaLog(clients.configuration(settings, self.environment(), Credentials(*OWNER)), "connect-offset-c")

    @property
    def asked(self) -> int:
        """How often KMS was asked."""
        return self.plane.log.actions().count("GetSecretValue")

    @property
    def offsets(self) -> list[int]:
        """Those of the rows."""
        with self.odps.get_table("t").open_reader(partition={"pt": PT}, arrow=False) as reader:
            return sorted(found["offset"] for found in reader)


@pytest.fixture(scope="module")
def kafka() -> Iterator[SecuredKafka]:
    made = certificates("127.0.0.1")
    with ApacheBroker(TOPICS, security=Security({USER: next(PASSWORDS)}, made.broker)) as broker:
        secured = SecuredKafka(broker, made)
        for topic in TOPICS:
            secured.allow(ResourceType.TOPIC, topic, "ALL")
        secured.allow(ResourceType.GROUP, "connect-c", "ALL")
        policy = ConfigEntry("cleanup.policy", "compact", incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource(ConfigResource.Type.TOPIC, "connect-offset-c", incremental_configs=[policy])
        admin = secured.admin
        for future in admin.incremental_alter_configs([resource]).values():
            future.result(20)
        producer = Producer({"bootstrap.servers": broker.bootstrap_servers, "log_level": 0})
        for number in range(40):
            producer.produce("orders", b"v%d" % number, b"k%d" % number, timestamp=HOUR_14)
        assert producer.flush(20) == 0
        yield secured


@pytest.fixture(scope="module")
def _prepared(kafka: SecuredKafka) -> Iterator[Rotating]:
    with (
        control_plane.start() as plane,
        maxcompute.start(project=PROJECT, access_id=OWNER[0], access_key=OWNER[1]) as tables,
    ):
        odps = ODPS(*OWNER, PROJECT, endpoint=tables.endpoint, logview_host="http://127.0.0.1")
        odps.execute_sql(f"CREATE TABLE t({COLUMNS}) PARTITIONED BY (pt STRING);")
        made = Rotating(kafka, plane, tables, odps, "")
        created = table_definition.look(
            Service(TrustedAddress(tables.endpoint), PROJECT, Credentials(*OWNER)), "t", soon()
        ).created
        log = KafkaLog({"bootstrap.servers": kafka.broker.bootstrap_servers}, "connect-offset-c")
        LogLedger(log).append(identity.genesis("c", f"{PROJECT}.t", created, {}), soon())
        log.close()
        yield made


@pytest.fixture
def rotating(_prepared: Rotating, monkeypatch: pytest.MonkeyPatch) -> Rotating:
    """The connector, with a password that both sides know."""
    monkeypatch.setattr(broker_clients, "PAUSE_SECONDS", 1.0)
    _prepared.change_at_brokers()
    _prepared.change_in_kms()
    return _prepared


def test_a_warm_instance_goes_on_with_the_changed_password(rotating: Rotating) -> None:
    instance, asked = Instance(rotating.environment()), rotating.asked
    assert rotating.deliver(instance, 0)["records"] == 1
    rotating.change_at_brokers()
    rotating.change_in_kms()
    assert rotating.deliver(instance, 1)["records"] == 1  # connections that are up stay so
    kill_and_start_again(rotating.kafka.broker)
    assert rotating.deliver(instance, 2)["records"] == 1
    # Letters, the log of the source topic and the status have clients of their own.
    assert rotating.deliver(instance, 3, bad=True)["diverted"] == 1
    again = rotating.deliver(instance, 0, 1, 2, 3, 4)
    assert again.get("dropped") == 4, again
    instance.close()
    assert rotating.offsets == [0, 1, 2, 4]
    assert rotating.asked == asked + 2


def test_while_the_secret_is_wrong_kms_is_asked_now_and_then_and_afterwards_all_goes_on(
    rotating: Rotating, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broker_clients, "PAUSE_SECONDS", 60.0)
    exactly_once, at_least_once = (
        Instance(rotating.environment()),
        Instance(rotating.environment(delivery="at-least-once")),
    )
    for instance in (exactly_once, at_least_once):
        rotating.deliver(instance, 10, bad=True)
    rotating.change_at_brokers()
    kill_and_start_again(rotating.kafka.broker)
    asked, began = rotating.asked, time.monotonic()
    for instance in (exactly_once, exactly_once, at_least_once, at_least_once):
        with pytest.raises(RefusedError, match="the brokers refused the login") as raised:
            rotating.deliver(instance, 11, bad=True, timeout=240)
        assert raised.value.code == login.REFUSED
    assert rotating.asked == asked + 2
    assert time.monotonic() - began < 120
    rotating.change_in_kms()
    for instance in (exactly_once, at_least_once):
        instance._clients._read_secret -= 60.0
        assert rotating.deliver(instance, 11, bad=True)["diverted"] == 1
        instance.close()


def test_an_append_that_was_refused_is_not_sent_later(rotating: Rotating) -> None:
    log = rotating.log()
    end = log.end(soon())
    rotating.change_at_brokers()
    kill_and_start_again(rotating.kafka.broker)
    with pytest.raises(RefusedError, match="the brokers refused the login"):
        log.append(b"key", b"value", Deadline.after(60))
    log.close()
    rotating.change_in_kms()
    again = rotating.log()
    assert again.end(soon()) == end
    again.close()
