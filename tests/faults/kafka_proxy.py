"""A proxy before a Kafka broker that lets chosen requests go wrong, and counts them.

    reset      the request isn't passed on; the connection is reset
    lost       it's passed on and answered, but the answer is lost with the connection
    truncated  it's passed on; half of the answer comes, then the connection ends
    silence    it isn't passed on and isn't answered, and neither is anything after it on that connection
    delay      it's passed on late
    error      it isn't passed on, and answered with an error of the broker's

Made for one broker on the proxy's own host: the address in its answers becomes the proxy's.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias, cast

from tests.faults.kafka_messages import Api, Request, led_here, refusal, without_newest

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

End: TypeAlias = Literal["close", "reset", "silence"]
What: TypeAlias = Literal["reset", "lost", "truncated", "silence", "delay", "error"]
START_SECONDS = 10.0
TURNS = 10
_LENGTH = struct.Struct(">i")
_RESET = struct.pack("ii", 1, 0)  # linger on, for no time: the kernel sends a reset instead of an end


@dataclass(slots=True, kw_only=True)
class Fault:
    """What happens to the next `times` requests of a kind that name a topic; `fired` counts those that it hit."""

    what: What
    api: Api
    topic: str
    times: int = 1
    seconds: float = 0.0
    error: str = ""
    fired: int = 0


@dataclass(slots=True)
class _Exchange:
    """A request that was passed on, and what happens to its answer."""

    request: Request
    fault: Fault | None


@dataclass(slots=True)
class _Pair:
    """A client's connection and the broker's for it."""

    client: asyncio.StreamWriter
    broker: asyncio.StreamWriter
    open: deque[_Exchange] = field(default_factory=deque)
    silent: bool = False
    """Nothing passes any more, and no end is told."""

    def reset(self) -> None:
        """End both, the client's with a reset."""
        with contextlib.suppress(OSError):
            self.client.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.client.transport.abort()
        self.broker.transport.abort()


class KafkaProxy:
    """Listens on a free port of the broker's host while it's entered; `bootstrap_servers` leads to it."""

    def __init__(self, bootstrap_servers: str) -> None:
        host, _, port = bootstrap_servers.partition(":")
        self.bootstrap_servers = ""
        self._broker = host, int(port)
        self._port = 0
        self._armed: list[Fault] = []
        self._lock = threading.Lock()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="kafka-proxy", daemon=True)
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()
        self._pairs: list[_Pair] = []

    def arm(self, what: What, api: Api, topic: str, **more: object) -> Fault:
        """One more fault; of those that fit a request, the oldest hits it."""
        fault = Fault(what=what, api=api, topic=topic, **more)  # type: ignore[arg-type] # the callers pass fields of Fault
        with self._lock:
            self._armed.append(fault)
        return fault

    def clear(self) -> None:
        """Take back all faults."""
        with self._lock:
            self._armed.clear()

    def end_connections(self, how: End) -> int:
        """End all present connections in this way; how many they were."""
        return asyncio.run_coroutine_threadsafe(self._end_pairs(how), self._loop).result(START_SECONDS)

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(START_SECONDS)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(START_SECONDS)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(START_SECONDS)
        self._loop.close()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, self._broker[0], 0)
        self._port = self._server.sockets[0].getsockname()[1]
        self.bootstrap_servers = f"{self._broker[0]}:{self._port}"

    async def _end(self) -> None:
        # asyncio loses the connections that it's accepting when a server is closed. So it stops to accept first, and
        # has a few turns for what it has accepted: a connection that isn't served yet is closed by nobody.
        listening = self._server.sockets if self._server is not None else ()
        for one in listening:
            self._loop.remove_reader(one.fileno())
        await _turns()
        serving = list(self._serving)
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)
        if self._server is not None:
            self._server.close()
        await _turns()

    async def _end_pairs(self, how: End) -> int:
        pairs, self._pairs = self._pairs, []
        for pair in pairs:
            if how == "silence":
                pair.silent = True
            elif how == "reset":
                pair.reset()
            else:
                pair.broker.transport.abort()
        return len(pairs)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client's connection."""
        task = cast("asyncio.Task[None]", asyncio.current_task())
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        try:
            answers, broker = await asyncio.open_connection(*self._broker)
        except (OSError, asyncio.CancelledError):
            writer.transport.abort()
            return
        pair = _Pair(writer, broker)
        self._pairs.append(pair)
        ways = [asyncio.ensure_future(way) for way in (self._requests(reader, pair), self._answers(answers, pair))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            writer.transport.abort()  # the proxy ends; asyncio would report a cancelled connection as an error
        finally:
            if pair in self._pairs:
                self._pairs.remove(pair)
            # Before anything is awaited: if the proxy ends just now, what follows a wait isn't done any more.
            writer.close()
            broker.transport.abort()
            for way in ways:
                way.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.gather(*ways, return_exceptions=True)

    async def _requests(self, reader: asyncio.StreamReader, pair: _Pair) -> None:
        """Pass requests on until the client goes, or a fault ends it."""
        while (payload := await _message(reader)) is not None:
            request = Request(payload)
            fault = self._hit(request)
            what = fault.what if fault else None
            if fault and what == "error":
                _send(pair.client, refusal(request, fault.topic, fault.error))
                continue
            if what == "reset":
                pair.reset()
                return
            if what == "silence" or pair.silent:
                await reader.read()  # until the client has had enough
                return
            if fault and what == "delay":
                await asyncio.sleep(fault.seconds)
            pair.open.append(_Exchange(request, fault))
            _send(pair.broker, payload)
            await pair.broker.drain()

    async def _answers(self, reader: asyncio.StreamReader, pair: _Pair) -> None:
        """Pass answers on until the broker goes, or a fault ends it."""
        while (answer := await _message(reader)) is not None:
            if pair.silent:
                continue
            exchange = pair.open.popleft()
            what = exchange.fault.what if exchange.fault else None
            if what == "lost":
                pair.reset()
                return
            if what == "truncated":
                pair.client.write(_LENGTH.pack(len(answer)) + answer[: len(answer) // 2])
                await pair.client.drain()
                return
            if exchange.request.api == "ApiVersions":
                answer = without_newest(exchange.request, answer)
            elif exchange.request.api in {"Metadata", "FindCoordinator"}:
                answer = led_here(answer, self._broker, self._port)
            _send(pair.client, answer)
            await pair.client.drain()

    def _hit(self, request: Request) -> Fault | None:
        """The fault that hits the request."""
        with self._lock:
            for fault in self._armed:
                if fault.fired < fault.times and request.api == fault.api and request.names(fault.topic):
                    fault.fired += 1
                    return fault
        return None


async def _message(reader: asyncio.StreamReader) -> bytes | None:
    """The next message without its length; None where no whole one comes any more."""
    try:
        (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
        return await reader.readexactly(length)
    except (OSError, asyncio.IncompleteReadError):
        return None


async def _turns() -> None:
    """Let the loop do what it has begun."""
    for _ in range(TURNS):
        await asyncio.sleep(0)


def _send(writer: asyncio.StreamWriter, payload: bytes) -> None:
    writer.write(_LENGTH.pack(len(payload)) + payload)
