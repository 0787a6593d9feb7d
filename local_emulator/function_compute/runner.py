"""Runs the deployed functions: each has a pool of instances, a log, and perhaps a log file.

An asynchronous invocation waits for a free instance and runs once: the service's own retries aren't emulated.
"""

from __future__ import annotations

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from local_emulator.function_compute.errors import FunctionComputeError
from local_emulator.function_compute.pool import ExhaustedError, Pool
from local_emulator.function_compute.surroundings import Credentials, InstanceEnvironment

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from local_emulator.function_compute.instances import InvocationOutcome
    from local_emulator.function_compute.template import Function

_BACKGROUND_THREADS = 64
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RunnerSettings:
    """How functions run; `instances` is the limit of each function, a `log_folder` gets a new FUNCTION.log for each."""

    instances: int = 16
    log_folder: Path | None = None


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
        if settings.log_folder:
            settings.log_folder.mkdir(parents=True, exist_ok=True)

    def deploy(self, function: Function, layers: tuple[Path, ...]) -> None:
        """Make a function ready for invocations; `layers` are the folders of its layers."""
        folder = self._settings.log_folder
        log_file = folder / f"{function.name}.log" if folder else None
        if log_file:
            log_file.write_text("", encoding="utf-8")
        environment = partial(self._environment, function, layers)
        with self._lock:
            self._pools[function.name] = Pool(function, environment, self._settings.instances, log_file)

    def invoke(self, name: str, event: bytes, request_id: str) -> InvocationOutcome:
        """Invoke a function; FunctionComputeError if no instance is free, or the function's role can't be assumed."""
        try:
            return self._pool(name).invoke(event, request_id)
        except ExhaustedError:
            raise FunctionComputeError(
                429, "ResourceExhausted", "all instances that the function may have are busy"
            ) from None

    def invoke_later(self, name: str, event: bytes, request_id: str) -> None:
        """Invoke a function in the background, as soon as an instance is free."""
        self._background.submit(self._invoke_later, self._pool(name), event, request_id)

    def logs(self, name: str) -> list[str]:
        """Return the last lines that a function's instances printed, oldest first."""
        return self._pool(name).logs()

    def stop(self) -> None:
        """Stop all instances (idle ones with their pre-stop hook); a second call does nothing."""
        with self._lock:
            pools = list(self._pools.values())
        for pool in pools:
            pool.stop()
        self._background.shutdown()

    def _pool(self, name: str) -> Pool:
        with self._lock:
            return self._pools[name]

    def _environment(self, function: Function, layers: tuple[Path, ...]) -> InstanceEnvironment:
        return InstanceEnvironment(self.account_id, self.keys(function), layers)

    @staticmethod
    def _invoke_later(pool: Pool, event: bytes, request_id: str) -> None:
        try:
            pool.invoke(event, request_id, wait=float(pool.function.timeout))
        except (ExhaustedError, FunctionComputeError) as error:
            reason = str(error) or "no instance was free"
            _log.warning("%s: asynchronous invocation %s dropped: %s", pool.function.name, request_id, reason)
