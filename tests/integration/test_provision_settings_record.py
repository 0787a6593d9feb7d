"""The settings record in the config topic: what it says, whose name it keeps, and the drift that it shows."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from local_emulator.kafka.producer import produce
from local_emulator.kafka.record import Record
from tests.provision_cloud import Surrounding, running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kafka_maxcompute.brokers.originals import Original

TOPIC = "connect-config-orders"


@pytest.fixture
def around() -> Iterator[Surrounding]:
    with running() as started:
        started.deploy()
        yield started


def records(around: Surrounding, topic: str = TOPIC) -> list[Original]:
    """All that the topic holds."""
    with around.cloud() as cloud:
        log = cloud.clients.logs().read({(topic, 0): [(0, 1_000)]}, cloud.deadline)
    return [log[place] for place in sorted(log)]


def record_step(reply: dict[str, Any]) -> dict[str, Any]:
    (found,) = [step for step in reply["steps"] if step["resource"].startswith("settings of ")]
    return dict(found)


def test_it_says_what_was_applied_by_the_connectors_name(around: Surrounding) -> None:
    assert around.ask("apply", create_table=True, accept_risk=["filter"])["state"] == "applied"
    (record,) = records(around)
    assert record.key == b"orders"
    told = json.loads(record.value or b"")
    assert (told["v"], told["accept_risk"], told["start"]) == (1, ["filter"], {})
    assert {name: told["settings"][name] for name in ("name", "table", "partition", "concurrency")} == {
        "name": "orders",
        "table": "test_kafka",
        "partition": "HOUR",
        "concurrency": 6,
    }
    # A risk stays accepted until an event says which are.
    assert around.ask("plan")["state"] == "unchanged"
    withdrawn = record_step(around.ask("plan", accept_risk=[]))
    assert withdrawn["differences"] == [{"field": "accept_risk", "found": "filter", "wanted": "none"}]


def test_a_password_is_kept_as_a_reference_only(around: Surrounding) -> None:
    login = {"security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": "SCRAM-SHA-256", "sasl_username": "writer"}
    password = {"sasl_password": "env:CONNECTOR_SECRET_BROKERS"}
    with around.cloud() as cloud:
        assert cloud.environment.get("CONNECTOR_SECRET_BROKERS") is None
    reply = around.ask("plan", {**login, **password, "bootstrap_servers": around.broker.bootstrap_servers})
    assert "expected a password in the variable CONNECTOR_SECRET_BROKERS, found none" in record_step(reply)["why"][0]
    refused = around.ask("plan", {**login, "sasl_password": "hunter2"})
    assert refused["state"] == "refused"
    assert "hunter2" not in json.dumps(refused)


def test_a_name_in_use_for_another_source_or_table_is_refused(around: Surrounding) -> None:
    around.ask("apply", create_table=True)
    changes, before = around.changes(), records(around)
    other = {"source_topic": "payments-in", "project": "elsewhere", "table": "payments"}
    reply = around.ask("apply", other, create_table=True)
    assert (reply["state"], reply["done"]) == ("blocked", [])
    assert record_step(reply)["why"] == [
        f"{field}: {found} -> {wanted}; the name orders is in use for another {word}; take another connector name, or, "
        f'to change this connector, give change: ["{field}"]'
        for field, word, found, wanted in (
            ("source_topic", "source topic", "orders-in", "payments-in"),
            ("project", "project", "connector_test", "elsewhere"),
            ("table", "table", "test_kafka", "payments"),
        )
    ]
    assert (around.changes(), records(around)) == (changes, before)


def test_a_table_is_changed_when_that_is_named(around: Surrounding) -> None:
    around.ask("apply", create_table=True)
    other = {"table": "other_table"}
    around.deploy(other)
    planned = around.ask("plan", other, create_table=True, change=["table"])
    assert planned["state"] == "changes", planned
    assert record_step(planned)["differences"] == [
        {
            "field": "table",
            "found": "test_kafka",
            "wanted": "other_table",
            "means": "rows land in table other_table from now on; "
            "rows that are written stay where they are, in test_kafka",
        }
    ]
    assert around.ask("apply", other, create_table=True, change=["table"])["state"] == "applied"
    assert around.ask("plan", other)["state"] == "unchanged"
    assert len(records(around)) == 2


def test_two_connectors_can_share_a_topic(around: Surrounding) -> None:
    around.ask("apply", create_table=True)
    with running(around.broker, "payments") as other:
        shared = {"config_topic": TOPIC, "resource_creation": "manual"}
        # Manual mode makes nothing, and would still write the record: nobody could by hand.
        assert record_step(other.ask("plan", shared))["do"] == "create"
    assert around.ask("plan")["state"] == "unchanged"


@pytest.mark.parametrize("value", [b"{}", b"not JSON", b'{"v": 2, "settings": {}}', b'{"v": 1, "settings": 5}', b"[]"])
def test_a_record_of_another_kind_stops_it(around: Surrounding, value: bytes) -> None:
    around.broker.create_topic(TOPIC, 1)
    send(around, value)
    found = record_step(around.ask("plan"))
    assert found["do"] == "blocked"
    assert f"topic {TOPIC}: expected a settings record of version 1, found one of version" in found["why"][0]


def test_an_empty_record_is_none(around: Surrounding) -> None:
    around.broker.create_topic(TOPIC, 1)
    send(around, None)
    assert record_step(around.ask("plan"))["do"] == "create"


def send(around: Surrounding, value: bytes | None) -> None:
    produce(around.broker.bootstrap_servers, TOPIC, [Record(0, 1, b"orders", value)])


def test_a_destroyed_connector_leaves_its_name(around: Surrounding) -> None:
    around.ask("apply", create_table=True)
    around.ask("destroy", confirm="orders")
    assert records(around)[-1].value is None
    assert record_step(around.ask("plan"))["do"] == "create"
