r"""Structured log lines from the standard logging module.

    from fc_powertools import logger
    logger.configure()                               # once, when the instance starts
    logger.bind(connector="orders")                  # fields of every line from here on
    logging.getLogger(__name__).info("batch committed", extra={"records": 10_000})

writes one JSON object a line:

    {"time": "2026-11-24T13:42:00.123Z", "level": "INFO", "logger": "sink", "message": "batch committed",
     "request_id": "...", "function": "sink-orders", "connector": "orders", "records": 10000}

An exception becomes `error` with type, message, the frames of its stack as "file:line function", and its cause; never
a local variable. Bytes are written as their length, so that no payload gets into the log by mistake.

Bound fields belong to the current context (contextvars), so invocations that share an instance don't mix. A new thread
starts without them; to keep them, run its work in `contextvars.copy_context().run`.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import traceback
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime, timezone
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

LEVEL_VARIABLE = "LOG_LEVEL"
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
MESSAGE_LIMIT = 8_192
"""Most characters of an exception's message that are kept; some libraries put whole responses into the message."""
CAUSES_LIMIT = 5
"""Most causes of an exception that are followed."""

_NOTHING: Mapping[str, object] = MappingProxyType({})
_bound: ContextVar[Mapping[str, object]] = ContextVar("fc_powertools_log_fields", default=_NOTHING)
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    """Formats a log record as one JSON object on one line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line without its line feed; lone surrogates are written as escapes."""
        own: dict[str, object] = {
            "time": _time(record.created),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        extra = {name: value for name, value in vars(record).items() if name not in _STANDARD}
        line = own | dict(_bound.get()) | extra | own
        if record.exc_info and record.exc_info[1] is not None:
            line["error"] = describe(record.exc_info[1])
        text = json.dumps(line, ensure_ascii=False, default=_plain, skipkeys=True)
        return text.encode("utf-8", "backslashreplace").decode("utf-8")


def configure(level: str | None = None, environment: Mapping[str, str] = os.environ) -> None:
    """Give the root logger's handlers the JSON format, and the root logger a level; can be called again.

    The runtime's own handler stays, since it knows where log lines go; without a handler, lines go to standard output.
    The level is `level`, else LOG_LEVEL, else INFO; for an unknown level INFO is used, and the log says so.
    """
    root = logging.getLogger()
    if not root.handlers:
        root.addHandler(logging.StreamHandler(sys.stdout))
    for handler in root.handlers:
        if not isinstance(handler.formatter, JsonFormatter):
            handler.setFormatter(JsonFormatter())
    name = (level or environment.get(LEVEL_VARIABLE) or "INFO").upper()
    root.setLevel(name if name in LEVELS else "INFO")
    if name not in LEVELS:
        root.warning("%s must be one of %s, found %s; INFO is used", LEVEL_VARIABLE, ", ".join(LEVELS), name)


def bind(**fields: object) -> None:
    """Add fields to every later line of the current context."""
    _bound.set(MappingProxyType({**_bound.get(), **fields}))


def clear() -> None:
    """Remove all bound fields of the current context."""
    _bound.set(_NOTHING)


def fields() -> Mapping[str, object]:
    """Return the fields that are bound in the current context."""
    return _bound.get()


@contextmanager
def bound(**fields: object) -> Iterator[None]:
    """Bind fields for the lines of a block; at its end these fields and those bound inside are removed."""
    token = _bound.set(MappingProxyType({**_bound.get(), **fields}))
    try:
        yield
    finally:
        _bound.reset(token)


def describe(error: BaseException) -> dict[str, object]:
    """Return an exception as fields: type, message, stack (innermost frame last) and its cause, if it has one."""
    return _describe(error, CAUSES_LIMIT)


def _describe(error: BaseException, causes: int) -> dict[str, object]:
    """As `describe`, with at most `causes` causes; chains can be circular."""
    message = str(error)
    described: dict[str, object] = {
        "type": type(error).__qualname__,
        "message": message
        if len(message) <= MESSAGE_LIMIT
        else f"{message[:MESSAGE_LIMIT]}... ({len(message)} characters)",
        "stack": [
            f"{frame.f_code.co_filename}:{line} {frame.f_code.co_name}"
            for frame, line in traceback.walk_tb(error.__traceback__)
        ],
    }
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if cause is not None and causes:
        described["cause"] = _describe(cause, causes - 1)
    return described


def _time(seconds: float) -> str:
    """Return a time in UTC with milliseconds, in the form of the service's own lines."""
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _plain(value: object) -> object:
    """Return a form for values without JSON form: bytes as their length, sets as lists, anything else as its text."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return f"<{memoryview(value).nbytes} bytes>"
    if isinstance(value, (set, frozenset)):
        return sorted(value, key=str)
    return str(value)
