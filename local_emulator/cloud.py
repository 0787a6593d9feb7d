"""The local cloud as a whole: a broker, MaxCompute, Function Compute, and the stream that template.yml declares."""

from __future__ import annotations

import os
import secrets
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from local_emulator.endpoints import Endpoints
from local_emulator.eventbridge.config import StreamConfig
from local_emulator.eventbridge.invocation import Invoker
from local_emulator.eventbridge.stream import EventStream
from local_emulator.function_compute import service as function_compute
from local_emulator.function_compute import template as function_template
from local_emulator.function_compute.instances import Credentials
from local_emulator.kafka.broker import open_broker
from local_emulator.maxcompute import server as maxcompute
from local_emulator.maxcompute.keys import ACCOUNTS, CLOCK

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

    from typing_extensions import Self

    from local_emulator.kafka.broker import Broker

TEMPLATE = Path("template.yml")
LOG_FOLDER = Path(".local/logs")
FUNCTION = "sink"
TOPIC_PARTITIONS = 6
# The account of the functions and the tables; sixteen digits as the cloud's have, and nobody's.
ACCOUNT_ID = "1880000000000000"
INSTANCE_ID = "alikafka_local"
ROLE_LIFE = timedelta(hours=36)  # of the keys that Function Compute gives to an instance


@dataclass(frozen=True, slots=True)
class Cloud:
    """A running local cloud; a context manager that stops all of it, the stream first."""

    endpoints: Endpoints
    broker: Broker
    functions: function_compute.Service
    stream: EventStream
    invoke: Invoker
    _parts: ExitStack

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._parts.close()


def start(
    kafka: str,
    environment: Mapping[str, str],
    *,
    data_dir: Path | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Cloud:
    """Start every part but the stream, which waits for its table; `say` is told of each part as it stands.

    `kafka` is embedded, apache or host:port; `environment` answers the template's env(). Raises what the parts raise
    when they can't start: BrokerError, TemplateError, StreamConfigError, MissingLayerError, OSError.
    """
    with ExitStack() as parts:
        keys = Credentials(f"local{secrets.token_hex(8)}", secrets.token_hex(16))
        first_reading = function_template.load(TEMPLATE, environment, account_id=ACCOUNT_ID).functions[FUNCTION]
        project, table = (first_reading.environment[f"CONNECTOR_{name}"] for name in ("PROJECT", "TABLE"))
        tables = parts.enter_context(
            maxcompute.start(project, keys.access_key_id, keys.access_key_secret, data_dir, account_id=ACCOUNT_ID)
        )
        say(f"MaxCompute        {tables.endpoint}")

        local = {
            "CONNECTOR_INSTANCE_ID": INSTANCE_ID,
            "CONNECTOR_ENDPOINT": tables.endpoint,
            "CONNECTOR_TUNNEL_ENDPOINT": tables.tunnel_endpoint,
        }
        template = function_template.load(TEMPLATE, {**environment, **local}, account_id=ACCOUNT_ID)
        function = template.functions[FUNCTION]
        config = StreamConfig.from_trigger(function.trigger().config)

        broker = parts.enter_context(open_broker(kafka, {config.topic: TOPIC_PARTITIONS}))
        say(f"Kafka             {broker.bootstrap_servers} ({kafka})")

        principal = f"RAM${ACCOUNT_ID}:role/{function.role.rpartition('/')[2].lower()}"
        role_keys = _assume(tables, principal)
        functions = parts.enter_context(
            function_compute.start(template, credentials=keys, role_credentials=role_keys, log_folder=LOG_FOLDER)
        )
        say(f"Function Compute  {functions.endpoint} ({function.name})")

        invoke = Invoker(
            functions.endpoint,
            function.name,
            access_key_id=keys.access_key_id,
            access_key_secret=keys.access_key_secret,
            function_timeout=function.timeout,
        )
        stream = EventStream(config, invoke, broker.bootstrap_servers, account_id=ACCOUNT_ID)
        parts.callback(stream.stop)
        endpoints = Endpoints(
            pid=os.getpid(),
            kafka=broker.bootstrap_servers,
            maxcompute=tables.endpoint,
            tunnel=tables.tunnel_endpoint,
            functions=functions.endpoint,
            function=function.name,
            topic=config.topic,
            group=config.group,
            project=project,
            table=table,
            account_id=ACCOUNT_ID,
            principal=principal,
            access_id=keys.access_key_id,
            access_key=keys.access_key_secret,
            retention_bytes=broker.retention_bytes,
            trigger=dict(function.trigger().config),
        )
        return Cloud(endpoints, broker, functions, stream, invoke, parts.pop_all())
    raise AssertionError  # for the type checker: ExitStack may swallow exceptions, but nothing here does


def _assume(tables: maxcompute.Server, principal: str) -> Credentials:
    """Temporary keys of the function's role, which may do what it is granted and nothing else."""
    now = tables.app[CLOCK].now()
    issued = tables.app[ACCOUNTS].issue(principal, now, ROLE_LIFE)
    return Credentials(issued.access_id, issued.access_key, issued.token)
