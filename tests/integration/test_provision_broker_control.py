"""Control by the brokers themselves: what a connector needs is made in a real Kafka that isn't ApsaraMQ's."""

from __future__ import annotations

import uuid
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from confluent_kafka import Consumer
from confluent_kafka.admin import AdminClient, ConfigResource
from confluent_kafka.cimpl import NewTopic

from kafka_maxcompute.errors import RefusedError
from local_emulator.kafka.producer import produce
from local_emulator.kafka.record import Record
from provisioning.resources.broker_topics import BrokerTopic, BrokerTopicState
from provisioning.resources.topics import PARTITIONS
from tests.kafka_fixtures import committed
from tests.provision_cloud import Surrounding, running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from local_emulator.kafka.apache import ApacheBroker

pytestmark = [pytest.mark.java, pytest.mark.xdist_group("apache_kafka")]


EXACTLY_ONCE = {"delivery": "exactly-once"}


@pytest.fixture
def around(apache_kafka: ApacheBroker) -> Iterator[Surrounding]:
    with running(apache_kafka, f"orders-{uuid.uuid4().hex[:8]}") as made:
        given = {"control": "admin", "instance_id": "", "bootstrap_servers": apache_kafka.bootstrap_servers}
        found = replace(made, settings=made.settings | given)
        found.deploy()
        yield found


def topic(around: Surrounding, purpose: str) -> str:
    return f"connect-{purpose}-{around.settings['name']}"


def configured(around: Surrounding, name: str) -> dict[str, str]:
    admin = AdminClient({"bootstrap.servers": around.broker.bootstrap_servers})
    resource = ConfigResource(ConfigResource.Type.TOPIC, name)
    return {key: entry.value for key, entry in admin.describe_configs([resource])[resource].result(10).items()}


def sizes(around: Surrounding) -> dict[str, int]:
    found = AdminClient({"bootstrap.servers": around.broker.bootstrap_servers}).list_topics(timeout=10).topics
    return {name: len(one.partitions) for name, one in found.items() if name.endswith(around.settings["name"])}


def test_topics_and_group_are_made_once_and_removed(around: Surrounding) -> None:
    produce(around.broker.bootstrap_servers, around.settings["source_topic"], [Record(2, None, None, b"v")])
    first = around.ask("apply", create_table=True)
    assert first["faults"] == []
    assert first["state"] == "applied"
    assert sizes(around) == {
        topic(around, purpose): count for purpose, count in (("offset", 6), ("config", 1), ("status", 6), ("error", 6))
    }
    for purpose in ("offset", "config", "status"):
        found = configured(around, topic(around, purpose))
        assert (found["cleanup.policy"], found["unclean.leader.election.enable"]) == ("compact", "false")
    assert configured(around, topic(around, "error"))["cleanup.policy"] == "delete"
    group, source = f"connect-{around.settings['name']}", around.settings["source_topic"]
    assert committed(around.broker, group, source, 6) == [0] * 6
    assert any("the stream isn't made here" in line for line in first["warnings"])
    assert [one for one in around.plane.log.actions() if "Instance" in one or "Topic" in one or "Consumer" in one] == []

    again = around.ask("apply", create_table=True)
    assert (again["state"], again["done"]) == ("unchanged", [])
    status = around.ask("status")
    assert (status["state"], status["lag"]["records"]) == ("unknown", 1)
    gone = around.ask("destroy", confirm=around.settings["name"], remove=["topics"], accept_risk=["again"])
    assert gone["state"] == "destroyed"
    assert f"group {group}" in gone["removed"]
    assert sizes(around) == {}
    assert committed(around.broker, group, source, 6) == [-1001] * 6


def test_a_plan_has_the_brokers_check_each_topic_and_makes_none(
    around: Surrounding, monkeypatch: pytest.MonkeyPatch
) -> None:
    sound = around.ask("plan", create_table=True)
    assert sound["faults"] == []
    monkeypatch.setitem(PARTITIONS, "status", 0)
    planned = around.ask("plan", create_table=True)
    assert planned["state"] == "blocked"
    (told,) = planned["faults"]
    assert "creating topic connect-status-" in told
    assert "INVALID_PARTITIONS" in told
    assert around.ask("apply", create_table=True)["state"] == "blocked"
    assert not [name for name in sizes(around) if name.startswith("connect-")]


def test_where_records_before_the_stream_count_is_where_the_log_ends(around: Surrounding) -> None:
    produce(around.broker.bootstrap_servers, around.settings["source_topic"], [Record(2, None, None, b"v")])
    latest = {"consumer_offset": "latest"}
    around.deploy(latest)
    assert around.ask("apply", latest, create_table=True)["faults"] == []
    group, source = f"connect-{around.settings['name']}", around.settings["source_topic"]
    assert committed(around.broker, group, source, 6) == [0, 0, 1, 0, 0, 0]


def test_topics_of_another_shape_stand_against_it_and_so_does_a_source_that_is_not_there(around: Surrounding) -> None:
    admin = AdminClient({"bootstrap.servers": around.broker.bootstrap_servers})
    wrong = [
        NewTopic(topic(around, "offset"), 1, 1),
        NewTopic(topic(around, "config"), 2, 1, config={"cleanup.policy": "compact"}),
        NewTopic(topic(around, "error"), 1, 1, config={"cleanup.policy": "compact"}),
    ]
    for made in admin.create_topics(wrong).values():
        made.result(10)
    for purpose in ("offset", "config", "error"):
        produce(around.broker.bootstrap_servers, topic(around, purpose), [Record(0, None, b"k", b"v")])
    reply = around.ask("plan", {"source_topic": f"{around.settings['name']}-nowhere"})
    assert reply["state"] == "blocked"
    assert any("source_topic: no topic" in fault for fault in reply["faults"])
    why = "\n".join(line for one in reply["steps"] for line in one.get("why", ()))
    assert "compacted: false -> true; the topic may hold records; create it again yourself" in why
    assert "topic-partitions: 1 -> more than 1" in why
    assert "topic-partitions: 2 -> 1" in why
    assert "compacted: true -> false" in why


def create(around: Surrounding, *topics: NewTopic) -> None:
    admin = AdminClient({"bootstrap.servers": around.broker.bootstrap_servers})
    for made in admin.create_topics(list(topics)).values():
        made.result(10)


def test_empty_topics_of_another_shape_are_created_again(around: Surrounding) -> None:
    """As a client leaves them that writes after a destroy, on brokers that create topics by themselves."""
    names = {purpose: topic(around, purpose) for purpose in ("offset", "config", "status", "error")}
    create(around, *(NewTopic(name, 3, 1) for name in names.values()))
    around.deploy(EXACTLY_ONCE)
    planned = around.ask("plan", EXACTLY_ONCE, create_table=True)
    assert (planned["state"], planned["faults"]) == ("changes", [])
    steps = {step["resource"]: step for step in planned["steps"]}
    changed = {name: steps[f"topic {name}"]["do"] for name in names.values()}
    assert changed == {
        names["offset"]: "change",
        names["config"]: "change",
        names["status"]: "change",
        names["error"]: "keep",
    }
    means = steps[f"topic {names['config']}"]["differences"][0]["means"]
    assert means == "the topic has never held a record, so apply deletes it and creates it again"
    assert steps[f"ledger in topic {names['offset']}"]["do"] == "create"
    applied = around.ask("apply", EXACTLY_ONCE, create_table=True)
    assert (applied["state"], applied["faults"]) == ("applied", [])
    assert sizes(around) == {names["offset"]: 6, names["config"]: 1, names["status"]: 6, names["error"]: 3}
    for purpose in ("offset", "config", "status"):
        assert configured(around, names[purpose])["cleanup.policy"] == "compact"
    assert around.ask("apply", EXACTLY_ONCE, create_table=True)["state"] == "unchanged"


def test_an_empty_offset_topic_that_could_lose_the_ledger_is_created_again(around: Surrounding) -> None:
    unclean = {"cleanup.policy": "compact", "unclean.leader.election.enable": "true"}
    around.deploy(EXACTLY_ONCE)
    create(around, NewTopic(topic(around, "offset"), 6, 1, config=unclean))
    assert around.ask("apply", EXACTLY_ONCE, create_table=True)["faults"] == []
    assert configured(around, topic(around, "offset"))["unclean.leader.election.enable"] == "false"


def test_a_topic_that_is_written_into_meanwhile_is_not_deleted(around: Surrounding) -> None:
    name = topic(around, "status")
    create(around, NewTopic(name, 3, 1))
    with around.cloud() as cloud:
        one = BrokerTopic(name, "status")
        found = one.look(cloud)
        assert found is not None
        assert found.empty
        produce(around.broker.bootstrap_servers, name, [Record(2, None, b"k", b"v")])
        with pytest.raises(RefusedError, match="isn't empty any more, so it wasn't deleted"):
            one.change(cloud, found)
    assert sizes(around)[name] == 3


def test_topics_are_not_created_again_while_the_stream_is_in_the_group(around: Surrounding) -> None:
    create(around, NewTopic(topic(around, "status"), 3, 1))
    servers, source = around.broker.bootstrap_servers, around.settings["source_topic"]
    group = {"bootstrap.servers": servers, "group.id": f"connect-{around.settings['name']}"}
    with closing(Consumer(group)) as member:
        member.subscribe([source])
        while not member.assignment():
            member.poll(0.1)
        planned = around.ask("plan", create_table=True)
    assert planned["state"] == "blocked"
    assert any("is to be deleted and created again, and the stream is running" in one for one in planned["faults"])


def test_by_hand_nothing_is_made_and_each_topic_is_described(around: Surrounding) -> None:
    reply = around.ask("apply", {"resource_creation": "manual"}, create_table=True)
    assert reply["state"] == "blocked"
    why = [line for one in reply["steps"] for line in one.get("why", ())]
    assert any(
        "cleanup.policy=compact, unclean.leader.election.enable=false, min.insync.replicas=2" in line for line in why
    )
    assert any("commit the earliest offsets of" in line for line in why)
    assert sizes(around) == {}


def test_the_stream_that_is_made_by_hand_is_not_paused_from_here(around: Surrounding) -> None:
    reply: dict[str, Any] = around.ask("pause")
    assert reply["state"] == "failed"
    assert "pause and start it by hand in EventBridge" in reply["faults"][0]


def test_with_three_brokers_an_append_needs_two_of_them() -> None:
    wanted = BrokerTopic("ledger", "offset")
    assert wanted._configuration(3)["min.insync.replicas"] == "2"
    assert "min.insync.replicas" not in wanted._configuration(1)
    assert wanted.compare(BrokerTopicState(6, 3, {})) == ()
