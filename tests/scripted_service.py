"""An HTTP server that answers as a test tells it, for faults that a sound service doesn't have."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self


@dataclass(frozen=True, slots=True)
class Answer:
    """What is answered; `drop` closes the connection instead, `cut` after half of the body."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    drop: bool = False
    cut: bool = False


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes


TABLE_COLUMNS = (
    ("topic", "string"),
    ("partition", "bigint"),
    ("offset", "bigint"),
    ("key", "string"),
    ("value", "string"),
)
"""The connector document's table."""


def session(
    status: str, *blocks: int, id_: str = "session-1", columns: tuple[tuple[str, str], ...] = TABLE_COLUMNS
) -> Answer:
    """The answer that describes an upload session of a table with these columns: names and types."""
    described = {
        "UploadID": id_,
        "Status": status,
        "UploadedBlockList": [{"BlockID": block} for block in blocks],
        "Schema": {"columns": [{"name": name, "type": type_, "isNullable": True} for name, type_ in columns]},
    }
    return Answer(body=json.dumps(described).encode())


def refusal(status: int, code: str, message: str = "no") -> Answer:
    """An error as Tunnel tells it."""
    return Answer(status, json.dumps({"Code": code, "Message": message, "RequestId": "R1", "HostId": "h"}).encode())


class ScriptedService:
    """Answers one request after the other with what the script says, then always with its last entry."""

    def __init__(self, *script: Answer) -> None:
        self.requests: list[Request] = []
        self.aside: dict[str, Answer] = {}
        """Answers to requests with a query of this name, which are neither in the script nor noted."""
        self.seconds_before_reading = 0.0
        """How long a request's body is left where it is."""
        self._script = list(script)
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                service.answer(self)

            do_GET = do_POST = do_PUT = handle_any  # noqa: N815 # the names that the base class looks for

            def log_message(self, *_: Any) -> None:
                """Nothing; pytest shows what was sent where a test fails."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)

    @property
    def endpoint(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """Note the request and answer it."""
        time.sleep(self.seconds_before_reading)
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        parts = urlsplit(handler.path)
        query = {name: found[0] for name, found in parse_qs(parts.query, keep_blank_values=True).items()}
        headers = {name.lower(): value for name, value in handler.headers.items()}
        answer = next((self.aside[name] for name in query if name in self.aside), None)
        if answer is None:
            self.requests.append(Request(handler.command, parts.path, query, headers, body))
            answer = self._script.pop(0) if len(self._script) > 1 else self._script[0]
        if not answer.drop:
            handler.send_response(answer.status)
            for name, value in answer.headers.items():
                handler.send_header(name, value)
            handler.send_header("Content-Length", str(len(answer.body)))
            handler.end_headers()
            handler.wfile.write(answer.body[: len(answer.body) // 2] if answer.cut else answer.body)
        handler.close_connection = answer.drop or answer.cut

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)
