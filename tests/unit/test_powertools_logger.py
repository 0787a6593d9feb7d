"""Log lines are JSON objects with the invocation's fields, whatever is put into them."""

from __future__ import annotations

import contextvars
import io
import json
import logging
import threading
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fc_powertools import logger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.quick

log = logging.getLogger("orders")


@pytest.fixture(autouse=True)
def root() -> Iterator[logging.Logger]:
    """The root logger as a fresh process has it; put back afterwards."""
    root = logging.getLogger()
    handlers, level = [(handler, handler.formatter) for handler in root.handlers], root.level
    root.handlers.clear()
    logger.clear()
    yield root
    logger.clear()
    root.handlers[:] = [handler for handler, _ in handlers]
    for handler, formatter in handlers:
        handler.setFormatter(formatter)
    root.setLevel(level)


@pytest.fixture
def lines(root: logging.Logger) -> Callable[[], list[dict[str, Any]]]:
    """What was written, after the runtime's handler has got our format."""
    stream = io.StringIO()
    runtime = logging.StreamHandler(stream)
    runtime.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    root.addHandler(runtime)
    logger.configure(environment={})
    return lambda: [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_has_time_level_logger_and_message(lines: Callable[[], list[dict[str, Any]]]) -> None:
    before = datetime.now(timezone.utc)
    log.warning("%d of %s", 3, "张伟")
    (line,) = lines()
    written = datetime.strptime(line.pop("time"), "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=timezone.utc)
    assert abs((written - before).total_seconds()) < 60
    assert line == {"level": "WARNING", "logger": "orders", "message": "3 of 张伟"}


def test_extra_and_bound_fields_are_written_but_change_no_line_of_its_own(
    lines: Callable[[], list[dict[str, Any]]],
) -> None:
    logger.bind(connector="orders", level="mine", request_id="r-1")
    log.info("first", extra={"records": 10_000, "connector": "other"})
    logger.clear()
    log.info("second")
    first, second = lines()
    assert (first["records"], first["connector"], first["request_id"]) == (10_000, "other", "r-1")
    assert first["level"] == "INFO"
    assert set(second) == {"time", "level", "logger", "message"}


def test_bound_fields_end_with_their_block(lines: Callable[[], list[dict[str, Any]]]) -> None:
    with logger.bound(request_id="r-1"):
        logger.bind(connector="orders")
        log.info("inside")
        assert logger.fields() == {"request_id": "r-1", "connector": "orders"}
    log.info("outside")
    inside, outside = lines()
    assert (inside["request_id"], inside["connector"]) == ("r-1", "orders")
    assert "request_id" not in outside
    assert "connector" not in outside


def test_threads_dont_see_one_anothers_fields(lines: Callable[[], list[dict[str, Any]]]) -> None:
    gate = threading.Barrier(4, timeout=30)

    def invoke(request: str) -> None:
        with logger.bound(request_id=request):
            gate.wait()
            log.info("of %s", request)

    threads = [threading.Thread(target=invoke, args=(f"r-{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert {(line["message"], line["request_id"]) for line in lines()} == {(f"of r-{n}", f"r-{n}") for n in range(4)}


def test_a_thread_keeps_the_fields_that_it_is_given(lines: Callable[[], list[dict[str, Any]]]) -> None:
    with logger.bound(request_id="r-1"):
        copied = contextvars.copy_context()
        thread = threading.Thread(target=copied.run, args=(log.info, "from a thread"))
        thread.start()
        thread.join(30)
    assert lines()[0]["request_id"] == "r-1"


def test_an_exception_becomes_fields_without_local_variables(lines: Callable[[], list[dict[str, Any]]]) -> None:
    def fail(payload: str) -> None:
        try:
            int(payload.partition("-")[2])
        except ValueError as error:
            raise LookupError("no such order") from error

    try:
        fail("hidden-x")
    except LookupError:
        log.exception("failed")
    (line,) = lines()
    error = line["error"]
    assert (error["type"], error["message"]) == ("LookupError", "no such order")
    assert error["cause"]["type"] == "ValueError"
    assert [frame.rsplit(" ", 1)[1] for frame in error["stack"]] == [
        "test_an_exception_becomes_fields_without_local_variables",
        "fail",
    ]
    assert Path(__file__).name in error["stack"][0]
    assert "hidden" not in json.dumps(line)


def test_a_long_message_is_cut_and_a_ring_of_causes_ends() -> None:
    first, second = ValueError("x" * 10_000), ValueError("second")
    first.__cause__, second.__cause__ = second, first
    described = logger.describe(first)
    assert described["message"] == "x" * logger.MESSAGE_LIMIT + "... (10000 characters)"
    depth, current = 0, described
    while "cause" in current:
        inner = current["cause"]
        assert isinstance(inner, dict)
        depth, current = depth + 1, inner
    assert depth == logger.CAUSES_LIMIT


def test_a_context_is_a_cause_unless_it_is_suppressed() -> None:
    error = LookupError("outer")
    error.__context__ = ValueError("inner")
    cause = logger.describe(error)["cause"]
    assert isinstance(cause, dict)
    assert cause["message"] == "inner"
    error.__cause__ = None  # what `from None` does
    assert "cause" not in logger.describe(error)


def test_values_without_a_json_form_are_written_and_bytes_are_not(lines: Callable[[], list[dict[str, Any]]]) -> None:
    extra = {
        "payload": b"secret",
        "view": memoryview(b"ab"),
        "tags": {"b", "a"},
        "path": Path("a/b"),
        "map": {1: 2, (): 3},
    }
    log.info("values", extra=extra)
    (line,) = lines()
    assert line["payload"] == "<6 bytes>"
    assert line["view"] == "<2 bytes>"
    assert line["tags"] == ["a", "b"]
    assert line["path"] == str(Path("a/b"))
    assert line["map"] == {"1": 2}


def test_text_that_is_no_unicode_and_line_feeds_stay_on_one_line(root: logging.Logger) -> None:
    raw = io.BytesIO()
    root.addHandler(logging.StreamHandler(io.TextIOWrapper(raw, encoding="utf-8", write_through=True)))
    logger.configure(environment={})
    log.info("lone \udc80 and\nline feed")
    (line,) = raw.getvalue().splitlines()
    assert json.loads(line)["message"] == "lone \udc80 and\nline feed"


def test_configure_again_changes_nothing(root: logging.Logger) -> None:
    root.addHandler(logging.StreamHandler(io.StringIO()))
    logger.configure(environment={})
    handlers, formatter = root.handlers[:], root.handlers[0].formatter
    logger.configure(environment={})
    assert root.handlers == handlers
    assert root.handlers[0].formatter is formatter


def test_without_a_handler_lines_go_to_standard_output(
    root: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    root.handlers.clear()  # pytest's own, which come with the call
    logger.configure(environment={})
    log.info("here")
    assert json.loads(capsys.readouterr().out)["message"] == "here"


@pytest.mark.parametrize(
    ("argument", "environment", "level"),
    [
        (None, {}, logging.INFO),
        (None, {"LOG_LEVEL": ""}, logging.INFO),
        (None, {"LOG_LEVEL": "debug"}, logging.DEBUG),
        ("ERROR", {"LOG_LEVEL": "DEBUG"}, logging.ERROR),
    ],
)
def test_level(root: logging.Logger, argument: str | None, environment: dict[str, str], level: int) -> None:
    logger.configure(argument, environment)
    assert root.level == level


def test_an_unknown_level_is_reported(root: logging.Logger) -> None:
    stream = io.StringIO()
    root.addHandler(logging.StreamHandler(stream))
    logger.configure(environment={"LOG_LEVEL": "loud"})
    assert root.level == logging.INFO
    assert "LOG_LEVEL must be one of DEBUG, INFO, WARNING, ERROR, CRITICAL, found LOUD" in stream.getvalue()
