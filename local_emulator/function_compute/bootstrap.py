"""Runs inside an instance's process, as `python -I -S -u bootstrap.py CHANNEL` (a file descriptor).

The module plays the service's runtime, so it imports only the standard library, before the function's folders are on
the path. CHANNEL carries frames both ways: the lengths of a JSON header and a body (see _PREFIX), the header, the
body.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import importlib
import json
import logging
import os
import resource
import signal
import socket
import struct
import sys
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_PREFIX = struct.Struct(">IQ")  # as channel.py has it
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_PATHS = (str, bytes, os.PathLike)
_DEVICES = ("/dev", "/proc")
_MEASURED_SECONDS = 0.1  # how long a measurement of the disk counts
# Python's audit events that change a file system: the positions of their paths, and of these paths' dir_fd.
_CHANGES = {
    "os.mkdir": ((0, 2),),
    "os.remove": ((0, 1),),
    "os.rmdir": ((0, 1),),
    "os.rename": ((0, 2), (1, 3)),
    "os.link": ((1, 3),),
    "os.symlink": ((1, 2),),
    "os.truncate": ((0, None),),
    "os.chmod": ((0, 2),),
    "os.chown": ((0, 3),),
    "os.utime": ((0, 3),),
    "os.setxattr": ((0, None),),
    "os.removexattr": ((0, None),),
}


class _LogLines(logging.Formatter):
    """Formats log lines as the service's runtimes do: UTC time, request id, [LEVEL], text."""

    def __init__(self) -> None:
        super().__init__()
        self._latest = ""
        self._of_thread = threading.local()

    def begin(self, request_id: str) -> None:
        """From now on, lines of this thread carry this id, and so do lines of threads that had no request."""
        self._latest = self._of_thread.request_id = request_id

    def format(self, record: logging.LogRecord) -> str:
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        request_id = getattr(self._of_thread, "request_id", self._latest)
        prefix = f"{moment}.{int(record.msecs):03d}Z {request_id} [{record.levelname}]"
        return f"{prefix} {super().format(record)}"


class _FileSystem:
    """Refuses changes outside of the instance's own folder, as the service's read-only file system does.

    The process runs as the developer, so nothing else protects the project's folders. An audit hook sees what Python
    code opens and changes; libraries in C, and programs that the function starts, aren't seen.
    """

    def __init__(self, scratch: Path, code: Sequence[str], disk_bytes: int) -> None:
        self._scratch = os.path.realpath(scratch)
        self._code = tuple(map(os.path.realpath, code))
        # A function that writes the path /tmp itself gets this machine's.
        self._writable = (self._scratch, os.path.realpath("/tmp"), *_DEVICES)  # noqa: S108
        self._disk_bytes = disk_bytes
        self._measured = 0.0
        # One file alone can't exceed the disk either, whoever writes it: its writer gets EFBIG.
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        limit = disk_bytes if hard == resource.RLIM_INFINITY else min(disk_bytes, hard)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))

    def audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Raise OSError if an event of Python's changes a file that the instance mustn't change."""
        if event == "open":
            path, _, flags = arguments
            if isinstance(flags, int) and flags & _WRITES and isinstance(path, _PATHS):
                self._check(path, os.path.realpath(os.fsdecode(path)), grows=True)
        elif event in _CHANGES:
            for position, folder in _CHANGES[event]:
                path = arguments[position]
                if isinstance(path, _PATHS):
                    parent = -1 if folder is None else arguments[folder]
                    self._check(path, _place(path, parent), grows=event == "os.mkdir")

    def _check(self, path: Any, place: str, *, grows: bool) -> None:
        if _is_below(place, self._code) or not _is_below(place, self._writable):
            if "__pycache__" not in Path(place).parts:  # modules are compiled once for all instances
                raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)
        elif grows and _is_below(place, (self._scratch,)) and self._is_full():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)

    def _is_full(self) -> bool:
        """Measure the folder, if the last measurement is older than a moment; a full disk is measured each time."""
        now = time.monotonic()
        if now - self._measured < _MEASURED_SECONDS:
            return False
        if _size(self._scratch) >= self._disk_bytes:
            return True
        self._measured = now
        return False


def _place(path: Any, folder: int) -> str:
    """Return the real path of an entry that an operation changes; `folder` is its dir_fd, or -1."""
    name = os.fsdecode(path)
    if folder >= 0:
        name = os.path.join(_open_folder(folder), name)  # noqa: PTH118
    parent, entry = os.path.split(name.rstrip(os.sep))
    return os.path.join(os.path.realpath(parent or os.curdir), entry)  # noqa: PTH118


def _open_folder(descriptor: int) -> str:
    """Return the path of an open folder."""
    of_macos: int | None = getattr(fcntl, "F_GETPATH", None)
    if of_macos is None:
        return os.readlink(f"/proc/self/fd/{descriptor}")  # noqa: PTH115
    return os.fsdecode(fcntl.fcntl(descriptor, of_macos, bytes(1024)).rstrip(b"\0"))


def _is_below(place: str, folders: Sequence[str]) -> bool:
    return any(place == folder or place.startswith(folder + os.sep) for folder in folders)


def _size(folder: str) -> int:
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):  # removed meanwhile
                total += os.lstat(os.path.join(parent, name)).st_blocks * 512  # noqa: PTH118
    return total


def main() -> None:
    """Answer calls until the channel ends, then kill this process and the processes that it started."""
    stream = socket.socket(fileno=int(sys.argv[1]))
    with contextlib.suppress(EOFError, ConnectionError):
        _answer_calls(stream)
    os.killpg(0, signal.SIGKILL)


def _answer_calls(stream: socket.socket) -> None:
    """Call handlers until the emulator closes the channel; raise EOFError or ConnectionError then.

    The handler runs in the main thread, unless the function takes several requests at once.
    """
    requests = stream.makefile("rb")
    # A BufferedReader reads large bodies directly into the bytes that it returns, so memory holds each event once.
    settings, _ = _read(requests)
    sys.path[:0] = settings["path"]
    file_system = _FileSystem(Path(os.environ["TMPDIR"]), settings["path"], settings["disk_bytes"])
    sys.addaudithook(file_system.audit)
    calls = _Calls(settings, stream)
    if settings["concurrency"] == 1:
        while True:
            calls.answer(*_read(requests))
    with ThreadPoolExecutor(settings["concurrency"]) as threads:
        while True:
            threads.submit(calls.answer_in_thread, *_read(requests))


class _Calls:
    """Calls handlers and sends their answers."""

    def __init__(self, settings: dict[str, Any], stream: socket.socket) -> None:
        self._settings = settings
        self._stream = stream
        self._sending = threading.Lock()
        self._lines = _log_lines()
        self._handlers: dict[str, Callable[..., Any]] = {}

    def answer(self, call: dict[str, Any], event: bytes) -> None:
        self._lines.begin(call["request_id"])
        header, body = _answer(self._handlers, self._settings, call, event)
        del event
        sys.stdout.flush()
        sys.stderr.flush()
        head = json.dumps({**header, "call": call["call"]}).encode()
        with self._sending:
            self._stream.sendall(_PREFIX.pack(len(head), len(body)) + head)
            self._stream.sendall(body)

    def answer_in_thread(self, call: dict[str, Any], event: bytes) -> None:
        """Answer, and end the process if the handler wants to, as the main thread does."""
        try:
            self.answer(call, event)
        except SystemExit:
            sys.stdout.flush()
            os._exit(1)


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
    log, qualifier = settings["log"], settings["version"]
    version_id = "" if qualifier == "LATEST" else qualifier
    if settings["runtime"] == "python3.12":
        function.version_id, function.qualifier = version_id, qualifier
        return SimpleNamespace(**common, log_project=log["project"], log_store=log["store"])
    service = SimpleNamespace(
        name="", log_project=log["project"], log_store=log["store"], qualifier=qualifier, version_id=version_id
    )
    tracing = SimpleNamespace(span_context=None, jaeger_endpoint=None, span_baggages={})
    credentials = SimpleNamespace(**call["credentials"])
    return SimpleNamespace(**common, service=service, tracing=tracing, credentials=credentials)


if __name__ == "__main__":
    main()
