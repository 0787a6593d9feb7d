"""VPC's API by the official SDK's generic client, which signs as all of them do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from alibabacloud_tea_openapi.client import Client
from alibabacloud_tea_openapi.utils_models import OpenApiRequest, Params
from darabonba.runtime import RuntimeOptions

from local_emulator.control_plane import server
from local_emulator.control_plane.account_setup import add_instance, add_switch
from local_emulator.control_plane.alikafka.entities import KafkaInstance
from local_emulator.control_plane.vpc import Switch
from tests.control_plane_clients import OWNER, config, policy, refused

if TYPE_CHECKING:
    from collections.abc import Iterator

# As the models of alibabacloud_vpc20160428 7.2.2 have them.
PARAMS = Params(
    action="DescribeVSwitches",
    version="2016-04-28",
    protocol="HTTP",
    pathname="/",
    method="POST",
    auth_type="AK",
    style="RPC",
    req_body_type="formData",
    body_type="json",
)


@pytest.fixture
def plane() -> Iterator[server.ControlPlaneServer]:
    with server.start() as running:
        add_instance(running, KafkaInstance("alikafka_x", vpc="vpc-a", vswitch="vsw-a"))
        add_switch(running, Switch("vsw-b", "vpc-b"))
        yield running


def listed(plane: server.ControlPlaneServer, key: tuple[str, str] = OWNER, **query: str) -> dict[str, Any]:
    request = OpenApiRequest(query={"RegionId": "cn-hangzhou", **query})
    body: dict[str, Any] = Client(config(plane, key)).call_api(PARAMS, request, RuntimeOptions())["body"]
    return body


def ids(body: dict[str, Any]) -> list[tuple[str, str]]:
    return [(one["VSwitchId"], one["VpcId"]) for one in body["VSwitches"]["VSwitch"]]


def test_the_switches_of_instances_and_others(plane: server.ControlPlaneServer) -> None:
    assert ids(listed(plane)) == [("vsw-a", "vpc-a"), ("vsw-b", "vpc-b")]
    assert ids(listed(plane, VSwitchId="vsw-b")) == [("vsw-b", "vpc-b")]
    assert ids(listed(plane, VpcId="vpc-a")) == [("vsw-a", "vpc-a")]
    assert ids(listed(plane, VSwitchId="vsw-c")) == []
    assert ids(listed(plane, RegionId="cn-beijing")) == []
    second = listed(plane, PageSize="1", PageNumber="2")
    assert (ids(second), second["TotalCount"]) == ([("vsw-b", "vpc-b")], 2)


def test_it_needs_its_permission(plane: server.ControlPlaneServer) -> None:
    named = f"acs:vpc:cn-hangzhou:{plane.account_id}:vswitch/*"
    may = plane.add_user("may", policy("vpc:DescribeVSwitches", resource=named))
    assert len(ids(listed(plane, may))) == 2
    with refused(403, "NoPermission"):
        listed(plane, plane.add_user("may-not", policy("vpc:DescribeVpcs")))
