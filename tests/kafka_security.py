"""A real Kafka with logins, TLS and ACLs, for the tests that need one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from kafka_maxcompute.settings.settings import Settings
from local_emulator.kafka.apache import ApacheBroker
from local_emulator.kafka.security import Security
from tests.deployed import deployed
from tests.kafka_certificates import Certificates, certificates

if TYPE_CHECKING:
    from collections.abc import Iterator

USER, PASSWORD = "connector", "correct-horse-1"
VARIABLES = {"CONNECTOR_SECRET_KAFKA": PASSWORD}


@dataclass(frozen=True, slots=True)
class SecuredKafka:
    """The broker, and the certificates that it was started with."""

    broker: ApacheBroker
    certificates: Certificates

    @property
    def variables(self) -> dict[str, str]:
        """To which references among the settings lead."""
        return VARIABLES | {"CONNECTOR_CA_KAFKA": self.certificates.authority}

    def environment(self, settings: Settings) -> dict[str, str]:
        """Of a function that is deployed with these settings."""
        return deployed(settings, self.variables)

    def settings(self, protocol: str, mechanism: str = "SCRAM-SHA-256", **changed: object) -> Settings:
        """A connector's, right for this protocol."""
        login = {"sasl_mechanism": mechanism, "sasl_username": USER, "sasl_password": "env:CONNECTOR_SECRET_KAFKA"}
        given = {
            "name": "orders",
            "source_topic": "orders",
            "endpoint": "http://127.0.0.1:1/api",
            "project": "p",
            "table": "t",
            "bootstrap_servers": self.broker.servers[protocol],
            "security_protocol": protocol,
            **(login if protocol.startswith("SASL_") else {}),
            **({"ssl_ca": "env:CONNECTOR_CA_KAFKA"} if protocol.endswith("SSL") else {}),
        }
        return Settings.from_mapping({**given, **changed})

    @property
    def admin(self) -> AdminClient:
        """Of somebody who may do everything."""
        return AdminClient({"bootstrap.servers": self.broker.bootstrap_servers, "log_level": 0})

    def allow(
        self,
        kind: ResourceType,
        name: str,
        *operations: str,
        pattern: ResourcePatternType = ResourcePatternType.LITERAL,
        user: str = USER,
        effect: AclPermissionType = AclPermissionType.ALLOW,
    ) -> None:
        """Give the user rights."""
        bindings = [
            AclBinding(kind, name, pattern, f"User:{user}", "*", AclOperation[operation], effect)
            for operation in operations
        ]
        admin = self.admin  # kept until all futures are done: they end with their client
        for future in admin.create_acls(bindings).values():
            future.result(10)

    def forget_rights(self) -> None:
        """Take all rights away."""
        every = AclBindingFilter(
            ResourceType.ANY,
            None,  # type: ignore[arg-type] # None is any name; confluent-kafka's annotation lacks it
            ResourcePatternType.ANY,
            None,  # type: ignore[arg-type] # None is any, as above
            None,  # type: ignore[arg-type] # None is any, as above
            AclOperation.ANY,
            AclPermissionType.ANY,
        )
        admin = self.admin
        for future in admin.delete_acls([every]).values():
            future.result(10)


@pytest.fixture(scope="session")
def _started_kafka() -> Iterator[SecuredKafka]:
    made = certificates("127.0.0.1")
    with ApacheBroker(security=Security({USER: PASSWORD, "stranger": "correct-horse-2"}, made.broker)) as broker:
        yield SecuredKafka(broker, made)


@pytest.fixture
def secured_kafka(_started_kafka: SecuredKafka) -> SecuredKafka:
    """A broker that gives nobody any rights yet."""
    _started_kafka.forget_rights()
    return _started_kafka
