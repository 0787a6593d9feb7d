"""Any bytes are an event of the provisioning function: a request, or faults that a reply can hold."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafka_maxcompute.errors import ConfigurationError
from provisioning.actions import ACTIONS
from provisioning.request import _KINDS, Request, read

pytestmark = pytest.mark.quick

ENVIRONMENT = {
    "CONNECTOR_NAME": "orders",
    "CONNECTOR_SOURCE_TOPIC": "orders-in",
    "CONNECTOR_ENDPOINT": "http://service.cn-hangzhou.maxcompute.aliyun-inc.com/api",
    "CONNECTOR_PROJECT": "p",
    "CONNECTOR_TABLE": "t",
    "CONNECTOR_BOOTSTRAP_SERVERS": "b:9092",
}
HOSTILE = st.sampled_from(
    [
        None,
        True,
        -1,
        2**63,
        10**400,
        1.5,
        float("inf"),
        "",
        "\ud800",
        "\0",
        "\u0661",
        "1_2",
        "x" * 100_000,
        "DECIMAL(1);DROP",
    ]
)
VALUES = st.recursive(
    HOSTILE | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
FIELDS = st.dictionaries(st.sampled_from([*_KINDS, "settings", "unknown"]) | st.text(max_size=8), VALUES, max_size=5)


def outcome(event: bytes) -> Request | list[str]:
    """What an event is read as; the faults can be written into a reply, and none is long."""
    try:
        return read(event, ENVIRONMENT)
    except ConfigurationError as error:
        faults = list(error.faults)
    json.dumps(faults, ensure_ascii=False).encode()
    assert max(map(len, faults)) < 2_000
    return faults


@given(st.sampled_from(sorted(ACTIONS)), FIELDS)
def test_an_event_of_hostile_fields_is_a_request_or_refused(action: str, fields: dict[str, Any]) -> None:
    outcome(json.dumps({**fields, "action": action}).encode())


@given(st.binary(max_size=64))
def test_any_bytes_are_an_event_or_refused(event: bytes) -> None:
    outcome(event)


@pytest.mark.parametrize(
    ("event", "told"),
    [
        (b'{"action": "test", "key": "\\ud800"}', "expected an event of JSON in UTF-8"),
        (b'{"\\ud800": 1}', "expected an event of JSON in UTF-8"),
        (b'{"action": "plan", "columns": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "expected an event of JSON"),
        (
            b'{"action": "apply", "start_timestamp": 9223372036854775808}',
            "start_timestamp: expected an ISO date or time",
        ),
        (b'{"action": "plan", "settings": {"concurrency": "1_2"}}', "concurrency: expected"),
        ('{"action": "plan", "settings": {"concurrency": "\u0661"}}'.encode(), "concurrency: expected"),
    ],
)
def test_what_raised_is_refused(event: bytes, told: str) -> None:
    faults = outcome(event)
    assert isinstance(faults, list)
    assert any(told in fault for fault in faults)


def test_many_unknown_names_cost_little_and_are_not_all_named() -> None:
    event: dict[str, Any] = {f"field-{number}": 1 for number in range(20_000)} | {"action": "plan"}
    event["settings"] = {f"setting-{number}": 1 for number in range(20_000)}
    began = time.process_time()
    faults = outcome(json.dumps(event).encode())
    assert isinstance(faults, list)
    assert len(faults) < 60
    assert time.process_time() - began < 5
