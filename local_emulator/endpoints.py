"""The addresses of a running local cloud, in a file from which the other commands read them."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from local_emulator.eventbridge.config import StreamConfig
from local_emulator.foundation import installation

if TYPE_CHECKING:
    from pathlib import Path

MOST_PROCESSES = 2**31
FILE = "cloud.json"


class NotRunningError(Exception):
    """There is no file of addresses, or its cloud has ended."""


class AlreadyRunningError(Exception):
    """A local cloud is running, and a second one would overwrite its file of addresses."""


@dataclass(frozen=True, slots=True)
class Endpoints:
    """What a client needs to reach each part; the credentials are new at each start and valid only for this cloud."""

    pid: int
    kafka: str
    maxcompute: str
    tunnel: str
    control: str
    """The control plane's URL."""
    functions: str
    function: str
    provisioner: str
    connector: str
    topic: str
    group: str
    project: str
    table: str
    account_id: str
    access_id: str
    access_key: str
    retention_bytes: int | None
    """The size of a topic-partition that the broker keeps, if it is small; see kafka/broker.py."""
    stream: str
    """The name of the trigger's stream."""
    trigger: dict[str, Any]
    """The `triggerConfig` of the template."""
    variables: dict[str, str]
    """The template's variables with this cloud's addresses, and those that `bootstrap` determined."""
    settings: dict[str, str] = field(default_factory=dict)
    """The connector's settings that differ from the provisioning function's own; none for the connector of `up`."""

    def stream_config(self) -> StreamConfig:
        """Return the stream's settings."""
        return StreamConfig.from_trigger(self.trigger)

    def addresses(self) -> dict[str, str]:
        """Return the names and addresses that may be shown to everybody: everything but the keys."""
        names = ("kafka", "maxcompute", "tunnel", "control", "functions", "function", "provisioner", "connector")
        return {name: getattr(self, name) for name in (*names, "topic", "group", "project", "table")}

    def write(self) -> None:
        """Save to a file that only its owner can read."""
        file = path()
        file.parent.mkdir(parents=True, exist_ok=True)
        scratch = file.with_suffix(f".{self.pid}")
        scratch.touch(mode=0o600)
        scratch.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")
        scratch.replace(file)

    def remove(self) -> None:
        """Delete the file, unless another cloud has written its own meanwhile."""
        file = path()
        if file.exists() and json.loads(file.read_text(encoding="utf-8"))["pid"] == self.pid:
            file.unlink()


def path() -> Path:
    """Return the path of the file for this checkout, or for the user outside of a checkout."""
    return installation.state() / FILE


def read() -> Endpoints:
    """Return the endpoints of the running cloud; NotRunningError says how to start one."""
    file = path()
    start = f"start one in another terminal: {installation.COMMAND} up"
    if not file.exists():
        raise NotRunningError(f"no local cloud is running (there is no {file}); {start}")
    try:
        endpoints = Endpoints(**json.loads(file.read_text(encoding="utf-8")))
    except (ValueError, TypeError, RecursionError) as error:
        raise NotRunningError(f"{file} isn't a file of this version ({error}); delete it and {start}") from error
    # For `os.kill`, 0 and negative numbers mean process groups.
    if type(endpoints.pid) is not int or not 0 < endpoints.pid < MOST_PROCESSES:
        raise NotRunningError(
            f"{file} isn't a file of this version (expected the number of a process in pid, found something else); "
            f"delete it and {start}"
        )
    if not _alive(endpoints.pid):
        raise NotRunningError(f"the local cloud of {file} (process {endpoints.pid}) has ended; {start}")
    return endpoints


def refuse_second() -> None:
    """Raise AlreadyRunningError if the file's cloud is running."""
    try:
        running = read()
    except NotRunningError:
        return
    raise AlreadyRunningError(
        f"a local cloud is running already (process {running.pid}, according to {path()}); use this cloud, "
        "or stop it with Ctrl-C first"
    )


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
