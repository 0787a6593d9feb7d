"""Runs the deployed functions: each revision of a version has a pool of instances, each function a log."""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from local_emulator.function_compute.asynchronous import NO_CONFIGURATION, AsynchronousInvocations, AsynchronousLimits
from local_emulator.function_compute.errors import FunctionComputeError
from local_emulator.function_compute.pool import IDLE_SECONDS, ExhaustedError, Pool, PoolStatus, RetiredError
from local_emulator.function_compute.surroundings import Credentials, InstanceEnvironment

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from local_emulator.function_compute.instances import InvocationOutcome
    from local_emulator.function_compute.template import Function

_BACKGROUND_THREADS = 64
_KEPT_POOLS = 8  # of earlier revisions of a function, for their logs


@dataclass(frozen=True, slots=True)
class RunnerSettings:
    """How functions run.

    Fields:
        instances: the limit of each function.
        log_folder: gets a FUNCTION.log for each function; earlier logs in it are removed.
        time_scale: multiplies the waits between the tries of asynchronous invocations.
        idle_seconds: an instance without calls ends after this time.
    """

    instances: int = 16
    log_folder: Path | None = None
    time_scale: float = 1.0
    idle_seconds: float = IDLE_SECONDS


@dataclass(frozen=True, slots=True)
class Revision:
    """The code and configuration of an invocation; `number` grows with each change, `version` is LATEST or a number.

    `layers` are the folders of the function's layers.
    """

    number: int
    version: str
    function: Function
    layers: tuple[Path, ...]


class FunctionRunner:
    """The instances of all functions; an instance starts with the first invocation that needs it.

    Fields:
        account_id: the account's number.
        keys: returns an instance's keys of its function's role, or raises FunctionComputeError.
    """

    def __init__(self, settings: RunnerSettings | None = None) -> None:
        self.account_id = ""
        self.keys: Callable[[Function], Credentials] = lambda _: Credentials("", "")
        self._settings = settings = settings or RunnerSettings()
        self._pools: dict[tuple[str, str], tuple[Revision, Pool]] = {}
        self._all: defaultdict[str, deque[tuple[Revision, Pool]]] = defaultdict(lambda: deque(maxlen=_KEPT_POOLS))
        self._stopped = False
        self._lock = threading.Lock()
        self._background = ThreadPoolExecutor(_BACKGROUND_THREADS, "asynchronous-invocation")
        self._asynchronous = AsynchronousInvocations(settings.time_scale)
        if settings.log_folder:
            settings.log_folder.mkdir(parents=True, exist_ok=True)
            for earlier in settings.log_folder.glob("*.log"):
                earlier.unlink()

    def invoke(
        self, resolve: Callable[[], Revision], event: bytes, request_id: str, most_seconds: float | None = None
    ) -> InvocationOutcome:
        """Invoke the revision that `resolve` returns.

        FunctionComputeError if no instance is free, or the function's role can't be assumed. The function may run for
        its own timeout, and not longer than `most_seconds`.
        """
        try:
            return self._invoke(resolve, event, request_id, most_seconds)
        except ExhaustedError:
            raise FunctionComputeError(
                429, "ResourceExhausted", "all instances that the function may have are busy"
            ) from None

    def invoke_later(
        self,
        resolve: Callable[[], Revision],
        event: bytes,
        request_id: str,
        most_seconds: float | None = None,
        *,
        limits: AsynchronousLimits = NO_CONFIGURATION,
    ) -> None:
        """Invoke a function in the background, with retries."""
        once = partial(self._invoke, resolve, event, request_id, most_seconds)
        self._background.submit(self._asynchronous.run, resolve().function.name, request_id, once, limits)

    def retire(self, name: str, version: str | None = None) -> None:
        """End the instances of a function's version, or of all its versions, after their running calls; don't wait."""
        with self._lock:
            keys = [key for key in self._pools if key[0] == name and version in {None, key[1]}]
            pools = [self._pools.pop(key)[1] for key in keys]
        for pool in pools:
            threading.Thread(target=pool.retire, name=f"retire-{name}", daemon=True).start()

    def logs(self, name: str) -> list[str]:
        """Return the last lines that a function's instances printed, oldest first."""
        with self._lock:
            pools = list(self._all[name])
        return [line for _, pool in pools for line in pool.logs()]

    def status(self) -> dict[str, PoolStatus]:
        """Return the calls and the instances of each function, of all its revisions together."""
        with self._lock:
            pools = {name: [pool for _, pool in pools] for name, pools in self._all.items()}
        return {name: _together([pool.status() for pool in of_name]) for name, of_name in pools.items()}

    def folders(self) -> set[Path]:
        """Return the folders of code and layers that instances may still use."""
        with self._lock:
            used = [revision for pools in self._all.values() for revision, pool in pools if not pool.ended]
        return {
            folder
            for revision in used
            for folder in (revision.function.code, *(layer.parent for layer in revision.layers))
        }

    def stop(self) -> None:
        """Stop all instances (idle ones with their pre-stop hook); a second call does nothing."""
        with self._lock:
            self._stopped = True
            pools = [pool for pools in self._all.values() for _, pool in pools]
        self._asynchronous.stopping.set()
        for pool in pools:
            pool.stop()
        self._background.shutdown()

    def _invoke(
        self, resolve: Callable[[], Revision], event: bytes, request_id: str, most_seconds: float | None
    ) -> InvocationOutcome:
        try:
            return self._pool(resolve()).invoke(event, request_id, most_seconds)
        except RetiredError:  # another revision was deployed meanwhile
            return self._invoke(resolve, event, request_id, most_seconds)

    def _pool(self, revision: Revision) -> Pool:
        name = revision.function.name
        with self._lock:
            if self._stopped:
                raise ExhaustedError
            existing = self._pools.get((name, revision.version))
            if existing and existing[0].number >= revision.number:
                return existing[1]
            environment = partial(self._environment, revision)
            settings = self._settings
            pool = Pool(revision.function, environment, settings.instances, self._log_file(name), settings.idle_seconds)
            self._pools[name, revision.version] = (revision, pool)
            self._all[name].append((revision, pool))
            return pool

    def _log_file(self, name: str) -> Path | None:
        """Return a function's log file."""
        folder = self._settings.log_folder
        return folder / f"{name}.log" if folder else None

    def _environment(self, revision: Revision) -> InstanceEnvironment:
        return InstanceEnvironment(self.account_id, self.keys(revision.function), revision.layers, revision.version)


def _together(statuses: list[PoolStatus]) -> PoolStatus:
    instances = {name: calls for status in statuses for name, calls in status.instances.items()}
    return PoolStatus(sum(status.cold for status in statuses), sum(status.warm for status in statuses), instances)
