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
import time
import uuid
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from local_emulator.function_compute import surroundings
from local_emulator.function_compute.channel import Channel, ClosedError, TimedOutError

if TYPE_CHECKING:
    from collections.abc import Callable

    from local_emulator.function_compute.surroundings import InstanceEnvironment
    from local_emulator.function_compute.template import Function, Hook

_BOOTSTRAP = Path(__file__).with_name("bootstrap.py")
_START_SECONDS = 30.0  # the longest that an interpreter may take to start; it needs about 0.05 s
_END_SECONDS = 5.0  # the longest that a killed process may take to end
UNHANDLED = "UnhandledInvocationError"
# The service's page on lifecycle hooks (2024): a failed or late initializer is answered with status 200 and this type.
INITIALIZATION = "InitializationError"


@dataclass(frozen=True, slots=True)
class InvocationOutcome:
    """The result of a call; `error_type` is None for a success, `memory` is the process's peak so far in MB."""

    body: bytes
    error_type: str | None
    milliseconds: float
    memory: float
    log: bytes


class _OutOfMemoryError(Exception):
    """The process holds more than the function's memorySize."""


class FunctionInstance:
    """One process, for one call at a time; once `alive` is False it can't be used again.

    `on_output` gets each whole line that the process prints, at once, and the platform's own lines around a call.
    """

    def __init__(
        self, function: Function, environment: InstanceEnvironment, on_output: Callable[[bytes], None] = lambda _: None
    ) -> None:
        self.alive = True
        self.id = surroundings.new_instance_id()
        self._credentials = environment.credentials
        self._function = function
        self._on_output = on_output
        self._initialized = False
        self._peak = 0.0
        self._scratch = Path(tempfile.mkdtemp(prefix="fc-instance-"))
        ours, theirs = socket.socketpair()
        output_read, output_write = os.pipe()
        life_read, self._life = os.pipe()
        try:
            self._process = subprocess.Popen(  # noqa: S603 # this interpreter, and a file beside this one
                [sys.executable, "-I", "-S", "-u", _BOOTSTRAP, str(theirs.fileno()), str(life_read)],
                stdin=subprocess.DEVNULL,
                stdout=output_write,
                stderr=output_write,
                pass_fds=(theirs.fileno(), life_read),
                env=surroundings.variables(function, environment, self.id, self._scratch),
                cwd=function.code,
                start_new_session=True,  # Ctrl-C reaches only the emulator, which then stops its instances in order
            )
        finally:
            theirs.close()
            os.close(output_write)
            os.close(life_read)
        self._channel = Channel(ours, output_read, on_output)
        self._channel.send(surroundings.settings(function, environment), _START_SECONDS)

    def invoke(self, event: bytes, request_id: str, most_seconds: float | None = None) -> InvocationOutcome:
        """Call the handler, and before the first call the initializer.

        The handler may run for the function's timeout, and not longer than `most_seconds`.
        """
        log = b""
        if not self._initialized and self._function.initializer:
            outcome = self._hook("Initialize", self._function.initializer, request_id)
            if outcome.error_type:
                self.kill()
                return replace(outcome, error_type=INITIALIZATION)
            log = outcome.log
        self._initialized = True
        timeout: float = self._function.timeout
        seconds = timeout if most_seconds is None else min(timeout, most_seconds)
        outcome = self._call("Invoke", self._function.handler, event, request_id, seconds)
        return replace(outcome, log=log + outcome.log)

    def stop(self) -> None:
        """Call the pre-stop hook if the instance was used, then end the process."""
        if self.alive and self._initialized and self._function.pre_stop:
            self._hook("PreStop", self._function.pre_stop, new_request_id())
        self.kill()

    def interrupt(self) -> None:
        """Kill the process, from any thread; the thread that waits for its answer then calls `kill`."""
        self._process.kill()

    def kill(self) -> None:
        """Kill the process and the processes that it started, and remove its scratch folder."""
        if not self.alive:
            return
        self.alive = False
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(_END_SECONDS)
        self._channel.close()
        os.close(self._life)
        shutil.rmtree(self._scratch, ignore_errors=True)

    def _hook(self, name: str, hook: Hook, request_id: str) -> InvocationOutcome:
        return self._call(name, hook.handler, None, request_id, hook.timeout)

    def _call(self, name: str, handler: str, event: bytes | None, request_id: str, seconds: float) -> InvocationOutcome:
        call = {
            "request_id": request_id,
            "handler": handler,
            "takes_event": event is not None,
            "credentials": surroundings.request_keys(self._function, self._credentials),
        }
        ended: str | None = None
        failed, body = True, b""
        start, end = (f"FC {name} {word} RequestId: {request_id}\n".encode() for word in ("Start", "End"))
        self._on_output(start)
        begun = time.monotonic()
        try:
            header, body = self._channel.call(call, event or b"", seconds, self._watch_memory)
            failed = header["failed"]
        except TimedOutError:
            # The service's text, as a public issue of 2021 shows it.
            ended = f"Function timed out after {seconds:g} seconds (maxMemoryUsage: {self._peak:.2f}MB)"
        except (ClosedError, _OutOfMemoryError):
            # The service's text, as its pages on errors (Node.js, 2026) show it; also for too much memory.
            usage = f"duration: {_milliseconds(begun):.0f}ms, maxMemoryUsage: {self._peak:.2f}MB"
            ended = f"Process exited unexpectedly before completing request ({usage})"
        milliseconds = _milliseconds(begun)
        printed = self._channel.take_output()
        self._on_output(end)
        if printed and not printed.endswith(b"\n"):
            printed += b"\n"
        if ended is not None:
            self.kill()
            body = json.dumps({"errorMessage": ended}).encode()
        return InvocationOutcome(body, UNHANDLED if failed else None, milliseconds, self._peak, start + printed + end)

    def _watch_memory(self) -> None:
        """Record the peak, and raise if the process holds more memory than configured; does nothing without /proc."""
        try:
            status = Path(f"/proc/{self._process.pid}/status").read_text(encoding="ascii", errors="replace")
        except OSError:
            return
        sizes = dict(line.split(":", 1) for line in status.splitlines() if line.startswith(("VmHWM", "VmRSS")))
        if sizes:
            peak, current = (int(sizes[name].split()[0]) / 1024 for name in ("VmHWM", "VmRSS"))
            self._peak = max(self._peak, peak)
            if current > self._function.memory:
                raise _OutOfMemoryError


def new_request_id() -> str:
    """Return an id in the service's form: `1-`, the time in hex, and random hex."""
    random = uuid.uuid4().hex
    return f"1-{int(time.time()):08x}-{random[:8]}-{random[8:20]}"


def _milliseconds(begun: float) -> float:
    return (time.monotonic() - begun) * 1000
