"""Any starting state and an apply: the same end, or a refusal with nothing changed."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest
from alibabacloud_alikafka20190916.models import CreateTopicRequest
from alibabacloud_ram20150501.models import CreateRoleRequest

from kafka_maxcompute.maxcompute.jobs import run_sql
from kafka_maxcompute.maxcompute.sql import Statement
from local_emulator.kafka.producer import produce
from local_emulator.kafka.record import Record
from provisioning.connector_resources import resources
from provisioning.resources.grants import Grants
from provisioning.resources.group import Group
from provisioning.resources.role import Role
from provisioning.resources.table import Table
from provisioning.resources.topics import Topic
from tests.control_plane_clients import ram, trust
from tests.provision_cloud import INSTANCE, Surrounding, running
from tests.stream_clients import kafka

if TYPE_CHECKING:
    from provisioning.cloud import Cloud
    from provisioning.resource import AnyResource

SWAPPED = "create table test_kafka (`partition` bigint, topic string, `offset` bigint) partitioned by (pt string)"


def start(around: Surrounding, cloud: Cloud, resource: AnyResource, chance: random.Random) -> bool:
    """Bring a resource into some state; whether that state can be fixed."""
    choice = chance.choice(["absent", "made", "drifted", "wrong"])
    if choice == "made" and resource.look(cloud) is None and (table_there(cloud) or not isinstance(resource, Grants)):
        resource.make(cloud)
    elif choice == "drifted" and isinstance(resource, Role):
        trusted = trust(Service=["ecs.aliyuncs.com"])
        ram(around.plane).create_role(CreateRoleRequest(role_name=resource.name, assume_role_policy_document=trusted))
    elif choice == "wrong" and chance.random() < 0.5:  # half of them, so that both ends are seen
        return not damaged(around, cloud, resource, chance)
    return True


def damaged(around: Surrounding, cloud: Cloud, resource: AnyResource, chance: random.Random) -> bool:
    """Make a resource so that it can't be used; whether an apply has to leave it as it is."""
    if isinstance(resource, Table):
        run_sql(cloud.maxcompute, Statement(SWAPPED), cloud.deadline)
        return True
    if isinstance(resource, Topic) and resource.purpose != "error":
        request = CreateTopicRequest(
            region_id="cn-hangzhou", instance_id=INSTANCE, topic=resource.name, remark="a-remark", partition_num="3"
        )
        kafka(around.plane).create_topic(request)
        if chance.random() < 0.5:
            return False  # it has never held a record, so it's created again
        produce(around.broker.bootstrap_servers, resource.name, [Record(0, None, b"k", b"v")])
        return True
    return False


def table_there(cloud: Cloud) -> bool:
    return Table(cloud.request.settings).look(cloud) is not None


STARTED = (Role, Table, Grants, Topic, Group)


@pytest.mark.parametrize("seed", range(8))
def test_any_starting_state(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 # a test that can be repeated
    with running(auto_groups=chance.random() < 0.5) as around:
        around.deploy(STREAM_ENABLED="false")  # topics are created again only while nothing is delivered
        with around.cloud(create_table=True) as cloud:
            started: list[Any] = [one for one in resources(cloud.request, cloud.account) if isinstance(one, STARTED)]
            mendable = [start(around, cloud, resource, chance) for resource in started]
        changes = around.changes()
        reply = around.ask("apply", create_table=True)
        if all(mendable):
            assert reply["state"] in {"applied", "unchanged"}, reply
            assert around.ask("plan")["state"] == "unchanged"
        else:
            assert reply["state"] == "blocked"
            blocked = [one["resource"] for one in reply["steps"] if one["do"] == "blocked"]
            assert blocked == [one.title for one, good in zip(started, mendable, strict=True) if not good]
            assert around.changes() == changes
