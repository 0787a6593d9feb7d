"""The emulator's end of an instance's pipes: frames to and from its process, and the process's output."""

from __future__ import annotations

import json
import os
import selectors
import struct
import time
from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping

_PREFIX = struct.Struct(">IQ")  # lengths of the JSON header and of the body, as bootstrap.py has it
_TICK = 0.1  # seconds between two calls of `watch` while the process works
_CHUNK = 65_536


class ClosedError(Exception):
    """The process ended before it answered."""


class TimedOutError(Exception):
    """The process didn't answer in time."""


class Channel:
    """Carries one call at a time; `on_output` gets each line that the process prints, as soon as the line is whole."""

    def __init__(self, stream: socket.socket, output: int, on_output: Callable[[bytes], None]) -> None:
        self._stream = stream
        self._stream.setblocking(False)
        self._output_pipe: int | None = output
        os.set_blocking(output, False)
        self._output = bytearray()
        self._on_output = on_output
        self._reported = 0

    def send(self, header: Mapping[str, Any], seconds: float) -> None:
        """Send a frame that gets no answer."""
        self._run(_frame(header, b""), None, seconds, lambda: None)

    def call(
        self, header: Mapping[str, Any], body: bytes, seconds: float, watch: Callable[[], None]
    ) -> tuple[dict[str, Any], bytes]:
        """Send a frame and return the answer's header and body; `watch` runs about every 0.1 s.

        Raises TimedOutError, ClosedError and what `watch` raises; after any of them the channel can't be used again.
        """
        answer = _Answer()
        self._run(_frame(header, body), answer, seconds, watch)
        return answer.header, bytes(answer.buffer)

    def take_output(self) -> bytes:
        """Return the output since the last `take_output`; complete after `call`: the process prints, then answers."""
        while self._output_pipe is not None and self._read_output():
            pass
        if rest := bytes(self._output[self._reported :]):
            self._on_output(rest + b"\n")
        taken, self._output, self._reported = bytes(self._output), bytearray(), 0
        return taken

    def close(self) -> None:
        """Close the socket and the output pipe; a process that still reads from the socket ends."""
        self._stream.close()
        if self._output_pipe is not None:
            os.close(self._output_pipe)
            self._output_pipe = None

    def _run(self, frame: deque[memoryview], answer: _Answer | None, seconds: float, watch: Callable[[], None]) -> None:
        deadline = time.monotonic() + seconds
        both = selectors.EVENT_READ | selectors.EVENT_WRITE
        with selectors.DefaultSelector() as selector:
            selector.register(self._stream, both)
            if self._output_pipe is not None:
                selector.register(self._output_pipe, selectors.EVENT_READ)
            while frame or (answer is not None and not answer.complete):
                remaining = deadline - time.monotonic()
                if remaining <= 0:
                    raise TimedOutError
                self._step(selector, selector.select(min(remaining, _TICK)), frame, answer)
                watch()

    def _step(
        self,
        selector: selectors.BaseSelector,
        ready: list[tuple[selectors.SelectorKey, int]],
        frame: deque[memoryview],
        answer: _Answer | None,
    ) -> None:
        for key, events in ready:
            if key.fileobj is not self._stream:
                pipe = key.fileobj
                if not self._read_output() and self._output_pipe is None:
                    selector.unregister(pipe)
                continue
            try:
                if events & selectors.EVENT_WRITE and frame:
                    _advance(frame, self._stream.send(frame[0][: 16 * _CHUNK]))
                if events & selectors.EVENT_READ and answer is not None:
                    answer.receive(self._stream)
            except ConnectionError as error:
                raise ClosedError from error
            if not frame:
                selector.modify(self._stream, selectors.EVENT_READ)

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
        self._output += piece
        whole = self._output.rfind(b"\n", self._reported) + 1
        if whole:
            self._on_output(bytes(self._output[self._reported : whole]))
            self._reported = whole
        return bool(piece)


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
