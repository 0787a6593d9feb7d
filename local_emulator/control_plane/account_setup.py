"""What whoever starts the local cloud gives to its account: Kafka instances, secrets, vSwitches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from local_emulator.control_plane.alikafka import cluster
from local_emulator.control_plane.alikafka.entities import Kafka, KafkaInstance
from local_emulator.control_plane.kms import Kms, Secret
from local_emulator.control_plane.vpc import Switch, Vpc

if TYPE_CHECKING:
    from local_emulator.control_plane.server import ControlPlaneServer


def add_instance(server: ControlPlaneServer, instance: KafkaInstance) -> None:
    """Let the account have an instance. One of the same id keeps its topics and groups; the broker gets those topics.

    ApiError if the broker has such a topic of another size.
    """
    broker = server.plane.settings.surroundings.broker
    with server.state.lock:
        instances = server.state.part(Kafka).instances
        before = instances.get(instance.id)
        if before is not None:
            instance.topics, instance.groups = before.topics, before.groups
        instances[instance.id] = instance
        if broker:
            for topic in instance.topics.values():
                cluster.make(broker, topic)
        server.state.save()


def add_secret(server: ControlPlaneServer, name: str, value: str) -> None:
    """Let the account have a secret; one that is there gets a newer value."""
    with server.state.lock:
        secrets = server.state.part(Kms).secrets
        if name in secrets:
            secrets[name].values.append(value)
        else:
            secrets[name] = Secret(server.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ"), [value])
        server.state.save()


def add_switch(server: ControlPlaneServer, switch: Switch) -> None:
    """Let the account have a vSwitch."""
    with server.state.lock:
        server.state.part(Vpc).switches[switch.id] = switch
        server.state.save()
