"""The emulator's end of an instance's pipes: frames to and from its process, and the process's output."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import selectors
import socket
import struct
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_PREFIX = struct.Struct(">IQ")  # lengths of the JSON header and of the body, as bootstrap.py has it
_TICK = 0.1  # seconds between two calls of `watch` while the process works
_CHUNK = 65_536


class ClosedError(Exception):
    """The process ended before it answered."""


class TimedOutError(Exception):
    """The process didn't answer in time."""


@dataclass(eq=False, slots=True)
class _Call:
    """A call that waits for its answer; `output` gets what the process prints meanwhile."""

    output: bytearray
    ended: threading.Event = field(default_factory=threading.Event)
    answer: tuple[dict[str, Any], bytes] | None = None


class Channel:
    """Carries calls, several at once; `on_output` gets each line that the process prints, as soon as the line is whole.

    A thread receives answers and output until the process or `close` ends the channel; it is `closed` then.
    """

    def __init__(self, stream: socket.socket, output: int, on_output: Callable[[bytes], None]) -> None:
        self._stream = stream
        self._stream.setblocking(False)
        self._output_pipe: int | None = output
        os.set_blocking(output, False)
        self._on_output = on_output
        self._line = b""  # printed, and not yet ended by a newline
        self._numbers = itertools.count()
        self._calls: dict[int, _Call] = {}
        self.closed = False
        self._lock = threading.Lock()
        self._sending = threading.Lock()
        self._receiver = threading.Thread(target=self._receive, name="function-instance", daemon=True)
        self._receiver.start()

    def send(self, header: Mapping[str, Any], seconds: float) -> None:
        """Send a frame that gets no answer."""
        self._send(_frame(header, b""), time.monotonic() + seconds)

    def call(
        self, header: Mapping[str, Any], body: bytes, seconds: float, watch: Callable[[], None], output: bytearray
    ) -> tuple[dict[str, Any], bytes]:
        """Send a frame and return the answer's header and body; `watch` runs about every 0.1 s.

        `output` gets what the process prints during the call. Raises TimedOutError, ClosedError and what `watch`
        raises; after any of them the channel can't be used again.
        """
        deadline = time.monotonic() + seconds
        call, number = _Call(output), next(self._numbers)
        with self._lock:
            if self.closed:
                raise ClosedError
            self._calls[number] = call
        try:
            self._send(_frame({**header, "call": number}, body), deadline)
            while not call.ended.wait(max(min(deadline - time.monotonic(), _TICK), 0)):
                watch()
                if time.monotonic() > deadline:
                    raise TimedOutError
        finally:
            with self._lock:
                self._calls.pop(number, None)
        if call.answer is None:
            raise ClosedError
        return call.answer

    def close(self) -> None:
        """End the channel; a process that still reads from it ends. The output until now has been reported then."""
        with contextlib.suppress(OSError):  # the process has ended, too
            self._stream.shutdown(socket.SHUT_RDWR)
        self._receiver.join()
        with self._sending:
            self._stream.close()

    def _send(self, frame: deque[memoryview], deadline: float) -> None:
        if not self._sending.acquire(timeout=max(deadline - time.monotonic(), 0)):
            raise TimedOutError
        try:
            with selectors.DefaultSelector() as selector:
                selector.register(self._stream, selectors.EVENT_WRITE)
                while frame:
                    if not selector.select(max(deadline - time.monotonic(), 0)):
                        raise TimedOutError
                    with contextlib.suppress(BlockingIOError):
                        _advance(frame, self._stream.send(frame[0][: 16 * _CHUNK]))
        except OSError as error:
            raise ClosedError from error
        finally:
            self._sending.release()

    def _receive(self) -> None:
        answer = _Answer()
        with selectors.DefaultSelector() as selector:
            selector.register(self._stream, selectors.EVENT_READ)
            selector.register(self._output_pipe, selectors.EVENT_READ)  # type: ignore[arg-type] # open at first
            while True:
                for key, _ in selector.select():
                    if key.fileobj is not self._stream:
                        if not self._read_output() and self._output_pipe is None:
                            selector.unregister(key.fileobj)
                        continue
                    try:
                        answer.receive(self._stream)
                    except BlockingIOError:
                        continue
                    except (ClosedError, OSError):
                        return self._end()
                    if answer.complete:
                        self._complete(answer)
                        answer = _Answer()

    def _complete(self, answer: _Answer) -> None:
        """Give a call its answer, after the output: the process prints, then answers."""
        self._read_all_output()
        with self._lock:
            call = self._calls.pop(answer.header.pop("call"), None)
        if call:
            call.answer = answer.header, bytes(answer.buffer)
            call.ended.set()

    def _end(self) -> None:
        """End all calls without an answer."""
        self._read_all_output()
        with self._lock:
            self.closed = True
            calls = list(self._calls.values())
        for call in calls:
            call.ended.set()
        if self._output_pipe is not None:
            os.close(self._output_pipe)
            self._output_pipe = None

    def _read_all_output(self) -> None:
        """Read the output until now; a line that no newline ends counts as whole."""
        while self._output_pipe is not None and self._read_output():
            pass
        if self._line:
            line, self._line = self._line, b""
            self._on_output(line + b"\n")

    def _read_output(self) -> bool:
        """Read output once; return False if there was none, or if the pipe has ended (and close it then)."""
        assert self._output_pipe is not None  # noqa: S101 # the callers check it
        try:
            piece = os.read(self._output_pipe, _CHUNK)
        except BlockingIOError:
            return False
        if not piece:
            os.close(self._output_pipe)
            self._output_pipe = None
            return False
        with self._lock:
            for call in self._calls.values():
                call.output += piece
        lines, newline, self._line = (self._line + piece).rpartition(b"\n")
        if newline:
            self._on_output(lines + newline)
        return True


class _Answer:
    """A frame that is being received: the prefix, then the header, then the body, each into a buffer of its size."""

    def __init__(self) -> None:
        self.header: dict[str, Any] = {}
        self.buffer = bytearray(_PREFIX.size)
        self.complete = False
        self._filled = 0
        self._lengths: tuple[int, int] | None = None
        self._in_body = False

    def receive(self, stream: socket.socket) -> None:
        """Read once; ClosedError at the end of the stream."""
        count = stream.recv_into(memoryview(self.buffer)[self._filled :])
        if not count:
            raise ClosedError
        self._filled += count
        while not self.complete and self._filled == len(self.buffer):
            self._next_part()

    def _next_part(self) -> None:
        if self._lengths is None:
            self._lengths = _PREFIX.unpack(self.buffer)
            self.buffer = bytearray(self._lengths[0])
        elif not self._in_body:
            self.header = json.loads(self.buffer)
            self.buffer = bytearray(self._lengths[1])
            self._in_body = True
        else:
            self.complete = True
        self._filled = 0


def _frame(header: Mapping[str, Any], body: bytes) -> deque[memoryview]:
    head = json.dumps(header).encode()
    parts = deque([memoryview(_PREFIX.pack(len(head), len(body)) + head)])
    if body:
        parts.append(memoryview(body))
    return parts


def _advance(frame: deque[memoryview], count: int) -> None:
    frame[0] = frame[0][count:]
    if not frame[0]:
        frame.popleft()
