"""Which names each rule allows."""

from __future__ import annotations

import pytest

from kafka_maxcompute.settings import names

pytestmark = pytest.mark.quick


@pytest.mark.parametrize(
    ("rule", "allowed", "refused"),
    [
        (
            names.CONNECTOR,
            ["a", "0", "a-", "kafka-maxcompute-sink", "1-2", "a" * 48],
            ["", "-a", "A", "a_b", "a.b", "a b", "ä", "a" * 49, "a\n"],
        ),
        (
            names.GROUP,
            ["connect-a", "connect-kafka-maxcompute-sink", "connect-" + "a" * 48],
            ["connect-", "connect--a", "kafka", "Connect-a", "connect-A", "connect-" + "a" * 49],
        ),
        (
            names.TOPIC,
            ["a", "maxcompute-test-input", "A.b_c-1", "...", ".a", "_", "a" * 249],
            ["", ".", "..", "a b", "ä", "a/b", "a" * 250, "a\n", ".\n"],
        ),
        (names.CREATED_TOPIC, ["abc", "connect-offset-" + "a" * 48, "A_b", "a" * 64], ["", "ab", "a.b", "a" * 65]),
        (
            names.INSTANCE,
            ["alikafka_post-cn-st21p8vj0001", "alikafka_serverless-cn-x"],
            ["", "alikafka_post-cn-st21p8vj****", "alikafka_", "kafka"],
        ),
        (
            names.MAXCOMPUTE,
            ["t", "connector_test", "Test_1", "a" * 128],
            ["", "1t", "_t", "a-b", "a.b", "ä", "表", "a" * 129, "t\n"],
        ),
        (
            names.REGION,
            ["cn-hangzhou", "ap-southeast-1", "cn-hangzhou-finance", "cn-shanghai-finance-1", "cn-heyuan-acdr-1"],
            ["", "cn", "cn-", "hangzhou", "CN-HANGZHOU", "China (Hangzhou)", "cn-hangzhou/"],
        ),
        (names.VPC, ["vpc-bp1xpdnd3l0001"], ["", "vpc-", "vpc-bp1xpdnd3l***", "vsw-bp1"]),
        (names.VSWITCH, ["vsw-bp1d2jgg810001"], ["", "vsw-", "vsw-bp1***", "vpc-bp1"]),
        (names.ACCOUNT, ["1880000000000000"], ["", "188***", "me", "1" * 21]),
        (names.ROLE, ["AliyunKafkaMaxComputeUser1", "a.b-c", "r" * 64], ["", "a b", "acs:ram::1:role/r", "r" * 65]),
    ],
    ids=[
        *("connector", "group", "topic", "created topic", "instance", "maxcompute"),
        *("region", "vpc", "vswitch", "account", "role"),
    ],
)
def test_rule(rule: names.NameRule, allowed: list[str], refused: list[str]) -> None:
    assert [name for name in allowed if not rule.allows(name)] == []
    assert [name for name in refused if rule.allows(name)] == []
    assert rule.expected
