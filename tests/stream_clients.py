"""Alibaba Cloud's SDKs of Kafka, event streams and functions, pointed at a local control plane."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alibabacloud_alikafka20190916 import models as kafka_models
from alibabacloud_alikafka20190916.client import Client as AliKafka
from alibabacloud_eventbridge20200401.client import Client as EventBridge
from alibabacloud_fc20230330.client import Client as FunctionCompute

from local_emulator.eventbridge.invocation import Invoker
from local_emulator.function_compute.template import Function, Template, function_of
from local_emulator.kafka.producer import produce
from local_emulator.kafka.record import Record
from tests.control_plane_clients import ACCOUNT, OWNER, config

if TYPE_CHECKING:
    from collections.abc import Callable

    from local_emulator.control_plane.server import ControlPlaneServer
    from local_emulator.kafka.broker import Broker
    from tests.fake_function import FakeFunction

REGION = "cn-hangzhou"
INSTANCE = "alikafka_local"
LAYER = f"acs:fc:{REGION}:{ACCOUNT}:layers/connector/versions/3"
PLACE = {"region_id": REGION, "instance_id": INSTANCE}


def kafka(server: ControlPlaneServer, key: tuple[str, str] = OWNER, version: str | None = None) -> AliKafka:
    return AliKafka(config(server, key, version=version))


def event_bridge(server: ControlPlaneServer, key: tuple[str, str] = OWNER) -> EventBridge:
    return EventBridge(config(server, key))


def function_compute(server: ControlPlaneServer, key: tuple[str, str] = OWNER) -> FunctionCompute:
    return FunctionCompute(config(server, key))


def new_topic(name: str = "orders", **changes: Any) -> kafka_models.CreateTopicRequest:
    fields = {**PLACE, "topic": name, "remark": "a-remark", "partition_num": "3", **changes}
    return kafka_models.CreateTopicRequest(**fields)


def new_group(name: str = "readers", **changes: Any) -> kafka_models.CreateConsumerGroupRequest:
    return kafka_models.CreateConsumerGroupRequest(**{**PLACE, "consumer_id": name, **changes})


def send(broker: Broker, topic: str, count: int, *, partitions: int = 3, first_ms: int = 1_605_594_185_000) -> None:
    """Records whose values are their numbers, dealt to the topic-partitions in turn, a millisecond apart."""
    records = [
        Record(partition=number % partitions, timestamp=first_ms + number, key=None, value=str(number).encode())
        for number in range(count)
    ]
    produce(broker.bootstrap_servers, topic, records)


PATIENCE_SECONDS = 120.0
"""How long a stream may take to start. If the group's leader synchronises before another member, the embedded broker
refuses that member, and the group begins again: seven seconds each time, and several times on a busy machine."""


def eventually(holds: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> bool:
    deadline = time.monotonic() + seconds
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.02)
    return holds()


def deployed(name: str = "sink", **props: Any) -> Function:
    """A function that is only known by its settings; another endpoint does its work."""
    written = {
        "functionName": name,
        "region": REGION,
        "runtime": "python3.10",
        "handler": "index.handler",
        "timeout": 240,
        "memorySize": 1024,
        "layers": [LAYER],
        "environmentVariables": {"CONNECTOR_NAME": "orders"},
        "role": f"acs:ram::{ACCOUNT}:role/aliyunkafkamaxcomputeuser1",
        "instanceLifecycleConfig": {"initializer": {"handler": "index.initialize", "timeout": 60}},
        "logConfig": {"project": "logs", "logstore": "store"},
    }
    return function_of({**written, **props}, Path("functions/sink"))


def template(*functions: Function) -> Template:
    """A template with these functions, in the project's folder."""
    return Template(Path("template.yml"), ACCOUNT, {function.name: function for function in functions})


def invoker(endpoint: str) -> Callable[[Function], Invoker]:
    """Delivers to functions at an endpoint of the invoke API."""
    return lambda function: Invoker(endpoint, function.name, access_key_id="ak", access_key_secret="sk")


def values(function: FakeFunction) -> list[Any]:
    """The values of what was delivered, each record's once: a stream that starts with a backlog may repeat some."""
    records = [event["data"] for body in function.bodies for event in json.loads(body)]
    return list({(record["partition"], record["offset"]): record["value"] for record in records}.values())


def offsets(function: FakeFunction) -> set[tuple[int, int]]:
    """Topic-partition and offset of what was delivered, however often: a stream that starts again may repeat some."""
    events = [event["data"] for body in function.bodies for event in json.loads(body)]
    return {(data["partition"], data["offset"]) for data in events}
