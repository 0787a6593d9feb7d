"""Each resource against the local cloud over HTTP: made, found as wanted, fixed, removed; by the account's owner."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from alibabacloud_ram20150501 import models as ram_models
from odps import ODPS

from kafka_maxcompute.errors import RefusedError
from kafka_maxcompute.maxcompute.jobs import run_security, run_sql
from kafka_maxcompute.maxcompute.sql import Statement
from local_emulator.maxcompute.keys import QUERIES
from provisioning.connector_resources import resources
from provisioning.convergence import converge, dissolve
from provisioning.resources import topics
from provisioning.resources.grants import Grants
from provisioning.resources.group import Group
from provisioning.resources.role import Role, principal
from provisioning.resources.service_linked_roles import NEEDED, ServiceLinkedRole
from provisioning.resources.table import Table
from provisioning.step import step
from tests.control_plane_clients import ram
from tests.provision_cloud import ACCOUNT, PROJECT, Surrounding, running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from local_emulator.kafka.embedded import EmbeddedBroker
    from provisioning.cloud import Cloud
    from provisioning.resource import AnyResource

ROLE = "AliyunKafkaMaxComputeUser1"


@pytest.fixture
def around(embedded_kafka: EmbeddedBroker) -> Iterator[Surrounding]:
    with running(embedded_kafka) as started:
        yield started


@pytest.fixture
def cloud(around: Surrounding) -> Iterator[Cloud]:
    with around.cloud(create_table=True) as opened:
        yield opened


def applied(resource: AnyResource, cloud: Cloud) -> None:
    converge(resource, cloud, resource.look(cloud), manual=False)


def do(resource: AnyResource, cloud: Cloud) -> str:
    return step(resource, resource.look(cloud), manual=False).do


def test_all_but_the_stream_is_made_once_and_then_kept(around: Surrounding, cloud: Cloud) -> None:
    *wanted, _ = resources(cloud.request, cloud.account)
    assert [do(resource, cloud) for resource in wanted] == ["create"] * 12
    for resource in wanted:
        applied(resource, cloud)
    changes = around.changes()
    assert changes == [
        "CreateRole",
        *["CreateServiceLinkedRole"] * 3,
        *["CreateTopic"] * 4,
        "CreateConsumerGroup",
    ]
    for resource in wanted:
        applied(resource, cloud)
    assert [do(resource, cloud) for resource in wanted] == ["keep"] * 12
    assert around.changes() == changes


def test_a_role_with_another_trust_is_mended(around: Surrounding, cloud: Cloud) -> None:
    document = {
        "Version": "1",
        "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": ["ecs.aliyuncs.com"]}}],
    }
    ram(around.plane).create_role(
        ram_models.CreateRoleRequest(role_name=ROLE, assume_role_policy_document=json.dumps(document))
    )
    assert do(Role(ROLE), cloud) == "change"
    applied(Role(ROLE), cloud)
    assert do(Role(ROLE), cloud) == "keep"
    assert dissolve(Role(ROLE), cloud)
    assert Role(ROLE).look(cloud) is None


def test_service_linked_roles_stay(cloud: Cloud) -> None:
    for name, service in NEEDED.items():
        role = ServiceLinkedRole(name, service)
        applied(role, cloud)
        role.remove(cloud)
        assert do(role, cloud) == "keep"


def test_the_role_may_do_what_the_document_grants(around: Surrounding, cloud: Cloud) -> None:
    """Read back with PyODPS, by the project's owner."""
    user = Grants(principal(ACCOUNT, ROLE), PROJECT, "test_kafka")
    applied(Table(cloud.request.settings, wanted=True), cloud)
    applied(user, cloud)
    owner = ODPS("ak", "sk", PROJECT, endpoint=around.tables.endpoint)
    shown = owner.execute_security_query(f"show grants for `{user.principal}`", output_json=False)
    assert f"projects/{PROJECT}: CreateInstance" in shown or "odps:CreateInstance" in shown
    run_security(
        cloud.maxcompute, Statement(f"revoke Update on table test_kafka from user `{user.principal}`"), cloud.deadline
    )
    assert do(user, cloud) == "change"
    applied(user, cloud)
    assert dissolve(user, cloud)
    assert user.look(cloud) is None


@pytest.mark.parametrize("done", ["", "whatever", None])
def test_grants_dont_depend_on_what_a_change_answers(around: Surrounding, cloud: Cloud, done: str | None) -> None:
    """At once or later, with any text."""
    queries = around.tables.app[QUERIES]
    queries.done, queries.later = done, True
    user = Grants(principal(ACCOUNT, ROLE), PROJECT, "test_kafka")
    applied(Table(cloud.request.settings, wanted=True), cloud)
    applied(user, cloud)
    assert do(user, cloud) == "keep"


def test_grants_on_a_table_that_was_made_anew_are_given_anew(cloud: Cloud) -> None:
    table = Table(cloud.request.settings, wanted=True)
    user = Grants(principal(ACCOUNT, ROLE), PROJECT, "test_kafka")
    for resource in (table, user):
        applied(resource, cloud)
    assert dissolve(table, cloud)
    applied(table, cloud)
    assert do(user, cloud) == "change"
    applied(user, cloud)


def test_a_refused_statement_says_what_the_service_says(around: Surrounding, cloud: Cloud) -> None:
    with pytest.raises(RefusedError, match="grant Nonsense on table test_kafka"):
        run_security(cloud.maxcompute, Statement("grant Nonsense on table test_kafka to user x"), cloud.deadline)
    around.tables.app[QUERIES].later = True
    with pytest.raises(RefusedError):
        run_security(cloud.maxcompute, Statement("grant Describe on table no_such to user x"), cloud.deadline)
    with pytest.raises(RefusedError, match="the job is Failed"):
        run_sql(cloud.maxcompute, Statement("drop table no_such_table;"), cloud.deadline)


def test_a_topic_that_takes_its_time_is_waited_for(around: Surrounding, cloud: Cloud) -> None:
    wanted: Any = topics.own_topics(cloud.request.settings)[0]
    wanted.make(cloud)
    assert do(wanted, cloud) == "wait"
    applied(wanted, cloud)
    found = wanted.look(cloud)
    assert (found.partitions, found.local, found.compact, found.running) == (6, True, True, True)
    assert dissolve(wanted, cloud)
    assert around.changes() == ["CreateTopic", "DeleteTopic"]


def test_the_source_topic_is_found_among_many(around: Surrounding, cloud: Cloud) -> None:
    for number in range(3):
        around.broker.create_topic(f"orders-in-{number}", 1)
    found = topics.find(cloud, "alikafka_local", "cn-hangzhou", "orders-in")
    assert found is not None
    assert found.partitions == 6
    assert topics.find(cloud, "alikafka_local", "cn-hangzhou", "orders") is None


def test_a_group_comes_and_goes(cloud: Cloud) -> None:
    group = Group("alikafka_local", "cn-hangzhou", "connect-orders")
    applied(group, cloud)
    assert do(group, cloud) == "keep"
    assert dissolve(group, cloud)
    assert not dissolve(group, cloud)
