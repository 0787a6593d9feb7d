"""The instances of one function: a call takes an instance that has room, or starts another one up to a limit."""

from __future__ import annotations

import threading
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from local_emulator.function_compute import surroundings
from local_emulator.function_compute.instances import FunctionInstance

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from local_emulator.function_compute.instances import InvocationOutcome
    from local_emulator.function_compute.surroundings import Credentials, InstanceEnvironment
    from local_emulator.function_compute.template import Function

_KEPT_LINES = 10_000
_END_SECONDS = 10.0  # the longest that `stop` waits for killed instances
IDLE_SECONDS = 300
"""An instance without calls ends after this time: the service's FAQ (2024) says "generally 3 to 5 minutes"."""


class ExhaustedError(Exception):
    """The limit of instances is reached, and all are busy."""


class RetiredError(Exception):
    """The pool takes no more calls."""


@dataclass(eq=False, slots=True)
class _Place:
    """An instance, its calls, and the time of its last call's end."""

    instance: FunctionInstance
    calls: int = 0
    used: float = 0.0


@dataclass(frozen=True, slots=True)
class PoolStatus:
    """What a function's calls found: `cold` of them started an instance, `warm` found one.

    `instances` maps the ids of present instances to the number of their running calls; those without are frozen.
    """

    cold: int
    warm: int
    instances: dict[str, int]


class Pool:
    """At most `limit` instances, each with one call at a time or as many as the function allows; for many threads.

    `make_environment` is called for each new instance, so that each has keys of its own; its errors end the invocation.
    An instance without calls ends after `idle_seconds`, or if its keys don't outlast another call; its pre-stop hook
    runs before.
    """

    def __init__(
        self,
        function: Function,
        make_environment: Callable[[], InstanceEnvironment],
        limit: int,
        log_file: Path | None,
        idle_seconds: float = IDLE_SECONDS,
    ) -> None:
        self.function = function
        self._make_environment = make_environment
        self._limit = limit
        self._concurrency = surroundings.concurrency(function)
        self._idle_seconds = idle_seconds
        self._log_file = log_file
        self._log: deque[str] = deque(maxlen=_KEPT_LINES)
        self._logging = threading.Lock()
        self._places: list[_Place] = []
        self._cold = self._warm = 0
        self._keys: _RequestKeys | None = None
        self._stopping = self._retired = False
        self._changed = threading.Condition()
        self._reaper = threading.Thread(target=self._end_instances, name=f"end-{function.name}", daemon=True)
        self._reaper.start()

    def invoke(self, event: bytes, request_id: str, most_seconds: float | None = None) -> InvocationOutcome:
        """Call the function, see `FunctionInstance.invoke`.

        ExhaustedError if no instance is free, RetiredError after `retire`.
        """
        place, keys = self._take()
        try:
            return place.instance.invoke(event, request_id, most_seconds, keys)
        except BaseException:
            place.instance.kill()
            raise
        finally:
            self._give_back(place)

    def logs(self) -> list[str]:
        """Return the last lines that the instances and the platform printed, oldest first."""
        with self._logging:
            return list(self._log)

    def status(self) -> PoolStatus:
        """Return the numbers of calls, and the instances."""
        with self._changed:
            return PoolStatus(self._cold, self._warm, {place.instance.id: place.calls for place in self._places})

    def retire(self) -> None:
        """Take no more calls; instances end after their pre-stop hook, busy ones after their calls. Don't wait."""
        with self._changed:
            self._retired = True
            self._changed.notify_all()

    @property
    def ended(self) -> bool:
        """Whether the pool is retired and all its instances have ended."""
        return not self._reaper.is_alive()

    def stop(self) -> None:
        """Kill the busy instances, and stop the idle ones with their pre-stop hook; wait until all have ended."""
        with self._changed:
            self._stopping = True
            idle = [place for place in self._places if not place.calls]
            for place in self._places:
                if place.calls:
                    place.instance.interrupt()
            self._changed.notify_all()
        _stop_all(idle)
        with self._changed:
            self._changed.wait_for(lambda: not any(place.calls for place in self._places), _END_SECONDS)
        self._reaper.join()

    def _take(self) -> tuple[_Place, Credentials]:
        """Return an instance with room for a call, and the keys of the call's context."""
        with self._changed:
            if self._retired:
                raise RetiredError
            place = self._with_room()
            if self._stopping or not (place or sum(map(self._counts, self._places)) < self._limit):
                raise ExhaustedError
            if place:
                self._warm += 1
            else:
                place = self._start()
                self._cold += 1
            place.calls += 1
            return place, self._request_keys()

    def _start(self) -> _Place:
        environment = self._make_environment()
        self._keys = _RequestKeys(environment.credentials)
        place = _Place(FunctionInstance(self.function, environment, self._add_log))
        self._places.append(place)
        self._changed.notify_all()
        return place

    def _request_keys(self) -> Credentials:
        """Return the newest keys, and renew them first if half of their life is over."""
        if self._keys is None or self._keys.are_old():
            self._keys = _RequestKeys(self._make_environment().credentials)
        return self._keys.credentials

    def _counts(self, place: _Place) -> bool:
        """Whether an instance has calls, or may get another one."""
        return bool(place.calls) or self._is_usable(place)

    def _is_usable(self, place: _Place) -> bool:
        """Whether the instance lives, and the keys in its environment outlast another call."""
        instance = place.instance
        return instance.usable and instance.credentials.seconds_left() > self.function.timeout

    def _with_room(self) -> _Place | None:
        """Return the fullest instance that takes another call, of these the last used; None if there is none."""
        places = (place for place in self._places if place.calls < self._concurrency and self._is_usable(place))
        return max(places, key=lambda place: (place.calls, place.used), default=None)

    def _give_back(self, place: _Place) -> None:
        with self._changed:
            place.calls -= 1
            place.used = time.monotonic()
            if not place.instance.alive and place in self._places:
                self._places.remove(place)
            stopping = self._stopping
            self._changed.notify_all()
        if stopping:  # `stop` has killed the processes, perhaps after the answer
            place.instance.kill()

    def _end_instances(self) -> None:
        """End instances that are due, until the pool is stopped or all instances of a retired pool have ended."""
        while True:
            with self._changed:
                due = self._wait_for_due()
                if self._stopping or not due:
                    return
                self._places = [place for place in self._places if place not in due]
            _stop_all(due)

    def _wait_for_due(self) -> list[_Place]:
        """Wait until instances are due to end; return none if the pool is stopped, or retired without instances."""
        while True:
            idle = [place for place in self._places if not place.calls]
            last_call = time.monotonic() - self._idle_seconds
            due = [place for place in idle if self._retired or place.used <= last_call or not self._is_usable(place)]
            if due or self._stopping or (self._retired and not self._places):
                return due
            self._changed.wait(min((place.used - last_call for place in idle), default=None))

    def _add_log(self, log: bytes) -> None:
        """Keep the lines, and append them to the log file if there is one."""
        text = log.decode("utf-8", errors="replace")
        with self._logging:
            self._log.extend(text.splitlines())
            if self._log_file:
                with self._log_file.open("a", encoding="utf-8") as file:
                    file.write(text)


class _RequestKeys:
    """Keys for the contexts of requests."""

    def __init__(self, credentials: Credentials) -> None:
        self.credentials = credentials
        self._half = credentials.seconds_left() / 2

    def are_old(self) -> bool:
        return self.credentials.seconds_left() < self._half


def _stop_all(places: list[_Place]) -> None:
    if places:
        with ThreadPoolExecutor(len(places)) as threads:
            list(threads.map(lambda place: place.instance.stop(), places))
