"""The running streams: each changes its state on a thread of its own, so that no caller waits."""

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

_log = logging.getLogger(__name__)


class _Runner:
    """Starts, pauses and stops one stream, in the order of the calls."""

    def __init__(self, name: str) -> None:
        self.stream: EventStream | None = None
        self._steps = ThreadPoolExecutor(1, f"event-stream-{name}")
        self._starts = 0
        self._lock = threading.Lock()

    def start(self, create: Callable[[], EventStream]) -> None:
        """Start the stream, or start it again, from the group's committed offsets."""
        with self._lock:
            self._starts += 1
        self._steps.submit(self._start, create)

    def pause(self) -> None:
        """Start no more deliveries; running deliveries may finish."""
        self._steps.submit(self._pause)

    def close(self) -> None:
        """Stop the stream for good, and wait until it has stopped."""
        self._steps.submit(self._stop)
        self._steps.shutdown()

    @property
    def state(self) -> StreamStatus:
        """The stream's state; STARTING as soon as a start is requested."""
        with self._lock:
            if self._starts:
                return StreamStatus.STARTING
            return self.stream.progress().state if self.stream else StreamStatus.STARTING_FAILED

    def describe(self) -> dict[str, str | int]:
        """Return the stream's state, the reason if it has stopped by itself, and its counts."""
        state, stream = self.state.value, self.stream
        if stream is None:
            return {"state": state}
        progress = stream.progress()
        return {
            "state": state,
            "reason": progress.reason,
            "records": progress.events,
            "batches": progress.batches,
            "failed_invocations": progress.failed_invocations,
            "given_up_batches": progress.dead_letters,
        }

    def _start(self, create: Callable[[], EventStream]) -> None:
        self._stop()
        stream = None
        try:
            stream = create()
            stream.start()
        except StreamError as error:  # the stream's state shows the failure, too
            _log.warning("%s", error)
        except Exception:  # noqa: BLE001 - this thread has no caller to report the error to
            _log.exception("an event stream could not be started")
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
    """The running streams, by name."""

    def __init__(self) -> None:
        self._runners: dict[str, _Runner] = {}
        self._lock = threading.Lock()

    def start(self, name: str, create: Callable[[], EventStream]) -> None:
        """Start the stream that `create` returns, in place of the earlier stream of that name."""
        with self._lock:
            self._runners.setdefault(name, _Runner(name)).start(create)

    def pause(self, name: str) -> None:
        """Pause a stream, if it exists."""
        with self._lock:
            runner = self._runners.get(name)
        if runner:
            runner.pause()

    def remove(self, name: str) -> None:
        """Stop and remove a stream, without waiting for its end."""
        with self._lock:
            runner = self._runners.pop(name, None)
        if runner:
            threading.Thread(target=runner.close, name=f"end-of-{name}").start()

    def state(self, name: str) -> StreamStatus | None:
        """Return a stream's state; None if the stream was never started."""
        with self._lock:
            runner = self._runners.get(name)
        return runner.state if runner else None

    def stream(self, name: str) -> EventStream | None:
        """Return the stream; None before it has started."""
        with self._lock:
            runner = self._runners.get(name)
        return runner.stream if runner else None

    def describe(self) -> dict[str, dict[str, str | int]]:
        """Return each stream's state, the reason if it has stopped by itself, and its counts since its start."""
        with self._lock:
            runners = list(self._runners.items())
        return {name: runner.describe() for name, runner in runners}

    def close(self) -> None:
        """Stop all streams, and wait until they have stopped; streams can be started again afterwards."""
        with self._lock:
            runners, self._runners = list(self._runners.values()), {}
        for runner in runners:
            runner.close()
