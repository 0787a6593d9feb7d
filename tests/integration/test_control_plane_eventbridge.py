"""EventBridge's API by its own SDK: streams that really run from the broker to a function."""

from __future__ import annotations

import base64
import json
import uuid
from typing import TYPE_CHECKING, Any

import pytest
from alibabacloud_eventbridge20200401 import models

from local_emulator.control_plane.account_setup import add_instance
from local_emulator.control_plane.alikafka import cluster
from local_emulator.control_plane.alikafka.entities import KafkaInstance
from local_emulator.kafka.producer import produce
from local_emulator.kafka.record import Record
from tests.control_plane_clients import ACCOUNT, policy, refused
from tests.event_streams import NAME, ROLES, delete, get, make_roles, new, pause, reaches, start, started, status
from tests.fake_function import FAILED, OK, Answer, FakeFunction
from tests.kafka_fixtures import APACHE
from tests.stream_clients import (
    INSTANCE,
    REGION,
    event_bridge,
    eventually,
    kafka,
    new_topic,
    offsets,
    send,
    values,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from local_emulator.control_plane import server
    from local_emulator.kafka.broker import Broker
    from local_emulator.kafka.embedded import EmbeddedBroker


@pytest.fixture
def function() -> Iterator[FakeFunction]:
    with FakeFunction() as running:
        yield running


@pytest.fixture
def plane(embedded_kafka: EmbeddedBroker, function: FakeFunction) -> Iterator[server.ControlPlaneServer]:
    embedded_kafka.create_topic("orders", 3)
    with started(embedded_kafka, function) as running:
        make_roles(running)
        yield running


@pytest.fixture
def bare() -> Iterator[server.ControlPlaneServer]:
    """A control plane without a broker: streams only seem to run."""
    with started(None, None) as running:
        yield running


def test_a_stream_delivers_from_its_start(
    plane: server.ControlPlaneServer, embedded_kafka: EmbeddedBroker, function: FakeFunction
) -> None:
    body = event_bridge(plane).create_event_streaming(new()).body
    assert (body.code, body.success) == ("Success", True)
    assert body.data.event_streaming_arn == f"acs:eventbridge:{REGION}:{ACCOUNT}:eventstreaming/{NAME}"
    assert status(plane) == "READY"
    send(embedded_kafka, "orders", 9)
    assert function.bodies == []
    assert start(plane).success
    assert status(plane) == "STARTING"
    assert reaches(plane, "RUNNING")
    assert eventually(lambda: len(values(function)) == 9)
    assert sorted(values(function)) == [str(number) for number in range(9)]
    assert {event["aliyunaccountid"] for body in function.bodies for event in json.loads(body)} == {ACCOUNT}


def test_pause_keeps_the_place(
    plane: server.ControlPlaneServer, embedded_kafka: EmbeddedBroker, function: FakeFunction
) -> None:
    event_bridge(plane).create_event_streaming(new())
    start(plane)
    assert reaches(plane, "RUNNING")
    send(embedded_kafka, "orders", 3)
    delivered = {("orders", number): 1 for number in range(3)}
    assert eventually(lambda: cluster.committed(embedded_kafka, "connect-orders", {"orders": 3}) == delivered)
    assert pause(plane).success
    assert reaches(plane, "PAUSED")
    send(embedded_kafka, "orders", 3)
    assert cluster.committed(embedded_kafka, "connect-orders", {"orders": 3}) == delivered
    start(plane)
    assert eventually(lambda: offsets(function) == {(number, at) for number in range(3) for at in range(2)})
    assert reaches(plane, "RUNNING")


def test_delete_ends_a_stream(
    plane: server.ControlPlaneServer, function: FakeFunction, embedded_kafka: EmbeddedBroker
) -> None:
    event_bridge(plane).create_event_streaming(new())
    start(plane)
    assert reaches(plane, "RUNNING")
    running = plane.plane.settings.surroundings.streams.stream(NAME)
    assert running is not None
    assert delete(plane).success
    assert eventually(lambda: running.progress().state.value == "READY")
    assert get(plane).code == "EventStreamingNotExisted"
    send(embedded_kafka, "orders", 3)
    assert function.bodies == []


def test_values_as_bytes(
    plane: server.ControlPlaneServer, function: FakeFunction, embedded_kafka: EmbeddedBroker
) -> None:
    event_bridge(plane).create_event_streaming(new(source={"ValueDataType": "Binary"}))
    start(plane)
    send(embedded_kafka, "orders", 1)
    assert eventually(lambda: values(function) == [base64.b64encode(b"0").decode()])


def test_strings_and_quick_retries_are_choices(embedded_kafka: EmbeddedBroker, function: FakeFunction) -> None:
    embedded_kafka.create_topic("orders", 1)
    with started(embedded_kafka, function, elements="strings", time_scale=0.001) as plane:
        make_roles(plane)
        function.answer = lambda _: FAILED if len(function.bodies) <= 2 else OK
        retries = {"PushRetryStrategy": "BACKOFF_RETRY", "MaximumRetryAttempts": 1}
        event_bridge(plane).create_event_streaming(new(run={"RetryStrategy": retries}))
        start(plane)
        assert reaches(plane, "RUNNING")
        send(embedded_kafka, "orders", 1)
        assert reaches(plane, "READY"), "its one retry failed, too"
        start(plane)
        assert eventually(lambda: len(function.bodies) == 3)
    [element] = json.loads(function.bodies[-1])
    assert json.loads(element)["data"]["value"] == "0"


def test_a_filter_selects_the_events(
    plane: server.ControlPlaneServer, function: FakeFunction, embedded_kafka: EmbeddedBroker
) -> None:
    pattern = '{"data": {"value": [{"numeric": [">=", 7]}], "partition": [1]}}'
    event_bridge(plane).create_event_streaming(new(FilterPattern=pattern, source={"ValueDataType": "Json"}))
    assert get(plane).data.filter_pattern == pattern
    start(plane)
    send(embedded_kafka, "orders", 12)
    delivered = {("orders", number): 4 for number in range(3)}
    assert eventually(lambda: cluster.committed(embedded_kafka, "connect-orders", {"orders": 3}) == delivered)
    assert sorted(values(function)) == [7, 10]


def test_asynchronous_deliveries_are_cut_at_128_kb_and_not_retried(
    plane: server.ControlPlaneServer, function: FakeFunction, embedded_kafka: EmbeddedBroker
) -> None:
    function.answer = lambda _: Answer(202, b"")
    event_bridge(plane).create_event_streaming(
        new(
            sink={"InvocationType": {"Value": "Async", "Form": "CONSTANT"}},
            run={"BatchWindow": {"CountBasedWindow": 100, "TimeBasedWindow": 5}, "MaximumTasks": 1},
        )
    )
    start(plane)
    assert reaches(plane, "RUNNING")
    records = [Record(0, 1_605_594_185_000, None, b"x" * 2048) for _ in range(100)]
    produce(embedded_kafka.bootstrap_servers, "orders", records)
    committed = {("orders", 0): 100}
    assert eventually(
        lambda: committed.items() <= cluster.committed(embedded_kafka, "connect-orders", {"orders": 3}).items()
    )
    assert {headers["x-fc-invocation-type"] for headers in function.headers} == {"Async"}
    assert [len(json.loads(body)) for body in function.bodies] == [52, 48], "2 KB and the envelope each"
    assert max(len(body) for body in function.bodies) <= 128 * 1024


def test_an_update_takes_effect(
    plane: server.ControlPlaneServer, function: FakeFunction, embedded_kafka: EmbeddedBroker
) -> None:
    event_bridge(plane).create_event_streaming(new())
    start(plane)
    assert reaches(plane, "RUNNING")
    changed = new(source={"ValueDataType": "Json"}, Description="now as JSON").to_map()
    assert (
        event_bridge(plane).update_event_streaming(models.UpdateEventStreamingRequest().from_map(changed)).body.success
    )
    assert get(plane).data.description == "now as JSON"
    assert reaches(plane, "RUNNING")
    send(embedded_kafka, "orders", 2)
    assert eventually(lambda: sorted(values(function)) == [0, 1])


def test_what_is_shown_is_what_was_made(bare: server.ControlPlaneServer) -> None:
    event_bridge(bare).create_event_streaming(new(Description="from Kafka"))
    data = get(bare).data
    wanted = new().to_map()
    assert data.source.to_map() == wanted["Source"]
    assert data.sink.to_map() == wanted["Sink"]
    assert data.run_options.to_map() == wanted["RunOptions"]
    assert (data.event_streaming_name, data.description, data.filter_pattern) == (NAME, "from Kafka", "{}")


@pytest.mark.parametrize("role", ROLES.values())
def test_a_missing_role_fails_the_start(bare: server.ControlPlaneServer, role: str) -> None:
    client = event_bridge(bare)
    for name in set(ROLES.values()) - {role}:
        made = client.create_service_linked_role_for_product(
            models.CreateServiceLinkedRoleForProductRequest(product_name=name)
        ).body
        assert (made.code, made.success) == ("Success", True)
    client.create_event_streaming(new(topic="made"))
    kafka(bare).create_topic(new_topic("made"))
    start(bare)
    assert [status(bare), status(bare)] == ["STARTING", "STARTING_FAILED"]
    checked = [
        client.check_service_linked_role_for_product(
            models.CheckServiceLinkedRoleForProductRequest(product_name=name)
        ).body.data.check_pass
        for name in (role, *set(ROLES.values()) - {role})
    ]
    assert checked == [False, True, True]
    client.create_service_linked_role_for_product(models.CreateServiceLinkedRoleForProductRequest(product_name=role))
    start(bare)
    assert [status(bare), status(bare)] == ["STARTING", "RUNNING"]


@pytest.mark.parametrize(
    "changes",
    [
        {"topic": "none"},
        {"source": {"InstanceId": "another"}},
        {"source": {"RegionId": "cn-chengdu"}},
        {"sink": {"FunctionName": {"Value": "another", "Form": "CONSTANT"}}},
    ],
)
def test_what_isnt_there_fails_the_start(plane: server.ControlPlaneServer, changes: dict[str, Any]) -> None:
    event_bridge(plane).create_event_streaming(new(**changes))
    start(plane)
    assert reaches(plane, "STARTING_FAILED")
    pause(plane)
    assert status(plane) == "PAUSED"


def test_a_stream_needs_its_group_where_none_are_made(plane: server.ControlPlaneServer) -> None:
    add_instance(plane, KafkaInstance(INSTANCE, auto_groups=False))
    event_bridge(plane).create_event_streaming(new())
    start(plane)
    assert reaches(plane, "STARTING_FAILED")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"Source": {"SourceMNSParameters": {"QueueName": "q"}}}, "SourceKafkaParameters must be a mapping"),
        ({"Sink": {"SinkSLSParameters": {}}}, "SinkFcParameters must be a mapping"),
        ({"source": {"OffsetReset": "lastest"}}, "earliest or latest"),
        ({"source": {"Topic": ""}}, "Topic must be text"),
        ({"source": {"ValueDataType": "Bytes"}}, "Binary"),
        ({"source": {"Network": "PublicNetwork"}}, "SecurityGroupId must be text"),
        ({"sink": {"InvocationType": {"Value": "async", "Form": "CONSTANT"}}}, "must be Sync or Async; found 'async'"),
        ({"sink": {"Concurrency": {"Value": "301", "Form": "CONSTANT"}}}, "1 to 300"),
        ({"sink": {"Concurrency": {"Value": "many", "Form": "CONSTANT"}}}, "1 to 300"),
        ({"sink": {"Body": {"Form": "TEMPLATE", "Template": "x"}}}, "ORIGINAL"),
        ({"sink": {"Qualifier": {"Value": "prod", "Form": "CONSTANT"}}}, "LATEST"),
        ({"sink": {"FunctionName": {"Value": "$.x", "Form": "JSONPATH"}}}, "CONSTANT"),
        ({"run": {"ErrorsTolerance": "SOME"}}, "NONE or ALL"),
        ({"run": {"MaximumTasks": 0}}, "from 1"),
        ({"run": {"RetryStrategy": {"PushRetryStrategy": "NEVER"}}}, "BACKOFF_RETRY"),
        ({"run": {"BatchWindow": {"CountBasedWindow": 10_001, "TimeBasedWindow": 16}}}, "1 to 10000"),
        ({"run": {"DeadLetterQueue": {"Arn": "acs:alikafka:::topic/x"}}}, "queue of MNS"),
        ({"FilterPattern": '{"source": "x"}'}, "FilterPattern is no event pattern: source: expected"),
        ({"Transforms": [{"Arn": "acs:fc:x"}]}, "Transforms"),
        ({"EventStreamingName": "with space"}, "EventStreamingName"),
    ],
)
def test_a_stream_that_is_wrong(bare: server.ControlPlaneServer, changes: dict[str, Any], says: str) -> None:
    body = event_bridge(bare).create_event_streaming(new(**changes)).body
    assert (body.code, body.success) == ("InvalidArgument", False)
    assert says in body.message
    assert event_bridge(bare).list_event_streamings(models.ListEventStreamingsRequest()).body.data.total == 0


def test_all_faults_are_told_at_once(bare: server.ControlPlaneServer) -> None:
    body = event_bridge(bare).create_event_streaming(new(source={"OffsetReset": "x"}, run={"MaximumTasks": 0})).body
    assert "OffsetReset" in body.message
    assert "MaximumTasks" in body.message


def test_a_missing_stream_may_be_told_either_way() -> None:
    with started(None, None) as running:
        for answer in (get(running), start(running), pause(running), delete(running)):
            assert (answer.code, answer.success) == ("EventStreamingNotExisted", False)
            assert NAME in answer.message
    with started(None, None, failures_as_200=False) as running, refused(404, "EventStreamingNotExisted"):
        get(running)


def test_a_second_create_has_the_chosen_code() -> None:
    with started(None, None, stream_exists="EventStreamingExist", failures_as_200=False) as running:
        event_bridge(running).create_event_streaming(new())
        with refused(409, "EventStreamingExist"):
            event_bridge(running).create_event_streaming(new())


def test_streams_are_listed_in_pages(bare: server.ControlPlaneServer) -> None:
    for name in ("a-1", "a-2", "a-3", "b-1"):
        event_bridge(bare).create_event_streaming(new(name))

    def page(**wanted: Any) -> tuple[list[str], str | None, int]:
        data = event_bridge(bare).list_event_streamings(models.ListEventStreamingsRequest(**wanted)).body.data
        return [stream.event_streaming_name for stream in data.event_streamings], data.next_token, data.total

    assert page(name_prefix="a-", limit=2) == (["a-1", "a-2"], "a-2", 3)
    assert page(name_prefix="a-", limit=2, next_token="a-2") == (["a-3"], None, 3)
    assert page() == (["a-1", "a-2", "a-3", "b-1"], None, 4)


def test_permissions_are_on_the_stream(bare: server.ControlPlaneServer) -> None:
    own = f"acs:eventbridge:{REGION}:{ACCOUNT}:eventstreaming/{NAME}"
    alice = bare.add_user("alice", policy("eventbridge:CreateEventStreaming", resource=own))
    assert event_bridge(bare, alice).create_event_streaming(new()).body.success
    with refused(403, "AccessDenied"):
        event_bridge(bare, alice).create_event_streaming(new("another"))
    with refused(403, "AccessDenied") as found:
        event_bridge(bare, alice).get_event_streaming(models.GetEventStreamingRequest(event_streaming_name=NAME))
    assert f"eventbridge:GetEventStreaming on {own}" in str(found.error.message)


@pytest.mark.parametrize("broker", [APACHE], indirect=True)
def test_with_a_real_broker(broker: Broker, function: FakeFunction) -> None:
    topic, group = f"orders-{uuid.uuid4().hex[:8]}", f"connect-{uuid.uuid4().hex[:8]}"
    broker.create_topic(topic, 3)
    with started(broker, function) as running:
        make_roles(running)
        event_bridge(running).create_event_streaming(new(topic=topic, group=group))
        start(running)
        assert reaches(running, "RUNNING")
        send(broker, topic, 9)
        assert eventually(lambda: len(values(function)) == 9)
        assert cluster.group_state(broker, group) == "STABLE"
        pause(running)
        assert reaches(running, "PAUSED")
    assert eventually(lambda: cluster.group_state(broker, group) == "EMPTY")
