"""Function Compute's control API by its own SDK: what is deployed, and triggers that run streams."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from alibabacloud_eventbridge20200401 import models as event_models
from alibabacloud_fc20230330 import models
from alibabacloud_ram20150501 import models as ram_models

from local_emulator.control_plane import server
from local_emulator.control_plane.account_setup import add_instance
from local_emulator.control_plane.alikafka.entities import KafkaInstance
from local_emulator.control_plane.dispatch import Rules
from local_emulator.control_plane.eventbridge.assumptions import EventBridgeAssumptions
from local_emulator.control_plane.function_compute import deployment
from local_emulator.control_plane.surroundings import Surroundings
from tests.control_plane_clients import ACCOUNT, policy, ram, refused
from tests.fake_function import FakeFunction
from tests.stream_clients import (
    INSTANCE,
    LAYER,
    REGION,
    deployed,
    event_bridge,
    eventually,
    function_compute,
    invoker,
    offsets,
    send,
    template,
    values,
)
from tests.stream_settings import trigger as trigger_config

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from local_emulator.function_compute.template import Template
    from local_emulator.kafka.embedded import EmbeddedBroker

SOURCE = "eventSourceConfig__eventSourceParameters__sourceKafkaParameters"
VPC = {"vpcId": "vpc-1", "vSwitchIds": ["vsw-1"], "securityGroupId": "sg-1"}
TRIGGER = "kafka-stream"


@pytest.fixture
def function() -> Iterator[FakeFunction]:
    with FakeFunction() as running:
        yield running


@pytest.fixture
def plane(embedded_kafka: EmbeddedBroker, function: FakeFunction) -> Iterator[server.ControlPlaneServer]:
    embedded_kafka.create_topic("orders", 3)
    with server.start(surroundings=Surroundings(broker=embedded_kafka)) as running:
        add_instance(running, KafkaInstance(INSTANCE))
        make_roles(running)
        deployment.deploy(running, template(deployed(vpcConfig=VPC, cpu=1)), invoker(function.endpoint))
        yield running


@pytest.fixture
def bare() -> Iterator[server.ControlPlaneServer]:
    """A control plane without a broker: streams only seem to run."""
    with server.start() as running:
        deployment.deploy(running, template(deployed(), deployed("other")))
        yield running


def make_roles(plane: server.ControlPlaneServer, *purposes: str) -> None:
    for purpose in purposes or ("source-kafka", "connect-vpc", "sendevent-fc"):
        request = ram_models.CreateServiceLinkedRoleRequest(service_name=f"{purpose}.eventbridge.aliyuncs.com")
        ram(plane).create_service_linked_role(request)


def config(**changes: Any) -> dict[str, Any]:
    wanted = {f"{SOURCE}__InstanceId": INSTANCE, "runOptions__batchWindow__TimeBasedWindow": 0, **changes}
    return trigger_config(**wanted)


def create(
    plane: server.ControlPlaneServer, name: str = TRIGGER, function: str = "sink", **changes: Any
) -> models.Trigger:
    fields = {"trigger_name": name, "trigger_type": "eventbridge", "trigger_config": json.dumps(config()), **changes}
    request = models.CreateTriggerRequest(body=models.CreateTriggerInput(**fields))
    return function_compute(plane).create_trigger(function, request).body


def update(plane: server.ControlPlaneServer, **fields: Any) -> models.Trigger:
    request = models.UpdateTriggerRequest(body=models.UpdateTriggerInput(**fields))
    return function_compute(plane).update_trigger("sink", TRIGGER, request).body


def switch(plane: server.ControlPlaneServer, *, on: bool) -> None:
    update(plane, trigger_config=json.dumps(config(triggerEnable=on)))


def stream(plane: server.ControlPlaneServer, name: str = TRIGGER) -> Any:
    """The event stream that a trigger made, as EventBridge shows it."""
    arn = function_compute(plane).get_trigger("sink", name).body.source_arn
    request = event_models.GetEventStreamingRequest(event_streaming_name=arn.rpartition("/")[2])
    return event_bridge(plane).get_event_streaming(request).body.data


def reaches(plane: server.ControlPlaneServer, wanted: str) -> bool:
    return eventually(lambda: stream(plane).status == wanted)


def test_a_trigger_makes_a_stream_that_delivers(
    plane: server.ControlPlaneServer, embedded_kafka: EmbeddedBroker, function: FakeFunction
) -> None:
    made = create(plane, description="from Kafka")
    assert (made.trigger_name, made.trigger_type, made.qualifier) == (TRIGGER, "eventbridge", "LATEST")
    assert json.loads(made.trigger_config) == config()
    assert made.source_arn.startswith(f"acs:eventbridge:{REGION}:{ACCOUNT}:eventstreaming/")
    assert made.description == "from Kafka"
    assert made.target_arn is None
    assert made.trigger_id
    assert reaches(plane, "RUNNING")
    send(embedded_kafka, "orders", 6)
    assert eventually(lambda: len(values(function)) == 6)
    assert sorted(values(function)) == [str(number) for number in range(6)]


def test_the_stream_as_event_bridge_shows_it(plane: server.ControlPlaneServer) -> None:
    create(plane)
    shown = stream(plane)
    assert shown.source.source_kafka_parameters.topic == "orders"
    assert shown.sink.sink_fc_parameters.function_name.value == "sink"
    assert shown.sink.sink_fc_parameters.concurrency.value == "6"
    assert shown.run_options.retry_strategy.push_retry_strategy == "EXPONENTIAL_DECAY_RETRY"
    assert (shown.run_options.maximum_tasks, shown.run_options.errors_tolerance) == (6, "NONE")


def test_trigger_enable_is_a_switch(
    plane: server.ControlPlaneServer, embedded_kafka: EmbeddedBroker, function: FakeFunction
) -> None:
    create(plane)
    assert reaches(plane, "RUNNING")
    switch(plane, on=False)
    assert reaches(plane, "PAUSED")
    send(embedded_kafka, "orders", 3)
    assert function.bodies == []
    switch(plane, on=True)
    assert eventually(lambda: len(values(function)) == 3)
    assert reaches(plane, "RUNNING")


def test_a_trigger_that_begins_switched_off(plane: server.ControlPlaneServer) -> None:
    create(plane, trigger_config=json.dumps(config(triggerEnable=False)))
    assert stream(plane).status == "READY"


def test_a_missing_role_fails_the_stream_not_the_trigger(bare: server.ControlPlaneServer) -> None:
    make_roles(bare, "source-kafka", "sendevent-fc")
    create(bare)
    assert reaches(bare, "STARTING_FAILED")


def test_delete_ends_the_stream(plane: server.ControlPlaneServer) -> None:
    name = create(plane).source_arn.rpartition("/")[2]
    assert function_compute(plane).delete_trigger("sink", TRIGGER).status_code == 204
    request = event_models.GetEventStreamingRequest(event_streaming_name=name)
    assert event_bridge(plane).get_event_streaming(request).body.code == "EventStreamingNotExisted"
    with refused(404, "TriggerNotFound"):
        function_compute(plane).delete_trigger("sink", TRIGGER)


def test_raw_data(plane: server.ControlPlaneServer, embedded_kafka: EmbeddedBroker, function: FakeFunction) -> None:
    create(plane, trigger_config=json.dumps(config(eventSinkConfig__deliveryOption__eventSchema="RawData")))
    send(embedded_kafka, "orders", 1)
    assert eventually(lambda: bool(function.bodies))
    assert [event["value"] for event in json.loads(function.bodies[0])] == ["0"]


@pytest.mark.parametrize(
    ("rules", "given", "shown"),
    [({}, True, "Async"), ({}, False, "Sync"), ({"true_is_async": False}, True, "Sync")]
    + [({"true_is_async": False}, changed, "Async") for changed in (False, ...)],
)
def test_which_value_of_async_invocation_type_means_asynchronous(rules: Any, given: Any, shown: str) -> None:
    chosen = Rules(event_bridge=EventBridgeAssumptions(**rules))
    with server.start(rules=chosen) as plane:
        deployment.deploy(plane, template(deployed()))
        create(plane, trigger_config=json.dumps(config(asyncInvocationType=given)))
        assert stream(plane).sink.sink_fc_parameters.invocation_type.value == shown


def test_what_is_not_there(bare: server.ControlPlaneServer) -> None:
    client = function_compute(bare)
    with refused(404, "FunctionNotFound"):
        client.get_function("none", models.GetFunctionRequest())
    with refused(404, "FunctionNotFound"):
        create(bare, function="none")
    with refused(404, "FunctionNotFound"):
        client.get_trigger("none", TRIGGER)
    with refused(404, "TriggerNotFound"):
        client.get_trigger("sink", TRIGGER)
    with refused(404, "TriggerNotFound"):
        update(bare, description="x")
    with refused(404, "AliasNotFound"):
        client.get_function("sink", models.GetFunctionRequest(qualifier="prod"))
    with refused(404, "VersionNotFound"):
        client.get_function("sink", models.GetFunctionRequest(qualifier="1"))
    with refused(404, "LayerNotFound"):
        client.list_layer_versions("none", models.ListLayerVersionsRequest())
    with refused(404, "LayerVersionNotFound"):
        client.get_layer_version("connector", "4")


def test_a_second_create(bare: server.ControlPlaneServer) -> None:
    create(bare)
    with refused(409, "TriggerAlreadyExists"):
        create(bare)
    assert create(bare, function="other").trigger_name == TRIGGER


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"trigger_config": "no JSON"}, "JSON object"),
        ({"trigger_config": "[]"}, "JSON object"),
        ({"trigger_config": None}, "JSON string"),
        ({"trigger_config": json.dumps({})}, "eventSourceConfig must be a mapping"),
        ({"trigger_config": json.dumps(config(runOptions__maximumTasks="6"))}, "maximumTasks"),
        ({"trigger_config": json.dumps(config(**{f"{SOURCE}__OffsetReset": "lastest"}))}, "earliest or latest"),
        ({"trigger_config": json.dumps(config(**{f"{SOURCE}__RegionId": "cn-chengdu"}))}, "function's region"),
        ({"trigger_config": json.dumps(config(asyncInvocationType="Async"))}, "asyncInvocationType"),
        ({"trigger_type": "timer"}, "expected eventbridge"),
        ({"trigger_name": None}, "triggerName"),
        ({"name": "1st"}, "triggerName"),
        ({"name": "{account}"}, "triggerName"),
    ],
)
def test_a_trigger_that_is_wrong(bare: server.ControlPlaneServer, changes: dict[str, Any], says: str) -> None:
    with refused(400, "InvalidArgument") as found:
        create(bare, **changes)
    assert says in str(found.error.message)
    assert function_compute(bare).list_triggers("sink", models.ListTriggersRequest()).body.triggers == []


def test_an_update_that_is_wrong_changes_nothing(bare: server.ControlPlaneServer) -> None:
    create(bare)
    with refused(400, "InvalidArgument"):
        update(bare, trigger_config="{}", description="x")
    with refused(404, "VersionNotFound"):
        update(bare, qualifier="prod", trigger_config=json.dumps(config(triggerEnable=False)))
    found = function_compute(bare).get_trigger("sink", TRIGGER).body
    assert (json.loads(found.trigger_config), found.description) == (config(), "")


def test_triggers_come_in_pages(bare: server.ControlPlaneServer) -> None:
    for name in ("a-1", "a-2", "b-1"):
        create(bare, name)

    def page(**wanted: Any) -> tuple[list[str], str | None]:
        body = function_compute(bare).list_triggers("sink", models.ListTriggersRequest(**wanted)).body
        return [trigger.trigger_name for trigger in body.triggers], body.next_token

    assert page(limit=2) == (["a-1", "a-2"], "a-2")
    assert page(limit=2, next_token="a-2") == (["b-1"], None)
    assert page(prefix="b") == (["b-1"], None)


def test_a_function_as_it_was_deployed(plane: server.ControlPlaneServer) -> None:
    found = function_compute(plane).get_function("sink", models.GetFunctionRequest()).body
    assert (found.function_name, found.runtime, found.handler) == ("sink", "python3.10", "index.handler")
    assert (found.timeout, found.memory_size, found.cpu) == (240, 1024, 1)
    assert found.function_arn == f"acs:fc:{REGION}:{ACCOUNT}:functions/sink"
    assert found.role == f"acs:ram::{ACCOUNT}:role/aliyunkafkamaxcomputeuser1"
    assert found.environment_variables == {"CONNECTOR_NAME": "orders"}
    assert found.vpc_config.to_map() == VPC
    assert [layer.arn for layer in found.layers] == [LAYER]
    assert found.instance_lifecycle_config.initializer.handler == "index.initialize"


def test_functions_and_layers_are_listed(bare: server.ControlPlaneServer) -> None:
    client = function_compute(bare)
    listed = client.list_functions(models.ListFunctionsRequest()).body.functions
    assert [found.function_name for found in listed] == ["other", "sink"]
    (layer,) = client.list_layer_versions("connector", models.ListLayerVersionsRequest()).body.layers
    assert (layer.layer_name, layer.version, layer.layer_version_arn) == ("connector", 3, LAYER)
    assert client.get_layer_version("connector", "3").body.layer_version_arn == LAYER


def test_permissions_are_on_function_and_trigger(bare: server.ControlPlaneServer) -> None:
    own = f"acs:fc:{REGION}:{ACCOUNT}:functions/sink"
    alice = bare.add_user("alice", policy("fc:CreateTrigger", resource=f"{own}/triggers/{TRIGGER}"))
    client = function_compute(bare, alice)
    body = models.CreateTriggerInput(
        trigger_name=TRIGGER, trigger_type="eventbridge", trigger_config=json.dumps(config())
    )
    client.create_trigger("sink", models.CreateTriggerRequest(body=body))
    body.trigger_name = "another"
    with refused(403, "AccessDenied") as found:
        client.create_trigger("sink", models.CreateTriggerRequest(body=body))
    assert f"fc:CreateTrigger on {own}/triggers/another" in str(found.error.message)
    with refused(403, "AccessDenied") as found:
        client.get_trigger("sink", TRIGGER)
    assert f"fc:GetTrigger on {own}/triggers/{TRIGGER}" in str(found.error.message)
    with refused(403, "AccessDenied"):
        client.get_function("sink", models.GetFunctionRequest())


def with_trigger(**changes: Any) -> Template:
    trigger = {"triggerName": TRIGGER, "triggerType": "eventbridge", "triggerConfig": config(**changes)}
    return template(deployed(triggers=[{**trigger, "description": "from Kafka"}]))


def test_deploying_a_template_makes_what_it_declares(
    embedded_kafka: EmbeddedBroker, function: FakeFunction, tmp_path: Path
) -> None:
    embedded_kafka.create_topic("orders", 3)
    with server.start(tmp_path, surroundings=Surroundings(broker=embedded_kafka)) as first:
        add_instance(first, KafkaInstance(INSTANCE))
        deployment.deploy(first, with_trigger(), invoker(function.endpoint))
        assert reaches(first, "RUNNING")
        send(embedded_kafka, "orders", 3)
        assert eventually(lambda: len(values(function)) == 3)
        name = stream(first).event_streaming_name
    with server.start(tmp_path, surroundings=Surroundings(broker=embedded_kafka)) as second:
        add_instance(second, KafkaInstance(INSTANCE))
        deployment.deploy(second, with_trigger(), invoker(function.endpoint))
        assert stream(second).event_streaming_name == name == f"sink.{TRIGGER}"
        assert reaches(second, "RUNNING")
        send(embedded_kafka, "orders", 3)
        assert eventually(lambda: offsets(function) == {(number, at) for number in range(3) for at in range(2)})


def test_a_paused_trigger_stays_paused_when_it_is_deployed_again(
    bare: server.ControlPlaneServer, function: FakeFunction
) -> None:
    deployment.deploy(bare, with_trigger(), invoker(function.endpoint))
    switch(bare, on=False)
    deployment.deploy(bare, with_trigger(runOptions__maximumTasks=3), invoker(function.endpoint))
    found = json.loads(function_compute(bare).get_trigger("sink", TRIGGER).body.trigger_config)
    assert (found["triggerEnable"], found["runOptions"]["maximumTasks"]) == (False, 3)
    assert stream(bare).status == "PAUSED"


def test_a_deployment_makes_the_roles_as_the_component_does(
    bare: server.ControlPlaneServer, function: FakeFunction
) -> None:
    """Of the source's two roles none is made where the first one is there: the component's own mistake."""
    make_roles(bare, "source-kafka")
    deployment.deploy(bare, with_trigger(), invoker(function.endpoint))
    listed = ram(bare).list_roles(ram_models.ListRolesRequest()).body.roles.role
    assert {role.role_name for role in listed} == {
        "AliyunServiceRoleForEventBridgeSourceKafka",
        "AliyunServiceRoleForEventBridgeSendToFC",
    }
