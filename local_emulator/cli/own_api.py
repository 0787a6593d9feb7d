"""Calls the own paths of the control plane: those that need the key of the owner, and those for everybody."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from local_emulator.cli.fault_command import call
from local_emulator.management import ManagementClient

if TYPE_CHECKING:
    from local_emulator.endpoints import Endpoints


def request(at: Endpoints, method: str, path: str, **query: object) -> dict[str, Any]:
    """Return the answer; FaultCommandError if the control plane refuses or isn't reachable."""
    user = base64.b64encode(f"{at.access_id}:{at.access_key}".encode()).decode()
    address = urlsplit(at.control).netloc
    return call(address, method, f"{path}?{urlencode(query)}", headers={"Authorization": f"Basic {user}"})


def stream(at: Endpoints) -> dict[str, Any]:
    """Return the state and counts of the connector's stream; only the state if it never ran, {} if it doesn't exist."""
    description: dict[str, Any] = _look(at, "streams").get(at.stream, {})
    return description


def streams(at: Endpoints) -> list[str]:
    """Return the names of all event streams, also of those that never ran."""
    client = ManagementClient(at)
    names: list[str] = []
    query = {"Limit": "100"}
    while query:
        page = client.rpc("2020-04-01", "ListEventStreamings", query)["Data"]
        names += [stream["EventStreamingName"] for stream in page["EventStreamings"]]
        query = {"Limit": "100", "NextToken": page["NextToken"]} if page.get("NextToken") else {}
    return names


def instances(at: Endpoints) -> dict[str, Any]:
    """Return the functions' instances and calls."""
    return _look(at, "instances")


def _look(at: Endpoints, path: str) -> dict[str, Any]:
    return call(urlsplit(at.control).netloc, "GET", path)
