"""The connectors in the running cloud: commands speak to the one of `up`, or to the one that `--connector` names."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from local_emulator import endpoints
from local_emulator.eventbridge.config import StreamConfig
from local_emulator.management import ManagementClient

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from local_emulator.endpoints import Endpoints

_PREFIX = "CONNECTOR_"


class ConnectorError(Exception):
    """A name that no deployed connector has."""


def add_argument(parser: argparse.ArgumentParser) -> None:
    """Add the option that names a connector."""
    parser.add_argument("--connector", metavar="NAME", help="a deployed connector; default: the one of `up`")


def read(options: argparse.Namespace) -> Endpoints:
    """Return the running cloud's endpoints for the connector that the options name; NotRunningError, ConnectorError."""
    at = endpoints.read()
    return select(at, options.connector) if options.connector else at


def select(at: Endpoints, name: str) -> Endpoints:
    """Return the endpoints for another connector, by its deployed function and trigger; ConnectorError."""
    if name == at.connector:
        return at
    client = ManagementClient(at)
    functions = {function["functionName"]: function.get("environmentVariables") or {} for function in _listed(client)}
    own = functions.pop(at.provisioner, {})
    sinks = {variables.get(f"{_PREFIX}NAME"): function for function, variables in functions.items()}
    if name not in sinks:
        known = ", ".join(sorted(filter(None, sinks))) or "none"
        raise ConnectorError(f"--connector: expected one of {known}, found {name}")
    variables = functions[sinks[name]]
    triggers = client.function_compute("GET", f"functions/{sinks[name]}/triggers")["triggers"]
    if not triggers:
        raise ConnectorError(f"--connector: the function {sinks[name]} has no trigger; deploy the connector again")
    trigger: dict[str, Any] = json.loads(triggers[0]["triggerConfig"])
    config = StreamConfig.from_trigger(trigger)
    return replace(
        at,
        function=sinks[name],
        connector=name,
        topic=config.topic,
        group=config.group,
        project=variables[f"{_PREFIX}PROJECT"],
        table=variables[f"{_PREFIX}TABLE"],
        stream=triggers[0]["sourceArn"].rpartition("/")[2],
        trigger=trigger,
        settings={
            key.removeprefix(_PREFIX).lower(): value
            for key, value in variables.items()
            if key.startswith(_PREFIX) and value != own.get(key)
        },
    )


def _listed(client: ManagementClient) -> Iterator[dict[str, Any]]:
    """Yield all functions."""
    query = {"limit": "100"}
    while query:
        page = client.function_compute("GET", "functions", query=query)
        yield from page["functions"]
        query = {"limit": "100", "nextToken": page["nextToken"]} if page.get("nextToken") else {}
