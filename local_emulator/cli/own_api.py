"""Calls the control plane's own paths that need the key of the account's owner."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from local_emulator.cli.fault_command import call

if TYPE_CHECKING:
    from local_emulator.endpoints import Endpoints


def request(at: Endpoints, method: str, path: str, **query: object) -> dict[str, Any]:
    """Return the answer; FaultCommandError if the control plane refuses or isn't reachable."""
    user = base64.b64encode(f"{at.access_id}:{at.access_key}".encode()).decode()
    address = urlsplit(at.control).netloc
    return call(address, method, f"{path}?{urlencode(query)}", headers={"Authorization": f"Basic {user}"})
