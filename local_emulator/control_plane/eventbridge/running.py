"""The streams that really run: each moves between its states on a thread of its own, so that no caller waits for it."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from local_emulator.eventbridge.errors import StreamError
from local_emulator.eventbridge.progress import StreamStatus

if TYPE_CHECKING:
    from collections.abc import Callable

    from local_emulator.eventbridge.stream import EventStream

_LOG = logging.getLogger(__name__)


class _Runner:
    """One stream; what it is told to do happens in that order."""

    def __init__(self, name: str) -> None:
        self.stream: EventStream | None = None
        self._steps = ThreadPoolExecutor(1, f"event-stream-{name}")
        self._starts = 0
        self._lock = threading.Lock()

    def start(self, make: Callable[[], EventStream]) -> None:
        """Start again, from what the group has committed."""
        with self._lock:
            self._starts += 1
        self._steps.submit(self._start, make)

    def pause(self) -> None:
        """Deliver nothing more; what is under way may finish."""
        self._steps.submit(self._pause)

    def close(self) -> None:
        """Stop for good, and wait for it."""
        self._steps.submit(self._stop)
        self._steps.shutdown()

    @property
    def state(self) -> StreamStatus:
        """Where the stream is; STARTING from the moment that it's told to."""
        with self._lock:
            if self._starts:
                return StreamStatus.STARTING
            return self.stream.progress().state if self.stream else StreamStatus.STARTING_FAILED

    def _start(self, make: Callable[[], EventStream]) -> None:
        self._stop()
        stream = None
        try:
            stream = make()
            stream.start()
        except StreamError as error:  # the stream's state says so too
            _LOG.warning("%s", error)
        except Exception:  # noqa: BLE001 - whatever it is, nobody else is there to tell
            _LOG.exception("an event stream could not be started")
        with self._lock:
            self.stream = stream
            self._starts -= 1

    def _pause(self) -> None:
        if self.stream:
            self.stream.pause()

    def _stop(self) -> None:
        if self.stream:
            self.stream.stop()


class RunningStreams:
    """All of them, by name."""

    def __init__(self) -> None:
        self._runners: dict[str, _Runner] = {}
        self._lock = threading.Lock()

    def start(self, name: str, make: Callable[[], EventStream]) -> None:
        """Start a stream that `make` makes, in place of one that has run under that name."""
        with self._lock:
            self._runners.setdefault(name, _Runner(name)).start(make)

    def pause(self, name: str) -> None:
        """Pause one, if it is there."""
        with self._lock:
            runner = self._runners.get(name)
        if runner:
            runner.pause()

    def remove(self, name: str) -> None:
        """Stop and forget one; it ends by itself."""
        with self._lock:
            runner = self._runners.pop(name, None)
        if runner:
            threading.Thread(target=runner.close, name=f"end-of-{name}").start()

    def state(self, name: str) -> StreamStatus | None:
        """Where a stream is; None if it was never started here."""
        with self._lock:
            runner = self._runners.get(name)
        return runner.state if runner else None

    def stream(self, name: str) -> EventStream | None:
        """The stream itself, once it has been started."""
        with self._lock:
            runner = self._runners.get(name)
        return runner.stream if runner else None

    def close(self) -> None:
        """Stop all and wait for them; streams can be started again afterwards."""
        with self._lock:
            runners, self._runners = list(self._runners.values()), {}
        for runner in runners:
            runner.close()
