"""What each resource takes for a difference, and what would be done about it."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from kafka_maxcompute.errors import RefusedError
from kafka_maxcompute.maxcompute.column import Column
from kafka_maxcompute.maxcompute.table import POSITION, TableDefinition
from provisioning.connector_resources import resources, stream
from provisioning.request import Request, read
from provisioning.resources.event_stream import EventStream, StreamState
from provisioning.resources.grants import Grants, granted
from provisioning.resources.ledger import ConnectorLedger
from provisioning.resources.role import Role, RoleState, principal, trust
from provisioning.resources.service_linked_roles import NEEDED, ServiceLinkedRole
from provisioning.resources.start import Start, StartState
from provisioning.resources.table import Table
from provisioning.resources.topics import Topic, TopicState, own_topics
from provisioning.resources.trigger import Trigger, TriggerState
from provisioning.step import step

pytestmark = pytest.mark.quick

ACCOUNT = "1880000000000000"
GRANTED = frozenset(
    {
        ("projects/p", "createinstance"),
        ("projects/p/tables/t", "describe"),
        ("projects/p/tables/t", "alter"),
        ("projects/p/tables/t", "update"),
    }
)
COLUMNS = (*POSITION, Column("key", "STRING"), Column("value", "STRING"))
PT = (Column("pt", "STRING"),)


def request(settings: dict[str, Any] | None = None, **event: Any) -> Request:
    given = {
        "name": "orders",
        "instance_id": "alikafka_x",
        "source_topic": "orders-in",
        "endpoint": "http://127.0.0.1:1/api",
        "project": "p",
        "table": "t",
        "delivery": "at-least-once",
    } | (settings or {})
    return read(
        json.dumps({"action": "plan", "settings": given, **event}).encode(), {"ALLOWED_ADDRESSES": "127.0.0.1:1"}
    )


def trigger_config(**changes: Any) -> dict[str, Any]:
    config: dict[str, Any] = {
        "triggerEnable": True,
        "asyncInvocationType": False,
        "eventRuleFilterPattern": "{}",
        "eventSinkConfig": {"deliveryOption": {"mode": "event-streaming", "eventSchema": "CloudEvents"}},
        "runOptions": {
            "errorsTolerance": "NONE",
            "maximumTasks": 6,
            "retryStrategy": {"PushRetryStrategy": "EXPONENTIAL_DECAY_RETRY"},
        },
        "eventSourceConfig": {
            "eventSourceType": "Kafka",
            "eventSourceParameters": {
                "sourceKafkaParameters": {
                    "InstanceId": "alikafka_x",
                    "Topic": "orders-in",
                    "ConsumerGroup": "connect-orders",
                    "OffsetReset": "earliest",
                }
            },
        },
    }
    return config | changes


def fields(resource: Any, found: Any) -> dict[str, str]:
    return {difference.field: difference.remedy for difference in resource.compare(found)}


# --- where the group begins -------------------------------------------------------------------------------------------


def test_a_start_has_to_lie_in_its_log() -> None:
    found = StartState(committed={0: 4, 1: 0}, logs={0: (3, 9), 1: (0, 9), 2: (3, 9), 3: (3, 9)})
    start = Start(request(start={"0": 4, "1": 9, "2": 2, "3": 10, "4": 0}))
    assert fields(start, found) == {
        "orders-in-1": "change",
        "orders-in-2": "by hand",
        "orders-in-3": "by hand",
        "orders-in-4": "by hand",
    }
    assert step(start, found, manual=False).why == (
        "orders-in-2: none -> 2; start: orders-in-2 begins at 3, after 2; set it to 3 or later",
        "orders-in-3: none -> 10; start: orders-in-3 ends at 9, before 10; new records would be skipped",
        "orders-in-4: none -> 0; start: orders-in has no topic-partition 4; it has 4, numbered from 0",
    )


def test_a_start_that_was_made_stays_good_when_its_log_moves_on() -> None:
    start = Start(request(start={"0": 4}))
    assert start.compare(StartState(committed={0: 4}, logs={0: (5, 9)})) == ()


# --- the role and its kin ---------------------------------------------------------------------------------------------


def test_a_trust_is_compared_as_what_it_means() -> None:
    same = {
        "Version": "1",
        "Statement": [
            {"Effect": "Allow", "Action": ["sts:AssumeRole"], "Principal": {"Service": "fc.aliyuncs.com"}},
            {"Principal": {"Service": ["alikafka.aliyuncs.com"]}, "Action": "sts:AssumeRole", "Effect": "Allow"},
        ],
    }
    assert Role("r").compare(RoleState("arn", same)) == ()
    assert Role("r").compare(RoleState("arn", trust())) == ()


@pytest.mark.parametrize(
    "statements",
    [
        [],
        [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": ["fc.aliyuncs.com"]}}],
        [{"Effect": "Deny", "Action": "sts:AssumeRole", "Principal": trust()["Statement"][0]["Principal"]}],
        [
            *trust()["Statement"],
            {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"RAM": ["acs:ram::1:root"]}},
        ],
        [{**trust()["Statement"][0], "Condition": {"StringEquals": {"a": "b"}}}],
    ],
)
def test_another_trust_is_mended(statements: list[dict[str, Any]]) -> None:
    planned = step(Role("r"), RoleState("arn", {"Version": "1", "Statement": statements}), manual=False)
    assert planned.do == "change"
    assert planned.as_json()["differences"][0]["wanted"] == "alikafka.aliyuncs.com, fc.aliyuncs.com"


def test_the_principal_is_in_lower_case() -> None:
    assert principal(ACCOUNT, "AliyunKafkaMaxComputeUser1") == f"RAM${ACCOUNT}:role/aliyunkafkamaxcomputeuser1"


def test_a_plain_role_with_a_services_name_blocks() -> None:
    role = ServiceLinkedRole(*next(iter(NEEDED.items())))
    assert step(role, False, manual=False).do == "blocked"  # the state that was found
    assert step(role, True, manual=False).do == "keep"  # as above


# --- grants -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "shown",
    [
        json.dumps(
            {
                "ACL": {
                    "user/x": [
                        {
                            "Effect": "Allow",
                            "Action": ["odps:Describe", "odps:Alter"],
                            "Resource": ["acs:odps:*:projects/P/tables/T"],
                        }
                    ]
                }
            }
        ),
        "[roles]\n\nAuthorization Type: ACL\n[user/x]\nA\tprojects/P/tables/T: Describe | Alter\n",
    ],
)
def test_grants_are_read_in_both_forms(shown: str) -> None:
    assert granted(shown) == {("projects/p/tables/t", "describe"), ("projects/p/tables/t", "alter")}


@pytest.mark.parametrize("shown", ["", "{}", "[]", "null", '"OK"', '{"ACL": {"u": [{"Effect": "Deny"}]}}'])
def test_an_answer_without_grants(shown: str) -> None:
    assert granted(shown) == frozenset()


def test_grants_are_complete_with_all_or_with_each() -> None:
    grants = Grants("RAM$1:role/r", "P", "T")
    assert grants.compare(GRANTED) == ()
    assert grants.compare(frozenset({("projects/p", "all"), ("projects/p/tables/t", "all")})) == ()
    (difference,) = grants.compare(GRANTED - {("projects/p/tables/t", "update")})
    assert str(difference) == "grants on projects/p/tables/t: Alter, Describe -> Alter, Describe, Update"
    assert difference.remedy == "change"


def test_of_many_grants_a_plan_shows_those_that_are_missing() -> None:
    """A user may have a thousand grants on other objects; they aren't the connector's."""
    grants = Grants("RAM$1:role/r", "P", "T")
    others = frozenset((f"projects/p/tables/other_{number}", "select") for number in range(1_000))
    assert grants.compare(GRANTED | others) == ()
    first, second = grants.compare(others)
    assert str(first) == "grants on projects/p: none -> CreateInstance"
    assert str(second) == "grants on projects/p/tables/t: none -> Alter, Describe, Update"


def test_exactly_once_counts_rows_and_may_read_them() -> None:
    grants = Grants("RAM$1:role/r", "P", "T", counts=True)
    assert "grant Describe, Alter, Update, Select on table T to user `RAM$1:role/r`;" in map(str, grants.statements())
    (difference,) = grants.compare(GRANTED)
    assert str(difference) == (
        "grants on projects/p/tables/t: Alter, Describe, Update -> Alter, Describe, Select, Update"
    )
    assert grants.compare(GRANTED | {("projects/p/tables/t", "select")}) == ()


EXACTLY_ONCE = {"delivery": "exactly-once", "bootstrap_servers": "127.0.0.1:9092"}


@pytest.mark.parametrize(
    ("settings", "with_select"),
    [(EXACTLY_ONCE, True), (EXACTLY_ONCE | {"grant_select": "false"}, False), ({}, False)],
)
def test_select_is_granted_where_rows_are_counted_unless_it_is_left_out(
    settings: dict[str, str], *, with_select: bool
) -> None:
    (grants,) = (one for one in resources(request(settings), ACCOUNT) if isinstance(one, Grants))
    assert any("Select" in statement for statement in map(str, grants.statements())) is with_select


# --- the table --------------------------------------------------------------------------------------------------------


def test_a_table_with_swapped_columns_blocks_with_each_difference() -> None:
    swapped = (COLUMNS[1], COLUMNS[0], *COLUMNS[2:])
    planned = step(Table(request().settings), TableDefinition(swapped, PT), manual=False)
    assert planned.do == "blocked"
    assert len(planned.why) == 2
    assert step(Table(request().settings), TableDefinition(COLUMNS, PT), manual=False).do == "keep"


def test_a_table_is_made_on_request_only() -> None:
    settings = request().settings
    planned = step(Table(settings), None, manual=False)
    assert planned.do == "blocked"
    assert "CREATE TABLE IF NOT EXISTS `t` (`topic` STRING" in planned.why[0]
    assert step(Table(settings, wanted=True), None, manual=False).do == "create"
    csv = request({"format": "CSV", "mode": "VALUE"}).settings
    assert step(Table(csv, wanted=True), None, manual=False).do == "blocked"
    assert step(Table(csv, (Column("price", "DOUBLE"),), wanted=True), None, manual=False).do == "create"
    assert step(Table(csv, (Column("price", "MONEY"),), wanted=True), None, manual=False).do == "blocked"


# --- topics -----------------------------------------------------------------------------------------------------------


def topic(purpose: str) -> Topic:
    return next(
        one
        for one in own_topics(request({"error_topic": "errors", "dead_letter_topic": "dead"}).settings)
        if one.purpose == purpose
    )


def test_there_are_five_topics_or_four() -> None:
    assert [one.purpose for one in own_topics(request().settings)] == ["offset", "config", "status", "error"]
    assert len(own_topics(request({"dead_letter_topic": "dead"}).settings)) == 5


@pytest.mark.parametrize(
    ("purpose", "found", "wrong"),
    [
        ("offset", TopicState(2, local=True, compact=True, running=True), set()),
        ("offset", TopicState(1, local=True, compact=True, running=True), {"topic-partitions"}),
        ("config", TopicState(1, local=True, compact=True, running=True), set()),
        ("config", TopicState(2, local=True, compact=True, running=True), {"topic-partitions"}),
        ("status", TopicState(1, local=True, compact=True, running=True), set()),
        ("status", TopicState(6, local=False, compact=False, running=True), {"local storage", "compacted"}),
        ("error", TopicState(6, local=False, compact=False, running=True), set()),
        ("error", TopicState(6, local=True, compact=False, running=True), set()),
        ("error", TopicState(6, local=True, compact=True, running=True), {"compacted"}),
        ("dead-letter", TopicState(1, local=False, compact=False, running=True), set()),
    ],
)
def test_a_topic_as_the_document_wants_it(purpose: str, found: TopicState, wrong: set[str]) -> None:
    assert fields(topic(purpose), found) == dict.fromkeys(wrong, "by hand")


def test_a_topic_that_isnt_running_yet_is_waited_for() -> None:
    assert step(topic("error"), TopicState(6, local=False, compact=False, running=False), manual=False).do == "wait"


# --- streams ----------------------------------------------------------------------------------------------------------


def test_the_trigger_of_the_template_is_as_wanted() -> None:
    assert Trigger(request()).compare(TriggerState(trigger_config(), "RUNNING")) == ()


@pytest.mark.parametrize(
    ("changes", "field", "risk"),
    [
        ({"asyncInvocationType": True}, "asyncInvocationType", "asynchronous"),
        ({"eventRuleFilterPattern": '{"a": []}'}, "eventRuleFilterPattern", "filter"),
        (
            {"runOptions": {**trigger_config()["runOptions"], "errorsTolerance": "ALL"}},
            "runOptions.errorsTolerance",
            "tolerance",
        ),
        (
            {"runOptions": {**trigger_config()["runOptions"], "retryStrategy": {"PushRetryStrategy": "BACKOFF_RETRY"}}},
            "runOptions.retryStrategy.PushRetryStrategy",
            "retry",
        ),
    ],
)
def test_a_trigger_that_loses_data_blocks_unless_the_risk_is_accepted(
    changes: dict[str, Any], field: str, risk: str
) -> None:
    found = TriggerState(trigger_config(**changes))
    planned = step(Trigger(request()), found, manual=False)
    assert planned.do == "blocked"
    assert field in planned.why[0]
    assert f"accept the risk '{risk}'" in planned.why[0]
    assert (
        step(Trigger(request(accept_risk=[risk])), TriggerState(trigger_config(**changes)), manual=False).do == "keep"
    )


@pytest.mark.parametrize(
    ("status", "do"), [("", "keep"), ("STARTING", "wait"), ("STARTING_FAILED", "change"), ("READY", "change")]
)
def test_a_trigger_whose_stream_doesnt_run_isnt_kept(status: str, do: str) -> None:
    assert step(Trigger(request()), TriggerState(trigger_config(), status), manual=True).do == do


def test_a_trigger_of_another_topic_blocks_whatever_is_accepted() -> None:
    wrong = request({"source_topic": "payments"}, accept_risk=["tolerance", "filter"])
    assert step(Trigger(wrong), TriggerState(trigger_config()), manual=False).do == "blocked"


def test_a_trigger_is_switched_on_also_in_manual_mode_and_never_made() -> None:
    off = TriggerState(trigger_config(triggerEnable=False), "PAUSED")
    assert step(Trigger(request()), off, manual=True).do == "change"
    assert step(Trigger(request()), None, manual=False).why == (
        "it isn't there; deploy the function with its trigger: s deploy -t template.yml",
    )


ANY_CLOUD: Any = SimpleNamespace(account=ACCOUNT)


def stream_state(asked: Request, status: str = "RUNNING", **source: Any) -> StreamState:
    """The state of a stream that was made as asked."""
    definition: dict[str, Any] = EventStream(asked)._definition(ANY_CLOUD)
    return StreamState(
        status,
        {**definition["Source"]["SourceKafkaParameters"], **source},
        definition["Sink"]["SinkFcParameters"],
        definition["RunOptions"],
    )


@pytest.mark.parametrize(
    ("status", "do"),
    [
        ("RUNNING", "keep"),
        ("READY", "change"),
        ("PAUSED", "change"),
        ("STARTING", "wait"),
        ("STARTING_FAILED", "change"),
        ("RUNNING_FAILED", "change"),
    ],
)
def test_a_streams_states(status: str, do: str) -> None:
    asked = request({"value_type": "Binary"}, stream="event_stream")
    assert step(EventStream(asked), stream_state(asked, status), manual=False).do == do


def test_a_stream_of_another_source_or_type_blocks_and_other_drift_is_mended() -> None:
    asked = request({"value_type": "Binary"}, stream="event_stream")
    resource = EventStream(asked)
    assert fields(resource, stream_state(asked, Topic="payments")) == {"source Topic": "by hand"}
    assert fields(resource, stream_state(asked, ValueDataType="Text")) == {"value type": "by hand"}
    assert fields(resource, stream_state(asked, ValueDataType="BINARY")) == {}
    assert fields(resource, stream_state(asked, ConsumerGroup="other")) == {"source ConsumerGroup": "change"}
    assert step(resource, stream_state(asked, ConsumerGroup="other"), manual=True).do == "blocked"


# --- the connector ----------------------------------------------------------------------------------------------------


def test_manual_mode_makes_nothing_and_says_how_to_make_each() -> None:
    asked = request({"resource_creation": "manual"}, create_table=True)
    steps = [step(resource, None, manual=True) for resource in resources(asked, ACCOUNT)]
    assert {one.do for one in steps} == {"blocked"}
    assert all(len(one.why) == 1 for one in steps)


def test_the_stream_comes_last() -> None:
    for way, kind in (("trigger", Trigger), ("event_stream", EventStream)):
        asked = request(stream=way)
        assert isinstance(resources(asked, ACCOUNT)[-1], kind)
        assert stream(asked) == resources(asked, ACCOUNT)[-1]


def test_a_ledger_begins_with_a_table_that_has_a_creation_time() -> None:
    ledger = ConnectorLedger(request().settings)
    assert ledger._identity(7, {"orders": "id"}).table_created == 7
    with pytest.raises(RefusedError, match=r"expected a table .* with a creation time, .* create the table"):
        ledger._identity(None, {})
