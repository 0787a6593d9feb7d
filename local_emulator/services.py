"""The local account before anything is deployed: MaxCompute, a broker, and the control plane that knows of both."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from local_emulator.cli import sql_answers
from local_emulator.control_plane import server as control_plane
from local_emulator.control_plane.account_setup import add_instance
from local_emulator.control_plane.alikafka.assumptions import KafkaAssumptions
from local_emulator.control_plane.alikafka.entities import MANY, KafkaInstance
from local_emulator.control_plane.dispatch import Rules
from local_emulator.control_plane.errors import ApiError
from local_emulator.control_plane.maxcompute_keys import directory, registrar
from local_emulator.control_plane.surroundings import Surroundings
from local_emulator.eventbridge.config import StreamConfig
from local_emulator.function_compute.errors import FunctionComputeError
from local_emulator.function_compute.instances import Credentials
from local_emulator.kafka.broker import open_broker
from local_emulator.kafka.errors import BrokerError
from local_emulator.maxcompute import server as maxcompute
from local_emulator.maxcompute.keys import ACCESS, ACCOUNTS

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack
    from pathlib import Path

    from odps import ODPS

    from local_emulator.function_compute.template import Function
    from local_emulator.kafka.broker import Broker

ACCOUNT_ID = "1880000000000000"
"""Sixteen digits as the cloud's accounts have, and nobody's."""
INSTANCE_ID = "alikafka_local"
TOPIC_PARTITIONS = 6
"""Of the source topic, unless it is there."""
ROLE_LIFE = timedelta(hours=36)
"""Of the keys that Function Compute gives to an instance of a function."""


@dataclass(frozen=True, slots=True)
class LocalAccount:
    """What an account has before anything is deployed; `keys` are its owner's."""

    keys: Credentials
    project: str
    store: maxcompute.MaxComputeServer
    broker: Broker
    plane: control_plane.ControlPlaneServer

    def variables(self) -> dict[str, str]:
        """The template's variables that say where all of it is."""
        return {
            "CONNECTOR_ENDPOINT": self.store.endpoint,
            "CONNECTOR_TUNNEL_ENDPOINT": self.store.tunnel_endpoint,
            "CONNECTOR_BOOTSTRAP_SERVERS": self.broker.bootstrap_servers,
            "CONTROL_ENDPOINT": self.plane.url,
        }

    def owner(self) -> ODPS:
        """A client of the project with the owner's keys."""
        keys, store = self.keys, self.store
        return sql_answers.client(
            keys.access_key_id, keys.access_key_secret, self.project, store.endpoint, store.tunnel_endpoint
        )

    def assume(self, function: Function) -> Credentials:
        """Temporary keys of a function's role, which may do what is granted to it; raises FunctionComputeError."""
        role = function.role.rpartition("/")[2]
        try:
            key_id, key = self.plane.issue_to_service(role, "fc.aliyuncs.com", ROLE_LIFE)
        except ApiError as error:
            raise FunctionComputeError(
                403, "AccessDenied", f"{function.role} can't be assumed: {error.message}"
            ) from error
        return Credentials(key_id, key.secret, key.token)


def start(
    parts: ExitStack, kafka: str, sink: Function, *, data_dir: Path | None, say: Callable[[str], None]
) -> LocalAccount:
    """Start the services, which end with `parts`, with the topic that the function's trigger reads.

    The Kafka instance is the broker, in the VPC that the function's settings name, if they do. Raises BrokerError,
    DatabaseBusyError, OSError.
    """
    keys = Credentials(f"local{secrets.token_hex(8)}", secrets.token_hex(16))
    pair = keys.access_key_id, keys.access_key_secret
    project = sink.environment["CONNECTOR_PROJECT"]
    store = parts.enter_context(maxcompute.start(project, *pair, data_dir, account_id=ACCOUNT_ID))
    say(f"MaxCompute        {store.endpoint}")

    topic = StreamConfig.from_trigger(sink.trigger().config).topic
    broker = parts.enter_context(open_broker(kafka, {topic: TOPIC_PARTITIONS}))
    say(f"Kafka             {broker.bootstrap_servers} ({kafka})")

    around = Surroundings(broker=broker, register_key=registrar(store.app[ACCOUNTS]))
    plane = parts.enter_context(
        control_plane.start(
            data_dir,
            access_id=pair[0],
            access_key=pair[1],
            account_id=ACCOUNT_ID,
            # The broker has a topic as soon as it's asked for one.
            rules=Rules(region=sink.region, kafka=KafkaAssumptions(creating_polls=0)),
            surroundings=around,
        )
    )
    store.app[ACCESS].members.exists = directory(plane.state)
    instance = KafkaInstance(INSTANCE_ID, region=sink.region, topic_limit=MANY, partition_limit=MANY, group_limit=MANY)
    instance.vpc = sink.environment["CONNECTOR_VPC_ID"] or instance.vpc
    instance.vswitch = sink.environment["CONNECTOR_VSWITCH_ID"] or instance.vswitch
    try:
        add_instance(plane, instance)
    except ApiError as error:
        raise BrokerError(f"{error.message}; remove {data_dir}, or take a broker that doesn't have it") from error
    say(f"Control plane     {plane.url}")
    return LocalAccount(keys, project, store, broker, plane)
