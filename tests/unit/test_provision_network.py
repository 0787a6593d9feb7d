"""What a Kafka instance decides of template.yml's variables, and which brokers are in a VPC."""

from __future__ import annotations

from typing import Any

import pytest

from kafka_maxcompute.settings.settings import Settings
from provisioning import network

pytestmark = pytest.mark.quick

INSTANCE: dict[str, Any] = {
    "VpcId": "vpc-a",
    "VSwitchId": "vsw-a",
    "VSwitchIds": {"VSwitchIds": ["vsw-b", "vsw-a"]},
    "SecurityGroup": "sg-a",
    "EndPoint": "10.0.0.1:9092",
    "DomainEndpoint": "alikafka-x-1-vpc.alikafka.aliyuncs.com:9092",
    "SslDomainEndpoint": "alikafka-x-1.alikafka.aliyuncs.com:9093",
    "SaslDomainEndpoint": "alikafka-x-1-vpc.alikafka.aliyuncs.com:9094",
}


def settings(**given: str) -> Settings:
    needed = {"name": "n", "source_topic": "t", "endpoint": "http://127.0.0.1:1/api", "project": "p", "table": "t"}
    return Settings.from_mapping(needed | {"delivery": "at-least-once"} | given)


def test_all_that_the_template_needs() -> None:
    assert network.variables(INSTANCE, settings()) == {
        "CONNECTOR_VPC_ID": "vpc-a",
        "CONNECTOR_VSWITCH_ID": "vsw-a",
        "VSWITCH_IDS": '["vsw-a"]',
        "SECURITY_GROUP_ID": "sg-a",
        "CONNECTOR_BOOTSTRAP_SERVERS": "alikafka-x-1-vpc.alikafka.aliyuncs.com:9092",
    }


def test_what_is_set_is_taken_over_and_what_isnt_known_left_out() -> None:
    given = settings(vpc_id="vpc-b", vswitch_id="vsw-c", bootstrap_servers="b:1")
    found = network.variables(INSTANCE, given)
    assert (found["CONNECTOR_VPC_ID"], found["VSWITCH_IDS"]) == ("vpc-b", '["vsw-c"]')
    assert found["CONNECTOR_BOOTSTRAP_SERVERS"] == "b:1"
    assert network.variables({}, settings()) == {}


@pytest.mark.parametrize(
    ("protocol", "port"), [("PLAINTEXT", 9092), ("SSL", 9093), ("SASL_PLAINTEXT", 9094), ("SASL_SSL", 9093)]
)
def test_the_address_is_the_protocols(protocol: str, port: int) -> None:
    assert network.servers(INSTANCE, protocol).endswith(f":{port}")
    assert network.servers({"EndPoint": "10.0.0.1:9092"}, protocol) == ("10.0.0.1:9092" if port == 9092 else "")


def test_encrypted_brokers_in_the_vpc_come_before_public_ones() -> None:
    inside = {"VpcSaslDomainEndpoint": "alikafka-x-1-vpc.alikafka.aliyuncs.com:9095"}
    assert network.servers(INSTANCE | inside, "SASL_SSL").endswith(":9095")


@pytest.mark.parametrize(
    ("servers", "inside"),
    [
        ("alikafka-x-1-vpc.alikafka.aliyuncs.com:9092", True),
        ("alikafka-x-1.alikafka.aliyuncs.com:9093", False),
        ("10.0.0.1:9092", True),
        ("broker.example.com:9092, 192.168.1.1:9092", True),
        ("[fd00::1]:9092", True),
        ("127.0.0.1:9092", False),
        ("[::1]:9092", False),
        ("8.8.8.8:9093", False),
        ("", False),
    ],
)
def test_which_brokers_are_in_a_vpc(servers: str, *, inside: bool) -> None:
    assert network.inside(servers) is inside
