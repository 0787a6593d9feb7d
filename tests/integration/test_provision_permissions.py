"""Provisioning as a RAM user with the least policy: it suffices, and each permission of it is needed and named."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from alibabacloud_ram20150501.models import CreatePolicyVersionRequest, CreateRoleRequest

from kafka_maxcompute.maxcompute.jobs import run_security
from kafka_maxcompute.maxcompute.sql import Statement
from local_emulator.control_plane.account_setup import add_switch
from local_emulator.control_plane.ram.entities import Ram
from local_emulator.control_plane.vpc import Switch
from provisioning.resources.policy import PROVISIONER, least_policy
from tests.control_plane_clients import ram, trust
from tests.provision_cloud import ACCOUNT, INSTANCE, Surrounding, running

if TYPE_CHECKING:
    from collections.abc import Iterator

ROLE = "AliyunKafkaMaxComputeUser1"
LEAST = least_policy(ACCOUNT, "cn-hangzhou", ROLE, INSTANCE)
PERMISSIONS = sorted({action for statement in LEAST["Statement"] for action in statement["Action"]})
REMOVED = ["topics", "table", "grants", "role"]
EVENT_STREAM: dict[str, Any] = {"stream": "event_stream", "create_table": True}


@pytest.fixture
def around() -> Iterator[Surrounding]:
    """The connector's vSwitch isn't one of the instance's, so that it is looked up."""
    with running(auto_groups=False) as started:
        add_switch(started.plane, Switch("vsw-own", "vpc-local"))
        started.settings["vswitch_id"] = "vsw-own"
        started.deploy()
        yield started


def without(permission: str) -> str:
    """The least policy but for one permission."""
    statements: list[dict[str, Any]] = [
        {**statement, "Action": actions}
        for statement in LEAST["Statement"]
        if (actions := [action for action in statement["Action"] if action != permission])
    ]
    return json.dumps({**LEAST, "Statement": statements})


def everything(around: Surrounding) -> list[dict[str, Any]]:
    """Every action, both ways of the stream, so that every call is made."""
    replies = [
        around.ask("pause"),
        around.ask("apply", **EVENT_STREAM),
        around.ask("apply", batch_seconds=3, **EVENT_STREAM),
        around.ask("pause", stream="event_stream"),
        around.ask("resume", stream="event_stream", batch_seconds=3),
        around.ask("destroy", stream="event_stream", confirm="orders", remove=REMOVED),
    ]
    return [*replies, around.ask("status")]


def test_the_least_policy_is_enough_for_every_action(around: Surrounding) -> None:
    replies = everything(around.user("provisioner", json.dumps(LEAST)))
    assert [reply["state"] for reply in replies] == [
        "paused",
        "applied",
        "applied",
        "paused",
        "running",
        "destroyed",
        "paused",
    ], replies


DEPLOYED = {"ram:CreateServiceLinkedRole", "ram:UpdateRole"}
"""Needed only where a deploy hasn't made the service-linked roles, or where somebody has changed the trust."""


@pytest.mark.parametrize("permission", [one for one in PERMISSIONS if one not in DEPLOYED])
def test_one_permission_fewer_is_named(around: Surrounding, permission: str) -> None:
    told = json.dumps(everything(around.user("provisioner", without(permission))))
    assert f"grant {permission} on acs:" in told


def test_a_missing_service_linked_role_needs_its_permission(around: Surrounding) -> None:
    with around.plane.state.lock:
        del around.plane.state.part(Ram).roles["aliyunserviceroleforeventbridgeconnectvpc"]
    reply = around.user("provisioner", without("ram:CreateServiceLinkedRole")).ask("apply", create_table=True)
    assert reply["state"] == "incomplete"
    assert f"grant ram:CreateServiceLinkedRole on acs:ram:*:{ACCOUNT}:role/*" in reply["faults"][0]
    assert around.user("least", json.dumps(LEAST)).ask("apply", create_table=True)["state"] == "applied"


def test_another_trust_needs_its_permission(around: Surrounding) -> None:
    trusted = trust(Service=["ecs.aliyuncs.com"])
    request = CreateRoleRequest(role_name=ROLE, assume_role_policy_document=trusted)
    ram(around.plane).create_role(request)
    reply = around.user("provisioner", without("ram:UpdateRole")).ask("apply", create_table=True)
    assert f"grant ram:UpdateRole on acs:ram:*:{ACCOUNT}:role/{ROLE}" in reply["faults"][0]
    assert around.user("least", json.dumps(LEAST)).ask("apply", create_table=True)["state"] == "applied"


def test_bootstrap_makes_a_role_that_can_do_all_the_rest(around: Surrounding) -> None:
    """As the function would: by keys of the role that it is deployed with."""
    made = around.ask("bootstrap")
    assert made["state"] == "applied", made
    assert [title.partition(" ")[0] for title in made["done"]] == ["role", "role", "policy", "policy"]
    with around.cloud() as cloud:
        for statement in made["for_the_projects_owner"]:
            run_security(cloud.maxcompute, Statement(statement), cloud.deadline)
    changes = around.changes()
    assert around.ask("bootstrap")["state"] == "unchanged"
    assert around.changes() == changes
    provisioner = around.assumed(PROVISIONER)
    assert provisioner.ask("apply", create_table=True)["state"] == "applied"
    assert provisioner.ask("plan")["state"] == "unchanged"


def test_a_policy_that_somebody_has_changed_is_mended(around: Surrounding) -> None:
    around.ask("bootstrap")
    version = CreatePolicyVersionRequest(policy_name=PROVISIONER, policy_document=without("fc:GetFunction"))
    version.set_as_default = True
    ram(around.plane).create_policy_version(version)
    assert around.ask("bootstrap")["done"] == [f"policy {PROVISIONER}"]
    assert around.ask("bootstrap")["state"] == "unchanged"
