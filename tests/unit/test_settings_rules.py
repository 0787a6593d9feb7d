"""What settings have to keep among one another, and what is only advised."""

from __future__ import annotations

import pytest

from kafka_maxcompute.errors import ConfigurationError
from kafka_maxcompute.maxcompute.endpoint import Place, locate
from kafka_maxcompute.settings.advice import advice
from kafka_maxcompute.settings.settings import Settings

pytestmark = pytest.mark.quick

PUBLIC = "https://service.{}.maxcompute.aliyun.com/api"
VPC = "https://service.{}-vpc.maxcompute.aliyun-inc.com/api"
OLD = "http://service.{}.maxcompute.aliyun-inc.com/api"
INTRANET = "https://service.{}-intranet.maxcompute.aliyun-inc.com/api"


def settings(**changed: object) -> Settings:
    needed = {
        "name": "orders",
        "source_topic": "orders",
        "endpoint": VPC.format("cn-hangzhou"),
        "project": "p",
        "table": "t",
        "bootstrap_servers": "127.0.0.1:9092",
    }
    return Settings.from_mapping({**needed, **changed})


def faults(**changed: object) -> list[str]:
    try:
        settings(**changed)
    except ConfigurationError as error:
        return list(error.faults)
    return []


@pytest.mark.parametrize(
    ("endpoint", "place"),
    [
        (PUBLIC.format("cn-hangzhou"), Place("cn-hangzhou", "public")),
        (VPC.format("cn-shanghai-finance-1"), Place("cn-shanghai-finance-1", "vpc")),
        (OLD.format("cn-hangzhou"), Place("cn-hangzhou", "vpc")),
        (INTRANET.format("ap-southeast-1"), Place("ap-southeast-1", "intranet")),
        ("https://dt.cn-hangzhou.maxcompute.aliyun.com", Place("cn-hangzhou", "public")),
        ("HTTPS://SERVICE.CN-HANGZHOU.MAXCOMPUTE.ALIYUN.COM:443/api", Place("cn-hangzhou", "public")),
        ("http://127.0.0.1:8080/api", Place("", "unknown")),
        ("http://service.cn.maxcompute.aliyun-inc.com/api", Place("", "unknown")),
        ("http://service.cn-hangzhou.maxcompute.aliyun.com.example.com/api", Place("", "unknown")),
        ("", Place("", "unknown")),
    ],
)
def test_an_endpoint_says_where_it_leads(endpoint: str, place: Place) -> None:
    assert locate(endpoint) == place


@pytest.mark.parametrize("endpoint", [VPC, OLD, PUBLIC])
def test_within_a_region_all_endpoints_work(endpoint: str) -> None:
    assert faults(endpoint=endpoint.format("ap-southeast-1"), region="ap-southeast-1") == []


def test_the_endpoint_has_to_be_of_the_tables_region() -> None:
    (fault,) = faults(endpoint=VPC.format("cn-beijing"))
    assert fault == "endpoint: leads to cn-beijing, but table_region is cn-hangzhou; fix the one that is wrong"


def test_the_tunnel_endpoint_has_to_be_of_the_tables_region() -> None:
    (fault,) = faults(tunnel_endpoint="https://dt.cn-beijing.maxcompute.aliyun.com")
    assert fault.startswith("tunnel_endpoint: leads to cn-beijing, but table_region is cn-hangzhou")


def test_an_intranet_endpoint_cant_be_reached() -> None:
    (fault,) = faults(endpoint=INTRANET.format("cn-hangzhou"))
    assert fault.endswith("use service.cn-hangzhou-vpc.maxcompute.aliyun-inc.com")


@pytest.mark.parametrize("allowed", [True, False])
def test_a_vpc_endpoint_never_works_across_regions(allowed: bool) -> None:
    (fault,) = faults(endpoint=VPC.format("cn-beijing"), table_region="cn-beijing", allow_public_endpoint=allowed)
    assert fault.startswith("endpoint: functions in cn-hangzhou can't reach a VPC endpoint of cn-beijing")


@pytest.mark.parametrize("endpoint", [PUBLIC.format("cn-beijing"), "http://proxy.example.com/api"])
def test_another_region_over_the_internet_has_to_be_allowed(endpoint: str) -> None:
    (fault,) = faults(endpoint=endpoint, table_region="cn-beijing")
    assert fault.startswith("allow_public_endpoint: records would go from cn-hangzhou to cn-beijing over the Internet")
    assert faults(endpoint=endpoint, table_region="cn-beijing", allow_public_endpoint=True) == []


@pytest.mark.parametrize("mode", ["DEFAULT", "KEY", "VALUE"])
@pytest.mark.parametrize("text_format", ["TEXT", "BINARY", "CSV"])
@pytest.mark.parametrize("value_type", ["Text", "Json", "Binary"])
def test_mode_format_and_value_type(mode: str, text_format: str, value_type: str) -> None:
    found = faults(mode=mode, format=text_format, value_type=value_type)
    not_both = ["format: CSV needs mode KEY or VALUE"] if (mode, text_format) == ("DEFAULT", "CSV") else []
    parsed = mode != "KEY" and text_format != "TEXT" and value_type == "Json"
    not_sent = [f"value_type: format {text_format} needs values as they were sent"] if parsed else []
    assert [fault.split(",")[0] for fault in found] == not_both + not_sent


def test_dead_letters_and_error_data_may_share_a_topic() -> None:
    assert faults(dead_letter_topic="connect-error-x", error_topic="connect-error-x") == []
    assert faults(dead_letter_topic="connect-error-x", error_topic="connect-error-y") == []


@pytest.mark.parametrize(
    ("setting", "topic", "other"),
    [
        ("error_topic", "orders", "source_topic"),
        ("config_topic", "connect-offset-orders", "offset_topic"),
        ("error_topic", "connect-status-orders", "status_topic"),
        ("dead_letter_topic", "connect-config-orders", "config_topic"),
    ],
)
def test_other_topics_may_not(setting: str, topic: str, other: str) -> None:
    (found,) = faults(**{"dead_letter_topic": "connect-dlq", setting: topic})
    assert found == f"{setting}: topic {topic} is {other} already; give it a topic of its own"


def test_a_source_topic_as_error_topic_is_also_no_dead_letter_topic() -> None:
    assert [fault.split(":")[0] for fault in faults(error_topic="orders", dead_letter_topic="orders")] == [
        *("dead_letter_topic", "error_topic")
    ]


def test_topics_that_are_created_need_names_that_the_service_creates() -> None:
    (fault,) = faults(status_topic="connect-status.orders")
    assert fault.startswith("status_topic: with resource_creation auto, expected 3 to 64 letters")
    assert faults(status_topic="connect-status.orders", resource_creation="manual") == []
    assert faults(source_topic="orders.v1") == []


@pytest.mark.parametrize("column", ["topic", "PARTITION", "Offset", "key", "value"])
def test_the_partition_column_is_no_other_column(column: str) -> None:
    (fault,) = faults(partition_column=column)
    assert fault == f"partition_column: {column} is the name of another column; choose another name, such as pt"


def test_every_legal_name_gives_topics_and_a_group_that_can_be_created() -> None:
    assert faults(name="a" * 48) == []


def test_a_wrong_setting_doesnt_hide_what_is_wrong_between_others() -> None:
    found = faults(name="WRONG", mode="DEFAULT", format="CSV", error_topic="orders", partition_column="key")
    assert [fault.split(":")[0] for fault in found] == ["name", "format", "partition_column"]


NO_BROKERS: dict[str, object] = {"bootstrap_servers": "", "delivery": "at-least-once"}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, []),
        ({"endpoint": PUBLIC.format("cn-hangzhou")}, ["endpoint is the public one"]),
        (
            {
                "endpoint": PUBLIC.format("cn-beijing"),
                "table_region": "cn-beijing",
                "allow_public_endpoint": True,
            },
            ["records go from cn-hangzhou to cn-beijing over the Internet"],
        ),
        ({"partition": "MINUTE"}, ["partition MINUTE fills a table's 60"]),
        ({"format": "BINARY"}, ["value_type is Text: values with bytes that aren't UTF-8 are read again"]),
        (NO_BROKERS, ["bootstrap_servers isn't set: the stream replaces bytes of keys and values that aren't UTF-8"]),
        (NO_BROKERS | {"mode": "KEY"}, ["bootstrap_servers isn't set: the stream replaces bytes of keys that aren't"]),
        (
            NO_BROKERS | {"value_type": "Binary"},
            ["bootstrap_servers isn't set: the stream replaces bytes of keys that"],
        ),
        (NO_BROKERS | {"value_type": "Binary", "mode": "VALUE"}, []),
        ({"format": "BINARY", "mode": "KEY"}, []),
        ({"format": "BINARY", "value_type": "Binary"}, []),
        (
            {"offset_topic": "offsets", "error_topic": "errors"},
            [
                "offset_topic is best named connect-offset...",
                "dead_letter_topic is best named connect-error...",
                "error_topic is best named connect-error...",
            ],
        ),
    ],
)
def test_advice(given: dict[str, object], expected: list[str]) -> None:
    found = advice(settings(**given))
    assert len(found) == len(expected)
    for line, beginning in zip(found, expected, strict=True):
        assert line.startswith(beginning)
