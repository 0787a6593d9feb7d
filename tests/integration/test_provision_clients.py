"""The clients of an invocation: each made once, when it is first asked for, and closed at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from confluent_kafka import Consumer
from confluent_kafka.admin import AdminClient

from kafka_maxcompute.brokers.appending import Appender
from kafka_maxcompute.brokers.login import LoginAdmin, LoginConsumer
from kafka_maxcompute.errors import RefusedError
from provisioning import actions
from provisioning.broker_clients import BrokerClients
from tests.provision_cloud import Surrounding, running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from provisioning.cloud import Cloud

SHARED = ("admin", "asking", "appender")


class Clients:
    """How many a connector's clients were made, and which of them are open; those of the local cloud aren't counted."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.open: dict[str, list[Any]] = {}
        self.made: dict[str, int] = {}
        for kind, close in ((AdminClient, "__exit__"), (LoginConsumer, "close"), (Appender, "close")):
            self._watch(monkeypatch, kind, close)

    def _watch(self, monkeypatch: pytest.MonkeyPatch, kind: type, close: str) -> None:
        make, end, name = kind.__init__, getattr(kind, close), kind.__name__  # type: ignore[misc] # the class itself, no subclass
        opened = self.open.setdefault(name, [])
        self.made[name] = 0

        def made(client: Any, configuration: dict[str, Any]) -> None:
            make(client, configuration)
            if str(configuration.get("client.id")).startswith("kafka-maxcompute-"):
                self.made[name] += 1
                opened.append(client)

        def ended(client: Any, *given: Any) -> Any:
            opened[:] = [one for one in opened if one is not client]
            return end(client, *given)

        monkeypatch.setattr(kind, "__init__", made)
        monkeypatch.setattr(kind, close, ended)


@pytest.fixture
def around() -> Iterator[Surrounding]:
    with running() as started:
        started.settings.update(delivery="exactly-once", bootstrap_servers=started.broker.bootstrap_servers)
        started.deploy()
        yield started


def test_an_invocation_makes_one_of_each_and_closes_them(around: Surrounding, monkeypatch: pytest.MonkeyPatch) -> None:
    clients = Clients(monkeypatch)
    assert around.ask("plan", create_table=True)["state"] == "changes"
    assert clients.made["AdminClient"] == 1
    assert around.ask("apply", create_table=True)["state"] == "applied"
    assert (clients.made["AdminClient"], clients.made["Appender"]) == (2, 1)
    assert not any(clients.open.values())


def test_they_are_closed_after_an_error(around: Surrounding, monkeypatch: pytest.MonkeyPatch) -> None:
    clients = Clients(monkeypatch)

    def fail(cloud: Cloud) -> dict[str, Any]:
        for name in SHARED:
            assert getattr(cloud.clients, name) is getattr(cloud.clients, name)
        assert all(clients.open.values())
        raise RefusedError("no", code="No")

    monkeypatch.setitem(actions.ACTIONS, "pause", fail)
    assert around.ask("pause")["faults"] == ["no"]
    assert not any(clients.open.values())


def test_they_are_used_no_more_after_they_were_closed() -> None:
    clients = BrokerClients({"bootstrap.servers": "127.0.0.1:1", "log_level": 0}, "g")
    asking = clients.asking
    assert isinstance(asking, Consumer)
    assert isinstance(clients.admin, LoginAdmin)
    clients.close()
    with pytest.raises(RuntimeError):
        asking.poll(0)
    with pytest.raises(RuntimeError):
        clients.admin.list_topics(timeout=0.1)


def test_an_invocation_without_brokers_makes_none(monkeypatch: pytest.MonkeyPatch) -> None:
    with running() as around:
        clients = Clients(monkeypatch)
        with around.cloud("bootstrap"):
            pass
        assert set(clients.made.values()) == {0}
