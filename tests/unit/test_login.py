"""A login that brokers refuse: taken note of, waits end, and clients are recreated if the secret has changed."""

from __future__ import annotations

import logging
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from confluent_kafka import KafkaError

from kafka_maxcompute.brokers import login
from kafka_maxcompute.brokers.login import Login
from kafka_maxcompute.errors import RefusedError
from kafka_maxcompute.settings.settings import Settings
from maxcompute_sink.broker_clients import PAUSE_SECONDS, BrokerClients
from tests.deployed import deployed

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.quick

REFUSAL = KafkaError(KafkaError._AUTHENTICATION, "SASL authentication error: no")
SETTINGS = Settings.from_mapping(
    {
        "name": "orders",
        "source_topic": "orders",
        "endpoint": "http://127.0.0.1:1/api",
        "project": "p",
        "table": "t",
        "bootstrap_servers": "127.0.0.1:1",
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "SCRAM-SHA-256",
        "sasl_username": "connector",
        "sasl_password": "env:CONNECTOR_SECRET_KAFKA",
    }
)


class TestLogin:
    """What the clients of one configuration are told."""

    def test_a_refusal_ends_a_wait_after_its_patience(self) -> None:
        told, began = Login(), time.monotonic()
        told.check("reading", since=began)
        told(REFUSAL)
        told.check("reading", since=began, patience=60)
        with pytest.raises(
            RefusedError, match="reading: the brokers refused the login: SASL authentication error"
        ) as no:
            told.check("reading", since=began)
        assert no.value.code == login.REFUSED

    def test_what_was_said_before_a_wait_began_or_was_forgotten_ends_none(self) -> None:
        told = Login()
        told(REFUSAL)
        told.check("reading", since=time.monotonic() + 1)
        told.forget()
        told.check("reading", since=0)

    def test_other_errors_are_no_refusal_and_each_kind_is_logged_now_and_then(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        told = Login()
        with caplog.at_level(logging.WARNING):
            for _ in range(50):
                told(KafkaError(KafkaError._TRANSPORT, "refused"))
                told(KafkaError(KafkaError._ALL_BROKERS_DOWN, "1/1 brokers are down"))
        assert told.refused == ""
        assert len(caplog.records) == 2

    def test_clients_of_one_configuration_share_it(self) -> None:
        told = Login()
        assert login.of({"error_cb": told}) is told
        assert login.of({}).refused == ""


class TestClients:
    """The clients that an instance keeps."""

    @pytest.fixture(autouse=True)
    def _instance(self) -> Iterator[None]:
        self.now, self.environment = 1_000.0, deployed(SETTINGS, {"CONNECTOR_SECRET_KAFKA": "first"})
        self.clients = BrokerClients(SETTINGS, lambda: self.now)
        self.connect()
        yield
        self.clients.close()

    def connect(self) -> Any:
        return self.clients.connect(self.invocation)

    @property
    def invocation(self) -> Any:
        return SimpleNamespace(environment=self.environment, credentials=None)

    def refused(self) -> None:
        assert self.clients.connections is not None
        self.clients.connections.login(REFUSAL)

    def test_they_are_kept_as_long_as_no_login_is_refused(self) -> None:
        first = self.connect()
        self.environment["CONNECTOR_SECRET_KAFKA"] = "second"  # a test's
        assert self.connect() is first

    def test_they_are_recreated_with_a_changed_secret_by_the_next_use(self) -> None:
        first, upkeep = self.connect(), self.clients.upkeep
        self.refused()
        self.environment["CONNECTOR_SECRET_KAFKA"] = "second"  # a test's
        second = self.connect()
        assert second is not first
        assert self.clients.upkeep is not upkeep
        assert second.configuration["sasl.password"] == "second"  # a test's
        assert not second.login.refused
        assert not self.clients.renew(self.invocation)

    def test_the_secret_is_read_once_in_a_while_however_often_a_login_is_refused(self) -> None:
        first, reads = self.connect(), 0
        for _ in range(100):
            self.refused()
            before = self.clients._read_secret
            assert self.connect() is first
            reads += self.clients._read_secret != before
            self.now += 1
        assert reads == -(-100 // int(PAUSE_SECONDS))

    def test_a_secret_that_cannot_be_read_changes_nothing(self) -> None:
        first = self.connect()
        self.refused()
        del self.environment["CONNECTOR_SECRET_KAFKA"]
        assert self.connect() is first
