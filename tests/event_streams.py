"""Event streams of a local control plane, managed with EventBridge's SDK."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from alibabacloud_eventbridge20200401 import models
from alibabacloud_ram20150501 import models as ram_models

from local_emulator.control_plane import server
from local_emulator.control_plane.account_setup import add_instance
from local_emulator.control_plane.alikafka.entities import MANY, KafkaInstance
from local_emulator.control_plane.dispatch import Rules
from local_emulator.control_plane.eventbridge.assumptions import EventBridgeAssumptions
from local_emulator.control_plane.function_compute import deployment
from local_emulator.control_plane.surroundings import Surroundings
from tests.control_plane_clients import ram
from tests.stream_clients import INSTANCE, REGION, deployed, event_bridge, eventually, invoker, template

if TYPE_CHECKING:
    from pathlib import Path

    from local_emulator.kafka.broker import Broker
    from tests.fake_function import FakeFunction

ROLES = {
    "source-kafka.eventbridge.aliyuncs.com": "AliyunServiceRoleForEventBridgeSourceKafka",
    "connect-vpc.eventbridge.aliyuncs.com": "AliyunServiceRoleForEventBridgeConnectVPC",
    "sendevent-fc.eventbridge.aliyuncs.com": "AliyunServiceRoleForEventBridgeSendToFC",
}
NAME = "orders-stream"
Request: TypeAlias = models.CreateEventStreamingRequest


def started(
    broker: Broker | None, function: FakeFunction | None, folder: Path | None = None, **rules: Any
) -> server.ControlPlaneServer:
    surroundings = Surroundings(broker=broker)
    chosen = Rules(event_bridge=EventBridgeAssumptions(**rules))
    running = server.start(folder, surroundings=surroundings, rules=chosen)
    add_instance(running, KafkaInstance(INSTANCE, topic_limit=MANY, partition_limit=MANY))
    deployment.deploy(running, template(deployed()), invoker(function.endpoint) if function else None)
    return running


def make_roles(plane: server.ControlPlaneServer) -> None:
    for service in ROLES:
        ram(plane).create_service_linked_role(ram_models.CreateServiceLinkedRoleRequest(service_name=service))


def new(name: str = NAME, topic: str = "orders", group: str = "connect-orders", **changes: Any) -> Request:
    """A stream that is right; `changes` are parts of it as EventBridge's JSON has them."""
    parts: dict[str, Any] = {
        "EventStreamingName": name,
        "FilterPattern": "{}",
        "Source": {
            "SourceKafkaParameters": {
                "RegionId": REGION,
                "InstanceId": INSTANCE,
                "Topic": topic,
                "ConsumerGroup": group,
                "OffsetReset": "earliest",
                "Network": "Default",
                "ValueDataType": "Text",
                **changes.pop("source", {}),
            }
        },
        "Sink": {
            "SinkFcParameters": {
                "FunctionName": {"Value": "sink", "Form": "CONSTANT"},
                "InvocationType": {"Value": "Sync", "Form": "CONSTANT"},
                "Concurrency": {"Value": "2", "Form": "CONSTANT"},
                "Body": {"Form": "ORIGINAL"},
                **changes.pop("sink", {}),
            }
        },
        "RunOptions": {
            "ErrorsTolerance": "NONE",
            "MaximumTasks": 2,
            "RetryStrategy": {"PushRetryStrategy": "EXPONENTIAL_DECAY_RETRY"},
            "BatchWindow": {"CountBasedWindow": 100, "TimeBasedWindow": 0},
            **changes.pop("run", {}),
        },
        **changes,
    }
    return Request().from_map(parts)


def start(plane: server.ControlPlaneServer, name: str = NAME) -> Any:
    return event_bridge(plane).start_event_streaming(models.StartEventStreamingRequest(event_streaming_name=name)).body


def pause(plane: server.ControlPlaneServer, name: str = NAME) -> Any:
    return event_bridge(plane).pause_event_streaming(models.PauseEventStreamingRequest(event_streaming_name=name)).body


def delete(plane: server.ControlPlaneServer, name: str = NAME) -> Any:
    request = models.DeleteEventStreamingRequest(event_streaming_name=name)
    return event_bridge(plane).delete_event_streaming(request).body


def get(plane: server.ControlPlaneServer, name: str = NAME) -> Any:
    return event_bridge(plane).get_event_streaming(models.GetEventStreamingRequest(event_streaming_name=name)).body


def status(plane: server.ControlPlaneServer, name: str = NAME) -> str:
    return str(get(plane, name).data.status)


def reaches(plane: server.ControlPlaneServer, wanted: str, name: str = NAME) -> bool:
    return eventually(lambda: status(plane, name) == wanted)
