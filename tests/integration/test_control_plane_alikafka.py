"""AliKafka's API by its own SDK: instances, topics with every rule, groups; all of it in a broker that runs."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pytest
from alibabacloud_alikafka20190916 import models
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource

from local_emulator.control_plane import server
from local_emulator.control_plane.account_setup import add_instance
from local_emulator.control_plane.alikafka import cluster
from local_emulator.control_plane.alikafka.assumptions import KafkaAssumptions
from local_emulator.control_plane.alikafka.entities import MANY, KafkaInstance
from local_emulator.control_plane.dispatch import Rules
from local_emulator.control_plane.errors import ApiError
from local_emulator.control_plane.surroundings import Surroundings
from tests.control_plane_clients import ACCOUNT, policy, refused
from tests.kafka_fixtures import APACHE
from tests.stream_clients import INSTANCE, PLACE, REGION, eventually, kafka, new_group, new_topic, send

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from local_emulator.kafka.broker import Broker
    from local_emulator.kafka.embedded import EmbeddedBroker

FIELD = (400, "BIZ_FIELD_CHECK_INVALID")


@pytest.fixture
def plane(embedded_kafka: EmbeddedBroker) -> Iterator[server.ControlPlaneServer]:
    with server.start(surroundings=Surroundings(broker=embedded_kafka)) as running:
        add_instance(running, KafkaInstance(INSTANCE, vpc="vpc-1", vswitch="vsw-1", security_group="sg-1"))
        yield running


@pytest.fixture
def bare() -> Iterator[server.ControlPlaneServer]:
    """A control plane without a broker: topics are remembered only."""
    with server.start() as running:
        add_instance(running, KafkaInstance(INSTANCE))
        yield running


def listed(plane: server.ControlPlaneServer, **changes: Any) -> list[models.GetTopicListResponseBodyTopicListTopicVO]:
    request = models.GetTopicListRequest(**{**PLACE, "page_size": "100", **changes})
    found: list[models.GetTopicListResponseBodyTopicListTopicVO] = (
        kafka(plane).get_topic_list(request).body.topic_list.topic_vo
    )
    return found


def progress(
    plane: server.ControlPlaneServer, group: str = "readers", **changes: Any
) -> models.GetConsumerProgressResponseBodyConsumerProgress:
    request = models.GetConsumerProgressRequest(**PLACE, consumer_id=group, **changes)
    return kafka(plane).get_consumer_progress(request).body.consumer_progress


def test_an_instance_as_it_was_configured(plane: server.ControlPlaneServer, embedded_kafka: EmbeddedBroker) -> None:
    add_instance(plane, KafkaInstance("other", series="v3", spec="basic", version="3.3.1", status=3))
    add_instance(plane, KafkaInstance("elsewhere", region="cn-chengdu"))
    body = kafka(plane).get_instance_list(models.GetInstanceListRequest(region_id=REGION)).body
    assert (body.code, body.success) == (200, True)
    first, second = body.instance_list.instance_vo
    assert (first.instance_id, first.region_id, first.series, first.spec_type, first.view_instance_status_code) == (
        INSTANCE,
        REGION,
        "v2",
        "professional",
        2,
    )
    assert (first.vpc_id, first.v_switch_id, first.v_switch_ids.v_switch_ids, first.security_group) == (
        "vpc-1",
        "vsw-1",
        ["vsw-1"],
        "sg-1",
    )
    assert first.end_point == embedded_kafka.bootstrap_servers
    assert first.upgrade_service_detail_info.current_2open_source_version == "2.6.2"
    assert (second.instance_id, second.view_instance_status_code, second.end_point) == ("other", 3, None)


@pytest.mark.parametrize("version", [None, "v2"])
def test_instances_are_chosen_by_id_and_series(plane: server.ControlPlaneServer, version: str | None) -> None:
    add_instance(plane, KafkaInstance("other", series="v3"))

    def ids(**wanted: Any) -> list[str]:
        request = models.GetInstanceListRequest(region_id=REGION, **wanted)
        found = kafka(plane, version=version).get_instance_list(request).body.instance_list.instance_vo
        return [one.instance_id for one in found or []]

    assert ids(instance_id=["other"]) == ["other"]
    assert ids(instance_id=["none"]) == []
    assert ids(series="v2") == [INSTANCE]


def test_a_topic_is_made_in_the_broker(plane: server.ControlPlaneServer, embedded_kafka: EmbeddedBroker) -> None:
    tag = models.CreateTopicRequestTag(key="connector", value="orders")
    body = kafka(plane).create_topic(new_topic(local_topic=True, compact_topic=True, tag=[tag])).body
    assert (body.code, body.success) == (200, True)
    assert cluster.sizes(embedded_kafka) == {"orders": 3}
    (topic,) = listed(plane)
    assert (topic.topic, topic.partition_num, topic.local_topic, topic.compact_topic, topic.remark) == (
        "orders",
        3,
        True,
        True,
        "a-remark",
    )
    assert [(one.key, one.value) for one in topic.tags.tag_vo] == [("connector", "orders")]
    assert topic.auto_create is False


def test_a_new_topic_is_not_running_at_once(plane: server.ControlPlaneServer) -> None:
    kafka(plane).create_topic(new_topic())
    assert [(topic.status, topic.status_name) for _ in range(3) for topic in listed(plane)] == [
        (1, "Creating"),
        (0, "Running"),
        (0, "Running"),
    ]


def test_topics_that_clients_made_are_there_too(
    plane: server.ControlPlaneServer, embedded_kafka: EmbeddedBroker
) -> None:
    embedded_kafka.create_topic("clients-own", 2)
    (topic,) = listed(plane)
    assert (topic.topic, topic.partition_num, topic.auto_create, topic.status) == ("clients-own", 2, True, 0)
    with refused(400, "BIZ_TOPIC_EXISTED"):
        kafka(plane).create_topic(new_topic("clients-own"))


@pytest.mark.parametrize("lacking", ["topic", "instance_id", "region_id", "remark"])
def test_a_topic_needs(bare: server.ControlPlaneServer, lacking: str) -> None:
    request = new_topic()
    setattr(request, lacking, None)
    with refused(400, "Missing" + "".join(word.title() for word in lacking.split("_"))):
        kafka(bare).create_topic(request)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"topic": "ab"}, "3 to 64"),
        ({"topic": "a" * 65}, "3 to 64"),
        ({"topic": "with space"}, "letters"),
        ({"topic": "ünlike"}, "letters"),
        ({"remark": "ab"}, "3 to 64"),
        ({"remark": "a" * 65}, "3 to 64"),
        ({"remark": "two words"}, "letters"),
        ({"partition_num": "0"}, "from 2 to 360"),
        ({"partition_num": "1"}, "from 2 to 360"),
        ({"partition_num": "361"}, "from 2 to 360"),
        ({"partition_num": "361", "local_topic": True}, "from 1 to 360"),
        ({"partition_num": "many"}, "from 2 to 360"),
        ({"compact_topic": True}, "LocalTopic to be true"),
        ({"replication_factor": 4}, "from 1 to 3"),
        ({"min_insync_replicas": 3}, "less than the 3"),
        ({"replication_factor": 2, "min_insync_replicas": 2}, "less than the 2"),
        ({"config": "[]"}, "JSON object"),
        ({"config": "retention"}, "JSON object"),
        ({"config": '{"retention": 1}'}, "retention.ms"),
        ({"config": '{"retention.ms": 1}'}, "3600000"),
        ({"config": '{"message.timestamp.type": "Now"}'}, "CreateTime"),
    ],
)
def test_a_topic_that_breaks_a_rule(bare: server.ControlPlaneServer, changes: dict[str, Any], says: str) -> None:
    with refused(*FIELD) as found:
        kafka(bare).create_topic(new_topic(**changes))
    assert says in str(found.error.message)
    assert listed(bare) == []


@pytest.mark.parametrize(
    ("instance", "says"),
    [({"spec": "normal"}, "Standard edition"), ({"version": "0.10.2"}, "automatic creation")],
)
def test_local_storage_is_not_for_everyone(
    bare: server.ControlPlaneServer, instance: dict[str, Any], says: str
) -> None:
    add_instance(bare, KafkaInstance(INSTANCE, **instance))
    with refused(*FIELD) as found:
        kafka(bare).create_topic(new_topic(local_topic=True))
    assert says in str(found.error.message)
    kafka(bare).create_topic(new_topic())
    assert [topic.local_topic for topic in listed(bare)] == [False]


def test_one_partition_is_for_local_storage_and_serverless(bare: server.ControlPlaneServer) -> None:
    kafka(bare).create_topic(new_topic("config", partition_num="1", local_topic=True))
    add_instance(bare, KafkaInstance(INSTANCE, series="v3", spec="basic"))
    kafka(bare).create_topic(new_topic("t", partition_num="1", local_topic=True, compact_topic=True))
    kafka(bare).create_topic(new_topic("usual", partition_num=None))
    assert {one.topic: (one.partition_num, one.local_topic, one.compact_topic) for one in listed(bare)} == {
        "config": (1, True, False),
        "t": (1, False, False),
        "usual": (3, False, False),
    }


def test_twelve_partitions_unless_said(bare: server.ControlPlaneServer) -> None:
    kafka(bare).create_topic(new_topic(partition_num=None))
    assert [topic.partition_num for topic in listed(bare)] == [12]


def test_the_code_of_a_second_create_is_a_choice() -> None:
    rules = Rules(kafka=KafkaAssumptions(topic_exists="BIZ_TOPIC_DUPLICATE", group_exists="BIZ_GROUP_DUPLICATE"))
    with server.start(rules=rules) as running:
        add_instance(running, KafkaInstance(INSTANCE))
        kafka(running).create_topic(new_topic())
        kafka(running).create_consumer_group(new_group())
        with refused(400, "BIZ_TOPIC_DUPLICATE"):
            kafka(running).create_topic(new_topic())
        with refused(400, "BIZ_GROUP_DUPLICATE"):
            kafka(running).create_consumer_group(new_group())


def test_quotas(bare: server.ControlPlaneServer) -> None:
    add_instance(bare, KafkaInstance(INSTANCE, topic_limit=2, partition_limit=8, group_limit=1))
    kafka(bare).create_topic(new_topic())
    with refused(400, "BIZ_QUOTA_EXCEEDED"):
        kafka(bare).create_topic(new_topic("large", partition_num="6"))
    kafka(bare).create_topic(new_topic("small", partition_num="2"))
    with refused(400, "BIZ_QUOTA_EXCEEDED"):
        kafka(bare).create_topic(new_topic("third", partition_num="2"))
    kafka(bare).create_consumer_group(new_group())
    with refused(400, "BIZ_QUOTA_EXCEEDED"):
        kafka(bare).create_consumer_group(new_group("others"))
    quota = kafka(bare).get_quota_tip(models.GetQuotaTipRequest(**PLACE)).body.quota_data
    assert (quota.topic_quota, quota.topic_used, quota.topic_left) == (2, 2, 0)
    assert (quota.partition_quota, quota.partition_used, quota.partition_left) == (8, 5, 3)
    assert (quota.group_used, quota.group_left) == (1, 0)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"instance_id": "another"}, "AUTH_RESOURCE_OWNER_ERROR"),
        ({"region_id": "cn-chengdu"}, "AUTH_RESOURCE_OWNER_ERROR"),
        ({"instance_id": "stopped"}, "BIZ_INSTANCE_STATUS_ERROR"),
    ],
)
def test_another_instance(bare: server.ControlPlaneServer, changes: dict[str, str], code: str) -> None:
    add_instance(bare, KafkaInstance("stopped", status=3))
    with refused(400, code):
        kafka(bare).create_topic(new_topic(**changes))


def test_topics_come_in_pages(bare: server.ControlPlaneServer) -> None:
    names = [f"topic-{number:02}" for number in range(12)]
    for name in names:
        kafka(bare).create_topic(new_topic(name))
    assert [topic.topic for topic in listed(bare, page_size="5", current_page="3")] == names[10:]
    body = kafka(bare).get_topic_list(models.GetTopicListRequest(**PLACE)).body
    assert (body.total, body.current_page, body.page_size, len(body.topic_list.topic_vo)) == (12, 1, 10, 10)


@pytest.mark.parametrize(("fuzzy", "found"), [(True, ["orders", "orders-2"]), (False, ["orders"])])
def test_a_filter_may_be_fuzzy(fuzzy: bool, found: list[str]) -> None:
    with server.start(rules=Rules(kafka=KafkaAssumptions(fuzzy_filters=fuzzy))) as running:
        add_instance(running, KafkaInstance(INSTANCE))
        for name in ("orders-2", "orders", "others"):
            kafka(running).create_topic(new_topic(name))
        assert [topic.topic for topic in listed(running, topic="orders")] == found


def test_a_deleted_topic_comes_back_empty(plane: server.ControlPlaneServer, embedded_kafka: EmbeddedBroker) -> None:
    kafka(plane).create_topic(new_topic())
    send(embedded_kafka, "orders", 9)
    delete = models.DeleteTopicRequest(**PLACE, topic="orders")
    kafka(plane).delete_topic(delete)
    assert listed(plane) == []
    assert cluster.sizes(embedded_kafka) == {}
    with refused(404, "BIZ_TOPIC_NOT_FOUND"):
        kafka(plane).delete_topic(delete)
    kafka(plane).create_topic(new_topic())
    status = models.GetTopicStatusRequest(**PLACE, topic="orders")
    assert kafka(plane).get_topic_status(status).body.topic_status.total_count == 0
    assert set(cluster.offset_ranges(embedded_kafka, {"orders": 3}).values()) == {(0, 0)}


def test_what_is_in_a_topic(plane: server.ControlPlaneServer, embedded_kafka: EmbeddedBroker) -> None:
    kafka(plane).create_topic(new_topic())
    send(embedded_kafka, "orders", 4, first_ms=1_000)
    status = kafka(plane).get_topic_status(models.GetTopicStatusRequest(**PLACE, topic="orders")).body.topic_status
    assert (status.total_count, status.last_time_stamp) == (4, 1_003)
    assert [
        (one.partition, one.min_offset, one.max_offset, one.last_update_timestamp)
        for one in status.offset_table.offset_table
    ] == [(0, 0, 2, 1_003), (1, 0, 1, 1_001), (2, 0, 1, 1_002)]
    with refused(404, "BIZ_TOPIC_NOT_FOUND"):
        kafka(plane).get_topic_status(models.GetTopicStatusRequest(**PLACE, topic="none"))


def test_automatic_topics_are_switched(bare: server.ControlPlaneServer) -> None:
    def switch(**changes: Any) -> tuple[bool, int]:
        kafka(bare).enable_auto_topic_creation(models.EnableAutoTopicCreationRequest(**{**PLACE, **changes}))
        request = models.GetInstanceListRequest(region_id=REGION)
        (found,) = kafka(bare).get_instance_list(request).body.instance_list.instance_vo
        return found.auto_create_topic_enable, found.default_partition_num

    assert switch(operate="enable", update_partition=True, partition_num=6) == (True, 6)
    assert switch(operate="updatePartition", partition_num=9) == (True, 9)
    assert switch(operate="disable") == (False, 9)
    with refused(*FIELD):
        switch(operate="toggle")


def test_groups(plane: server.ControlPlaneServer) -> None:
    kafka(plane).create_consumer_group(new_group(remark="who-reads"))
    with refused(400, "BIZ_SUBSCRIPTION_EXISTED"):
        kafka(plane).create_consumer_group(new_group())
    with refused(*FIELD):
        kafka(plane).create_consumer_group(new_group("ab"))
    body = kafka(plane).get_consumer_list(models.GetConsumerListRequest(**PLACE)).body
    assert [(one.consumer_id, one.remark) for one in body.consumer_list.consumer_vo] == [("readers", "who-reads")]
    assert body.total == 1
    delete = models.DeleteConsumerGroupRequest(**PLACE, consumer_id="readers")
    kafka(plane).delete_consumer_group(delete)
    with refused(404, "BIZ_SUBSCRIPTION_NOT_FOUND"):
        kafka(plane).delete_consumer_group(delete)
    with refused(404, "BIZ_SUBSCRIPTION_NOT_FOUND"):
        progress(plane)


def test_how_far_a_group_is(plane: server.ControlPlaneServer, embedded_kafka: EmbeddedBroker) -> None:
    for name in ("orders", "unread"):
        kafka(plane).create_topic(new_topic(name))
    kafka(plane).create_consumer_group(new_group())
    send(embedded_kafka, "orders", 9, first_ms=1_000)
    assert (progress(plane).total_diff, progress(plane).topic_list.topic_list) == (0, [])
    cluster.commit(embedded_kafka, "readers", {("orders", 0): 2, ("orders", 1): 3})
    found = progress(plane)
    assert (found.total_diff, found.last_timestamp, found.state) == (4, 1_007, "UNKNOWN")
    (topic,) = found.topic_list.topic_list
    assert (topic.topic, topic.total_diff) == ("orders", 4)
    assert [
        (one.partition, one.broker_offset, one.consumer_offset, one.accumulate, one.last_timestamp)
        for one in topic.offset_list.offset_list
    ] == [(0, 3, 2, 1, 1_003), (1, 3, 3, 0, 1_007), (2, 3, 0, 3, -1)]
    assert progress(plane, hide_last_timestamp=True).last_timestamp == -1


def test_a_group_is_moved(plane: server.ControlPlaneServer, embedded_kafka: EmbeddedBroker) -> None:
    kafka(plane).create_topic(new_topic())
    kafka(plane).create_consumer_group(new_group())
    send(embedded_kafka, "orders", 9)

    def move(**changes: Any) -> dict[tuple[str, int], int]:
        request = models.UpdateConsumerOffsetRequest(**{**PLACE, "consumer_id": "readers", **changes})
        kafka(plane).update_consumer_offset(request)
        return cluster.committed(embedded_kafka, "readers", {"orders": 3})

    one = models.UpdateConsumerOffsetRequestOffsets(partition=1, offset=2)
    assert move(topic="orders", reset_type="offset", offsets=[one]) == {("orders", 1): 2}
    assert move(topic="orders", reset_type="timestamp", time="-1") == {("orders", number): 3 for number in range(3)}
    assert move(topic="", reset_type="timestamp", time="-2") == {("orders", number): 0 for number in range(3)}
    with refused(*FIELD):
        move(topic="orders", reset_type="timestamp", time="yesterday")
    with refused(*FIELD):
        move(
            topic="orders",
            reset_type="offset",
            offsets=[models.UpdateConsumerOffsetRequestOffsets(partition=3, offset=0)],
        )
    with refused(404, "BIZ_TOPIC_NOT_FOUND"):
        move(topic="none", reset_type="timestamp", time="-1")


def test_a_group_that_had_members_is_deleted_with_its_offsets(broker: Broker) -> None:
    topic = f"orders-{uuid.uuid4().hex}"
    broker.create_topic(topic, 2)
    send(broker, topic, 4, partitions=2)
    group = f"readers-{topic}"
    settings = {"bootstrap.servers": broker.bootstrap_servers, "group.id": group, "session.timeout.ms": 6_000}
    member = Consumer({**settings, "enable.auto.commit": False})
    member.subscribe([topic])
    assert eventually(lambda: bool(member.poll(0.1) or member.assignment()))
    member.commit(offsets=[TopicPartition(topic, number, 2) for number in range(2)], asynchronous=False)
    with pytest.raises(ApiError, match="stop its consumers first"):
        cluster.delete_group(broker, group)
    member.close()

    cluster.delete_group(broker, group)
    assert cluster.committed(broker, group, {topic: 2}) == {}
    cluster.delete_group(broker, group)  # an absent group is no error
    cluster.commit(broker, group, {(topic, 0): 1})
    assert cluster.committed(broker, group, {topic: 2}) == {(topic, 0): 1}


def test_each_action_needs_its_permission(bare: server.ControlPlaneServer) -> None:
    own = f"acs:alikafka:{REGION}:{ACCOUNT}:{INSTANCE}"
    alice = bare.add_user("alice", policy("alikafka:CreateTopic", resource=own))
    kafka(bare, alice).create_topic(new_topic())
    with refused(403, "NoPermission") as found:
        kafka(bare, alice).get_topic_list(models.GetTopicListRequest(**PLACE))
    assert "alikafka:ListTopic" in str(found.error.message)
    assert own in str(found.error.message)
    add_instance(bare, KafkaInstance("other"))
    with refused(403, "NoPermission"):
        kafka(bare, alice).create_topic(new_topic(instance_id="other"))


def test_topics_and_groups_outlive_the_control_plane(tmp_path: Path, embedded_kafka: EmbeddedBroker) -> None:
    with server.start(tmp_path) as first:
        add_instance(first, KafkaInstance(INSTANCE))
        kafka(first).create_topic(new_topic())
        kafka(first).create_consumer_group(new_group())
    with server.start(tmp_path, surroundings=Surroundings(broker=embedded_kafka)) as second:
        add_instance(second, KafkaInstance(INSTANCE))
        assert [topic.topic for topic in listed(second)] == ["orders"]
        assert cluster.sizes(embedded_kafka) == {"orders": 3}
        with refused(400, "BIZ_SUBSCRIPTION_EXISTED"):
            kafka(second).create_consumer_group(new_group())


@pytest.mark.parametrize("broker", [APACHE], indirect=True)
def test_in_a_real_broker(broker: Broker) -> None:
    name, group = f"orders-{uuid.uuid4().hex[:8]}", f"readers-{uuid.uuid4().hex[:8]}"
    with server.start(surroundings=Surroundings(broker=broker)) as running:
        add_instance(running, KafkaInstance(INSTANCE, topic_limit=MANY, partition_limit=MANY))
        client = kafka(running)
        config = '{"retention.ms": "7200000", "message.timestamp.type": "CreateTime"}'
        client.create_topic(new_topic(name, local_topic=True, compact_topic=True, config=config, partition_num="2"))
        resource = ConfigResource(ConfigResource.Type.TOPIC, name)
        admin = AdminClient({"bootstrap.servers": broker.bootstrap_servers})
        settings = admin.describe_configs([resource])[resource].result(30)
        assert (settings["cleanup.policy"].value, settings["retention.ms"].value) == ("compact", "7200000")

        with server.start(surroundings=Surroundings(broker=broker)) as another:
            add_instance(another, KafkaInstance(INSTANCE))
            # By its name: this broker has more topics than a page.
            (seen,) = listed(another, topic=name)
            assert (seen.local_topic, seen.compact_topic, seen.auto_create) == (True, True, True)

        client.modify_partition_num(models.ModifyPartitionNumRequest(**PLACE, topic=name, add_partition_num=1))
        assert cluster.sizes(broker)[name] == 3
        client.delete_topic(models.DeleteTopicRequest(**PLACE, topic=name))
        assert name not in cluster.sizes(broker)

        client.create_topic(new_topic(name))
        admin.delete_topics([name])[name].result(30)
        assert eventually(lambda: not listed(running, topic=name))
        client.create_topic(new_topic(name))
        client.create_consumer_group(new_group(group))
        send(broker, name, 9, first_ms=1_605_594_185_000)
        move = {**PLACE, "consumer_id": group, "topic": name, "reset_type": "timestamp", "time": "1605594185004"}
        client.update_consumer_offset(models.UpdateConsumerOffsetRequest(**move))
        found = progress(running, group)
        assert (found.state, found.total_diff, found.last_timestamp) == ("EMPTY", 5, 1_605_594_185_003)
        client.delete_consumer_group(models.DeleteConsumerGroupRequest(**PLACE, consumer_id=group))
        assert cluster.committed(broker, group, {name: 3}) == {}
