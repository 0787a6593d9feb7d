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
    REFUSED = "unavailable, nothing applied"
    LOST = "applied, answer lost"
    KILLED_BEFORE = "killed before it"
    KILLED_AFTER = "killed after it"
    NOT_FOUND = "a 404 of a moment, nothing applied"


class KilledError(BaseException):
    """The process is gone; nothing that catches errors catches this."""


class Worker:
    """One process at work.

    `at` is the call that it stands before, None when it has ended; `error` is how, if it didn't end well.
    """

    STEP_SECONDS = 60.0

    def __init__(self, work: Callable[[Worker], object]) -> None:
        self.at: str | None = None
        self.error: BaseException | None = None
        self._work = work
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
        if fate is Fate.NOT_FOUND and name in {"look", "commit"}:
            raise RefusedError(f"{name}: there is no such session", code="NoSuchUpload")
        if fate in {Fate.REFUSED, Fate.NOT_FOUND}:
            raise UnavailableError(f"{name}: nothing applied")
        if fate is not Fate.KILLED_BEFORE:
            result = method(*args, **kwargs)
        if fate in {Fate.KILLED_BEFORE, Fate.KILLED_AFTER}:
            self._killed = True
            raise KilledError
        if fate is Fate.LOST:
            raise UnavailableError(f"{name}: applied, answer lost")
        return result

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

    def before(self, inner: Any) -> Any:
        """The same object behind the gate."""
        return _Gated(inner, self)


class _Gated:
    def __init__(self, inner: Any, gate: Gate) -> None:
        self._inner = inner
        self._gate = gate

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._inner, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            assert self._gate.worker is not None
            return self._gate.worker.call(name, method, *args, **kwargs)

        return call
