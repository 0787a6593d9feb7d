"""Add Kafka instances, secrets and vSwitches to the account, for programs that start the local cloud."""

from __future__ import annotations

from typing import TYPE_CHECKING

from local_emulator.control_plane.alikafka import cluster
from local_emulator.control_plane.alikafka.entities import Kafka, KafkaInstance
from local_emulator.control_plane.kms import Kms, Secret
from local_emulator.control_plane.vpc import Switch, Vpc

if TYPE_CHECKING:
    from local_emulator.control_plane.server import ControlPlaneServer


def add_instance(server: ControlPlaneServer, instance: KafkaInstance) -> None:
    """Add a Kafka instance to the account, and create its topics in the broker.

    An instance of the same id is replaced; its topics and groups are kept. ApiError if the broker has a topic of the
    same name with another number of topic-partitions.
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
    """Add a secret to the account; an existing secret gets a new version."""
    with server.state.lock:
        secrets = server.state.part(Kms).secrets
        if name in secrets:
            secrets[name].values.append(value)
        else:
            secrets[name] = Secret(server.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ"), [value])
        server.state.save()


def add_switch(server: ControlPlaneServer, switch: Switch) -> None:
    """Add a vSwitch to the account."""
    with server.state.lock:
        server.state.part(Vpc).switches[switch.id] = switch
        server.state.save()
