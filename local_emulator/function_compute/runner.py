"""Runs the deployed functions: each has a pool of instances, a log, and perhaps a log file."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from local_emulator.function_compute.asynchronous import AsynchronousInvocations
from local_emulator.function_compute.errors import FunctionComputeError
from local_emulator.function_compute.pool import IDLE_SECONDS, ExhaustedError, Pool
from local_emulator.function_compute.surroundings import Credentials, InstanceEnvironment

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from local_emulator.function_compute.instances import InvocationOutcome
    from local_emulator.function_compute.pool import PoolStatus
    from local_emulator.function_compute.template import Function

_BACKGROUND_THREADS = 64


@dataclass(frozen=True, slots=True)
class RunnerSettings:
    """How functions run.

    Fields:
        instances: the limit of each function.
        log_folder: gets a new FUNCTION.log for each function.
        time_scale: multiplies the waits between the tries of asynchronous invocations.
        idle_seconds: an instance without calls ends after this time.
    """

    instances: int = 16
    log_folder: Path | None = None
    time_scale: float = 1.0
    idle_seconds: float = IDLE_SECONDS


class FunctionRunner:
    """The functions that can be invoked, by name; an instance starts with the first invocation that needs it.

    Fields:
        account_id: the account's number.
        keys: returns an instance's keys of its function's role, or raises FunctionComputeError.
    """

    def __init__(self, settings: RunnerSettings | None = None) -> None:
        self.account_id = ""
        self.keys: Callable[[Function], Credentials] = lambda _: Credentials("", "")
        self._settings = settings = settings or RunnerSettings()
        self._pools: dict[str, Pool] = {}
        self._lock = threading.Lock()
        self._background = ThreadPoolExecutor(_BACKGROUND_THREADS, "asynchronous-invocation")
        self._asynchronous = AsynchronousInvocations(settings.time_scale)
        if settings.log_folder:
            settings.log_folder.mkdir(parents=True, exist_ok=True)

    def deploy(self, function: Function, layers: tuple[Path, ...]) -> None:
        """Make a function ready for invocations; `layers` are the folders of its layers."""
        folder = self._settings.log_folder
        log_file = folder / f"{function.name}.log" if folder else None
        if log_file:
            log_file.write_text("", encoding="utf-8")
        environment, settings = partial(self._environment, function, layers), self._settings
        with self._lock:
            self._pools[function.name] = Pool(
                function, environment, settings.instances, log_file, settings.idle_seconds
            )

    def invoke(self, name: str, event: bytes, request_id: str, most_seconds: float | None = None) -> InvocationOutcome:
        """Invoke a function; FunctionComputeError if no instance is free, or the function's role can't be assumed.

        The function may run for its own timeout, and not longer than `most_seconds`.
        """
        try:
            return self._pool(name).invoke(event, request_id, most_seconds)
        except ExhaustedError:
            raise FunctionComputeError(
                429, "ResourceExhausted", "all instances that the function may have are busy"
            ) from None

    def invoke_later(self, name: str, event: bytes, request_id: str, most_seconds: float | None = None) -> None:
        """Invoke a function in the background, with retries."""
        once = partial(self._pool(name).invoke, event, request_id, most_seconds)
        self._background.submit(self._asynchronous.run, name, request_id, once)

    def logs(self, name: str) -> list[str]:
        """Return the last lines that a function's instances printed, oldest first."""
        return self._pool(name).logs()

    def status(self) -> dict[str, PoolStatus]:
        """Return the calls and the instances of each function."""
        with self._lock:
            return {name: pool.status() for name, pool in self._pools.items()}

    def stop(self) -> None:
        """Stop all instances (idle ones with their pre-stop hook); a second call does nothing."""
        with self._lock:
            pools = list(self._pools.values())
        self._asynchronous.stopping.set()
        for pool in pools:
            pool.stop()
        self._background.shutdown()

    def _pool(self, name: str) -> Pool:
        with self._lock:
            return self._pools[name]

    def _environment(self, function: Function, layers: tuple[Path, ...]) -> InstanceEnvironment:
        return InstanceEnvironment(self.account_id, self.keys(function), layers)
