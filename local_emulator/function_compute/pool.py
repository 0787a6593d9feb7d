"""The instances of one function: idle ones are used again, more are started up to a limit."""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from local_emulator.function_compute.instances import FunctionInstance

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from local_emulator.function_compute.instances import InstanceEnvironment, InvocationOutcome
    from local_emulator.function_compute.template import Function

_KEPT_LINES = 10_000
_END_SECONDS = 10.0  # for killed instances to be cleared away


class ExhaustedError(Exception):
    """All instances that may be there are busy."""


class Pool:
    """Safe to use from many threads; `limit` instances at most, one call each.

    `surroundings` is asked for each new instance, whose keys are its own; what it raises ends the invocation.
    """

    def __init__(
        self, function: Function, surroundings: Callable[[], InstanceEnvironment], limit: int, log_file: Path | None
    ) -> None:
        self.function = function
        self._surroundings = surroundings
        self._limit = limit
        self._log_file = log_file
        self._log: deque[str] = deque(maxlen=_KEPT_LINES)
        self._idle: list[FunctionInstance] = []
        self._busy: set[FunctionInstance] = set()
        self._stopping = False
        self._changed = threading.Condition()

    def invoke(self, event: bytes, request_id: str, wait: float = 0.0) -> InvocationOutcome:
        """Call the function; ExhaustedError where no instance is free within `wait` seconds."""
        instance = self._take(wait)
        try:
            return instance.invoke(event, request_id)
        except BaseException:
            instance.kill()
            raise
        finally:
            self._give_back(instance)

    def logs(self) -> list[str]:
        """The last lines that the instances and the platform printed, oldest first."""
        with self._changed:
            return list(self._log)

    def stop(self) -> None:
        """Kill the busy instances, let the idle ones end by their pre-stop hook; none is left after it."""
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

    def _take(self, wait: float) -> FunctionInstance:
        with self._changed:
            free = self._changed.wait_for(
                lambda: self._stopping or self._idle or len(self._busy) < self._limit, timeout=wait
            )
            if self._stopping or not free:
                raise ExhaustedError
            instance = (
                self._idle.pop() if self._idle else FunctionInstance(self.function, self._surroundings(), self._note)
            )
            self._busy.add(instance)
            return instance

    def _give_back(self, instance: FunctionInstance) -> None:
        with self._changed:
            self._busy.discard(instance)
            if instance.alive and not self._stopping:
                self._idle.append(instance)
            self._changed.notify_all()

    def _note(self, log: bytes) -> None:
        """Keep the lines, and add them to the log file where there is one."""
        text = log.decode("utf-8", errors="replace")
        with self._changed:
            self._log.extend(text.splitlines())
            if self._log_file:
                with self._log_file.open("a", encoding="utf-8") as file:
                    file.write(text)
