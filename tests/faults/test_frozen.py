"""An instance of the deployed function is frozen between deliveries, and its connections to the broker end meanwhile.

The service freezes instances, so the threads of the Kafka client stand still too: they see the end of a connection
only when the next delivery has thawed them.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

from local_emulator.function_compute import layers, template
from local_emulator.function_compute.pool import Pool
from local_emulator.function_compute.surroundings import Credentials, InstanceEnvironment
from local_emulator.kafka.broker import open_broker
from local_emulator.maxcompute import server
from tests.faults.delivering_connector import PROJECT, Connector
from tests.faults.kafka_proxy import End, KafkaProxy
from tests.function_instances import instance_processes, states_of, wait_for

ROOT = Path(__file__).resolve().parents[2]
RECORDS = 6
HOWS: tuple[End, ...] = ("close", "reset", "silence")
IDLE_SECONDS = 2.0
"""Longer than a reconnection takes."""
TIMEOUT = 30
"""A delivery over connections that nobody answers would take two requests' time limits, 20 s each."""
ENTRY = f"""
import importlib.util, sys
sys.path.append({str(ROOT / "functions/sink")!r})
from kafka_maxcompute.brokers import clients
clients.IDLE_MILLISECONDS = {IDLE_SECONDS * 1000:.0f}
spec = importlib.util.spec_from_file_location("sink", {str(ROOT / "functions/sink/index.py")!r})
sink = importlib.util.module_from_spec(spec)
spec.loader.exec_module(sink)
handler, initialize, pre_stop = sink.handler, sink.initialize, sink.pre_stop
"""
"""The function's own entry, whose clients call a connection idle early."""


def pool_of(connector: Connector, folder: Path) -> Pool:
    """Instances of the project's function, as they are deployed."""
    (folder / "index.py").write_text(ENTRY, encoding="utf-8")
    written = template.load(ROOT / "template.yml", {}).functions["sink"]
    sink = replace(written, code=folder, environment=connector.environment(), timeout=TIMEOUT)
    environment = InstanceEnvironment("1", Credentials("ak", "sk"), layers.folders(sink, ROOT))
    return Pool(sink, lambda: environment, 1, None)


def test_connections_end_while_an_instance_is_frozen(tmp_path: Path) -> None:
    """The broker closes them because they are idle, or something between resets them, or drops them without a word."""
    with (
        open_broker("embedded", {}) as broker,
        server.start(PROJECT, insecure=True) as tables,
        KafkaProxy(broker.bootstrap_servers) as proxy,
    ):
        connector = Connector.made(broker, proxy, tables.endpoint)
        pool = pool_of(connector, tmp_path)
        try:
            deliver(connector, pool)
            for how in HOWS:
                (process,) = instance_processes()
                wait_for(lambda process=process: set(states_of(process)) == {"T"})  # type: ignore[misc]
                assert proxy.end_connections(how) > 0
                if how == "silence":
                    time.sleep(IDLE_SECONDS + 1)
                deliver(connector, pool)
            assert pool.status().cold == 1
        finally:
            pool.stop()
        connector.assert_complete(RECORDS)


def deliver(connector: Connector, pool: Pool) -> None:
    """One delivery of new records, which needs no second try."""
    outcome = pool.invoke(connector.send(RECORDS), "1-request")
    assert outcome.error_type is None, outcome.body
