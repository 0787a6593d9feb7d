"""The local cloud as a whole: an account with a broker, MaxCompute, a control plane, and template.yml's functions."""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from local_emulator import local_template, project, provisioner
from local_emulator import services as local_account
from local_emulator.cli import sql_answers
from local_emulator.control_plane.eventbridge.assumptions import EventBridgeAssumptions
from local_emulator.control_plane.function_compute import deployment, triggers
from local_emulator.endpoints import Endpoints
from local_emulator.eventbridge.config import StreamConfig
from local_emulator.eventbridge.invocation import Invoker
from local_emulator.function_compute import layers
from local_emulator.function_compute import template as function_template
from local_emulator.function_compute.pool import IDLE_SECONDS
from local_emulator.function_compute.surroundings import Credentials, InstanceEnvironment
from local_emulator.local_template import ACCOUNT_ID, INSTANCE_ID, PROVISIONER, SINK, resolved

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from types import TracebackType

    from typing_extensions import Self

    from local_emulator.eventbridge.stream import EventStream
    from local_emulator.function_compute.template import Function, Template
    from local_emulator.services import LocalAccount

AS_ASSUMED = EventBridgeAssumptions()


@dataclass(frozen=True, slots=True)
class Cloud:
    """A running local cloud; a context manager that stops every part, the streams first.

    `bootstrapped` is the provisioning function's reply to `bootstrap`, which ran before the deployment; `paused`
    says whether the trigger was switched off when the cloud started.
    """

    endpoints: Endpoints
    account: LocalAccount
    invoke: Invoker
    bootstrapped: Mapping[str, Any]
    paused: bool
    _parts: ExitStack

    @property
    def stream(self) -> EventStream | None:
        """The trigger's current stream (each start makes another one); None if it was never started."""
        return self.account.plane.streams.stream(self.endpoints.stream)

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
    event_bridge: EventBridgeAssumptions = AS_ASSUMED,
    idle_seconds: float = IDLE_SECONDS,
    empty: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> Cloud:
    """Start every part and deploy the template; the provisioner creates the connector's table, topics and ledger later.

    With `empty`, the template isn't deployed: the account is as after `make bootstrap`.

    `kafka` is embedded, apache or host:port; `environment` holds the values of the template's env(); `event_bridge`
    chooses the stream's behaviour; an instance of a function ends after `idle_seconds` without a call; `say` gets a
    line for each part that has started. Raises BrokerError, TemplateError, StreamConfigError, MissingLayerError,
    ProvisioningError or OSError if a part can't start.
    """
    with ExitStack() as parts:
        path = project.template()
        document = function_template.read(path)
        sink = resolved(path, document, environment).functions[SINK]
        account = local_account.start(
            parts, kafka, sink, data_dir=data_dir, event_bridge=event_bridge, idle_seconds=idle_seconds, say=say
        )
        bootstrapped = _bootstrap(
            account, resolved(path, document, local_template.variables(environment, account.variables()))
        )
        variables = {**bootstrapped["variables"], **account.variables(), "CONNECTOR_INSTANCE_ID": INSTANCE_ID}
        deployed = resolved(path, document, local_template.variables(environment, variables))
        names = "no functions" if empty else ", ".join(function.name for function in deployed.functions.values())
        say(f"Function Compute  {account.plane.url} ({names})")
        invoker = partial(_invoker, account.plane.url, account.keys, event_bridge.invocation_seconds)
        parts.callback(account.plane.streams.close)
        if empty:
            deployment.connect(account.plane, invoker)
        else:
            deployment.deploy(account.plane, deployed, invoker)
        return Cloud(
            _endpoints(account, deployed, variables),
            account,
            invoker(deployed.functions[SINK]),
            bootstrapped,
            not empty and deployment.is_paused(account.plane, sink.name, sink.trigger().name),
            parts.pop_all(),
        )
    raise AssertionError  # for the type checker: ExitStack may swallow exceptions, but nothing here does


def _bootstrap(account: LocalAccount, template: Template) -> dict[str, Any]:
    """Create the roles, as `make bootstrap` does, and run the project owner's statements; return the reply."""
    function = template.functions[PROVISIONER]
    folders = layers.folders(function, template.path.parent)
    reply = provisioner.bootstrap(function, InstanceEnvironment(ACCOUNT_ID, account.keys, folders))
    sql_answers.admit(account.owner(), reply["for_the_projects_owner"])
    return reply


def _invoker(endpoint: str, keys: Credentials, most_seconds: float, function: Function) -> Invoker:
    """Return the invoker through which a stream delivers to a function."""
    return Invoker(
        endpoint,
        function.name,
        access_key_id=keys.access_key_id,
        access_key_secret=keys.access_key_secret,
        most_seconds=most_seconds,
    )


def _endpoints(account: LocalAccount, deployed: Template, variables: Mapping[str, str]) -> Endpoints:
    sink = deployed.functions[SINK]
    trigger = sink.trigger()
    config = StreamConfig.from_trigger(trigger.config)
    return Endpoints(
        pid=os.getpid(),
        kafka=account.broker.bootstrap_servers,
        maxcompute=account.store.endpoint,
        tunnel=account.store.tunnel_endpoint,
        control=account.plane.url,
        functions=account.plane.url,
        function=sink.name,
        provisioner=deployed.functions[PROVISIONER].name,
        connector=sink.environment["CONNECTOR_NAME"],
        topic=config.topic,
        group=config.group,
        project=account.project,
        table=sink.environment["CONNECTOR_TABLE"],
        account_id=ACCOUNT_ID,
        access_id=account.keys.access_key_id,
        access_key=account.keys.access_key_secret,
        retention_bytes=account.broker.retention_bytes,
        stream=triggers.stream_name(sink.name, trigger.name),
        trigger=dict(trigger.config),
        variables=dict(variables),
    )
