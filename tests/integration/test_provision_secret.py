"""The brokers' password in KMS: `bootstrap` lets both functions read that one secret, and no other."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from fc_powertools import Credentials
from kafka_maxcompute.brokers import clients
from kafka_maxcompute.errors import ConfigurationError
from kafka_maxcompute.settings.settings import Settings
from local_emulator.control_plane.account_setup import add_secret
from provisioning.resources.policy import PROVISIONER
from tests.deployed import deployed
from tests.provision_cloud import Surrounding, running

if TYPE_CHECKING:
    from collections.abc import Iterator

LOGIN = {
    "bootstrap_servers": "127.0.0.1:1",
    "security_protocol": "SASL_SSL",
    "sasl_mechanism": "PLAIN",
    "sasl_username": "connector",
    "sasl_password": "kms:orders/kafka",
}


@pytest.fixture
def around() -> Iterator[Surrounding]:
    with running() as found:
        add_secret(found.plane, "orders/kafka", "correct-horse")
        add_secret(found.plane, "payments/kafka", "battery-staple")
        yield replace(found, settings=found.settings | LOGIN)


def password(around: Surrounding, role: str, reference: str) -> object:
    """What a function with that role logs in with, if its deployment names this secret."""
    as_role = around.assumed(role)
    settings = Settings.from_mapping(around.settings | {"sasl_password": reference})
    environment = as_role.variables() | deployed(settings)
    return clients.configuration(settings, environment, Credentials(*as_role.keys))["sasl.password"]


def test_after_bootstrap_both_roles_read_the_secret_and_no_other(around: Surrounding) -> None:
    first = around.ask("bootstrap")
    assert "policy connect-secret-orders" in first["done"]
    assert around.ask("bootstrap")["done"] == []
    for role in ("AliyunKafkaMaxComputeUser1", PROVISIONER):
        assert password(around, role, "kms:orders/kafka") == "correct-horse"
        with pytest.raises(ConfigurationError, match=r"grant kms:GetSecretValue on .*:secret/payments/kafka"):
            password(around, role, "kms:payments/kafka")


def test_without_a_secret_neither_role_reads_any(around: Surrounding) -> None:
    plain = {name: value for name, value in around.settings.items() if name not in LOGIN}
    assert not [one for one in replace(around, settings=plain).ask("bootstrap")["done"] if "secret" in one]
    for role in ("AliyunKafkaMaxComputeUser1", PROVISIONER):
        with pytest.raises(ConfigurationError, match=r"Forbidden\.NoPermission"):
            password(around, role, "kms:orders/kafka")


def test_a_second_connector_with_a_secret_of_its_own_leaves_the_first_ones_readable(around: Surrounding) -> None:
    around.ask("bootstrap")
    second = replace(around, settings=around.settings | {"name": "payments", "sasl_password": "kms:payments/kafka"})
    assert "policy connect-secret-payments" in second.ask("bootstrap")["done"]
    for role in ("AliyunKafkaMaxComputeUser1", PROVISIONER):
        assert password(around, role, "kms:orders/kafka") == "correct-horse"
        assert password(around, role, "kms:payments/kafka") == "battery-staple"
    assert around.ask("bootstrap")["done"] == []


def test_an_invocation_asks_for_the_secret_once(around: Surrounding) -> None:
    with around.cloud() as cloud:
        around.plane.log.clear()
        assert cloud.clients.configuration["sasl.password"] == "correct-horse"
        assert cloud.clients.configuration is cloud.clients.configuration
    assert around.plane.log.actions().count("GetSecretValue") == 1
