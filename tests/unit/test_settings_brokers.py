"""Settings for the brokers: each value's form, what goes together, and that a password is never shown."""

from __future__ import annotations

import pytest

from kafka_maxcompute.errors import ConfigurationError
from kafka_maxcompute.settings.advice import advice
from kafka_maxcompute.settings.settings import Settings

pytestmark = pytest.mark.quick

NEEDED = {
    "name": "orders",
    "source_topic": "orders",
    "endpoint": "http://service.cn-hangzhou-vpc.maxcompute.aliyun-inc.com/api",
    "project": "p",
    "table": "t",
    "delivery": "at-least-once",
}
LOGIN = {
    "security_protocol": "SASL_SSL",
    "sasl_mechanism": "SCRAM-SHA-256",
    "sasl_username": "connector",
    "sasl_password": "kms:orders/kafka",
}


def settings(**changed: object) -> Settings:
    return Settings.from_mapping({**NEEDED, **changed})


def faults(**changed: object) -> list[str]:
    with pytest.raises(ConfigurationError) as raised:
        settings(**changed)
    return list(raised.value.faults)


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("b-1.example:9092", "b-1.example:9092"),
        (" 10.0.0.1:9093 , 10.0.0.2:9093", "10.0.0.1:9093,10.0.0.2:9093"),
        ("[fd00::1]:65535", "[fd00::1]:65535"),
    ],
)
def test_brokers_are_read(given: str, read: str) -> None:
    assert settings(bootstrap_servers=given).bootstrap_servers == read


@pytest.mark.parametrize(
    "given", ["broker", "broker:0", "broker:65536", "broker:9092,", "a:1 b:2", "http://a:1", "u@a:1", 9092, True]
)
def test_what_are_no_brokers_is_refused(given: object) -> None:
    (fault,) = faults(bootstrap_servers=given)
    assert fault.startswith("bootstrap_servers: expected host:port, more than one separated by commas, found ")


@pytest.mark.parametrize(
    "given", ["hunter2", "env:", "env:no name", "env:1", "kms:", "KMS:orders", "kms:a b", "env:KAFKA_PASSWORD", True]
)
def test_a_password_itself_is_refused_and_not_shown(given: object) -> None:
    (fault,) = faults(**{**LOGIN, "sasl_password": given})
    expected = "sasl_password: expected env:CONNECTOR_SECRET_... of a variable, or kms:NAME of a secret in KMS"
    assert fault == f"{expected}, found something else, which isn't shown; fix it, or leave it out"


def test_sasl_needs_mechanism_name_and_password_at_once() -> None:
    found = faults(security_protocol="SASL_PLAINTEXT")
    assert [fault.partition(":")[0] for fault in found] == ["sasl_mechanism", "sasl_username", "sasl_password"]
    assert all("security_protocol SASL_PLAINTEXT needs it; set it to " in fault for fault in found)


def test_a_login_without_sasl_is_refused() -> None:
    found = faults(**{**LOGIN, "security_protocol": "SSL"})
    assert [fault.partition(":")[0] for fault in found] == ["sasl_mechanism", "sasl_username", "sasl_password"]
    assert all("security_protocol SSL uses no login" in fault for fault in found)


def test_an_authority_without_tls_is_refused() -> None:
    found = faults(ssl_ca="/code/ca.pem", ssl_check_hostname="false")
    assert [fault.partition(":")[0] for fault in found] == ["ssl_ca", "ssl_check_hostname"]


@pytest.mark.parametrize("given", ["ca.pem", "env:", "env:PATH", "-----BEGIN CERTIFICATE-----", 1])
def test_an_authority_is_a_variable_or_an_absolute_path(given: object) -> None:
    assert faults(**LOGIN, ssl_ca=given)[0].startswith("ssl_ca: expected env:CONNECTOR_CA_... of a variable with PEM")


def test_a_user_has_printable_characters() -> None:
    assert faults(**{**LOGIN, "sasl_username": "a\nb"})[0].startswith("sasl_username: expected a user's name")


def test_admin_needs_the_brokers() -> None:
    assert faults(control="admin") == [
        "bootstrap_servers: control admin needs it; set it to host:port of the brokers",
    ]
    assert settings(control="admin", bootstrap_servers="a:1").control == "admin"


def test_what_weakens_a_connection_is_told() -> None:
    plain = settings(**{**LOGIN, "security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": "PLAIN"})
    assert any("clear text" in line for line in advice(plain))
    blind = settings(**LOGIN, ssl_check_hostname=False)
    assert any("ssl_check_hostname is false" in line for line in advice(blind))
    assert not any("clear text" in line or "hostname" in line for line in advice(settings(**LOGIN)))
