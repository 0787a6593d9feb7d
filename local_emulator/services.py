"""The local account before the deployment: MaxCompute, a broker, and the control plane that manages both."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from local_emulator.batches.making import send_recorded_orders
from local_emulator.cli import sql_answers
from local_emulator.control_plane import server as control_plane
from local_emulator.control_plane.account_setup import add_instance
from local_emulator.control_plane.alikafka.assumptions import KafkaAssumptions
from local_emulator.control_plane.alikafka.entities import MANY, Kafka, KafkaInstance
from local_emulator.control_plane.dispatch import Rules
from local_emulator.control_plane.errors import ApiError
from local_emulator.control_plane.function_compute.entities import Functions
from local_emulator.control_plane.maxcompute_keys import directory, registrar
from local_emulator.control_plane.surroundings import Surroundings
from local_emulator.eventbridge.config import StreamConfig
from local_emulator.foundation import installation
from local_emulator.function_compute.runner import FunctionRunner, RunnerSettings
from local_emulator.function_compute.surroundings import Credentials
from local_emulator.kafka import kept_records
from local_emulator.kafka.broker import is_own, open_broker
from local_emulator.kafka.embedded import EmbeddedBroker
from local_emulator.kafka.errors import BrokerError
from local_emulator.local_template import ACCOUNT_ID, INSTANCE_ID, LOGIN
from local_emulator.maxcompute import server as maxcompute
from local_emulator.maxcompute.keys import ACCESS, ACCOUNTS

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack
    from pathlib import Path

    from odps import ODPS

    from local_emulator.control_plane.eventbridge.assumptions import EventBridgeAssumptions
    from local_emulator.function_compute.template import Function
    from local_emulator.kafka.broker import Broker

TOPIC_PARTITIONS = 6
"""The source topic's number of topic-partitions, if the topic doesn't exist yet."""


@dataclass(frozen=True, slots=True)
class LocalAccount:
    """The account's services before the deployment; `keys` is the access key of the account's owner."""

    keys: Credentials
    project: str
    store: maxcompute.MaxComputeServer
    broker: Broker
    plane: control_plane.ControlPlaneServer

    def variables(self) -> dict[str, str]:
        """Return the template's variables with the services' addresses; the broker needs no login."""
        return {
            **dict.fromkeys(LOGIN, ""),
            "CONNECTOR_ENDPOINT": self.store.endpoint,
            "CONNECTOR_TUNNEL_ENDPOINT": self.store.tunnel_endpoint,
            "CONNECTOR_BOOTSTRAP_SERVERS": self.broker.bootstrap_servers,
            "CONTROL_ENDPOINT": self.plane.url,
        }

    def owner(self) -> ODPS:
        """Return a client of the MaxCompute project with the owner's keys."""
        keys, store = self.keys, self.store
        return sql_answers.client(
            keys.access_key_id, keys.access_key_secret, self.project, store.endpoint, store.tunnel_endpoint
        )


def start(
    parts: ExitStack,
    kafka: str,
    sink: Function,
    *,
    data_dir: Path | None,
    event_bridge: EventBridgeAssumptions,
    idle_seconds: float,
    say: Callable[[str], None],
) -> LocalAccount:
    """Start the services, and create the source topic of the function's trigger; `parts` stops the services.

    The control plane lists the broker as a Kafka instance, in the VPC that the function's settings name, if they name
    one. Raises BrokerError, DatabaseBusyError, OSError.
    """
    keys = Credentials(f"local{secrets.token_hex(8)}", secrets.token_hex(16))
    pair = keys.access_key_id, keys.access_key_secret
    project = sink.environment["CONNECTOR_PROJECT"]
    store = parts.enter_context(maxcompute.start(project, *pair, data_dir, account_id=ACCOUNT_ID))
    say(f"MaxCompute        {store.endpoint}")

    topic = StreamConfig.from_trigger(sink.trigger().config).topic
    broker = parts.enter_context(open_broker(kafka, {topic: TOPIC_PARTITIONS}, data_dir))
    if not is_own(kafka):
        send_recorded_orders(broker)
    say(f"Kafka             {broker.bootstrap_servers} ({kafka})")

    settings = RunnerSettings(
        log_folder=installation.logs(), time_scale=event_bridge.time_scale, idle_seconds=idle_seconds
    )
    functions = Functions(runner=FunctionRunner(settings))
    surroundings = Surroundings(broker=broker, register_key=registrar(store.app[ACCOUNTS]), functions=functions)
    plane = parts.enter_context(
        control_plane.start(
            data_dir,
            access_id=pair[0],
            access_key=pair[1],
            account_id=ACCOUNT_ID,
            # The broker creates a topic at once, so no poll finds it still being created.
            rules=Rules(region=sink.region, kafka=KafkaAssumptions(creating_polls=0), event_bridge=event_bridge),
            surroundings=surroundings,
        )
    )
    store.app[ACCESS].members.exists = directory(plane.state)
    instance = KafkaInstance(INSTANCE_ID, region=sink.region, topic_limit=MANY, partition_limit=MANY, group_limit=MANY)
    instance.vpc = sink.environment["CONNECTOR_VPC_ID"] or instance.vpc
    instance.vswitch = sink.environment["CONNECTOR_VSWITCH_ID"] or instance.vswitch
    try:
        add_instance(plane, instance)
    except ApiError as error:
        raise BrokerError(f"{error.message}; remove {data_dir}, or use a broker without this topic or group") from error
    say(f"Control plane     {plane.url}")
    if data_dir is not None:
        _keep_records(parts, broker, plane, data_dir, say)
    return LocalAccount(keys, project, store, broker, plane)


def _keep_records(
    parts: ExitStack,
    broker: Broker,
    plane: control_plane.ControlPlaneServer,
    data_dir: Path,
    say: Callable[[str], None],
) -> None:
    """Let `parts` keep the embedded broker's records when the cloud ends; other brokers keep theirs themselves."""
    if not isinstance(broker, EmbeddedBroker):
        return
    if kept_records.is_behind(data_dir):
        say(
            f"warning: the last cloud with {data_dir} didn't end in good order: its Kafka records and offsets are "
            "lost, but its tables aren't. So audit can report these rows, and records that are sent again are written "
            "again"
        )

    def save() -> None:
        instance = plane.state.part(Kafka).instances[INSTANCE_ID]
        kept_records.save(broker, data_dir, list(instance.groups))

    kept_records.begin(data_dir)
    # Later parts end before: the streams and functions, which write records and offsets.
    parts.callback(save)
