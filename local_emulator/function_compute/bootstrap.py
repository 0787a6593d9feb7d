"""Runs inside an instance's process, as `python -I -S -u bootstrap.py CHANNEL LIFE` (two file descriptors).

The module plays the service's runtime, so it imports only the standard library, before the function's folders are on
the path. CHANNEL carries frames both ways: the lengths of a JSON header and a body (see _PREFIX), the header, the
body. LIFE is a pipe that nobody writes to: its end means that the emulator has ended.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import shutil
import signal
import socket
import struct
import sys
import threading
import time
import traceback
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_PREFIX = struct.Struct(">IQ")  # as channel.py has it


class _LogLines(logging.Formatter):
    """Formats log lines as the service's runtimes do: UTC time, request id, [LEVEL], text."""

    request_id = ""

    def format(self, record: logging.LogRecord) -> str:
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        prefix = f"{moment}.{int(record.msecs):03d}Z {self.request_id} [{record.levelname}]"
        return f"{prefix} {super().format(record)}"


def main() -> None:
    """Answer calls until the channel ends; then the watch thread kills this process and the processes it started."""
    channel, life = int(sys.argv[1]), int(sys.argv[2])
    watch = threading.Thread(target=_end_with_parent, args=(life, Path.cwd()), daemon=True)
    watch.start()
    stream = socket.socket(fileno=channel)
    try:
        _answer_calls(stream)
    except (EOFError, ConnectionError):
        watch.join()


def _answer_calls(stream: socket.socket) -> None:
    """Call handlers until the emulator closes the channel; raise EOFError or ConnectionError then."""
    requests = stream.makefile("rb")
    # A BufferedReader reads large bodies directly into the bytes that it returns, so memory holds each event once.
    settings, _ = _read(requests)
    sys.path[:0] = settings["path"]
    lines = _log_lines()
    handlers: dict[str, Callable[..., Any]] = {}
    while True:
        call, event = _read(requests)
        lines.request_id = call["request_id"]
        header, body = _answer(handlers, settings, call, event)
        del event
        sys.stdout.flush()
        sys.stderr.flush()
        head = json.dumps(header).encode()
        stream.sendall(_PREFIX.pack(len(head), len(body)) + head)
        stream.sendall(body)


def _end_with_parent(life: int, scratch: Path) -> None:
    """Wait until the emulator has ended, then remove the scratch folder and kill this process group.

    The thread does so during a call, too. The group includes the processes that the function has started.
    """
    os.read(life, 1)
    shutil.rmtree(scratch, ignore_errors=True)
    os.killpg(0, signal.SIGKILL)


def _read(requests: Any) -> tuple[dict[str, Any], bytes]:
    prefix = requests.read(_PREFIX.size)
    if len(prefix) < _PREFIX.size:
        raise EOFError
    head, body = _PREFIX.unpack(prefix)
    return json.loads(requests.read(head)), requests.read(body)


def _log_lines() -> _LogLines:
    lines = _LogLines()
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(lines)
    logging.getLogger().addHandler(handler)
    logging.getLogger().setLevel(logging.INFO)
    return lines


def _answer(
    handlers: dict[str, Callable[..., Any]], settings: dict[str, Any], call: dict[str, Any], event: bytes
) -> tuple[dict[str, Any], bytes]:
    """Call the call's handler; SystemExit isn't caught, because it ends the process in the service, too."""
    name = call["handler"]
    try:
        if name not in handlers:
            module, function = name.split(".")
            handlers[name] = getattr(importlib.import_module(module), function)
        context = _context(settings, call)
        result = handlers[name](event, context) if call["takes_event"] else handlers[name](context)
        return {"failed": False}, _body(result)
    except Exception as error:  # noqa: BLE001 # whatever the function raises is reported as its error
        return {"failed": True}, _failure(error)


def _body(result: Any) -> bytes:
    """Return a handler's result as the caller gets it: bytes and text unchanged, everything else as JSON."""
    if isinstance(result, (bytes, bytearray)):
        return bytes(result)
    return (result if isinstance(result, str) else json.dumps(result)).encode()


def _failure(error: Exception) -> bytes:
    """Return the answer's body for an unhandled error, as the service's page on errors of Python functions shows it."""
    trace_from_function = error.__traceback__.tb_next if error.__traceback__ else None  # the first frame is _answer's
    traceback.print_exception(type(error), error, trace_from_function)
    frames = traceback.extract_tb(trace_from_function)
    trace = [
        [f'File "{frame.filename}"', f"line {frame.lineno}", f"in {frame.name}", frame.line or ""] for frame in frames
    ]
    return json.dumps(
        {"errorMessage": str(error), "errorType": type(error).__name__, "stackTrace": trace}, ensure_ascii=False
    ).encode()


def _context(settings: dict[str, Any], call: dict[str, Any]) -> SimpleNamespace:
    """Return the context of the function's runtime; the runtimes' attributes differ (the service's context pages)."""
    logger = logging.getLogger()
    function = SimpleNamespace(**settings["function"])
    common = {
        "request_id": call["request_id"],
        "function": function,
        "region": settings["region"],
        "account_id": settings["account_id"],
        "logger": logger,
        "getLogger": lambda: logger,
    }
    log = settings["log"]
    if settings["runtime"] == "python3.12":
        function.version_id, function.qualifier = "", "LATEST"
        return SimpleNamespace(**common, log_project=log["project"], log_store=log["store"])
    service = SimpleNamespace(
        name="", log_project=log["project"], log_store=log["store"], qualifier="LATEST", version_id=""
    )
    tracing = SimpleNamespace(span_context=None, jaeger_endpoint=None, span_baggages={})
    credentials = SimpleNamespace(**settings["credentials"])
    return SimpleNamespace(**common, service=service, tracing=tracing, credentials=credentials)


if __name__ == "__main__":
    main()
