"""The properties that Kafka's clients get out of the settings, and where secrets come from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from kafka_maxcompute.brokers import clients
from kafka_maxcompute.errors import ConfigurationError
from kafka_maxcompute.settings.settings import Settings
from tests.deployed import deployed

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

pytestmark = pytest.mark.quick

PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
SECRET = "CONNECTOR_SECRET_KAFKA"
LOGIN = {
    "security_protocol": "SASL_SSL",
    "sasl_mechanism": "SCRAM-SHA-256",
    "sasl_username": "connector",
    "sasl_password": "env:CONNECTOR_SECRET_KAFKA",
}


def settings(**changed: object) -> Settings:
    return Settings.from_mapping(
        {
            "name": "orders",
            "source_topic": "orders",
            "endpoint": "http://127.0.0.1:1/api",
            "project": "p",
            "table": "t",
            "bootstrap_servers": "10.0.0.1:9092,10.0.0.2:9092",
            "delivery": "at-least-once",
            **changed,
        }
    )


def configuration(environment: Mapping[str, str] | None = None, **changed: object) -> dict[str, Any]:
    given = settings(**changed)
    return clients.configuration(given, deployed(given, environment))


def faults(environment: Mapping[str, str], **changed: object) -> tuple[str, ...]:
    with pytest.raises(ConfigurationError) as raised:
        configuration(environment, **changed)
    return raised.value.faults


def test_without_a_login_there_is_nothing_of_one() -> None:
    found = configuration()
    assert found["bootstrap.servers"] == "10.0.0.1:9092,10.0.0.2:9092"
    assert found["client.id"] == "kafka-maxcompute-orders"
    assert found["security.protocol"] == "PLAINTEXT"
    assert [name for name in found if name.startswith(("sasl", "ssl"))] == []


def test_a_login_and_an_authority_out_of_variables() -> None:
    environment = {"CONNECTOR_SECRET_KAFKA": "hunter2", "CONNECTOR_CA_KAFKA": PEM}
    found = configuration(environment, **LOGIN, ssl_ca="env:CONNECTOR_CA_KAFKA")
    assert {name: value for name, value in found.items() if name.startswith(("sasl", "ssl"))} == {
        "sasl.mechanism": "SCRAM-SHA-256",
        "sasl.username": "connector",
        "sasl.password": "hunter2",
        "ssl.endpoint.identification.algorithm": "https",
        "ssl.ca.pem": PEM,
    }


def test_an_authority_out_of_a_file_and_hosts_that_are_not_named(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_text(PEM, encoding="ascii")
    found = configuration(security_protocol="SSL", ssl_ca=str(file), ssl_check_hostname=False)
    assert found["ssl.ca.location"] == str(file)
    assert found["ssl.endpoint.identification.algorithm"] == "none"


def test_without_an_authority_the_systems_are_believed() -> None:
    found = configuration(security_protocol="SSL")
    assert [name for name in found if name.startswith("ssl.ca")] == []


def test_everything_that_lacks_is_told_at_once() -> None:
    found = faults({"CONNECTOR_CA_KAFKA": "none"}, **LOGIN, ssl_ca="env:CONNECTOR_CA_KAFKA", bootstrap_servers="")
    assert found == (
        "bootstrap_servers isn't set; set it to host:port of the brokers",
        f"sasl_password: expected a password in the variable {SECRET}, found none; set it for the function",
        "ssl_ca: expected PEM text in the variable CONNECTOR_CA_KAFKA, found none; set it for the function",
    )


def test_a_file_that_is_not_there_and_kms_without_keys() -> None:
    found = faults({}, **{**LOGIN, "sasl_password": "kms:orders"}, ssl_ca="/nowhere/ca.pem")
    assert found == (
        "sasl_password: expected the keys of a role to ask KMS with, found none; give the function a role",
        "ssl_ca: expected a PEM file at /nowhere/ca.pem, found none; put it into the code or a layer",
    )
