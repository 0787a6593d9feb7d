"""Instances of a function: each is a process of this Python that can import only the function's code and layers."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from local_emulator.function_compute import memory, surroundings
from local_emulator.function_compute.channel import Channel, ClosedError, TimedOutError
from local_emulator.function_compute.keeper import KEEPER, kill_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from local_emulator.function_compute.surroundings import Credentials, InstanceEnvironment
    from local_emulator.function_compute.template import Function, Hook

_BOOTSTRAP = Path(__file__).with_name("bootstrap.py")
_START_SECONDS = 30.0  # the longest that an interpreter may take to start; it needs about 0.05 s
_END_SECONDS = 5.0  # the longest that a killed process may take to end
UNHANDLED = "UnhandledInvocationError"
# The service's page on lifecycle hooks (2024): a failed or late initializer is answered with status 200 and this type.
INITIALIZATION = "InitializationError"
_STARTED = b"FunctionCompute python3 runtime inited.\n"  # the service's line of a cold start


@dataclass(frozen=True, slots=True)
class InvocationOutcome:
    """The result of a call; `error_type` is None for a success, `memory` is the call's peak in MB."""

    body: bytes
    error_type: str | None
    milliseconds: float
    memory: float
    log: bytes
    instance_id: str


class FunctionInstance:
    """One process, for as many calls at once as the function allows; once `alive` is False it can't be used again.

    Between calls the process and the processes that it started are stopped (SIGSTOP), as the service freezes instances.
    `on_output` gets each whole line that the process prints, at once, and the platform's own lines around a call.
    """

    def __init__(
        self, function: Function, environment: InstanceEnvironment, on_output: Callable[[bytes], None] = lambda _: None
    ) -> None:
        self.alive = True
        self.id = surroundings.new_instance_id()
        self.credentials = environment.credentials
        self._function = function
        self._on_output = on_output
        self._starting = threading.Lock()
        self._started = False
        self._failed_start: InvocationOutcome | None = None
        self._calls = 0
        self._lock = threading.Lock()
        self._scratch = Path(tempfile.mkdtemp(prefix="fc-instance-"))
        ours, theirs = socket.socketpair()
        output_read, output_write = os.pipe()
        try:
            self._process = subprocess.Popen(  # noqa: S603 # this interpreter, and a file beside this one
                [sys.executable, "-I", "-S", "-u", _BOOTSTRAP, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=output_write,
                stderr=output_write,
                pass_fds=(theirs.fileno(),),
                env=surroundings.variables(function, environment, self.id, self._scratch),
                cwd=function.code,
                start_new_session=True,  # Ctrl-C reaches only the emulator, which then stops its instances in order
            )
        except BaseException:
            ours.close()
            os.close(output_read)
            shutil.rmtree(self._scratch)
            raise
        finally:
            theirs.close()
            os.close(output_write)
        KEEPER.keep(self._scratch, self._process.pid, self.id)
        self._channel = Channel(ours, output_read, on_output)
        try:
            self._channel.send(surroundings.settings(function, environment), _START_SECONDS)
        except BaseException:
            self.kill()
            raise

    def invoke(
        self, event: bytes, request_id: str, most_seconds: float | None = None, keys: Credentials | None = None
    ) -> InvocationOutcome:
        """Call the handler, and before the first call the initializer.

        The handler may run for the function's timeout, and not longer than `most_seconds`. `keys` are those of the
        request's context, by default the instance's.
        """
        timeout: float = self._function.timeout
        seconds = timeout if most_seconds is None else min(timeout, most_seconds)
        with self._awake():
            with self._starting:
                started = self._start(request_id)
            if started.error_type:
                return started
            header = self._header(self._function.handler, request_id, keys or self.credentials)
            outcome = self._call("Invoke", header, event, seconds)
            return replace(outcome, log=started.log + outcome.log)

    @property
    def usable(self) -> bool:
        """Whether the instance can take another call: it wasn't killed, neither by the emulator nor by anybody else."""
        return self.alive and not self._channel.closed

    def stop(self) -> None:
        """Call the pre-stop hook if the instance was used, then end the process."""
        if self.usable and self._started and self._function.pre_stop:
            with self._awake():
                self._hook("PreStop", self._function.pre_stop, new_request_id())
        self.kill()

    def interrupt(self) -> None:
        """Kill the processes, from any thread; the threads that wait for their answers then call `kill`."""
        with self._lock:
            if self.alive:
                self._signal(signal.SIGKILL)

    def kill(self) -> None:
        """Kill the process and the processes that it started, and remove its scratch folder."""
        with self._lock:
            if not self.alive:
                return
            self.alive = False
            self._signal(signal.SIGKILL)
            self._process.wait(_END_SECONDS)
        kill_all(self.id)
        self._channel.close()
        shutil.rmtree(self._scratch, ignore_errors=True)
        KEEPER.forget(self._scratch)

    @contextlib.contextmanager
    def _awake(self) -> Iterator[None]:
        """Let the processes run until the last of the calls that go on at once has ended."""
        with self._lock:
            self._calls += 1
            if self.alive and self._calls == 1:
                memory.reset_peak(self._process.pid)
                self._signal(signal.SIGCONT)
        try:
            yield
        finally:
            with self._lock:
                self._calls -= 1
                if self.alive and not self._calls:
                    self._signal(signal.SIGSTOP)

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS: permission, if only a zombie is left
            os.killpg(self._process.pid, number)

    def _start(self, request_id: str) -> InvocationOutcome:
        """Call the initializer, once; return its outcome, or a success without a log if there is nothing to do."""
        nothing = InvocationOutcome(b"", None, 0.0, 0.0, b"", self.id)
        if self._started:
            return self._failed_start or nothing
        self._started = True
        self._on_output(_STARTED)
        outcome = nothing
        if self._function.initializer:
            outcome = self._hook("Initialize", self._function.initializer, request_id)
            if outcome.error_type:
                self.kill()
                outcome = self._failed_start = replace(outcome, error_type=INITIALIZATION)
        return replace(outcome, log=_STARTED + outcome.log)

    def _hook(self, name: str, hook: Hook, request_id: str) -> InvocationOutcome:
        return self._call(name, self._header(hook.handler, request_id, self.credentials), None, hook.timeout)

    def _header(self, handler: str, request_id: str, keys: Credentials) -> dict[str, Any]:
        credentials = surroundings.request_keys(self._function, keys)
        return {"handler": handler, "request_id": request_id, "credentials": credentials}

    def _call(self, name: str, header: dict[str, Any], event: bytes | None, seconds: float) -> InvocationOutcome:
        call = {**header, "takes_event": event is not None}
        ended: str | None = None
        failed, body, printed, usage = True, b"", bytearray(), _Usage(self._process.pid)
        start, end = (f"FC {name} {word} RequestId: {header['request_id']}\n".encode() for word in ("Start", "End"))
        self._on_output(start)
        begun = time.monotonic()
        try:
            answer, body = self._channel.call(call, event or b"", seconds, lambda: self._check(usage), printed)
            failed = answer["failed"]
            self._check(usage, with_children=False)
        except TimedOutError:
            # The service's text, as a public issue of 2021 shows it.
            ended = f"Function timed out after {seconds:g} seconds (maxMemoryUsage: {usage.peak:.2f}MB)"
        except (ClosedError, _OutOfMemoryError):
            # The service's text, as its pages on errors (Node.js, 2026; FAQ, 2024) show it; also for too much memory.
            numbers = f"duration: {_milliseconds(begun):.0f}ms, maxMemoryUsage: {usage.peak:.2f}MB"
            ended = f"Process exited unexpectedly before completing request ({numbers})"
        milliseconds = _milliseconds(begun)
        if ended is not None:
            failed = True
            self.kill()
            body = json.dumps({"errorMessage": ended}).encode()
        self._on_output(end)
        if printed and not printed.endswith(b"\n"):
            printed += b"\n"
        log = start + bytes(printed) + end
        return InvocationOutcome(body, UNHANDLED if failed else None, milliseconds, usage.peak, log, self.id)

    def _check(self, usage: _Usage, *, with_children: bool = True) -> None:
        usage.measure(with_children=with_children)
        if usage.peak > self._function.memory:
            raise _OutOfMemoryError


class _OutOfMemoryError(Exception):
    """The processes hold more than the function's memorySize."""


class _Usage:
    """The memory that an instance held during a call, in MB."""

    def __init__(self, process: int) -> None:
        self.peak = 0.0
        self._process = process

    def measure(self, *, with_children: bool) -> None:
        self.peak = max(self.peak, memory.used(self._process, with_children=with_children))


def new_request_id() -> str:
    """Return an id in the service's form: `1-`, the time in hex, and random hex."""
    random = uuid.uuid4().hex
    return f"1-{int(time.time()):08x}-{random[:8]}-{random[8:20]}"


def _milliseconds(begun: float) -> float:
    return (time.monotonic() - begun) * 1000
