"""What is checked before the first change: each rule broken one at a time, and all together."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from kafka_maxcompute.settings.settings import SETTINGS, Settings
from provisioning.preflight import faults, warnings
from provisioning.preflight_facts import Facts
from provisioning.request import Request, read
from provisioning.resources.event_stream import EventStream
from provisioning.resources.group import Group
from provisioning.resources.topics import TopicState, own_topics
from provisioning.step import Step
from provisioning.unsafe_settings import refusals

if TYPE_CHECKING:
    from provisioning.resource import AnyResource

pytestmark = pytest.mark.quick

ACCOUNT = "1880000000000000"
ENVIRONMENT = {"ALLOWED_ADDRESSES": "127.0.0.1:1"}
SETTING = {
    "name": "orders",
    "instance_id": "alikafka_x",
    "source_topic": "orders-in",
    "endpoint": "http://127.0.0.1:1/api",
    "project": "p",
    "table": "t",
    "delivery": "at-least-once",
}
INSTANCE = {
    "InstanceId": "alikafka_x",
    "ViewInstanceStatusCode": 2,
    "SpecType": "professional",
    "Series": "v2",
    "VpcId": "vpc-a",
    "VSwitchIds": {"VSwitchIds": ["vsw-a"]},
    "UpgradeServiceDetailInfo": {"Current2OpenSourceVersion": "2.2.0"},
}
SOURCE = TopicState(6, local=False, compact=False, running=True)


def request(**settings: Any) -> Request:
    return asked(settings)


def asked(settings: dict[str, Any] | None = None, **event: Any) -> Request:
    return read(json.dumps({"action": "plan", "settings": SETTING | (settings or {}), **event}).encode(), ENVIRONMENT)


SETTINGS_OF = request().settings
MADE: tuple[AnyResource, ...] = (*own_topics(SETTINGS_OF), Group("alikafka_x", "cn-hangzhou", SETTINGS_OF.group))
CREATED = [Step(resource, "create") for resource in MADE]


def function(settings: Settings, **changes: Any) -> dict[str, Any]:
    environment = {f"CONNECTOR_{name.upper()}": str(getattr(settings, name)) for name in SETTINGS}
    role = f"acs:ram::{ACCOUNT}:role/aliyunkafkamaxcomputeuser1"
    return {"functionName": "f", "timeout": 240, "role": role, "environmentVariables": environment} | changes


def facts(of: Request, **changes: Any) -> Facts:
    found: dict[str, Any] = {
        "account": ACCOUNT,
        "instance": INSTANCE,
        "quota": {"TopicLeft": 4, "PartitionLeft": 19, "GroupLeft": 1},
        "source": SOURCE,
        "function": function(of.settings),
        "lag": 0,
    }
    return Facts(**(found | changes))


def test_a_sound_cloud_has_no_fault() -> None:
    of = request(account_id=ACCOUNT, vpc_id="vpc-a", vswitch_id="vsw-a")
    assert faults(of, facts(of), CREATED) == ()
    assert refusals(of, facts(of), CREATED) == ()
    (known,) = warnings(of, facts(of))
    assert known.startswith("bootstrap_servers isn't set: the stream replaces bytes of keys and values")


BROKEN: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"account_id": "1"}, {}, "account_id: expected 1, but the caller's account is 1880000000000000"),
    ({"instance_id": ""}, {}, "instance_id isn't set"),
    ({}, {"instance": {}, "source": None}, "instance_id: no Kafka instance alikafka_x in cn-hangzhou"),
    ({}, {"instance": INSTANCE | {"ViewInstanceStatusCode": 3}}, "expected it in service, found it stopped"),
    ({}, {"instance": INSTANCE | {"ViewInstanceStatusCode": 103}}, "found it in status 103"),
    ({"vpc_id": "vpc-b"}, {}, "vpc_id: vpc-b isn't the instance's, vpc-a"),
    ({"vswitch_id": "vsw-b"}, {}, "vswitch_id: no vSwitch vsw-b in cn-hangzhou"),
    (
        {"vswitch_id": "vsw-b"},
        {"switch": {"VpcId": "vpc-b"}},
        "vsw-b is in vpc-b, expected one in the instance's vpc-a",
    ),
    ({}, {"instance": INSTANCE | {"SpecType": "normal"}}, "the Standard edition has cloud storage only"),
    ({}, {"instance": INSTANCE | {"Series": "v3", "SpecType": "normal"}}, "a serverless instance doesn't offer"),
    (
        {},
        {"instance": INSTANCE | {"UpgradeServiceDetailInfo": {"Current2OpenSourceVersion": "0.10.2"}}},
        "can't be created by hand on version 0.10.2",
    ),
    ({}, {"quota": {"TopicLeft": 3}}, "expected room for 4 topics, found 3"),
    ({}, {"quota": {"PartitionLeft": 18}}, "expected room for 19 topic-partitions, found 18"),
    ({}, {"quota": {"GroupLeft": 0}}, "expected room for 1 groups, found 0"),
    ({}, {"source": None}, "source_topic: no topic orders-in in alikafka_x"),
    ({}, {"function": {}}, "function maxcompute-sink-orders doesn't exist; deploy it"),
]


@pytest.mark.parametrize(("settings", "found", "told"), BROKEN)
def test_each_rule_by_itself(settings: dict[str, Any], found: dict[str, Any], told: str) -> None:
    of = request(**settings)
    (fault,) = faults(of, facts(of, **found), CREATED)
    assert told in fault


def test_all_rules_together() -> None:
    of = request(account_id="1", vpc_id="vpc-b")
    instance = INSTANCE | {"ViewInstanceStatusCode": 3, "SpecType": "normal"}
    found = facts(
        of, instance=instance, quota={"TopicLeft": 0, "PartitionLeft": 0, "GroupLeft": 0}, source=None, function={}
    )
    assert len(faults(of, found, CREATED)) == 9


def test_editions_matter_only_for_topics_that_are_to_be_made() -> None:
    of = request()
    found = facts(of, instance=INSTANCE | {"SpecType": "normal"}, quota={"TopicLeft": 0})
    assert faults(of, found, [Step(step.resource, "keep") for step in CREATED]) == ()


def test_what_brokers_say_about_topics_that_they_would_not_make_is_told() -> None:
    of = request()
    assert faults(of, facts(of, refused_topics=("creating topic a: refused",)), CREATED) == (
        "creating topic a: refused",
    )


IN_VPC = {"vpc_id": "vpc-a", "value_type": "Binary"}


def test_an_event_stream_in_a_vpc_needs_a_switch_and_a_security_group() -> None:
    of = asked(IN_VPC, stream="event_stream")
    switch, group = faults(of, facts(of), [Step(EventStream(of), "create")])
    assert switch == "vswitch_id: an event stream in vpc-a needs a vSwitch, found none; the instance has vsw-a"
    assert group.startswith("security_group: an event stream in vpc-a needs the id of a security group")
    whole = asked(IN_VPC | {"vswitch_id": "vsw-a"}, stream="event_stream", security_group="sg-a")
    assert faults(whole, facts(whole), [Step(EventStream(whole), "create")]) == ()


def test_a_stream_that_stays_as_it_is_needs_neither() -> None:
    of = asked(IN_VPC, stream="event_stream")
    assert faults(of, facts(of), [Step(EventStream(of), "keep")]) == ()
    trigger = request(vpc_id="vpc-a")
    assert faults(trigger, facts(trigger), CREATED) == ()


def test_a_quota_that_is_overdrawn_matters_only_for_what_is_to_be_made() -> None:
    of = request()
    found = facts(of, quota={"TopicLeft": -1, "PartitionLeft": -1, "GroupLeft": -1})
    assert faults(of, found, [Step(step.resource, "keep") for step in CREATED]) == ()


def test_what_couldnt_be_asked_isnt_told_as_missing() -> None:
    of = request()
    found = facts(of, instance={}, source=None, function={}, unknown=("could not GetInstanceList: NoPermission",))
    assert faults(of, found, CREATED) == ()


def test_a_function_of_other_settings() -> None:
    of = request()
    other = request(value_type="Json", table="other").settings
    found = faults(of, facts(of, function=function(other, role="acs:ram::1:role/somebody")), CREATED)
    assert [fault.split(": ", 1)[1].split(";")[0] for fault in found] == [
        "expected the role AliyunKafkaMaxComputeUser1, found somebody",
        "its CONNECTOR_TABLE is 'other', here table is 't'",
        "its CONNECTOR_VALUE_TYPE is 'Json', here value_type is 'Text'",
    ]
    broken = faults(
        of, facts(of, function=function(of.settings, environmentVariables={"CONNECTOR_NAME": "-"})), CREATED
    )
    assert all("function maxcompute-sink-orders: CONNECTOR_" in fault for fault in broken)
    assert len(broken) == 6


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"endpoint": "http://service.cn-hangzhou-vpc.maxcompute.aliyun-inc.com/api"}, "endpoint"),
        ({"bootstrap_servers": "10.0.0.1:9092"}, "bootstrap_servers"),
    ],
)
@pytest.mark.parametrize("absent", [{}, {"vpcConfig": {"vpcId": "", "vSwitchIds": [], "securityGroupId": ""}}])
def test_what_is_in_a_vpc_needs_a_function_in_it(settings: dict[str, str], told: str, absent: dict[str, Any]) -> None:
    of = request(**settings)
    (fault,) = faults(of, facts(of, function=function(of.settings, **absent)), CREATED)
    assert f"has no vpcConfig, but {told} can be reached in a VPC only; run make bootstrap" in fault
    inside = facts(of, function=function(of.settings, vpcConfig={"vpcId": "vpc-a"}))
    assert faults(of, inside, CREATED) == ()


def test_a_function_in_another_vpc_than_the_brokers() -> None:
    of = request(bootstrap_servers="alikafka-x-1-vpc.alikafka.aliyuncs.com:9092")
    (fault,) = faults(of, facts(of, function=function(of.settings, vpcConfig={"vpcId": "vpc-b"})), CREATED)
    assert "is in vpc-b, but the brokers are in vpc-a" in fault


def test_warnings() -> None:
    of = request(concurrency=12, vpc_id="vpc-a", vswitch_id="vsw-other")
    *_, idle, switch = warnings(of, facts(of, switch={"VpcId": "vpc-a"}))
    assert not any("vswitch_id" in fault for fault in faults(of, facts(of, switch={"VpcId": "vpc-a"}), CREATED))
    assert "orders-in has 6 topic-partitions: 6 consumers stay idle" in idle
    assert "vsw-other isn't one of the instance's (vsw-a)" in switch


@pytest.mark.parametrize(
    ("settings", "event", "found", "risk", "told"),
    [
        ({}, {}, {"function": {"timeout": 301}}, "timeout", "has a timeout of 301 s"),
        (
            {"format": "BINARY", "bootstrap_servers": "", "delivery": "at-least-once"},
            {},
            {},
            "bytes",
            "format is BINARY, value_type is Text, and bootstrap_servers isn't set",
        ),
        (
            {"consumer_offset": "latest"},
            {"stream": "event_stream"},
            {"lag": 7},
            "latest",
            "7 records of connect-orders aren't read yet",
        ),
    ],
)
def test_a_risk_is_refused_unless_its_accepted(
    settings: dict[str, Any], event: dict[str, Any], found: dict[str, Any], risk: str, told: str
) -> None:
    of = asked(settings, **event)
    steps = [Step(EventStream(of), "create")]
    (refusal,) = refusals(of, facts(of, **found), steps)
    assert told in refusal
    assert f"accept the risk {risk!r}" in refusal
    of = asked(settings, accept_risk=[risk], **event)
    assert refusals(of, facts(of, **found), steps) == ()


def test_what_no_acceptance_helps() -> None:
    of = asked({"value_type": "Binary"}, accept_risk=["tolerance", "bytes"])
    (refusal,) = refusals(of, facts(of), [])
    assert "a trigger's stream delivers Text" in refusal
    assert refusals(asked({"value_type": "Binary"}, stream="event_stream"), facts(of), []) == ()
    for way, told in (("trigger", "an event stream feeds"), ("event_stream", "the trigger kafka-stream feeds")):
        of = asked(stream=way)
        (refusal,) = refusals(of, facts(of, other_stream=True), [])
        assert told in refusal
