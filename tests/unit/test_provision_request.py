"""Events: what is read, and that every fault is told at once."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kafka_maxcompute.errors import ConfigurationError
from kafka_maxcompute.maxcompute.column import Column
from kafka_maxcompute.maxcompute.table import create_statement
from provisioning import request as request_module
from provisioning.fields import KNOWN, TAKEN
from provisioning.request import ACTIONS, Request, read

pytestmark = pytest.mark.quick

ENVIRONMENT = {
    "CONNECTOR_NAME": "orders",
    "CONNECTOR_SOURCE_TOPIC": "orders-in",
    "CONNECTOR_ENDPOINT": "http://service.cn-hangzhou.maxcompute.aliyun-inc.com/api",
    "CONNECTOR_PROJECT": "p",
    "CONNECTOR_TABLE": "t",
    "CONNECTOR_BOOTSTRAP_SERVERS": "b:9092",
    "PATH": "/usr/bin",
}


def faults(event: Any, environment: dict[str, str] | None = None) -> tuple[str, ...]:
    text = event if isinstance(event, bytes) else json.dumps(event).encode()
    with pytest.raises(ConfigurationError) as caught:
        read(text, ENVIRONMENT if environment is None else environment)
    return caught.value.faults


def request(**event: Any) -> Request:
    return read(json.dumps({"action": "plan", **event}).encode(), ENVIRONMENT)


def test_settings_come_from_the_environment_and_the_event_comes_first() -> None:
    found = request(settings={"Table": "other", "mode": "KEY"})
    assert (found.settings.name, found.settings.table, found.settings.mode) == ("orders", "other", "KEY")
    assert (found.function, found.trigger, found.stream_name) == (
        "maxcompute-sink-orders",
        "kafka-stream",
        "connect-orders",
    )


def test_another_connectors_group_and_topics_arent_the_environments() -> None:
    """One provisioner serves several connectors, and its variables are those of one."""
    own = {
        "GROUP": "connect-orders",
        "OFFSET_TOPIC": "off",
        "ERROR_TOPIC": "err",
        "DEAD_LETTER_TOPIC": "dead",
        "ROLE": "writer",
    }
    environment = ENVIRONMENT | {f"CONNECTOR_{name}": value for name, value in own.items()}
    for given, group, topics in (
        ({"name": "paid", "source_topic": "p"}, "connect-paid", ["connect-offset-paid", *["connect-error-paid"] * 2]),
        ({"name": "orders"}, "connect-orders", ["off", "err", "dead"]),
        ({"name": "paid", "error_topic": "own"}, "connect-paid", ["connect-offset-paid", "own", "own"]),
    ):
        found = read(json.dumps({"action": "plan", "settings": given}).encode(), environment).settings
        assert (found.group, found.role) == (group, "writer")
        assert [found.offset_topic, found.error_topic, found.dead_letter_topic] == topics


def test_before_the_brokers_are_known_nothing_is_wanted_of_them() -> None:
    environment = ENVIRONMENT | {"CONNECTOR_DELIVERY": "exactly-once", "CONNECTOR_BOOTSTRAP_SERVERS": ""}
    (fault,) = faults({"action": "plan"}, environment)
    assert fault.startswith("bootstrap_servers: ")
    found = read(b'{"action": "bootstrap", "settings": {"Delivery": "exactly-once"}}', environment)
    assert found.settings.delivery == "at-least-once"
    found = read(b'{"action": "bootstrap"}', environment | {"CONNECTOR_BOOTSTRAP_SERVERS": "b:9092"})
    assert found.settings.delivery == "exactly-once"


def asked(action: str, **event: Any) -> Request:
    return read(json.dumps({"action": action, **event}).encode(), ENVIRONMENT)


def test_every_field_is_read() -> None:
    found = request(
        stream="event_stream",
        function="f",
        trigger="tr",
        create_table=True,
        columns={"price": "DOUBLE"},
        accept_risk=["tolerance"],
        batch_records=1,
        batch_seconds=0,
        security_group="sg-1",
    )
    assert found.stream == "event_stream"
    assert found.columns == (Column("price", "DOUBLE"),)
    assert found.accepted == frozenset({"tolerance"})
    message = asked("test", key="k", value="", topic_partition=3, wait_seconds=60, probe=False)
    assert (message.key, message.value, message.topic_partition, message.wait_seconds) == ("k", "", 3, 60)
    assert asked("test", probe=True).probe
    gone = asked("destroy", confirm="orders", remove=["topics"])
    assert (gone.confirm, gone.remove) == ("orders", frozenset({"topics"}))


@pytest.mark.parametrize(
    ("action", "field"), [(action, field) for action in ACTIONS for field in KNOWN if field not in TAKEN[action]]
)
def test_a_field_that_the_action_doesnt_know_is_refused_with_those_that_it_takes(action: str, field: str) -> None:
    (fault, *_) = faults({"action": action, field: None})
    assert fault == f"{field}: {action} doesn't take it; {action} takes {', '.join(TAKEN[action])}"


def test_a_field_is_read_as_a_setting_is() -> None:
    found = asked("Test", probe="no", wait_seconds="60", topic_partition=3)
    assert (found.action, found.probe, found.wait_seconds, found.topic_partition) == ("test", False, 60, 3)
    assert asked("plan", stream="EVENT_STREAM", batch_seconds=3, accept_risk=["Filter"]).accepted == {"filter"}
    (fault,) = faults({"action": "Pause", "confirm": "orders"})
    assert fault.startswith("confirm: pause doesn't take it; pause takes ")
    (fault,) = faults({"action": "letters", "letters": {"allow": ["unclear"], "reasons": ["not-csv"]}})
    assert fault.startswith("letters.allow: it applies to redrive only")
    (fault, *_) = faults({"action": "test", "probe": "on", "key": "k"})
    assert fault.startswith("key: it applies to the test message only")


def test_every_action_says_which_fields_it_takes_and_every_field_belongs_to_one() -> None:
    assert set(TAKEN) == set(ACTIONS)
    assert set(KNOWN) - {"settings"} == set(request_module._KINDS)  # none is read by no action


def test_a_misspelt_field_is_refused_with_the_nearest_one_of_its_action() -> None:
    (fault,) = faults({"action": "plan", "creat_table": True})
    assert fault.startswith("creat_table: no such field; did you mean create_table? plan takes action, settings, ")
    (fault,) = faults({"action": "pause", "offsets": {"0": 1}})
    assert fault == "offsets: no such field; pause takes action, settings, stream, function, trigger"


def test_fields_that_have_no_effect_beside_others_are_refused() -> None:
    (fault,) = faults({"action": "apply", "batch_seconds": 3})
    assert fault.startswith("batch_seconds: it applies to an event stream only; template.yml has it for a trigger")
    assert asked("apply", stream="event_stream", batch_seconds=3).batch_seconds == 3
    by_hand = {"control": "admin", "instance_id": ""}
    assert asked("plan", settings=by_hand, batch_seconds=3).batch_seconds == 3
    found = faults({"action": "test", "probe": True, "key": "k", "value": "v"})
    assert [fault.partition(":")[0] for fault in found] == ["key", "value"]


def test_the_test_message_is_the_documents_unless_another_is_given() -> None:
    found = request()
    assert (found.key, found.value, found.topic_partition) == ("demo", '{"key": "test"}', None)


def test_all_faults_at_once() -> None:
    found = faults(
        {
            "action": "aply",
            "strem": "trigger",
            "create_table": "perhaps",
            "batch_records": 10_001,
            "batch_seconds": True,
            "accept_risk": ["everything"],
            "columns": {"1": "STRING"},
            "settings": {"name": "-x", "colour": "red"},
        }
    )
    assert [fault.partition(":")[0] for fault in found] == [
        "strem",
        "action",
        "create_table",
        "batch_records",
        "batch_seconds",
        "accept_risk",
        "columns",
        "colour",
        "name",
    ]
    assert "did you mean stream?" in found[0]
    assert "one of bootstrap, plan, apply" in found[1]


@pytest.mark.parametrize(
    ("event", "told"),
    [
        (b"{", "expected an event of JSON"),
        (b"[]", "expected an event that is a JSON object, found list"),
        (b"{}", "action isn't set"),
        (b'{"action": "plan", "action": "apply"}', "action: set twice"),
        (b'{"action": "plan", "settings": {"mode": "KEY", "mode": "VALUE"}}', "mode: set twice"),
        (b'{"action": "plan", "settings": []}', "settings: expected an object"),
        (b'{"action": null}', "action: expected one of"),
        (b'{"action": ["plan"]}', "action: expected one of"),
        (b'{"action": "plan", "accept_risk": [["a"]]}', "accept_risk: expected a list of"),
        (b'{"action": "plan", "function": ""}', "function: expected the sink function's name"),
        (b'{"action": "test", "topic_partition": -1}', "topic_partition: expected a whole number from 0"),
        (b'{"action": "test", "wait_seconds": 0}', "wait_seconds: expected a whole number from 1 to 3600"),
        (b'{"action": "test", "key": 5}', "key: expected text, found 5"),
    ],
)
def test_a_wrong_event(event: bytes, told: str) -> None:
    assert any(told in fault for fault in faults(event))


def test_a_setting_that_nobody_gives_is_told_beside_the_events_faults() -> None:
    found = faults({"action": "nothing"}, {})
    assert any(fault.startswith("action:") for fault in found)
    assert any(fault.startswith("name isn't set") for fault in found)


ATTACK = "DECIMAL(10,2))/**/PARTITIONED/**/BY/**/(`PT`/**/STRING);DROP/**/TABLE/**/PRECIOUS;--"


@pytest.mark.parametrize(
    "kind", [ATTACK, "CHAR(1),`EVIL`STRING,`Z`VARCHAR(3)", "DECIMAL(10,2)) LIFECYCLE 1; --", "TEXT"]
)
def test_a_column_is_of_a_type_and_nothing_else(kind: str) -> None:
    event = {"action": "apply", "create_table": True, "settings": {"mode": "VALUE", "format": "CSV"}}
    (fault,) = faults({**event, "columns": {"price": kind}})
    assert fault.startswith("columns.price: expected one of TINYINT, ")
    with pytest.raises(ConfigurationError, match="expected one of TINYINT, "):
        create_statement(request(**event).settings, [Column("price", kind)])


@pytest.mark.parametrize("name", ["..", ".", "a/b", "a?b", "%2e%2e", "a b", "a#b", "f" * 129])
def test_names_in_paths_are_names(name: str) -> None:
    assert [fault.partition(":")[0] for fault in faults({"action": "plan", "function": name, "trigger": name})] == [
        "function",
        "trigger",
    ]


def test_first_offsets_may_be_digits() -> None:
    assert asked("plan", start={"0": "5", "1": 6}).start == {0: 5, 1: 6}


@pytest.mark.parametrize("offset", [True, -1, "-1", "5 ", "", 5.0, None, 10**18])
def test_other_first_offsets_are_refused(offset: object) -> None:
    (fault,) = faults({"action": "plan", "start": {"0": offset}})
    assert fault.startswith('start: expected first offsets by topic-partition, such as {"0": 123}, found ')


@pytest.mark.parametrize("moment", [0, "20260101", 1_700_000_000, "20260101120000"])
def test_a_number_that_is_no_time_in_milliseconds_of_this_era_is_refused(moment: object) -> None:
    (fault,) = faults({"action": "reset", "start_timestamp": moment})
    assert "or milliseconds since 1970, from 946684800000 (the year 2000) to 9999999999999 (2286), found" in fault
    assert asked("reset", start_timestamp="1970-01-01").start_timestamp == 0


def test_a_topic_partition_has_one_spelling_only() -> None:
    with pytest.raises(ConfigurationError, match="start: expected"):
        read(b'{"action": "plan", "start": {"0": 1, "00": 2}}', {})
