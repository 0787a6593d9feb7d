"""The instances of one function: a call takes an idle instance, or starts another one up to a limit."""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from local_emulator.function_compute.instances import FunctionInstance

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from local_emulator.function_compute.instances import InvocationOutcome
    from local_emulator.function_compute.surroundings import InstanceEnvironment
    from local_emulator.function_compute.template import Function

_KEPT_LINES = 10_000
_END_SECONDS = 10.0  # the longest that `stop` waits for killed instances


class ExhaustedError(Exception):
    """The limit of instances is reached, and all are busy."""


class Pool:
    """At most `limit` instances, each with one call at a time; safe to use from many threads.

    `make_environment` is called for each new instance, so that each has keys of its own; its errors end the invocation.
    """

    def __init__(
        self, function: Function, make_environment: Callable[[], InstanceEnvironment], limit: int, log_file: Path | None
    ) -> None:
        self.function = function
        self._make_environment = make_environment
        self._limit = limit
        self._log_file = log_file
        self._log: deque[str] = deque(maxlen=_KEPT_LINES)
        self._idle: list[FunctionInstance] = []
        self._busy: set[FunctionInstance] = set()
        self._stopping = False
        self._changed = threading.Condition()

    def invoke(self, event: bytes, request_id: str, most_seconds: float | None = None) -> InvocationOutcome:
        """Call the function, see `FunctionInstance.invoke`; ExhaustedError if no instance is free."""
        instance = self._take()
        try:
            return instance.invoke(event, request_id, most_seconds)
        except BaseException:
            instance.kill()
            raise
        finally:
            self._give_back(instance)

    def logs(self) -> list[str]:
        """Return the last lines that the instances and the platform printed, oldest first."""
        with self._changed:
            return list(self._log)

    def stop(self) -> None:
        """Kill the busy instances, and stop the idle ones with their pre-stop hook; wait until all have ended."""
        with self._changed:
            self._stopping = True
            idle, self._idle = self._idle, []
            for instance in self._busy:
                instance.interrupt()
            self._changed.notify_all()
        if idle:
            with ThreadPoolExecutor(len(idle)) as threads:
                list(threads.map(FunctionInstance.stop, idle))
        with self._changed:
            self._changed.wait_for(lambda: not self._busy, _END_SECONDS)

    def _take(self) -> FunctionInstance:
        with self._changed:
            if self._stopping or not (self._idle or len(self._busy) < self._limit):
                raise ExhaustedError
            instance = (
                self._idle.pop()
                if self._idle
                else FunctionInstance(self.function, self._make_environment(), self._add_log)
            )
            self._busy.add(instance)
            return instance

    def _give_back(self, instance: FunctionInstance) -> None:
        with self._changed:
            self._busy.discard(instance)
            if instance.alive and not self._stopping:
                self._idle.append(instance)
            self._changed.notify_all()

    def _add_log(self, log: bytes) -> None:
        """Keep the lines, and append them to the log file if there is one."""
        text = log.decode("utf-8", errors="replace")
        with self._changed:
            self._log.extend(text.splitlines())
            if self._log_file:
                with self._log_file.open("a", encoding="utf-8") as file:
                    file.write(text)
