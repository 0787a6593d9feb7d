"""Runs a function step by step: each call on its gated objects waits until the test says what becomes of it.

A worker is a thread that only ever runs while `go` waits for it, so that a run is the same each time it's repeated. The
work may use a pool of one thread; never two threads of it that call gated objects.
"""

from __future__ import annotations

import threading
from enum import Enum
from typing import TYPE_CHECKING, Any

from kafka_maxcompute.errors import RefusedError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable


class Fate(Enum):
    """What becomes of a call; what is lost or killed after the call has had its effect."""

    DONE = "done"
    UNAVAILABLE = "unavailable, nothing applied"
    LOST = "applied, answer lost"
    KILLED_BEFORE = "killed before it"
    KILLED_AFTER = "killed after it"
    SLOW = "applied, and takes two minutes"
    DENIED = "refused, nothing applied"
    NOT_FOUND = "a 404 of a moment, nothing applied"
    PARTLY = "half of it applied, answer lost"
    UNTOLD = "applied, and the answer doesn't say where"


SLOW_SECONDS = 120.0
_NOTHING_APPLIED = frozenset({Fate.UNAVAILABLE, Fate.DENIED, Fate.NOT_FOUND, Fate.KILLED_BEFORE})


class KilledError(BaseException):
    """The process is gone; nothing that catches errors catches this."""


class Worker:
    """One process at work; `sleep` is told of the seconds that a slow call takes.

    `at` is the call that it stands before, None when it has ended; `error` is how, if it didn't end well.
    """

    STEP_SECONDS = 60.0

    def __init__(self, work: Callable[[Worker], object], sleep: Callable[[float], None] = lambda _: None) -> None:
        self.at: str | None = None
        self.error: BaseException | None = None
        self._work = work
        self._sleep = sleep
        self._fate = Fate.DONE
        self._killed = False
        self._turn = threading.Semaphore(0)
        self._yielded = threading.Semaphore(0)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self._await()

    @property
    def ended(self) -> bool:
        """Whether its work is over, well or not."""
        return self.at is None

    def go(self, fate: Fate = Fate.DONE) -> None:
        """Let the call that it stands before have its fate, and wait for the next one or the end."""
        self._fate = fate
        self._turn.release()
        self._await()

    def call(self, name: str, method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Wait for the fate of one call, and meet it."""
        if self._killed:
            raise KilledError
        self.at = name
        self._yielded.release()
        self._turn.acquire()
        fate = self._fate
        result = None
        if fate is Fate.PARTLY:
            items = list(args[0])
            method(items[: len(items) // 2], *args[1:], **kwargs)
        elif fate not in _NOTHING_APPLIED:
            result = method(*args, **kwargs)
        if fate in {Fate.KILLED_BEFORE, Fate.KILLED_AFTER}:
            self._killed = True
            raise KilledError
        if fate is Fate.NOT_FOUND:
            raise RefusedError(f"{name}: there is no such session", code="NoSuchUpload")
        if fate is Fate.DENIED:
            raise RefusedError(f"{name}: refused", code="NoPermission")
        if fate in {Fate.UNAVAILABLE, Fate.LOST, Fate.PARTLY}:
            raise UnavailableError(f"{name}: {fate.value}")
        if fate is Fate.SLOW:
            self._sleep(SLOW_SECONDS)
        return None if fate is Fate.UNTOLD else result

    def _run(self) -> None:
        try:
            self._work(self)
        except BaseException as error:  # noqa: BLE001 - the test looks at it
            self.error = error
        self.at = None
        self._yielded.release()

    def _await(self) -> None:
        if not self._yielded.acquire(timeout=self.STEP_SECONDS):
            raise AssertionError(f"the worker hasn't come to its next call in {self.STEP_SECONDS} s")


class Gate:
    """Objects each of whose calls waits for its fate with the worker that is at work."""

    def __init__(self) -> None:
        self.worker: Worker | None = None

    def before(self, inner: Any, service: str, named: Callable[[str, tuple[Any, ...]], str] | None = None) -> Any:
        """The same object behind the gate; its calls are `service.call`, or as `named` says by call and arguments."""
        return _Gated(inner, self, service, named or (lambda call, _: call))


class _Gated:
    def __init__(self, inner: Any, gate: Gate, service: str, named: Callable[[str, tuple[Any, ...]], str]) -> None:
        self._inner = inner
        self._gate = gate
        self._service = service
        self._named = named

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._inner, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            assert self._gate.worker is not None
            return self._gate.worker.call(f"{self._service}.{self._named(name, args)}", method, *args, **kwargs)

        return call
