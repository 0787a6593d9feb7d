"""An instance of the deployed function is frozen between deliveries, and its connections to the broker end meanwhile.

The service freezes instances, so the threads of the Kafka client stand still too: they see the end of a connection
only when the next delivery has thawed them.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

from local_emulator.function_compute import layers, template
from local_emulator.function_compute.pool import Pool
from local_emulator.function_compute.surroundings import Credentials, InstanceEnvironment
from local_emulator.kafka.broker import open_broker
from local_emulator.maxcompute import server
from tests.faults.delivering_connector import PROJECT, Connector
from tests.faults.kafka_proxy import KafkaProxy
from tests.function_instances import instance_processes, states_of, wait_for

ROOT = Path(__file__).resolve().parents[2]
RECORDS = 6
HOWS: tuple[Literal["close", "reset"], ...] = ("close", "reset")


def pool_of(connector: Connector) -> Pool:
    """Instances of the project's function, as they are deployed."""
    written = template.load(ROOT / "template.yml", {}).functions["sink"]
    sink = replace(written, environment=connector.environment())
    environment = InstanceEnvironment("1", Credentials("ak", "sk"), layers.folders(sink, ROOT))
    return Pool(sink, lambda: environment, 1, None)


def test_connections_end_while_an_instance_is_frozen() -> None:
    """The broker closes them because they are idle, or something between resets them."""
    with (
        open_broker("embedded", {}) as broker,
        server.start(PROJECT, insecure=True) as tables,
        KafkaProxy(broker.bootstrap_servers) as proxy,
    ):
        connector = Connector.made(broker, proxy, tables.endpoint)
        pool = pool_of(connector)
        try:
            deliver(connector, pool)
            for how in HOWS:
                (process,) = instance_processes()
                wait_for(lambda process=process: set(states_of(process)) == {"T"})  # type: ignore[misc]
                assert proxy.end_connections(how) > 0
                deliver(connector, pool)
            assert pool.status().cold == 1
        finally:
            pool.stop()
        connector.assert_complete(RECORDS)


def deliver(connector: Connector, pool: Pool) -> None:
    """One delivery of new records, which needs no second try."""
    outcome = pool.invoke(connector.send(RECORDS), "1-request")
    assert outcome.error_type is None, outcome.body
