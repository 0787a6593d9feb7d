"""Event patterns: the documented examples, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from local_emulator.eventbridge.event_pattern import PatternError, matcher

pytestmark = pytest.mark.quick

EVENT = {
    "id": "7adc8c1a",
    "source": "acs.oss",
    "type": "oss:ObjectCreated:PostObject",
    "subject": "acs:oss:cn-hangzhou:1234567:xls-papk/game_apk/123.jpg",
    "data": {
        "name": "test",
        "scope": 100,
        "state": "initializing",
        "on": True,
        "nothing": None,
        "empty": "",
        "source-ip": "10.0.0.123",
        "tags": ["a", "b"],
        "inner": {"deep": 1.5},
    },
}


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ({}, True),
        ({"source": ["acs.oss"]}, True),
        ({"source": ["acs.OSS"]}, False),
        ({"source": ["acs.ecs", "acs.oss"]}, True),
        ({"source": [{"prefix": "acs."}]}, True),
        ({"source": [{"prefix": "oss"}]}, False),
        ({"subject": [{"suffix": ".jpg"}]}, True),
        ({"subject": [{"suffix": ".txt"}]}, False),
        ({"type": [{"contains": "Created"}]}, True),
        ({"type": [{"contains": "Deleted"}]}, False),
        ({"data": {"state": [{"anything-but": "initializing"}]}}, False),
        ({"data": {"state": [{"anything-but": ["stopped", "overloaded"]}]}}, True),
        ({"data": {"state": [{"anything-but": {"prefix": "init"}}]}}, False),
        ({"data": {"scope": [{"anything-but": 123}]}}, True),
        ({"data": {"absent": [{"anything-but": "x"}]}}, False),
        ({"data": {"scope": [{"numeric": ["=", 100.0]}]}}, True),
        ({"data": {"scope": [{"numeric": [">", 0, "<=", 100]}]}}, True),
        ({"data": {"scope": [{"numeric": [">", 0, "<", 100]}]}}, False),
        ({"data": {"name": [{"numeric": [">", 0]}]}}, False),
        ({"data": {"on": [{"numeric": ["=", 1]}]}}, False),
        ({"data": {"source-ip": [{"cidr": "10.0.0.0/24"}]}}, True),
        ({"data": {"source-ip": [{"cidr": "10.0.1.0/24"}]}}, False),
        ({"data": {"name": [{"cidr": "10.0.0.0/24"}]}}, False),
        ({"data": {"state": [{"exists": True}]}}, True),
        ({"data": {"state": [{"exists": False}]}}, False),
        ({"data": {"absent": [{"exists": False}]}}, True),
        ({"gone": {"absent": [{"exists": False}]}}, True),
        ({"data": {"nothing": [None]}}, True),
        ({"data": {"absent": [None]}}, False),
        ({"data": {"empty": [""]}}, True),
        ({"data": {"on": [True]}}, True),
        ({"data": {"on": [1]}}, False),
        ({"data": {"scope": [100]}}, True),
        ({"data": {"scope": ["100"]}}, False),
        ({"data": {"tags": ["x", "b"]}}, True),
        ({"data": {"tags": ["x"]}}, False),
        ({"data": {"tags": [{"anything-but": "a"}]}}, False),
        ({"data": {"inner": {"deep": [1.5]}}}, True),
        ({"data": {"name": {"deep": [1]}}}, False),
        ({"source": ["acs.oss"], "data": {"scope": [{"numeric": ["<", 1]}, 100], "name": ["test"]}}, True),
        ({"source": ["acs.oss"], "data": {"name": ["another"]}}, False),
    ],
)
def test_patterns(pattern: dict[str, Any], expected: bool) -> None:
    assert matcher(json.dumps(pattern))(EVENT) is expected


@pytest.mark.parametrize(
    ("pattern", "fault"),
    [
        ("", "must be a JSON object"),
        pytest.param("[" * 100_000, "must be a JSON object", id="deep"),
        ("[]", r"the pattern: expected an object"),
        ('{"source": "acs.oss"}', "source: expected an object or an array of alternatives, found 'acs.oss'"),
        ('{"data": {"x": []}}', r"data\.x: expected at least one value or operator"),
        ('{"x": [["a"]]}', "an array in the array"),
        ('{"x": [{}]}', "expected one operator of prefix, .* exists; found none"),
        ('{"x": [{"prefx": "a"}]}', "found prefx"),
        ('{"x": [{"prefix": "a", "suffix": "b"}]}', "found prefix, suffix"),
        ('{"x": [{"prefix": 1}]}', "prefix needs a text; found 1"),
        ('{"x": [{"numeric": [">"]}]}', "numeric needs comparisons"),
        ('{"x": [{"numeric": ["!=", 1]}]}', "numeric needs comparisons"),
        ('{"x": [{"numeric": [[], 1]}]}', "numeric needs comparisons"),
        ('{"x": [{"numeric": ["<", true]}]}', "numeric needs comparisons"),
        ('{"x": [{"cidr": "10.0.0.0/33"}]}', "cidr needs a block of IPv4 addresses"),
        ('{"x": [{"cidr": "fe80::/10"}]}', "cidr needs a block of IPv4 addresses"),
        ('{"x": [{"cidr": 10}]}', "cidr needs a block of IPv4 addresses"),
        ('{"x": [{"exists": "true"}]}', "exists needs true or false"),
        ('{"x": [{"anything-but": {"suffix": "a"}}]}', "anything-but needs a text"),
        ('{"x": [{"anything-but": []}]}', "anything-but needs a text"),
    ],
)
def test_a_wrong_pattern_says_where_and_why(pattern: str, fault: str) -> None:
    with pytest.raises(PatternError, match=fault):
        matcher(pattern)


def test_all_faults_are_reported_at_once() -> None:
    with pytest.raises(PatternError) as caught:
        matcher('{"a": 1, "b": {"c": [{"prefix": 2}]}}')
    assert [fault.split(":")[0] for fault in caught.value.faults] == ["a", "b.c"]
