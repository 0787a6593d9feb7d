"""The addresses of a running local cloud, in a file from which the other commands read them."""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from typing import IO, TYPE_CHECKING, Any

from local_emulator.eventbridge.config import StreamConfig
from local_emulator.foundation import installation

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FILE = "cloud.json"


class NotRunningError(Exception):
    """There is no file of addresses, or its cloud has ended."""


class OtherVersionError(Exception):
    """A local cloud of another version is running, whose file of addresses this version can't read."""


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

    @contextmanager
    def published(self) -> Iterator[None]:
        """Keep the addresses in the file, which only its owner can read, until the end of the context.

        Raises AlreadyRunningError or OtherVersionError if another cloud has published its addresses.
        """
        file = path()
        file.parent.mkdir(parents=True, exist_ok=True)
        scratch = file.with_suffix(f".{self.pid}")
        scratch.touch(mode=0o600)
        with scratch.open("w", encoding="utf-8") as locked:
            try:
                # The lock ends with this process, however it ends; processes that it starts don't inherit the lock.
                fcntl.flock(locked, fcntl.LOCK_EX | fcntl.LOCK_NB)
                locked.write(json.dumps(asdict(self), indent=2) + "\n")
                locked.flush()
                refuse_second()
                scratch.replace(file)
            except BaseException:
                scratch.unlink(missing_ok=True)
                raise
            try:
                yield
            finally:
                with suppress(FileNotFoundError):
                    if os.path.samestat(os.fstat(locked.fileno()), file.stat()):
                        file.unlink()


def path() -> Path:
    """Return the path of the file for this checkout, or for the user outside of a checkout."""
    return installation.state() / FILE


def read() -> Endpoints:
    """Return the endpoints of the running cloud; NotRunningError says how to start one."""
    file = path()
    start = f"start one in another terminal: {installation.COMMAND} up"
    try:
        with file.open("rb") as opened:
            running, content = _is_locked(opened), opened.read()
    except FileNotFoundError:
        raise NotRunningError(f"no local cloud is running (there is no {file}); {start}") from None
    if not running:
        raise NotRunningError(f"the local cloud of {file} has ended; {start}")
    try:
        return Endpoints(**json.loads(content))
    except (ValueError, TypeError, RecursionError) as error:
        raise OtherVersionError(
            f"a local cloud is running, but its file {file} isn't a file of this version ({error}); use the command "
            "that started the cloud, or stop it with Ctrl-C first"
        ) from error


def refuse_second() -> None:
    """Raise AlreadyRunningError or OtherVersionError if the file's cloud is running."""
    try:
        running = read()
    except NotRunningError:
        return
    raise AlreadyRunningError(
        f"a local cloud is running already (process {running.pid}, according to {path()}); use this cloud, "
        "or stop it with Ctrl-C first"
    )


def _is_locked(file: IO[bytes]) -> bool:
    """Whether the cloud that wrote the file is running; see `Endpoints.published`."""
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False
