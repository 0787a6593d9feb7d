"""What surrounds a decorated handler: fields, metrics, keys and deadline, in success and in failure."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from fc_powertools import CredentialsError, Invocation, hook, invocation, logger
from fc_powertools.decorators import opened
from fc_powertools.logger import JsonFormatter

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.quick

RUNTIME = SimpleNamespace(
    request_id="r-1",
    function=SimpleNamespace(name="sink", timeout=60, memory=512, handler="index.handler"),
    credentials=SimpleNamespace(access_key_id="id", access_key_secret="hidden", security_token=""),
)

log = logging.getLogger("orders")


class Kept(logging.Handler):
    """Keeps lines as the JSON format writes them."""

    def __init__(self) -> None:
        super().__init__()
        self.formatter = JsonFormatter()
        self.lines: list[dict[str, Any]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(json.loads(self.format(record)))


@pytest.fixture
def lines() -> Iterator[list[dict[str, Any]]]:
    handler, root = Kept(), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    yield handler.lines
    root.setLevel(level)
    root.removeHandler(handler)


def test_a_handler_gets_event_and_invocation_and_its_result_goes_back(lines: list[dict[str, Any]]) -> None:
    @invocation(namespace="orders", limit_seconds=30)
    def handler(event: bytes, current: Invocation) -> str:
        """Say hello."""
        logger.bind(connector="c")
        log.info("working")
        current.metrics.count("records", 2)
        assert current.context.function.name == "sink"
        assert 0 < current.deadline.remaining() <= 30
        assert current.credentials.access_key_id == "id"
        return event.decode() + "!"

    assert handler(b"hello", RUNTIME) == "hello!"
    assert handler.__doc__ == "Say hello."
    working, written = lines
    for line in (working, written):
        assert (line["request_id"], line["function"], line["connector"]) == ("r-1", "sink", "c")
    assert written["metrics"]["namespace"] == "orders"
    assert written["metrics"]["counters"] == {"records": 2}
    assert logger.fields() == {}


def test_a_failure_is_logged_once_counted_and_passed_on(lines: list[dict[str, Any]]) -> None:
    @invocation(namespace="orders")
    def handler(_event: bytes, current: Invocation) -> None:
        current.metrics.count("records", 2)
        raise LookupError("no such table")

    with pytest.raises(LookupError, match="no such table"):
        handler(b"[]", RUNTIME)
    failed, written = lines
    assert failed["message"] == "invocation failed"
    assert failed["error"]["type"] == "LookupError"
    assert failed["request_id"] == "r-1"
    assert written["metrics"]["counters"] == {"records": 2}
    assert logger.fields() == {}


def test_the_next_invocation_starts_clean(lines: list[dict[str, Any]]) -> None:
    @invocation()
    def handler(event: bytes, current: Invocation) -> None:
        if event:
            logger.bind(connector="first")
            current.metrics.count("first")
            raise ValueError("first")
        log.info("second")
        current.metrics.count("second")

    with pytest.raises(ValueError, match="first"):
        handler(b"x", RUNTIME)
    handler(b"", RUNTIME)
    second, written = lines[-2:]
    assert "connector" not in second
    assert written["metrics"]["counters"] == {"second": 1}


def test_a_hook_gets_the_invocation(lines: list[dict[str, Any]]) -> None:
    @hook(namespace="orders", limit_seconds=10)
    def initialize(current: Invocation) -> None:
        log.info("starting")
        assert current.deadline.remaining() <= 10

    initialize(RUNTIME)
    assert [(line["message"], line["request_id"]) for line in lines] == [("starting", "r-1")]


def test_a_function_that_is_given_an_invocation_takes_part_in_it(lines: list[dict[str, Any]]) -> None:
    @hook(namespace="inner")
    def inner(current: Invocation) -> Invocation:
        current.metrics.count("inner")
        return current

    @invocation(namespace="outer")
    def outer(_event: bytes, current: Invocation) -> bool:
        return inner(current) is current

    assert outer(b"", RUNTIME)
    (written,) = lines
    assert written["metrics"]["namespace"] == "outer"


def test_without_a_role_only_asking_for_keys_fails() -> None:
    with opened(SimpleNamespace(), environment={}) as current, pytest.raises(CredentialsError):
        _ = current.credentials


def test_keys_of_the_environment_serve_and_dont_show() -> None:
    environment = {"ALIBABA_CLOUD_ACCESS_KEY_ID": "env-id", "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "hidden"}
    with opened(SimpleNamespace(), environment=environment) as current:
        assert current.credentials.access_key_id == "env-id"
        assert "hidden" not in repr(current)


def test_a_context_without_anything_binds_nothing(lines: list[dict[str, Any]]) -> None:
    with opened(object()):
        pass
    with opened(object()):  # not the process's first by now
        log.info("here")
    assert set(lines[0]) == {"time", "level", "logger", "message"}


def test_only_the_first_invocation_of_a_process_is_a_cold_start() -> None:
    program = (
        "from fc_powertools import hook\n"
        "cold = hook()(lambda current: current.cold_start)\n"
        "print(cold(None), cold(None))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = {sys.path!r}\n{program}"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.split() == ["True", "False"]
