"""Start, pause, resume and remove streams, and report their states: EventBridge's own streams and triggers' streams."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

from local_emulator.control_plane.alikafka import groups
from local_emulator.control_plane.alikafka.entities import IN_SERVICE, Kafka
from local_emulator.control_plane.alikafka.instances import instance_topics
from local_emulator.control_plane.eventbridge import definition
from local_emulator.control_plane.eventbridge.entities import EventStreams, Stream
from local_emulator.control_plane.function_compute import revisions
from local_emulator.control_plane.function_compute.entities import DeployedFunctions
from local_emulator.control_plane.ram.entities import Ram
from local_emulator.control_plane.ram.service_linked import PREFIX, SERVICES
from local_emulator.eventbridge.progress import StreamStatus
from local_emulator.eventbridge.stream import EventStream

if TYPE_CHECKING:
    from collections.abc import Callable

    from local_emulator.control_plane.alikafka.entities import KafkaInstance
    from local_emulator.control_plane.dispatch import Call
    from local_emulator.eventbridge.config import StreamConfig
    from local_emulator.eventbridge.window import Batch

_log = logging.getLogger(__name__)

ROLES = (
    "source-kafka.eventbridge.aliyuncs.com",
    "connect-vpc.eventbridge.aliyuncs.com",
    "sendevent-fc.eventbridge.aliyuncs.com",
)
"""The services whose service-linked roles a stream from Kafka to a function needs (control plane facts, section b)."""


def start(call: Call, stream: Stream) -> None:
    """Start a stream, or start it again; it becomes STARTING_FAILED if something that it needs is missing."""
    config, function = definition.read(stream)
    assumed = call.rules.event_bridge
    stream.wanted, stream.polls = "RUNNING", assumed.starting_polls
    stream.obstacle = _obstacle(call, config, function)
    surroundings = call.surroundings
    if stream.obstacle:
        surroundings.streams.remove(stream.name)
        _log.warning("the event stream %s can't start: %s", stream.name, stream.obstacle)
    elif surroundings.broker and surroundings.functions.invoke:
        invoke = surroundings.functions.invoke(revisions.as_function(call, revisions.latest(call, function)))
        create = partial(
            EventStream,
            config,
            partial(invoke, asynchronous=True) if config.asynchronous else invoke,
            surroundings.broker.bootstrap_servers,
            account_id=call.account,
            as_strings=assumed.elements == "strings",
            time_scale=assumed.time_scale,
            recut=assumed.recut,
            record=partial(surroundings.deliveries.add, stream.name),
            dead_letter=_dead_letter_sender(call, stream.name, config.dead_letter_arn),
        )
        surroundings.streams.start(stream.name, create)


def pause(call: Call, stream: Stream) -> None:
    """Stop a stream's deliveries; its group keeps the committed offsets."""
    stream.wanted, stream.polls, stream.obstacle = "PAUSED", 0, ""
    call.surroundings.streams.pause(stream.name)


def remove(call: Call, name: str) -> None:
    """Stop and delete a stream, if it exists."""
    if call.state.part(EventStreams).streams.pop(name, None):
        call.surroundings.streams.remove(name)


def resume(call: Call) -> None:
    """Start the streams that ran when the state was saved; call this after the deployment of their functions."""
    for stream in call.state.part(EventStreams).streams.values():
        if stream.wanted == "RUNNING" and call.surroundings.streams.state(stream.name) is None:
            start(call, stream)


def status(call: Call, stream: Stream) -> str:
    """Return READY, STARTING, RUNNING, PAUSED, STARTING_FAILED or RUNNING_FAILED; each call counts as a poll."""
    if stream.polls:
        stream.polls -= 1
        return StreamStatus.STARTING.value
    if stream.obstacle:
        return StreamStatus.STARTING_FAILED.value
    state = call.surroundings.streams.state(stream.name)
    if state is None or (stream.wanted == "PAUSED" and state not in {StreamStatus.STARTING, StreamStatus.RUNNING}):
        return stream.wanted
    return state.value


def arn(call: Call, name: str) -> str:
    """Return a stream's ARN."""
    return f"acs:eventbridge:{call.rules.region}:{call.account}:eventstreaming/{name}"


def _obstacle(call: Call, config: StreamConfig, function: str) -> str:
    """Return why a stream can't start; empty if it can."""
    roles = call.state.part(Ram).roles
    for service in ROLES:
        role = f"{PREFIX}{SERVICES[service]}"
        if role.lower() not in roles:
            return f"the service-linked role {role} is missing"
    if function not in call.state.part(DeployedFunctions).functions:
        return f"there is no function {function}"
    instance = call.state.part(Kafka).instances.get(config.instance_id)
    if instance is None or config.region not in {"", instance.region} or instance.region != call.rules.region:
        return f"there is no Kafka instance {config.instance_id} in {config.region or call.rules.region}"
    return _instance_obstacle(call, config, instance)


def _instance_obstacle(call: Call, config: StreamConfig, instance: KafkaInstance) -> str:
    if instance.status != IN_SERVICE:
        return f"the Kafka instance {instance.id} is not in service"
    if config.topic not in instance_topics(call, instance):
        return f"the Kafka instance {instance.id} has no topic {config.topic}"
    if not groups.join(instance, config.group, call.now):
        return f"the Kafka instance {instance.id} has no group {config.group}, and makes none by itself"
    return ""


def _dead_letter_sender(call: Call, stream: str, arn: str | None) -> Callable[[Batch, str], None] | None:
    """Return what sends given-up batches to the stream's queue; None without a queue."""
    if not arn:
        return None
    queues = call.surroundings.dead_letters
    queues.declare(arn)
    return partial(queues.send, arn, stream, as_one_message=call.rules.event_bridge.dead_letters == "batches")
