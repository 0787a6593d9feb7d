"""A function behind the invoke API, whose answers a test chooses: just the protocol, for tests of those who call it."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from typing_extensions import Self


@dataclass(frozen=True, slots=True)
class Answer:
    """What the service replies to one invocation."""

    status: int = 200
    body: bytes = b"{}"
    error_type: str | None = None
    """X-Fc-Error-Type: the function itself failed."""


OK = Answer()
FAILED = Answer(
    body=json.dumps({"errorMessage": "no table", "errorType": "RefusedError", "stackTrace": []}).encode(),
    error_type="UnhandledInvocationError",
)


@dataclass(slots=True)
class FakeFunction:
    """Serves on 127.0.0.1; `answer` decides by the body, on the thread of the request, so it may wait."""

    answer: Callable[[bytes], Answer] = lambda _: OK
    paths: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    _server: ThreadingHTTPServer = field(init=False)

    def __enter__(self) -> Self:
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                fake.paths.append(self.path)
                fake.headers.append({name.lower(): value for name, value in self.headers.items()})
                fake.bodies.append(body)
                reply = fake.answer(body)
                self.send_response(reply.status)
                if reply.error_type:
                    self.send_header("X-Fc-Error-Type", reply.error_type)
                self.send_header("X-Fc-Request-Id", "a-request")
                self.send_header("Content-Length", str(len(reply.body)))
                self.end_headers()
                self.wfile.write(reply.body)

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def endpoint(self) -> str:
        """Where the service listens."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"
