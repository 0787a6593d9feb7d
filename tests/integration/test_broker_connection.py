"""Reaching a real Kafka over TLS and with logins; and what is said when that fails, in the broker's own words."""

from __future__ import annotations

import pytest
from confluent_kafka.admin import ResourceType

from fc_powertools import Deadline
from kafka_maxcompute.brokers import clients
from kafka_maxcompute.errors import ConfigurationError, UnavailableError
from local_emulator.kafka.embedded import EmbeddedBroker
from provisioning.broker_connection import reach
from tests.deployed import deployed
from tests.kafka_certificates import certificates
from tests.kafka_security import PASSWORD, SecuredKafka


def asked(kafka: SecuredKafka, protocol: str, mechanism: str = "SCRAM-SHA-256", **changed: object) -> dict[str, int]:
    """The topics that are seen with right settings, some of them changed."""
    settings = kafka.settings(protocol, mechanism, **changed)
    others = {"CONNECTOR_CA_OTHER": certificates("127.0.0.1").authority, "CONNECTOR_SECRET_OTHER": "wrong-horse"}
    configuration = clients.configuration(settings, kafka.environment(settings) | others)
    return reach(configuration, Deadline.after(15))


def refusal(kafka: SecuredKafka, protocol: str, mechanism: str = "SCRAM-SHA-256", **changed: object) -> str:
    with pytest.raises(ConfigurationError) as raised:
        asked(kafka, protocol, mechanism, **changed)
    (fault,) = raised.value.faults
    assert PASSWORD not in fault
    assert "wrong-horse" not in fault
    return fault


@pytest.mark.java
@pytest.mark.xdist_group("apache_kafka")
@pytest.mark.parametrize(
    ("protocol", "mechanism"),
    [
        ("PLAINTEXT", ""),
        ("SSL", ""),
        ("SASL_PLAINTEXT", "PLAIN"),
        ("SASL_PLAINTEXT", "SCRAM-SHA-256"),
        ("SASL_SSL", "PLAIN"),
        ("SASL_SSL", "SCRAM-SHA-256"),
        ("SASL_SSL", "SCRAM-SHA-512"),
    ],
)
def test_every_protocol_and_mechanism(secured_kafka: SecuredKafka, protocol: str, mechanism: str) -> None:
    secured_kafka.broker.create_topic("seen", 3)
    secured_kafka.allow(ResourceType.TOPIC, "seen", "DESCRIBE")
    assert asked(secured_kafka, protocol, mechanism)["seen"] == 3


@pytest.mark.java
@pytest.mark.xdist_group("apache_kafka")
@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_a_wrong_password(secured_kafka: SecuredKafka, mechanism: str) -> None:
    fault = refusal(secured_kafka, "SASL_SSL", mechanism, sasl_password="env:CONNECTOR_SECRET_OTHER")
    assert fault.startswith(f"brokers {secured_kafka.broker.servers['SASL_SSL']}, with SASL_SSL: ")
    assert "SASL authentication error: Authentication failed" in fault
    assert "; fix sasl_username, sasl_password or sasl_mechanism" in fault


@pytest.mark.java
@pytest.mark.xdist_group("apache_kafka")
def test_a_certificate_of_an_authority_that_is_not_known(secured_kafka: SecuredKafka) -> None:
    for changed in ({"ssl_ca": "env:CONNECTOR_CA_OTHER"}, {"ssl_ca": ""}):
        fault = refusal(secured_kafka, "SASL_SSL", **changed)
        assert "certificate verify failed" in fault
        assert "; give the authority of the brokers' certificate in ssl_ca" in fault


@pytest.mark.java
@pytest.mark.xdist_group("apache_kafka")
def test_a_certificate_that_does_not_name_the_broker(secured_kafka: SecuredKafka) -> None:
    servers = secured_kafka.broker.servers["SASL_SSL"].replace("127.0.0.1", "localhost")
    fault = refusal(secured_kafka, "SASL_SSL", bootstrap_servers=servers)
    assert "certificate verify failed" in fault
    assert "set ssl_check_hostname to false" in fault
    assert isinstance(asked(secured_kafka, "SASL_SSL", bootstrap_servers=servers, ssl_check_hostname=False), dict)


@pytest.mark.java
@pytest.mark.xdist_group("apache_kafka")
def test_the_listener_of_another_protocol(secured_kafka: SecuredKafka) -> None:
    plain = secured_kafka.broker.servers["PLAINTEXT"]
    encrypted = refusal(secured_kafka, "SSL", bootstrap_servers=plain)
    assert "connecting to a PLAINTEXT broker listener?" in encrypted
    assert encrypted.endswith("; set security_protocol to this listener's protocol")
    with_login = refusal(secured_kafka, "SASL_PLAINTEXT", bootstrap_servers=plain)
    assert "handshake failed" in with_login
    assert "security_protocol if this listener doesn't ask for a login" in with_login


@pytest.mark.java
@pytest.mark.xdist_group("apache_kafka")
@pytest.mark.parametrize("protocol", ["SSL", "SASL_PLAINTEXT"])
def test_a_connection_that_comes_without_what_the_listener_asks_for(secured_kafka: SecuredKafka, protocol: str) -> None:
    settings = secured_kafka.settings("PLAINTEXT", bootstrap_servers=secured_kafka.broker.servers[protocol])
    with pytest.raises(UnavailableError, match=r"with PLAINTEXT: .*check security_protocol, too"):
        reach(clients.configuration(settings, deployed(settings)), Deadline.after(1.5))


@pytest.mark.parametrize("servers", ["127.0.0.1:1", "nowhere.invalid:9092"])
def test_nobody_there(servers: str) -> None:
    configuration = {"bootstrap.servers": servers, "security.protocol": "PLAINTEXT", "log_level": 0}
    said = "Failed to resolve" if "nowhere" in servers else "Connection refused"
    with pytest.raises(
        UnavailableError, match=f"brokers {servers}, with PLAINTEXT: .*{said}.*; check bootstrap_servers"
    ):
        reach(configuration, Deadline.after(1))


def test_without_time_nobody_is_asked() -> None:
    with pytest.raises(UnavailableError):
        reach({"bootstrap.servers": "127.0.0.1:1", "security.protocol": "PLAINTEXT", "log_level": 0}, Deadline.after(0))


def test_one_broker_of_several_suffices() -> None:
    with EmbeddedBroker({"orders": 2}) as broker:
        servers = f"127.0.0.1:1,{broker.bootstrap_servers}"
        configuration = {"bootstrap.servers": servers, "security.protocol": "PLAINTEXT", "log_level": 0}
        assert reach(configuration, Deadline.after(10))["orders"] == 2
