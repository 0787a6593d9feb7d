"""Where a running local cloud listens, written to a file so that the other commands find it."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from local_emulator.eventbridge.config import StreamConfig
from local_emulator.foundation import installation

if TYPE_CHECKING:
    from pathlib import Path

MOST_PROCESSES = 2**31
FILE = "cloud.json"


class NotRunningError(Exception):
    """No local cloud is running that the file knows of."""


class AlreadyRunningError(Exception):
    """A local cloud is running, and a second one would take its place in the file."""


@dataclass(frozen=True, slots=True)
class Endpoints:
    """What a client needs to reach each part; the credentials are created again at each start and open nothing else."""

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
    """What the broker keeps of a topic-partition, where that is little; see kafka/broker.py."""
    stream: str
    """The name of the stream that the trigger made."""
    trigger: dict[str, Any]
    """The `triggerConfig` that the stream was started with."""

    def stream_config(self) -> StreamConfig:
        """The stream's settings."""
        return StreamConfig.from_trigger(self.trigger)

    def write(self) -> None:
        """Save to a file that only its owner can read."""
        file = place()
        file.parent.mkdir(parents=True, exist_ok=True)
        scratch = file.with_suffix(f".{self.pid}")
        scratch.touch(mode=0o600)
        scratch.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")
        scratch.replace(file)

    def remove(self) -> None:
        """Delete the file, unless another cloud has written its own since."""
        file = place()
        if file.exists() and json.loads(file.read_text(encoding="utf-8"))["pid"] == self.pid:
            file.unlink()


def place() -> Path:
    """The file of the cloud that runs in this checkout, or outside of any."""
    return installation.state() / FILE


def read() -> Endpoints:
    """The endpoints of the running cloud; NotRunningError says how to start one."""
    file = place()
    start = f"start one in another terminal: {installation.COMMAND} up"
    if not file.exists():
        raise NotRunningError(f"no local cloud is running (there is no {file}); {start}")
    try:
        endpoints = Endpoints(**json.loads(file.read_text(encoding="utf-8")))
    except (ValueError, TypeError, RecursionError) as error:
        raise NotRunningError(f"{file} isn't one that this version wrote ({error}); delete it and {start}") from error
    # `os.kill` takes 0 and negative numbers for groups of processes.
    if type(endpoints.pid) is not int or not 0 < endpoints.pid < MOST_PROCESSES:
        found = "its pid is no process's number"
        raise NotRunningError(f"{file} isn't one that this version wrote ({found}); delete it and {start}")
    if not _alive(endpoints.pid):
        raise NotRunningError(f"the local cloud of {file} (process {endpoints.pid}) has ended; {start}")
    return endpoints


def refuse_second() -> None:
    """Raise AlreadyRunningError where the file names a cloud that is running."""
    try:
        running = read()
    except NotRunningError:
        return
    raise AlreadyRunningError(
        f"a local cloud is running already (process {running.pid}, says {place()}); use it, or end it with Ctrl-C first"
    )


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
