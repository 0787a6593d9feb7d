"""Brokers that create topics by themselves: no client of ours brings back the topics that a destroy removed."""

from __future__ import annotations

import threading
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient

from fc_powertools import Deadline
from kafka_maxcompute.brokers import clients
from kafka_maxcompute.brokers.appending import Append, Appender
from kafka_maxcompute.brokers.originals import Original
from kafka_maxcompute.errors import BatchError
from kafka_maxcompute.ledger import offset_topic
from kafka_maxcompute.ledger.kafka_log import KafkaLog
from local_emulator.kafka import apache
from local_emulator.kafka.apache import ApacheBroker
from provisioning import actions
from provisioning.resources.broker_topics import BrokerTopic
from tests.deadlines import soon
from tests.deployed import deployed
from tests.provision_cloud import Surrounding, running
from tests.stream_clients import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.java, pytest.mark.xdist_group("apache_kafka")]


SIZES = {"offset": 6, "config": 1, "status": 6, "error": 6}
"""Topic-partitions of what apply creates."""


@pytest.fixture(scope="module")
def creating_kafka() -> Iterator[ApacheBroker]:
    with pytest.MonkeyPatch.context() as patch:
        by_default = apache.PROPERTIES.replace("auto.create.topics.enable=false", "auto.create.topics.enable=true")
        patch.setattr(apache, "PROPERTIES", by_default)
        with ApacheBroker() as broker:
            yield broker


@pytest.fixture
def around(creating_kafka: ApacheBroker) -> Iterator[Surrounding]:
    servers, name = creating_kafka.bootstrap_servers, f"orders-{uuid.uuid4().hex[:8]}"
    with running(creating_kafka, name) as made:
        given = {"control": "admin", "instance_id": "", "bootstrap_servers": servers, "delivery": "exactly-once"}
        found = replace(made, settings=made.settings | given)
        found.deploy()
        assert found.ask("apply", create_table=True)["faults"] == []
        yield found


def sizes(around: Surrounding) -> dict[str, int]:
    found = AdminClient({"bootstrap.servers": around.broker.bootstrap_servers}).list_topics(timeout=10).topics
    return {name: len(one.partitions) for name, one in found.items() if name.endswith(around.settings["name"])}


def test_clients_of_a_warm_instance_do_not_bring_topics_back(around: Surrounding) -> None:
    settings = around.request().settings
    configuration = clients.configuration(settings, deployed(settings))
    appender, log = Appender(configuration), KafkaLog(configuration, settings.offset_topic)
    append = [Append(settings.status_topic, 0, Original(key=b"k", value=b"v"))]
    assert len(appender.append(append, soon())) == 1
    log.append(b"k", b"v", soon())
    gone = around.ask("destroy", confirm=settings.name, remove=["topics"], accept_risk=["again"])
    assert (gone["state"], gone["faults"]) == ("destroyed", [])
    for wait in (lambda: appender.append(append, Deadline.after(5)), lambda: log.append(b"k", b"v", Deadline.after(5))):
        with pytest.raises(BatchError):
            wait()
    log.close()
    assert sizes(around) == {}


def test_a_topic_that_goes_between_two_questions_is_gone(around: Surrounding, monkeypatch: pytest.MonkeyPatch) -> None:
    topic = BrokerTopic(around.request().settings.status_topic, "status")
    ask = offset_topic.configured

    def deleted_meanwhile(client: AdminClient, name: str, deadline: Deadline) -> dict[str, str]:
        client.delete_topics([name])[name].result(10)
        assert eventually(lambda: name not in sizes(around))
        return ask(client, name, deadline)

    monkeypatch.setattr(offset_topic, "configured", deleted_meanwhile)
    with around.cloud() as cloud:
        assert topic.look(cloud) is None


def test_a_topic_that_another_client_keeps_bringing_back_is_told_of(
    around: Surrounding, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(actions, "LOOK_AGAIN_SECONDS", 1.0)
    servers, name = around.broker.bootstrap_servers, around.settings["name"]
    topic, ended = f"connect-status-{name}", threading.Event()

    def write() -> None:
        while not ended.wait(0.1):
            producer = Producer({"bootstrap.servers": servers, "log_level": 0})
            producer.produce(topic, b"from a client that was forgotten")
            producer.flush(1)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        gone = around.ask("destroy", confirm=name, remove=["topics"], accept_risk=["again"])
    finally:
        ended.set()
        writer.join()
    assert gone["state"] == "incomplete"
    (fault,) = gone["faults"]
    # It may be there again before anybody could see that it was gone.
    assert fault.startswith(
        (
            f"topic {topic} came back after it was removed; a running client creates it",
            f"topic {topic} still exists, or came back; call again",
        )
    )


def test_an_empty_topic_that_came_back_is_set_right_by_the_next_apply(around: Surrounding) -> None:
    servers, name = around.broker.bootstrap_servers, around.settings["name"]
    assert around.ask("destroy", confirm=name, remove=["topics"], accept_risk=["again"])["state"] == "destroyed"
    client = Producer({"bootstrap.servers": servers})
    for purpose in ("offset", "config", "status"):
        client.list_topics(f"connect-{purpose}-{name}", timeout=10)
    assert set(sizes(around).values()) == {1}
    applied = around.ask("apply", create_table=True)
    assert (applied["state"], applied["faults"]) == ("applied", []), applied
    assert sizes(around) == {f"connect-{one}-{name}": size for one, size in SIZES.items()}
    assert around.ask("plan")["state"] == "unchanged"


def test_a_ledger_that_is_gone_is_lost_even_if_an_empty_topic_is_there(around: Surrounding) -> None:
    """The connector was applied, so rows may be in the table: a new ledger would write them again."""
    servers, name = around.broker.bootstrap_servers, f"connect-offset-{around.settings['name']}"
    admin = AdminClient({"bootstrap.servers": servers})  # kept until it has answered
    admin.delete_topics([name])[name].result(10)
    client = Producer({"bootstrap.servers": servers})
    while sizes(around).get(name) != 1:
        client.list_topics(name, timeout=10)
    reply = around.ask("apply", create_table=True)
    assert (reply["state"], reply["done"]) == ("blocked", [])
    assert any("ledger" in fault for fault in reply["faults"]), reply
    assert sizes(around)[name] == 1
